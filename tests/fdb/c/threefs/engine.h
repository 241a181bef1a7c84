/* How 3FS uses FoundationDB: API 710, one network thread, a baton for each future, results copied
 * at once, and FoundationDB's errors turned into a few statuses. */

#ifndef ENGINE_H
#define ENGINE_H

#define FDB_API_VERSION 710
#include <foundationdb/fdb_c.h>
#include <stdbool.h>
#include <stddef.h>

/* What an operation comes to. */
typedef enum {
    FINE,
    FAILED,
    CONFLICT,
    THROTTLED,
    TOO_OLD,
    NETWORK,
    CANCELED,
    MAYBE_COMMITTED,
    RETRYABLE,
    RESOURCE_CONSTRAINED,
    PROCESS_BEHIND,
    FUTURE_VERSION
} status_t;

typedef struct {
    FDBTransaction *raw;
    fdb_error_t error; /* the last one */
} txn_t;

/* Bytes of its own, with a zero behind them. */
typedef struct {
    char *data;
    int size;
} blob_t;

typedef struct {
    blob_t key, value;
} row_t;

typedef struct {
    row_t *rows;
    int count;
    bool has_more;
} page_t;

/* Ends the program if something does not hold. */
#define CHECK(holds, ...) check((holds), __FILE__, __LINE__, #holds, __VA_ARGS__)
void check(bool holds, const char *file, int line, const char *text, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* A flag that one thread waits for and another sets. */
typedef struct baton baton_t;
baton_t *baton_new(void);
void baton_post(baton_t *baton);
void baton_wait(baton_t *baton);
void baton_free(baton_t *baton);
/* Sets a baton of its parameter. */
void post_baton(FDBFuture *future, void *baton);

/* Starts the network with 3FS's options; traces go to a folder. */
void engine_start(const char *folder, const char *library);
FDBDatabase *engine_database(void);
void engine_stop(void);

status_t status_of(fdb_error_t error, bool from_commit);
bool is_retryable(status_t status, bool allow_maybe_committed);

txn_t txn_new(FDBDatabase *database);
void txn_free(txn_t *txn);
/* Waits for a future, keeps its error, and says what it comes to. */
status_t txn_await(txn_t *txn, FDBFuture *future, bool is_commit);
status_t txn_get(txn_t *txn, const char *key, bool snapshot, blob_t *value, bool *present);
/* One page, forward. A limit of 0 is none. */
status_t txn_range(txn_t *txn, const char *begin, bool begin_inclusive, const char *end,
                   bool end_inclusive, int limit, bool snapshot, page_t *page);
void txn_set(txn_t *txn, const char *key, const char *value);
void txn_clear(txn_t *txn, const char *key);
void txn_read_conflict(txn_t *txn, const char *key);
void txn_read_conflict_range(txn_t *txn, const char *begin, const char *end);
void txn_stamped_key(txn_t *txn, const char *key, int size, uint32_t offset, const char *value);
void txn_stamped_value(txn_t *txn, const char *key, const char *value, int size, uint32_t offset);
status_t txn_commit(txn_t *txn);
int64_t txn_committed_version(txn_t *txn);
void txn_option(txn_t *txn, FDBTransactionOption option, const int64_t *number);

/* Runs a handler and commits, again as long as that helps; ten times at most. */
typedef status_t handler_t(txn_t *txn, void *context);
status_t with_transaction(FDBDatabase *database, handler_t *handler, void *context, int *attempts);

void blob_free(blob_t *blob);
void page_free(page_t *page);

#endif
