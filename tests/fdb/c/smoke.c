/* The least that a program does: one network thread, one database, two transactions. */

#define FDB_API_VERSION 730
#include <foundationdb/fdb_c.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void check(fdb_error_t error, const char *what) {
    if (error) {
        fprintf(stderr, "%s: %d: %s\n", what, error, fdb_get_error(error));
        exit(1);
    }
}

static void *network(void *unused) {
    check(fdb_run_network(), "run_network");
    return unused;
}

static const uint8_t KEY[] = "greeting", VALUE[] = "hello";

static void visit(FDBDatabase *database) {
    FDBTransaction *transaction;
    check(fdb_database_create_transaction(database, &transaction), "create_transaction");
    FDBFuture *future = fdb_transaction_get(transaction, KEY, sizeof KEY - 1, 0);
    check(fdb_future_block_until_ready(future), "block_until_ready");
    fdb_bool_t present;
    int length;
    const uint8_t *value;
    check(fdb_future_get_value(future, &present, &value, &length), "get_value");
    if (present)
        printf("%.*s\n", length, (const char *)value);
    else
        printf("absent\n");
    fdb_future_destroy(future);

    fdb_transaction_set(transaction, KEY, sizeof KEY - 1, VALUE, sizeof VALUE - 1);
    future = fdb_transaction_commit(transaction);
    check(fdb_future_block_until_ready(future), "block_until_ready");
    check(fdb_future_get_error(future), "commit");
    fdb_future_destroy(future);
    int64_t version;
    check(fdb_transaction_get_committed_version(transaction, &version), "committed_version");
    if (version <= 0) exit(1);
    fdb_transaction_destroy(transaction);
}

int main(void) {
    check(fdb_select_api_version(FDB_API_VERSION), "select_api_version");
    check(fdb_setup_network(), "setup_network");
    pthread_t thread;
    check(pthread_create(&thread, NULL, network, NULL), "pthread_create");
    FDBDatabase *database;
    check(fdb_create_database(NULL, &database), "create_database");
    visit(database);
    visit(database);
    fdb_database_destroy(database);
    check(fdb_stop_network(), "stop_network");
    check(pthread_join(thread, NULL), "pthread_join");
    return 0;
}
