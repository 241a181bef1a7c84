//! `FDBDatabase`: a server, by its cluster file.

use std::{
    ffi::{CStr, OsStr, c_char},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::Arc,
};

use plinth_client::{ApiVersion, ConnectOptions, Database, TcpBackend, TransactionOptions};

use crate::{
    abi::{FdbError, guarded, guarded_error, put},
    network,
    transaction::FdbTransaction,
};

/// The object behind `FDBDatabase*`.
pub struct FdbDatabase {
    database: Database<TcpBackend>,
}

/// Makes a database from a cluster file; from the usual places if the path is null or empty. Nothing
/// is read or connected before the first operation.
///
/// # Safety
///
/// `path` is null or a string that ends with a zero; `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_create_database(
    path: *const c_char,
    out: *mut *mut FdbDatabase,
) -> FdbError {
    guarded_error(|| {
        if network::handle().is_none() {
            return Err(network::NOT_RUNNING);
        }
        let path = if path.is_null() {
            None
        } else {
            // SAFETY: by this function's contract.
            let text = unsafe { CStr::from_ptr(path) };
            Some(PathBuf::from(OsStr::from_bytes(text.to_bytes())))
        };
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let options = ConnectOptions::cluster_file(path);
        let api_version = ApiVersion(u16::try_from(network::api_version()).unwrap_or_default());
        let defaults = TransactionOptions { api_version, ..TransactionOptions::default() };
        let database = Database::new(TcpBackend::lazy(options)).with_defaults(defaults);
        let database = Arc::into_raw(Arc::new(FdbDatabase { database })).cast_mut();
        // SAFETY: by this function's contract.
        unsafe { put(out, database) };
        Ok(())
    })
}

/// Gives a database back. Its transactions go on.
///
/// # Safety
///
/// `database` is null or has not been destroyed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_destroy(database: *mut FdbDatabase) {
    if database.is_null() {
        return;
    }
    guarded((), || {
        // SAFETY: the program gives its share back.
        drop(unsafe { Arc::from_raw(database) });
    });
}

/// A new transaction.
///
/// # Safety
///
/// `database` has not been destroyed; `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_create_transaction(
    database: *mut FdbDatabase,
    out: *mut *mut FdbTransaction,
) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let database = unsafe { &*database };
        let transaction = FdbTransaction::into_raw(database.database.transaction());
        // SAFETY: by this function's contract.
        unsafe { put(out, transaction) };
        Ok(())
    })
}
