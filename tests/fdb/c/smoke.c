/* The least that a program does: one network thread, one database, two transactions. */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct FDB_future FDBFuture;
typedef struct FDB_database FDBDatabase;
typedef struct FDB_transaction FDBTransaction;

int fdb_select_api_version_impl(int runtime, int header);
int fdb_setup_network(void);
int fdb_run_network(void);
int fdb_stop_network(void);
int fdb_create_database(const char *path, FDBDatabase **out);
void fdb_database_destroy(FDBDatabase *);
int fdb_database_create_transaction(FDBDatabase *, FDBTransaction **out);
void fdb_transaction_destroy(FDBTransaction *);
FDBFuture *fdb_transaction_get(FDBTransaction *, const uint8_t *key, int length, int snapshot);
void fdb_transaction_set(FDBTransaction *, const uint8_t *key, int length, const uint8_t *value,
                         int value_length);
FDBFuture *fdb_transaction_commit(FDBTransaction *);
int fdb_transaction_get_committed_version(FDBTransaction *, int64_t *out);
int fdb_future_block_until_ready(FDBFuture *);
int fdb_future_get_error(FDBFuture *);
int fdb_future_get_value(FDBFuture *, int *present, const uint8_t **value, int *length);
void fdb_future_destroy(FDBFuture *);

static void check(int error, const char *what) {
    if (error) {
        fprintf(stderr, "%s: error %d\n", what, error);
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
    int present, length;
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
    check(fdb_select_api_version_impl(730, 730), "select_api_version");
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
