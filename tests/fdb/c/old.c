/* A program of API version 600: it goes to its database by way of a cluster. */

#define FDB_API_VERSION 600
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

static FDBFuture *ready(FDBFuture *future) {
    check(fdb_future_block_until_ready(future), "block_until_ready");
    return future;
}

int main(void) {
    check(fdb_select_api_version(FDB_API_VERSION), "select_api_version");
    check(fdb_setup_network(), "setup_network");
    pthread_t thread;
    check(pthread_create(&thread, NULL, network, NULL), "pthread_create");

    FDBFuture *future = ready(fdb_create_cluster(NULL));
    FDBCluster *cluster;
    check(fdb_future_get_cluster(future, &cluster), "get_cluster");
    fdb_future_destroy(future);

    future = ready(fdb_cluster_create_database(cluster, (const uint8_t *)"other", 5));
    printf("another name: %d\n", fdb_future_get_error(future));
    fdb_future_destroy(future);

    future = ready(fdb_cluster_create_database(cluster, (const uint8_t *)"DB", 2));
    FDBDatabase *database;
    check(fdb_future_get_database(future, &database), "get_database");
    fdb_future_destroy(future);
    fdb_cluster_destroy(cluster);

    FDBTransaction *transaction;
    check(fdb_database_create_transaction(database, &transaction), "create_transaction");
    fdb_database_destroy(database);
    future = ready(fdb_transaction_get_read_version(transaction));
    int64_t version = 0;
    check(fdb_future_get_version(future, &version), "get_version");
    fdb_future_destroy(future);
    printf("a version: %d\n", version > 0);

    future = ready(fdb_transaction_get_addresses_for_key(transaction, (const uint8_t *)"k", 1));
    const char **addresses;
    int count;
    check(fdb_future_get_string_array(future, &addresses, &count), "get_string_array");
    for (int i = 0; i < count; i++) printf("an address: %s\n", addresses[i]);
    fdb_future_destroy(future);
    fdb_transaction_destroy(transaction);

    check(fdb_stop_network(), "stop_network");
    check(pthread_join(thread, NULL), "pthread_join");
    return 0;
}
