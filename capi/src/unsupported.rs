//! What this server does not have: blob granules, streams of changes, and what FoundationDB's own
//! copies of the library ask each other. The functions are there, as programs that link them could
//! not start otherwise, and fail with `unsupported_operation`.

use std::ffi::{c_int, c_void};

use crate::{
    abi::{FdbBool, FdbError},
    database::FdbDatabase,
    future::{FdbFuture, ready},
    layout::FdbKeyValue,
    tenant::FdbTenant,
    transaction::FdbTransaction,
};

/// `unsupported_operation`.
pub(crate) const UNSUPPORTED: FdbError = 2108;

/// The object behind `FDBResult*`: the result of a call that answers at once; here always an error.
pub struct FdbResult(FdbError);

/// `FDBReadBlobGranuleContext`: how a program would read granules from its files. Handed over by
/// value, so that its size matters.
#[repr(C)]
pub struct FdbReadBlobGranuleContext {
    user_context: *mut c_void,
    start_load: *const c_void,
    get_load: *const c_void,
    free_load: *const c_void,
    debug_no_materialize: FdbBool,
    granule_parallelism: c_int,
}

/// Defines functions that answer with a future that has failed.
macro_rules! failing_futures {
    ($($name:ident($($type:ty),*), $doc:literal;)*) => {$(
        #[doc = $doc]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $type),*) -> *mut FdbFuture {
            ready(Err(UNSUPPORTED))
        }
    )*};
}

/// Defines functions that answer with a result that is an error.
macro_rules! failing_results {
    ($($name:ident($($type:ty),*), $doc:literal;)*) => {$(
        #[doc = $doc]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $type),*) -> *mut FdbResult {
            Box::into_raw(Box::new(FdbResult(UNSUPPORTED)))
        }
    )*};
}

/// Defines functions that fail.
macro_rules! failing_calls {
    ($($name:ident($($type:ty),*), $doc:literal;)*) => {$(
        #[doc = $doc]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $type),*) -> FdbError {
            UNSUPPORTED
        }
    )*};
}

type Bytes = *const u8;
type Database = *mut FdbDatabase;
type Tenant = *mut FdbTenant;
type Transaction = *mut FdbTransaction;

failing_futures! {
    fdb_database_blobbify_range(Database, Bytes, c_int, Bytes, c_int),
        "Would keep a range in blob granules.";
    fdb_database_blobbify_range_blocking(Database, Bytes, c_int, Bytes, c_int),
        "Would keep a range in blob granules, and wait until it is.";
    fdb_database_flush_blob_range(Database, Bytes, c_int, Bytes, c_int, FdbBool, i64),
        "Would write a range's granules out.";
    fdb_database_list_blobbified_ranges(Database, Bytes, c_int, Bytes, c_int, c_int),
        "Would tell which ranges are kept in granules.";
    fdb_database_purge_blob_granules(Database, Bytes, c_int, Bytes, c_int, i64, FdbBool),
        "Would forget a range's granules.";
    fdb_database_unblobbify_range(Database, Bytes, c_int, Bytes, c_int),
        "Would no longer keep a range in granules.";
    fdb_database_verify_blob_range(Database, Bytes, c_int, Bytes, c_int, i64),
        "Would tell how far a range is kept in granules.";
    fdb_database_wait_purge_granules_complete(Database, Bytes, c_int),
        "Would wait until granules are forgotten.";
    fdb_tenant_blobbify_range(Tenant, Bytes, c_int, Bytes, c_int),
        "As for databases.";
    fdb_tenant_blobbify_range_blocking(Tenant, Bytes, c_int, Bytes, c_int),
        "As for databases.";
    fdb_tenant_flush_blob_range(Tenant, Bytes, c_int, Bytes, c_int, FdbBool, i64),
        "As for databases.";
    fdb_tenant_list_blobbified_ranges(Tenant, Bytes, c_int, Bytes, c_int, c_int),
        "As for databases.";
    fdb_tenant_purge_blob_granules(Tenant, Bytes, c_int, Bytes, c_int, i64, FdbBool),
        "As for databases.";
    fdb_tenant_unblobbify_range(Tenant, Bytes, c_int, Bytes, c_int),
        "As for databases.";
    fdb_tenant_verify_blob_range(Tenant, Bytes, c_int, Bytes, c_int, i64),
        "As for databases.";
    fdb_tenant_wait_purge_granules_complete(Tenant, Bytes, c_int),
        "As for databases.";
    fdb_transaction_get_blob_granule_ranges(Transaction, Bytes, c_int, Bytes, c_int, c_int),
        "Would tell which granules a range has.";
    fdb_transaction_read_blob_granules_description(
        Transaction, Bytes, c_int, Bytes, c_int, i64, i64, *mut i64),
        "Would tell which files a range's granules are in.";
    fdb_transaction_read_blob_granules_start(
        Transaction, Bytes, c_int, Bytes, c_int, i64, i64, *mut i64),
        "Would begin to read granules.";
    fdb_transaction_summarize_blob_granules(Transaction, Bytes, c_int, Bytes, c_int, i64, c_int),
        "Would tell how large a range's granules are.";
    fdb_database_create_shared_state(Database),
        "Would share a cache of read versions with other copies of FoundationDB's library.";
    fdb_database_register_cdc_stream(Database, Bytes, c_int, Bytes, c_int, Bytes, c_int),
        "Would keep a stream of a range's changes.";
    fdb_database_remove_cdc_stream(Database, Bytes, c_int),
        "Would end a stream of changes.";
    fdb_database_list_cdc_streams(Database),
        "Would tell which streams of changes there are.";
    fdb_database_create_cdc_consumer(Database, Bytes, c_int),
        "Would read a stream of changes.";
    fdb_database_resume_cdc_consumer(Database, i64, i64),
        "Would go on reading a stream of changes.";
    fdb_cdc_consumer_consume(*mut c_void),
        "Would give the next changes.";
    fdb_cdc_consumer_acknowledge(*mut c_void),
        "Would let go of changes.";
}

