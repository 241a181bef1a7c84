//! `FDBDatabase`: a server, by its cluster file or a connection string.

use std::{
    collections::BTreeSet,
    ffi::{CStr, OsStr, c_char, c_double, c_int},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use plinth_client::{
    ApiVersion, ConnectOptions, Database, Error, ErrorCode, ServerAddress, TcpBackend,
    TransactionOptions,
};

use crate::{
    abi::{FdbError, bytes, guarded, guarded_error, number, put},
    network, options, trace,
    transaction::FdbTransaction,
};

/// The object behind `FDBDatabase*`. Its clones are the same database.
#[derive(Clone)]
pub struct FdbDatabase {
    pub(crate) database: Database<TcpBackend>,
}

impl FdbDatabase {
    /// The database at an address. Nothing is connected before the first operation, which waits for
    /// the server as long as it takes.
    pub(crate) fn at(address: ServerAddress) -> Self {
        let api_version = ApiVersion(u16::try_from(network::api_version()).unwrap_or_default());
        let mut defaults = TransactionOptions { api_version, ..TransactionOptions::default() };
        network::settings().apply(&mut defaults);
        trace::event("DatabaseCreated", &[("Address", &address.to_string())]);
        let options = ConnectOptions { waits_for_server: true, ..ConnectOptions::at(address) };
        let database = Database::new(TcpBackend::lazy(options)).with_defaults(defaults);
        Self { database }
    }

    /// The database of a cluster file; of the usual one if the path is null or empty.
    ///
    /// # Safety
    ///
    /// `path` is null or a string that ends with a zero.
    pub(crate) unsafe fn of_cluster_file(path: *const c_char) -> Self {
        // SAFETY: by this function's contract.
        let path = unsafe { string(path) }.map(OsStr::from_bytes).map(PathBuf::from);
        Self::at(ServerAddress::ClusterFile(path.filter(|path| !path.as_os_str().is_empty())))
    }

    /// Hands a database to the program.
    pub(crate) fn into_raw(self) -> *mut Self {
        Box::into_raw(Box::new(self))
    }
}

/// The bytes of a string of C's.
///
/// # Safety
///
/// `text` is null or a string that ends with a zero, and lives as long as the result.
unsafe fn string<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: by this function's contract.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
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
        network::require_set_up()?;
        // SAFETY: by this function's contract.
        let database = unsafe { FdbDatabase::of_cluster_file(path) };
        // SAFETY: by this function's contract.
        unsafe { put(out, database.into_raw()) };
        Ok(())
    })
}

/// Makes a database from what a cluster file would hold. A wrong one fails with the first operation.
///
/// # Safety
///
/// `text` is null or a string that ends with a zero; `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_create_database_from_connection_string(
    text: *const c_char,
    out: *mut *mut FdbDatabase,
) -> FdbError {
    guarded_error(|| {
        network::require_set_up()?;
        // SAFETY: by this function's contract.
        let text = unsafe { string(text) }.and_then(|text| str::from_utf8(text).ok());
        let address = text.map_or_else(
            || ServerAddress::Nowhere(Error::from(ErrorCode::CONNECTION_STRING_INVALID)),
            |text| ServerAddress::ConnectionString(text.to_owned()),
        );
        // SAFETY: by this function's contract.
        unsafe { put(out, FdbDatabase::at(address).into_raw()) };
        Ok(())
    })
}

/// The databases that have been destroyed. Go's binding destroys those that are closed a second time
/// when it collects its garbage, and FoundationDB's library bears it; so their few bytes are never
/// given to others.
static DESTROYED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// Gives a database back. Its transactions go on. To do it again does nothing.
///
/// # Safety
///
/// `database` is null or came from this library, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_destroy(database: *mut FdbDatabase) {
    if database.is_null() {
        return;
    }
    guarded((), || {
        let is_first =
            DESTROYED.lock().unwrap_or_else(PoisonError::into_inner).insert(database.addr());
        if is_first {
            // SAFETY: the program gives back what it got from `into_raw`, for the first time, and
            // nobody else has got that memory.
            unsafe { database.drop_in_place() };
        }
    });
}

/// Sets an option of the database, most of them a default for its transactions.
///
/// # Safety
///
/// `database` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_set_option(
    database: *mut FdbDatabase,
    option: c_int,
    value: *const u8,
    value_length: c_int,
) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let database = unsafe { &*database };
        // SAFETY: by this function's contract.
        let value = unsafe { bytes(value, value_length) };
        let set = options::database::apply(&database.database, option, &value);
        set.map_err(|error| number(&error))
    })
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

/// What share of its time the network thread was busy, of the last whole second.
///
/// # Safety
///
/// `database` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_get_main_thread_busyness(
    _database: *mut FdbDatabase,
) -> c_double {
    network::busyness()
}
