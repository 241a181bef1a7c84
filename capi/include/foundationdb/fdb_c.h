/* The FoundationDB C API, as Plinth's libfdb_c has it.
 *
 * A program defines FDB_API_VERSION, the version that it was written for, before it includes this
 * file, and selects that version before it calls anything else:
 *
 *     #define FDB_API_VERSION 730
 *     #include <foundationdb/fdb_c.h>
 *     ...
 *     fdb_error_t error = fdb_select_api_version(FDB_API_VERSION);
 *
 * Then, once in a process: fdb_network_set_option as needed, fdb_setup_network, fdb_run_network on a
 * thread of its own, and at the end fdb_stop_network. Between them databases, transactions and
 * futures are made, used from any thread, and destroyed. Bytes that are passed in are copied before
 * the call returns; what a future gives belongs to the future. */

#ifndef FDB_C_H
#define FDB_C_H

#include "fdb_c_apiversion.g.h"

#ifndef FDB_API_VERSION
#if defined(FDB_USE_LATEST_API_VERSION)
#define FDB_API_VERSION FDB_LATEST_API_VERSION
#elif defined(FDB_USE_LATEST_BINDINGS_API_VERSION)
#define FDB_API_VERSION FDB_LATEST_BINDINGS_API_VERSION
#else
#error "Define FDB_API_VERSION, 800 at most, before you include fdb_c.h"
#endif
#endif

#if FDB_API_VERSION < 510
#error "API versions below 510 are not supported: define FDB_API_VERSION as 510 or more"
#elif FDB_API_VERSION > FDB_LATEST_API_VERSION
#error "This header knows API versions up to 800 only"
#endif

#include <stdint.h>

#include "fdb_c_options.g.h"
#include "fdb_c_types.h"

#ifndef WARN_UNUSED_RESULT
#if defined(__cplusplus) && defined(__GNUC__)
#define WARN_UNUSED_RESULT __attribute__((warn_unused_result))
#else
#define WARN_UNUSED_RESULT
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What the functions below take and give. Sizes are those of every FoundationDB release. ---- */

#pragma pack(push, 4)

/* 12 bytes */
typedef struct FDB_key {
    const uint8_t *key;
    int key_length;
} FDBKey;

/* 24 bytes */
typedef struct FDB_key_value {
#if FDB_API_VERSION >= 630
    const uint8_t *key;
    int key_length;
    const uint8_t *value;
    int value_length;
#else
    const void *key;
    int key_length;
    const void *value;
    int value_length;
#endif
} FDBKeyValue;

/* 24 bytes */
typedef struct FDB_key_range {
    const uint8_t *begin_key;
    int begin_key_length;
    const uint8_t *end_key;
    int end_key_length;
} FDBKeyRange;

/* 56 bytes */
typedef struct FDB_granule_summary {
    FDBKeyRange key_range;
    int64_t snapshot_version;
    int64_t snapshot_size;
    int64_t delta_version;
    int64_t delta_size;
} FDBGranuleSummary;

#pragma pack(pop)

/* 20 bytes */
typedef struct FDB_key_selector {
    FDBKey key;
    fdb_bool_t orEqual;
    int offset;
} FDBKeySelector;

/* 56 bytes: a range that a mapper has led to, and its rows */
typedef struct FDB_get_range_req_and_result {
    FDBKeySelector begin;
    FDBKeySelector end;
    FDBKeyValue *data;
    int m_size, m_capacity;
} FDBGetRangeReqAndResult;

/* 112 bytes: a row, and what a mapper has led to from it */
typedef struct FDB_mapped_key_value {
    FDBKey key;
    FDBKey value;
    FDBGetRangeReqAndResult getRange;
    unsigned char buffer[32];
} FDBMappedKeyValue;