failing_results! {
    fdb_readbg_parse_delta_file(Bytes, c_int, *const c_void, *const c_void),
        "Would understand a file of changes.";
    fdb_readbg_parse_snapshot_file(Bytes, c_int, *const c_void, *const c_void),
        "Would understand a file of rows.";
    fdb_transaction_read_blob_granules(
        Transaction, Bytes, c_int, Bytes, c_int, i64, i64, FdbReadBlobGranuleContext),
        "Would read granules.";
    fdb_transaction_read_blob_granules_finish(
        Transaction, *mut FdbFuture, Bytes, c_int, Bytes, c_int, i64, i64,
        *mut FdbReadBlobGranuleContext),
        "Would end reading granules.";
}

failing_calls! {
    fdb_cdc_consumer_get_position(*mut c_void, *mut i64, *mut i64),
        "Would tell how far a stream of changes was read.";
    fdb_future_get_cdc_consumer(*mut FdbFuture, *mut *mut c_void),
        "Would give a reader of changes.";
    fdb_future_get_cdc_stream_info_array(*mut FdbFuture, *mut *const c_void, *mut c_int),
        "Would give a list of streams.";
    fdb_future_get_cdc_versioned_mutations(*mut FdbFuture, *mut *const c_void, *mut c_int),
        "Would give changes.";
    fdb_future_get_granule_summary_array(*mut FdbFuture, *mut *const c_void, *mut c_int),
        "Would give sizes of granules.";
    fdb_future_get_shared_state(*mut FdbFuture, *mut *mut c_void),
        "Would give what copies of the library share.";
    fdb_future_readbg_get_descriptions(*mut FdbFuture, *mut *mut c_void, *mut c_int),
        "Would give files of granules.";
}

/// Would end the reading of a stream of changes.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_cdc_consumer_destroy(_consumer: *mut c_void) {}

/// Would take over what another copy of the library has to share; there is nothing to be gained.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_database_set_shared_state(_database: *mut FdbDatabase, _state: *mut c_void) {}

/// Would speak FoundationDB's next protocol, for its own tests.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_use_future_protocol_version() {}

/// Gives a result back.
///
/// # Safety
///
/// `result` is null or has not been destroyed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_result_destroy(result: *mut FdbResult) {
    if !result.is_null() {
        // SAFETY: the program gives back what it got from a function of this file.
        drop(unsafe { Box::from_raw(result) });
    }
}

/// The rows of a result: it is an error.
///
/// # Safety
///
/// `result` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_result_get_keyvalue_array(
    result: *mut FdbResult,
    _out_rows: *mut *const FdbKeyValue,
    _out_count: *mut c_int,
    _out_more: *mut FdbBool,
) -> FdbError {
    // SAFETY: by this function's contract.
    unsafe { &*result }.0
}

/// The changes of a result: it is an error.
///
/// # Safety
///
/// `result` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_result_get_bg_mutations_array(
    result: *mut FdbResult,
    _out_changes: *mut *const c_void,
    _out_count: *mut c_int,
) -> FdbError {
    // SAFETY: by this function's contract.
    unsafe { &*result }.0
}
