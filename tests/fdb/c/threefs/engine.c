#include "engine.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRIES = 10, MAX_BACKOFF_MS = 1000 };

void check(bool holds, const char *file, int line, const char *text, const char *format, ...) {
    if (holds) return;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: %s: ", file, line, text);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

struct baton {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    bool is_posted;
};

baton_t *baton_new(void) {
    baton_t *baton = calloc(1, sizeof *baton);
    pthread_mutex_init(&baton->lock, NULL);
    pthread_cond_init(&baton->posted, NULL);
    return baton;
}

void baton_post(baton_t *baton) {
    pthread_mutex_lock(&baton->lock);
    CHECK(!baton->is_posted, "a callback comes once");
    baton->is_posted = true;
    pthread_cond_signal(&baton->posted);
    pthread_mutex_unlock(&baton->lock);
}

void baton_wait(baton_t *baton) {
    pthread_mutex_lock(&baton->lock);
    while (!baton->is_posted) pthread_cond_wait(&baton->posted, &baton->lock);
    pthread_mutex_unlock(&baton->lock);
}

void baton_free(baton_t *baton) {
    pthread_mutex_destroy(&baton->lock);
    pthread_cond_destroy(&baton->posted);
    free(baton);
}

void post_baton(FDBFuture *future, void *baton) {
    (void)future;
    baton_post(baton);
}

/* ---- The network ---- */

static pthread_t network_thread;

static void *run_network(void *unused) {
    CHECK(fdb_run_network() == 0, "the network ran");
    return unused;
}

static void network_option(FDBNetworkOption option, const void *value, size_t size) {
    fdb_error_t error = fdb_network_set_option(option, value, (int)size);
    CHECK(error == 0, "network option %d: error %d", option, error);
}

void engine_start(const char *folder, const char *library) {
    CHECK(fdb_select_api_version(FDB_API_VERSION) == 0, "API version %d", FDB_API_VERSION);
    const int64_t threads = 4;
    const char *backoff = "DEFAULT_BACKOFF=0.001", *missing = "/nonexistent/libfdb_c.so";
    network_option(FDB_NET_OPTION_TRACE_ENABLE, folder, strlen(folder));
    network_option(FDB_NET_OPTION_TRACE_FORMAT, "json", 4);
    network_option(FDB_NET_OPTION_KNOB, backoff, strlen(backoff));
    network_option(FDB_NET_OPTION_CALLBACKS_ON_EXTERNAL_THREADS, NULL, 0);
    network_option(FDB_NET_OPTION_EXTERNAL_CLIENT_LIBRARY, library, strlen(library));
    network_option(FDB_NET_OPTION_EXTERNAL_CLIENT_DIRECTORY, folder, strlen(folder));
    network_option(FDB_NET_OPTION_DISABLE_LOCAL_CLIENT, NULL, 0);
    network_option(FDB_NET_OPTION_CLIENT_THREADS_PER_VERSION, &threads, sizeof threads);
    fdb_error_t error = fdb_network_set_option(FDB_NET_OPTION_EXTERNAL_CLIENT_LIBRARY,
                                               (const uint8_t *)missing, (int)strlen(missing));
    CHECK(error == 1511, "a library that isn't there: error %d", error);
    CHECK(fdb_setup_network() == 0, "the network is set up");
    pthread_create(&network_thread, NULL, run_network, NULL);
}

FDBDatabase *engine_database(void) {
    FDBDatabase *database;
    CHECK(fdb_create_database(NULL, &database) == 0, "the default cluster file");
    CHECK(fdb_database_set_option(database, FDB_DB_OPTION_TRANSACTION_CAUSAL_READ_RISKY, NULL, 0)
              == 0, "an option of the database");
    return database;
}

void engine_stop(void) {
    CHECK(fdb_stop_network() == 0, "the network stops");
    pthread_join(network_thread, NULL);
}

/* ---- Errors ---- */

status_t status_of(fdb_error_t error, bool from_commit) {
    switch (error) {
    case 0: return FINE;
    case 1020: return CONFLICT;
    case 1021: return MAYBE_COMMITTED;
    case 1007: return TOO_OLD;
    case 1009: return FUTURE_VERSION;
    case 1037: return PROCESS_BEHIND;
    case 1042: return RESOURCE_CONSTRAINED;
    case 1051: case 1213: return THROTTLED;
    case 1026: case 2026: return NETWORK;
    case 1025: return CANCELED;
    case 1038: case 2137: return RETRYABLE;
    case 1039: return from_commit ? MAYBE_COMMITTED : RETRYABLE;
    default: return FAILED;
    }
}

bool is_retryable(status_t status, bool allow_maybe_committed) {
    switch (status) {
    case CONFLICT: case THROTTLED: case TOO_OLD: case RETRYABLE: case RESOURCE_CONSTRAINED:
    case PROCESS_BEHIND: case FUTURE_VERSION: return true;
    case MAYBE_COMMITTED: return allow_maybe_committed;
    default: return false;
    }
}

/* ---- Transactions ---- */

static const uint8_t *bytes(const char *text) { return (const uint8_t *)text; }

static blob_t copy(const uint8_t *data, int size) {
    blob_t blob = {malloc((size_t)size + 1), size};
    memcpy(blob.data, data, (size_t)size);
    blob.data[size] = 0;
    return blob;
}

void blob_free(blob_t *blob) {
    free(blob->data);
    *blob = (blob_t){NULL, 0};
}

void page_free(page_t *page) {
    for (int i = 0; i < page->count; i++) {
        blob_free(&page->rows[i].key);
        blob_free(&page->rows[i].value);
    }
    free(page->rows);
    *page = (page_t){NULL, 0, false};
}

txn_t txn_new(FDBDatabase *database) {
    txn_t txn = {NULL, 0};
    CHECK(fdb_database_create_transaction(database, &txn.raw) == 0, "a transaction");
    return txn;
}

void txn_free(txn_t *txn) { fdb_transaction_destroy(txn->raw); }

static status_t wait_for(txn_t *txn, FDBFuture *future, bool is_commit) {
    baton_t *baton = baton_new();
    CHECK(fdb_future_set_callback(future, post_baton, baton) == 0, "a callback");
    baton_wait(baton);
    baton_free(baton);
    txn->error = fdb_future_get_error(future);
    return status_of(txn->error, is_commit);
}

status_t txn_await(txn_t *txn, FDBFuture *future, bool is_commit) {
    status_t status = wait_for(txn, future, is_commit);
    fdb_future_destroy(future);
    return status;
}

status_t txn_get(txn_t *txn, const char *key, bool snapshot, blob_t *value, bool *present) {
    FDBFuture *future =
        fdb_transaction_get(txn->raw, bytes(key), (int)strlen(key), snapshot);
    status_t status = wait_for(txn, future, false);
    *present = false;
    if (status == FINE) {
        fdb_bool_t is_there;
        const uint8_t *data;
        int size;
        CHECK(fdb_future_get_value(future, &is_there, &data, &size) == 0, "a value");
        *present = is_there != 0;
        if (is_there) *value = copy(data, size);
    }
    fdb_future_destroy(future);
    return status;
}

status_t txn_range(txn_t *txn, const char *begin, bool begin_inclusive, const char *end,
                   bool end_inclusive, int limit, bool snapshot, page_t *page) {
    FDBFuture *future = fdb_transaction_get_range(
        txn->raw, bytes(begin), (int)strlen(begin), !begin_inclusive, 1, bytes(end),
        (int)strlen(end), end_inclusive, 1, limit, -1, FDB_STREAMING_MODE_SERIAL, 0, snapshot, 0);
    status_t status = wait_for(txn, future, false);
    *page = (page_t){NULL, 0, false};
    if (status == FINE) {
        const FDBKeyValue *rows;
        fdb_bool_t more;
        CHECK(fdb_future_get_keyvalue_array(future, &rows, &page->count, &more) == 0, "rows");
        page->has_more = page->count > 0 && more;
        page->rows = calloc((size_t)page->count + 1, sizeof *page->rows);
        for (int i = 0; i < page->count; i++) {
            page->rows[i].key = copy(rows[i].key, rows[i].key_length);
            page->rows[i].value = copy(rows[i].value, rows[i].value_length);
        }
    }
    fdb_future_destroy(future);
    return status;
}

void txn_set(txn_t *txn, const char *key, const char *value) {
    fdb_transaction_set(txn->raw, bytes(key), (int)strlen(key), bytes(value), (int)strlen(value));
}

void txn_clear(txn_t *txn, const char *key) {
    fdb_transaction_clear(txn->raw, bytes(key), (int)strlen(key));
}

static void conflict_range(txn_t *txn, const char *begin, const char *end, size_t end_size) {
    fdb_error_t error = fdb_transaction_add_conflict_range(
        txn->raw, bytes(begin), (int)strlen(begin), bytes(end), (int)end_size,
        FDB_CONFLICT_RANGE_TYPE_READ);
    CHECK(error == 0, "a conflict range: error %d", error);
}

void txn_read_conflict(txn_t *txn, const char *key) {
    /* The key and a zero byte, which it ends with anyway. */
    conflict_range(txn, key, key, strlen(key) + 1);
}

void txn_read_conflict_range(txn_t *txn, const char *begin, const char *end) {
    conflict_range(txn, begin, end, strlen(end));
}

/* Bytes with the offset of the stamp behind them. */
static uint8_t *with_offset(const char *data, int size, uint32_t offset) {
    CHECK(offset + 10 <= (uint32_t)size, "room for a stamp");
    uint8_t *given = malloc((size_t)size + 4);
    memcpy(given, data, (size_t)size);
    for (int i = 0; i < 4; i++) given[size + i] = (uint8_t)(offset >> (8 * i));
    return given;
}

void txn_stamped_key(txn_t *txn, const char *key, int size, uint32_t offset, const char *value) {
    uint8_t *given = with_offset(key, size, offset);
    fdb_transaction_atomic_op(txn->raw, given, size + 4, bytes(value), (int)strlen(value),
                              FDB_MUTATION_TYPE_SET_VERSIONSTAMPED_KEY);
    free(given);
}

void txn_stamped_value(txn_t *txn, const char *key, const char *value, int size, uint32_t offset) {
    uint8_t *given = with_offset(value, size, offset);
    fdb_transaction_atomic_op(txn->raw, bytes(key), (int)strlen(key), given, size + 4,
                              FDB_MUTATION_TYPE_SET_VERSIONSTAMPED_VALUE);
    free(given);
}

status_t txn_commit(txn_t *txn) { return txn_await(txn, fdb_transaction_commit(txn->raw), true); }

int64_t txn_committed_version(txn_t *txn) {
    int64_t version;
    return fdb_transaction_get_committed_version(txn->raw, &version) == 0 ? version : -1;
}

void txn_option(txn_t *txn, FDBTransactionOption option, const int64_t *number) {
    fdb_error_t error = fdb_transaction_set_option(txn->raw, option, (const uint8_t *)number,
                                                   number ? (int)sizeof *number : 0);
    CHECK(error == 0, "option %d: error %d", option, error);
}

status_t with_transaction(FDBDatabase *database, handler_t *handler, void *context, int *attempts) {
    txn_t txn = txn_new(database);
    const int64_t backoff = MAX_BACKOFF_MS;
    txn_option(&txn, FDB_TR_OPTION_MAX_RETRY_DELAY, &backoff);
    status_t status;
    for (*attempts = 1;; ++*attempts) {
        status = handler(&txn, context);
        if (status == FINE) status = txn_commit(&txn);
        if (status == FINE || *attempts > RETRIES) break;
        if (!fdb_error_predicate(FDB_ERROR_PREDICATE_RETRYABLE, txn.error)) break;
        FDBFuture *again = fdb_transaction_on_error(txn.raw, txn.error);
        if (txn_await(&txn, again, false) != FINE) break;
    }
    txn_free(&txn);
    return status;
}
