/* Nothing that runs: what the headers say of the library's structs and macros, for every API version
 * and both languages. */

#include <foundationdb/fdb_c.h>

#ifdef __cplusplus
#define CHECK(condition) static_assert(condition, #condition)
#else
#define CHECK(condition) _Static_assert(condition, #condition)
#endif

CHECK(sizeof(FDBKey) == 12);
CHECK(sizeof(FDBKeyValue) == 24);
CHECK(sizeof(FDBKeyRange) == 24);
CHECK(sizeof(FDBKeySelector) == 20);
CHECK(sizeof(FDBGetRangeReqAndResult) == 56);
CHECK(sizeof(FDBMappedKeyValue) == 112);
CHECK(sizeof(FDBGranuleSummary) == 56);
CHECK(sizeof(FDBTransactionOption) == sizeof(int));

fdb_error_t select_version(void);
fdb_error_t select_version(void) {
    fdb_error_t error = fdb_select_api_version(FDB_API_VERSION);
    return error ? error : fdb_select_api_version_capped(FDB_API_VERSION);
}

FDBFuture *first_row(FDBTransaction *transaction);
FDBFuture *first_row(FDBTransaction *transaction) {
    const uint8_t *key = (const uint8_t *)"k";
    return fdb_transaction_get_range(
        transaction, FDB_KEYSEL_FIRST_GREATER_OR_EQUAL(key, 1), FDB_KEYSEL_LAST_LESS_THAN(key, 1),
        1, 0, FDB_STREAMING_MODE_WANT_ALL, 0, 0, 0);
}

FDBFuture *last_key(FDBTransaction *transaction);
FDBFuture *last_key(FDBTransaction *transaction) {
    const uint8_t *key = (const uint8_t *)"k";
    fdb_transaction_atomic_op(transaction, key, 1, key, 1, FDB_MUTATION_TYPE_ADD);
    if (fdb_transaction_set_option(transaction, FDB_TR_OPTION_TIMEOUT, key, 1))
        return fdb_transaction_get_key(transaction, FDB_KEYSEL_FIRST_GREATER_THAN(key, 1), 0);
    return fdb_transaction_get_key(transaction, FDB_KEYSEL_LAST_LESS_OR_EQUAL(key, 1), 0);
}