/* How a program would load the files of blob granules, which this server has not. */
typedef struct FDB_read_blob_granule_context {
    void *userContext;
    int64_t (*start_load_f)(const char *filename, int filenameLength, int64_t offset,
                            int64_t length, int64_t fullFileLength, void *context);
    uint8_t *(*get_load_f)(int64_t loadId, void *context);
    void (*free_load_f)(int64_t loadId, void *context);
    fdb_bool_t debugNoMaterialize;
    int granuleParallelism;
} FDBReadBlobGranuleContext;

/* Parts of blob granules. No function of this library ever gives one. */
typedef struct FDB_bg_tenant_prefix FDBBGTenantPrefix;
typedef struct FDB_bg_encryption_ctx FDBBGEncryptionCtx;
typedef struct FDB_bg_file_description FDBBGFileDescription;
typedef struct FDB_bg_mutation FDBBGMutation;

/* ---- Versions and errors ---- */

#define fdb_select_api_version(v) fdb_select_api_version_impl(v, FDB_API_VERSION)
/* With an older library the header counts as being as old. */
#define fdb_select_api_version_capped(v)                                                           \
    fdb_select_api_version_impl(                                                                   \
        v, fdb_get_max_api_version() < FDB_API_VERSION ? fdb_get_max_api_version()                 \
                                                       : FDB_API_VERSION)

DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_select_api_version_impl(int runtime_version,
                                                                     int header_version);
DLLEXPORT int fdb_get_max_api_version(void);
/* Release, source, protocol; separated by commas. */
DLLEXPORT const char *fdb_get_client_version(void);
DLLEXPORT const char *fdb_get_error(fdb_error_t code);
DLLEXPORT fdb_bool_t fdb_error_predicate(int predicate_test, fdb_error_t code);

/* ---- The network ---- */

DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_network_set_option(FDBNetworkOption option,
                                                                uint8_t const *value,
                                                                int value_length);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_setup_network(void);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_run_network(void);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_stop_network(void);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t
fdb_add_network_thread_completion_hook(void (*hook)(void *), void *hook_parameter);

/* ---- Futures ---- */

typedef void (*FDBCallback)(FDBFuture *future, void *callback_parameter);

DLLEXPORT void fdb_future_cancel(FDBFuture *f);
DLLEXPORT void fdb_future_release_memory(FDBFuture *f);
DLLEXPORT void fdb_future_destroy(FDBFuture *f);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_block_until_ready(FDBFuture *f);
DLLEXPORT fdb_bool_t fdb_future_is_ready(FDBFuture *f);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_set_callback(FDBFuture *f, FDBCallback callback,
                                                                 void *callback_parameter);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_error(FDBFuture *f);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_bool(FDBFuture *f, fdb_bool_t *out);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_int64(FDBFuture *f, int64_t *out);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_uint64(FDBFuture *f, uint64_t *out);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_double(FDBFuture *f, double *out);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_key(FDBFuture *f, uint8_t const **out_key,
                                                            int *out_key_length);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_value(FDBFuture *f, fdb_bool_t *out_present,
                                                              uint8_t const **out_value,
                                                              int *out_value_length);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_keyvalue_array(FDBFuture *f,
                                                                       FDBKeyValue const **out_kv,
                                                                       int *out_count,
                                                                       fdb_bool_t *out_more);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t
fdb_future_get_mappedkeyvalue_array(FDBFuture *f, FDBMappedKeyValue const **out_kv, int *out_count,
                                    fdb_bool_t *out_more);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_key_array(FDBFuture *f,
                                                                  FDBKey const **out_key_array,
                                                                  int *out_count);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_string_array(FDBFuture *f,
                                                                     const char ***out_strings,
                                                                     int *out_count);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t
fdb_future_get_keyrange_array(FDBFuture *f, FDBKeyRange const **out_ranges, int *out_count);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_granule_summary_array(
    FDBFuture *f, FDBGranuleSummary const **out_summaries, int *out_count);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t
fdb_future_readbg_get_descriptions(FDBFuture *f, FDBBGFileDescription **out, int *desc_count);

/* ---- Databases ---- */

DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_create_database(const char *cluster_file_path,
                                                             FDBDatabase **out_database);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_create_database_from_connection_string(
    const char *connection_string, FDBDatabase **out_database);
DLLEXPORT void fdb_database_destroy(FDBDatabase *d);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_database_set_option(FDBDatabase *d,
                                                                 FDBDatabaseOption option,
                                                                 uint8_t const *value,
                                                                 int value_length);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t
fdb_database_create_transaction(FDBDatabase *d, FDBTransaction **out_transaction);
DLLEXPORT WARN_UNUSED_RESULT double fdb_database_get_main_thread_busyness(FDBDatabase *db);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_database_get_server_protocol(FDBDatabase *db,
                                                                         uint64_t expected_version);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_database_get_client_status(FDBDatabase *db);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_database_reboot_worker(FDBDatabase *db,
                                                                   uint8_t const *address,
                                                                   int address_length,
                                                                   fdb_bool_t check, int duration);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_database_force_recovery_with_data_loss(FDBDatabase *db, uint8_t const *dcid, int dcid_length);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_database_create_snapshot(FDBDatabase *db, uint8_t const *uid, int uid_length,
                             uint8_t const *snap_command, int snap_command_length);

/* ---- Transactions ---- */

DLLEXPORT void fdb_transaction_destroy(FDBTransaction *tr);
DLLEXPORT void fdb_transaction_cancel(FDBTransaction *tr);
DLLEXPORT void fdb_transaction_reset(FDBTransaction *tr);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_transaction_set_option(FDBTransaction *tr,
                                                                    FDBTransactionOption option,
                                                                    uint8_t const *value,
                                                                    int value_length);

/* The four common key selectors, as the parameters of the functions below. */
#define FDB_KEYSEL_LAST_LESS_THAN(k, l) k, l, 0, 0
#define FDB_KEYSEL_LAST_LESS_OR_EQUAL(k, l) k, l, 1, 0
#define FDB_KEYSEL_FIRST_GREATER_THAN(k, l) k, l, 1, 1
#define FDB_KEYSEL_FIRST_GREATER_OR_EQUAL(k, l) k, l, 0, 1

DLLEXPORT void fdb_transaction_set_read_version(FDBTransaction *tr, int64_t version);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_get_read_version(FDBTransaction *tr);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_get(FDBTransaction *tr,
                                                            uint8_t const *key_name,
                                                            int key_name_length,
                                                            fdb_bool_t snapshot);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_transaction_get_key(FDBTransaction *tr, uint8_t const *key_name, int key_name_length,
                        fdb_bool_t or_equal, int offset, fdb_bool_t snapshot);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_transaction_get_range(FDBTransaction *tr, uint8_t const *begin_key_name,
                          int begin_key_name_length, fdb_bool_t begin_or_equal, int begin_offset,
                          uint8_t const *end_key_name, int end_key_name_length,
                          fdb_bool_t end_or_equal, int end_offset, int limit, int target_bytes,
                          FDBStreamingMode mode, int iteration, fdb_bool_t snapshot,
                          fdb_bool_t reverse);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_get_mapped_range(
    FDBTransaction *tr, uint8_t const *begin_key_name, int begin_key_name_length,
    fdb_bool_t begin_or_equal, int begin_offset, uint8_t const *end_key_name,
    int end_key_name_length, fdb_bool_t end_or_equal, int end_offset, uint8_t const *mapper_name,
    int mapper_name_length, int limit, int target_bytes, FDBStreamingMode mode, int iteration,
    fdb_bool_t snapshot, fdb_bool_t reverse);

DLLEXPORT void fdb_transaction_set(FDBTransaction *tr, uint8_t const *key_name, int key_name_length,
                                   uint8_t const *value, int value_length);
DLLEXPORT void fdb_transaction_atomic_op(FDBTransaction *tr, uint8_t const *key_name,
                                         int key_name_length, uint8_t const *param,
                                         int param_length, FDBMutationType operation_type);
