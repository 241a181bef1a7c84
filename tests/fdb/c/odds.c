/* What one server can't mean: every function is there, and fails as it should. */

#define FDB_API_VERSION 730
#include <foundationdb/fdb_c.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define EXPECT(given, expected) expect(__LINE__, (long)(given), (long)(expected), #given)

static void expect(int line, long given, long expected, const char *what) {
    if (given != expected) {
        fprintf(stderr, "%d: %s is %ld, not %ld\n", line, what, given, expected);
        failures++;
    }
}

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

/* The error that a future ends with; the future is gone then. */
static fdb_error_t outcome(FDBFuture *future) {
    check(fdb_future_block_until_ready(future), "block_until_ready");
    fdb_error_t error = fdb_future_get_error(future);
    fdb_future_destroy(future);
    return error;
}

/* The error of a result, which is gone then. */
static fdb_error_t result(FDBResult *result) {
    FDBKeyValue const *rows;
    int count;
    fdb_bool_t more;
    fdb_error_t error = fdb_result_get_keyvalue_array(result, &rows, &count, &more);
    FDBBGMutation const *changes;
    EXPECT(fdb_result_get_bg_mutations_array(result, &changes, &count), error);
    fdb_result_destroy(result);
    return error;
}

static const uint8_t B[] = "b", E[] = "e";

static void tenants(FDBDatabase *database) {
    FDBTenant *tenant;
    EXPECT(fdb_database_open_tenant(database, B, 1, &tenant), 0);
    EXPECT(outcome(fdb_tenant_get_id(tenant)), 2136);
    FDBTransaction *transaction;
    EXPECT(fdb_tenant_create_transaction(tenant, &transaction), 0);
    fdb_tenant_destroy(tenant);
    EXPECT(outcome(fdb_transaction_get(transaction, B, 1, 0)), 2136);
    EXPECT(outcome(fdb_transaction_get_read_version(transaction)), 2136);
    EXPECT(outcome(fdb_transaction_on_error(transaction, 2136)), 2136);
    fdb_transaction_reset(transaction);
    fdb_transaction_set(transaction, B, 1, E, 1);
    EXPECT(outcome(fdb_transaction_commit(transaction)), 2136);
    fdb_transaction_destroy(transaction);
}

static void granules_of_databases(FDBDatabase *d) {
    EXPECT(outcome(fdb_database_purge_blob_granules(d, B, 1, E, 1, 1, 0)), 2108);
    EXPECT(outcome(fdb_database_wait_purge_granules_complete(d, B, 1)), 2108);
    EXPECT(outcome(fdb_database_blobbify_range(d, B, 1, E, 1)), 2108);
    EXPECT(outcome(fdb_database_blobbify_range_blocking(d, B, 1, E, 1)), 2108);
    EXPECT(outcome(fdb_database_unblobbify_range(d, B, 1, E, 1)), 2108);
    EXPECT(outcome(fdb_database_list_blobbified_ranges(d, B, 1, E, 1, 10)), 2108);
    EXPECT(outcome(fdb_database_verify_blob_range(d, B, 1, E, 1, 1)), 2108);
    EXPECT(outcome(fdb_database_flush_blob_range(d, B, 1, E, 1, 0, 1)), 2108);
}

static void granules_of_transactions(FDBTransaction *tr) {
    FDBReadBlobGranuleContext context;
    memset(&context, 0, sizeof context);
    int64_t version;
    EXPECT(outcome(fdb_transaction_get_blob_granule_ranges(tr, B, 1, E, 1, 10)), 2108);
    EXPECT(outcome(fdb_transaction_summarize_blob_granules(tr, B, 1, E, 1, 1, 10)), 2108);
    EXPECT(outcome(fdb_transaction_read_blob_granules_description(tr, B, 1, E, 1, 0, 1, &version)),
           2108);
    EXPECT(result(fdb_transaction_read_blob_granules(tr, B, 1, E, 1, 0, 1, context)), 2108);
    EXPECT(result(fdb_readbg_parse_snapshot_file(B, 1, NULL, NULL)), 2108);
    EXPECT(result(fdb_readbg_parse_delta_file(B, 1, NULL, NULL)), 2108);
}

static void operators(FDBDatabase *database) {
    FDBFuture *future = fdb_database_reboot_worker(database, B, 1, 0, 0);
    int64_t sent = -1;
    EXPECT(fdb_future_block_until_ready(future), 0);
    EXPECT(fdb_future_get_int64(future, &sent), 0);
    EXPECT(sent, 0);
    fdb_future_destroy(future);
    EXPECT(outcome(fdb_database_force_recovery_with_data_loss(database, B, 1)), 2108);
    const char *ids[] = {"", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdeg",
                         "0123456789abcdef0123456789abcdef"};
    for (int i = 0; i < 4; i++) {
        const uint8_t *id = (const uint8_t *)ids[i];
        EXPECT(outcome(fdb_database_create_snapshot(database, id, (int)strlen(ids[i]), B, 1)),
               i == 3 ? 2505 : 2509);
    }
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
    tenants(database);
    granules_of_databases(database);
    granules_of_transactions(transaction);
    operators(database);
    fdb_transaction_destroy(transaction);
    fdb_database_destroy(database);
    check(fdb_stop_network(), "stop_network");
    check(pthread_join(thread, NULL), "pthread_join");
    return failures != 0;
}
