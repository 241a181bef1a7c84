/* An index and the records that it leads to, in one call. */

#define FDB_API_VERSION 730
#include <foundationdb/fdb_c.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(fdb_error_t error, const char *what) {
    if (error) {
        fprintf(stderr, "%s: error %d\n", what, error);
        exit(1);
    }
}

static void *network(void *unused) {
    check(fdb_run_network(), "run_network");
    return unused;
}

static void await(FDBFuture *future, const char *what) {
    check(fdb_future_block_until_ready(future), what);
    check(fdb_future_get_error(future), what);
}

/* Strings as a packed tuple. */
static int tuple(uint8_t *out, const char *const *texts, int count) {
    int length = 0;
    for (int i = 0; i < count; i++) {
        out[length++] = 0x02;
        memcpy(out + length, texts[i], strlen(texts[i]));
        length += (int)strlen(texts[i]);
        out[length++] = 0;
    }
    return length;
}

static void put(FDBTransaction *transaction, const char *a, const char *b, const char *c) {
    uint8_t key[64], value[64];
    const char *texts[] = {a, b, c};
    int length = tuple(key, texts, 3), value_length = tuple(value, texts + 2, 1);
    fdb_transaction_set(transaction, key, length, value, value_length);
}

static void show(FDBTransaction *transaction) {
    uint8_t begin[64], end[64], mapper[64];
    const char *prefix[] = {"index"}, *map[] = {"record", "{V[0]}", "{...}"};
    int length = tuple(begin, prefix, 1);
    memcpy(end, begin, (size_t)length);
    end[length] = 0xFF;
    int mapper_length = tuple(mapper, map, 3);
    FDBFuture *future = fdb_transaction_get_mapped_range(
        transaction, FDB_KEYSEL_FIRST_GREATER_OR_EQUAL(begin, length),
        FDB_KEYSEL_FIRST_GREATER_OR_EQUAL(end, length + 1), mapper, mapper_length, 0, 0,
        FDB_STREAMING_MODE_WANT_ALL, 1, 0, 0);
    await(future, "get_mapped_range");
    const FDBMappedKeyValue *rows;
    int count;
    fdb_bool_t more;
    check(fdb_future_get_mappedkeyvalue_array(future, &rows, &count, &more), "array");
    printf("%d rows, more: %d\n", count, more);
    for (int i = 0; i < count; i++) {
        const FDBGetRangeReqAndResult *found = &rows[i].getRange;
        printf("%.*s leads from %d bytes to %d rows:", rows[i].value.key_length - 2,
               (const char *)rows[i].value.key + 1, found->begin.key.key_length, found->m_size);
        for (int j = 0; j < found->m_size; j++)
            printf(" %.*s", found->data[j].value_length - 2,
                   (const char *)found->data[j].value + 1);
        printf("\n");
    }
    fdb_future_destroy(future);
}

int main(void) {
    check(fdb_select_api_version(FDB_API_VERSION), "select_api_version");
    check(fdb_setup_network(), "setup_network");
    pthread_t thread;
    check(pthread_create(&thread, NULL, network, NULL), "pthread_create");
    FDBDatabase *database;
    check(fdb_create_database(NULL, &database), "create_database");
    FDBTransaction *transaction;
    check(fdb_database_create_transaction(database, &transaction), "create_transaction");
    put(transaction, "index", "red", "1");
    put(transaction, "index", "blue", "2");
    put(transaction, "record", "1", "apple");
    put(transaction, "record", "1", "cherry");
    FDBFuture *future = fdb_transaction_commit(transaction);
    await(future, "commit");
    fdb_future_destroy(future);
    fdb_transaction_reset(transaction);
    show(transaction);
    fdb_transaction_destroy(transaction);
    fdb_database_destroy(database);
    check(fdb_stop_network(), "stop_network");
    check(pthread_join(thread, NULL), "pthread_join");
    return 0;
}