DLLEXPORT void fdb_transaction_clear(FDBTransaction *tr, uint8_t const *key_name,
                                     int key_name_length);
DLLEXPORT void fdb_transaction_clear_range(FDBTransaction *tr, uint8_t const *begin_key_name,
                                           int begin_key_name_length, uint8_t const *end_key_name,
                                           int end_key_name_length);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_transaction_add_conflict_range(
    FDBTransaction *tr, uint8_t const *begin_key_name, int begin_key_name_length,
    uint8_t const *end_key_name, int end_key_name_length, FDBConflictRangeType type);

DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_transaction_watch(FDBTransaction *tr, uint8_t const *key_name, int key_name_length);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_commit(FDBTransaction *tr);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_on_error(FDBTransaction *tr,
                                                                 fdb_error_t error);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_transaction_get_committed_version(FDBTransaction *tr,
                                                                               int64_t *out_version);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_get_versionstamp(FDBTransaction *tr);

DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_get_approximate_size(FDBTransaction *tr);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_get_total_cost(FDBTransaction *tr);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_transaction_get_tag_throttled_duration(FDBTransaction *tr);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_transaction_get_addresses_for_key(FDBTransaction *tr, uint8_t const *key_name,
                                      int key_name_length);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_get_estimated_range_size_bytes(
    FDBTransaction *tr, uint8_t const *begin_key_name, int begin_key_name_length,
    uint8_t const *end_key_name, int end_key_name_length);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_transaction_get_range_split_points(FDBTransaction *tr, uint8_t const *begin_key_name,
                                       int begin_key_name_length, uint8_t const *end_key_name,
                                       int end_key_name_length, int64_t chunk_size);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_get_range_split_points_with_limit(
    FDBTransaction *tr, uint8_t const *begin_key_name, int begin_key_name_length,
    uint8_t const *end_key_name, int end_key_name_length, int64_t chunk_size, int limit);

/* ---- Tenants: they can be opened; every operation on one fails with tenants_disabled, 2136 ---- */

DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_database_open_tenant(FDBDatabase *d,
                                                                  uint8_t const *tenant_name,
                                                                  int tenant_name_length,
                                                                  FDBTenant **out_tenant);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t
fdb_tenant_create_transaction(FDBTenant *tenant, FDBTransaction **out_transaction);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_tenant_get_id(FDBTenant *tenant);
DLLEXPORT void fdb_tenant_destroy(FDBTenant *tenant);

/* ---- Blob granules: all of these fail with unsupported_operation, 2108 ---- */

DLLEXPORT void fdb_result_destroy(FDBResult *r);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_result_get_keyvalue_array(FDBResult *r,
                                                                       FDBKeyValue const **out_kv,
                                                                       int *out_count,
                                                                       fdb_bool_t *out_more);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_result_get_bg_mutations_array(
    FDBResult *r, FDBBGMutation const **out_mutations, int *out_count);

DLLEXPORT WARN_UNUSED_RESULT FDBResult *
fdb_readbg_parse_snapshot_file(const uint8_t *file_data, int file_len,
                               FDBBGTenantPrefix const *tenant_prefix,
                               FDBBGEncryptionCtx const *encryption_ctx);
DLLEXPORT WARN_UNUSED_RESULT FDBResult *
fdb_readbg_parse_delta_file(const uint8_t *file_data, int file_len,
                            FDBBGTenantPrefix const *tenant_prefix,
                            FDBBGEncryptionCtx const *encryption_ctx);

DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_transaction_get_blob_granule_ranges(FDBTransaction *tr, uint8_t const *begin_key_name,
                                        int begin_key_name_length, uint8_t const *end_key_name,
                                        int end_key_name_length, int rangeLimit);
DLLEXPORT WARN_UNUSED_RESULT FDBResult *fdb_transaction_read_blob_granules(
    FDBTransaction *tr, uint8_t const *begin_key_name, int begin_key_name_length,
    uint8_t const *end_key_name, int end_key_name_length, int64_t beginVersion,
    int64_t readVersion, FDBReadBlobGranuleContext granuleContext);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_read_blob_granules_description(
    FDBTransaction *tr, uint8_t const *begin_key_name, int begin_key_name_length,
    uint8_t const *end_key_name, int end_key_name_length, int64_t begin_version,
    int64_t read_version, int64_t *read_version_out);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_transaction_summarize_blob_granules(
    FDBTransaction *tr, uint8_t const *begin_key_name, int begin_key_name_length,
    uint8_t const *end_key_name, int end_key_name_length, int64_t summaryVersion, int rangeLimit);

#define FDB_BLOB_RANGE_                                                                            \
    uint8_t const *begin_key_name, int begin_key_name_length, uint8_t const *end_key_name,         \
        int end_key_name_length

DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_database_purge_blob_granules(FDBDatabase *db, FDB_BLOB_RANGE_, int64_t purge_version,
                                 fdb_bool_t force);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_database_wait_purge_granules_complete(FDBDatabase *db, uint8_t const *purge_key_name,
                                          int purge_key_name_length);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_database_blobbify_range(FDBDatabase *db,
                                                                    FDB_BLOB_RANGE_);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_database_blobbify_range_blocking(FDBDatabase *db,
                                                                             FDB_BLOB_RANGE_);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_database_unblobbify_range(FDBDatabase *db,
                                                                      FDB_BLOB_RANGE_);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_database_list_blobbified_ranges(FDBDatabase *db, FDB_BLOB_RANGE_, int rangeLimit);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_database_verify_blob_range(FDBDatabase *db, FDB_BLOB_RANGE_, int64_t version);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_database_flush_blob_range(FDBDatabase *db, FDB_BLOB_RANGE_, fdb_bool_t compact,
                              int64_t version);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_tenant_purge_blob_granules(FDBTenant *tenant, FDB_BLOB_RANGE_, int64_t purge_version,
                               fdb_bool_t force);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_tenant_wait_purge_granules_complete(FDBTenant *tenant, uint8_t const *purge_key_name,
                                        int purge_key_name_length);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_tenant_blobbify_range(FDBTenant *tenant,
                                                                  FDB_BLOB_RANGE_);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_tenant_blobbify_range_blocking(FDBTenant *tenant,
                                                                           FDB_BLOB_RANGE_);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_tenant_unblobbify_range(FDBTenant *tenant,
                                                                    FDB_BLOB_RANGE_);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_tenant_list_blobbified_ranges(FDBTenant *tenant, FDB_BLOB_RANGE_, int rangeLimit);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_tenant_verify_blob_range(FDBTenant *tenant, FDB_BLOB_RANGE_, int64_t version);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_tenant_flush_blob_range(FDBTenant *tenant, FDB_BLOB_RANGE_, fdb_bool_t compact,
                            int64_t version);

/* ---- What later API versions have taken away ---- */

#if FDB_API_VERSION < 620
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_version(FDBFuture *f, int64_t *out_version);
#endif

#if FDB_API_VERSION < 610
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *fdb_create_cluster(const char *cluster_file_path);
DLLEXPORT void fdb_cluster_destroy(FDBCluster *c);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_cluster_set_option(FDBCluster *c,
                                                                FDBClusterOption option,
                                                                uint8_t const *value,
                                                                int value_length);
DLLEXPORT WARN_UNUSED_RESULT FDBFuture *
fdb_cluster_create_database(FDBCluster *c, uint8_t const *db_name, int db_name_length);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_cluster(FDBFuture *f,
                                                                FDBCluster **out_cluster);
DLLEXPORT WARN_UNUSED_RESULT fdb_error_t fdb_future_get_database(FDBFuture *f,
                                                                 FDBDatabase **out_database);
#endif

#ifdef __cplusplus
}
#endif

#endif
