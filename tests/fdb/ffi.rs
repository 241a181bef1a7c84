//! A safe face over `libfdb_c.so`, loaded at run time as a program's language binding loads it.
//!
//! A process has one API version and one network thread. [`open`] starts them for all tests that are
//! content with [`API_VERSION`]; a test that needs another version, or wants to see the beginning or
//! the end of the network, runs [`alone`], in a process of its own.
//!
//! Error codes, options, modes and operation types are plain numbers, as in C: what is tested here
//! are the numbers.

#![expect(unsafe_code, reason = "C functions are called; each call says why it may be")]

mod alone;
mod future;
mod symbols;
mod transaction;

use std::{
    ffi::{CStr, CString, c_int, c_void},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    ptr,
    sync::OnceLock,
    thread::JoinHandle,
};

use self::symbols::symbols;
pub(crate) use self::{
    alone::alone,
    future::Future,
    transaction::{Range, Selector, Transaction},
};

/// The API version of all tests that don't choose one.
pub(crate) const API_VERSION: c_int = 730;

/// An error code; never 0.
pub(crate) type Code = c_int;

/// What a call returns, by its code.
fn outcome(code: c_int) -> Result<(), Code> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// Bytes as C takes them. Empty ones have a null pointer: the library must not look there.
fn raw(bytes: &[u8]) -> (*const u8, c_int) {
    let pointer = if bytes.is_empty() { ptr::null() } else { bytes.as_ptr() };
    (pointer, c_int::try_from(bytes.len()).unwrap())
}

/// Chooses the API version of this process.
pub(crate) fn select_api_version(runtime: c_int, header: c_int) -> Result<(), Code> {
    let select = symbols().fdb_select_api_version_impl();
    // SAFETY: takes two numbers.
    outcome(unsafe { select(runtime, header) })
}

/// The newest API version that the library has.
pub(crate) fn max_api_version() -> c_int {
    let max = symbols().fdb_get_max_api_version();
    // SAFETY: takes nothing.
    unsafe { max() }
}

/// The text of an error.
pub(crate) fn error_text(code: c_int) -> &'static str {
    let text = symbols().fdb_get_error();
    // SAFETY: takes a number.
    let text = unsafe { text(code) };
    // SAFETY: a string that ends with a zero and is never freed, by the function's contract.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().unwrap()
}

/// The library's version, as three fields between commas.
pub(crate) fn client_version() -> &'static str {
    let version = symbols().fdb_get_client_version();
    // SAFETY: takes nothing.
    let text = unsafe { version() };
    // SAFETY: a string that ends with a zero and is never freed, by the function's contract.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().unwrap()
}

/// Whether an error belongs to a class.
pub(crate) fn error_predicate(predicate: c_int, code: c_int) -> bool {
    let test = symbols().fdb_error_predicate();
    // SAFETY: takes two numbers.
    unsafe { test(predicate, code) != 0 }
}

/// Sets an option of the network.
pub(crate) fn network_set_option(option: c_int, value: &[u8]) -> Result<(), Code> {
    let (value, length) = raw(value);
    let set = symbols().fdb_network_set_option();
    // SAFETY: the bytes are readable for the call.
    outcome(unsafe { set(option, value, length) })
}

/// Makes the network ready to run.
pub(crate) fn setup_network() -> Result<(), Code> {
    let setup = symbols().fdb_setup_network();
    // SAFETY: takes nothing.
    outcome(unsafe { setup() })
}

/// Runs the network on this thread until it is stopped.
pub(crate) fn run_network() -> Result<(), Code> {
    let run = symbols().fdb_run_network();
    // SAFETY: takes nothing.
    outcome(unsafe { run() })
}

/// Has [`run_network`] return soon.
pub(crate) fn stop_network() -> Result<(), Code> {
    let stop = symbols().fdb_stop_network();
    // SAFETY: takes nothing.
    outcome(unsafe { stop() })
}

/// Has a function called on the network thread when that ends.
pub(crate) fn at_network_end(hook: impl FnOnce() + Send + 'static) -> Result<(), Code> {
    type Hook = Box<dyn FnOnce() + Send>;
    extern "C" fn call(parameter: *mut c_void) {
        // SAFETY: the hook that was handed over below, which is called once.
        let hook = unsafe { Box::from_raw(parameter.cast::<Hook>()) };
        hook();
    }
    let hook: Hook = Box::new(hook);
    let parameter = Box::into_raw(Box::new(hook));
    let add = symbols().fdb_add_network_thread_completion_hook();
    // SAFETY: `call` may be called with this parameter on any thread, once.
    let code = unsafe { add(call, parameter.cast()) };
    if code != 0 {
        // SAFETY: it was refused, so that nobody else has it.
        drop(unsafe { Box::from_raw(parameter) });
    }
    outcome(code)
}

/// Runs the network with an API version; its thread ends with [`stop_network`].
pub(crate) fn start(version: c_int) -> JoinHandle<Result<(), Code>> {
    select_api_version(version, version).unwrap();
    setup_network().unwrap();
    std::thread::spawn(run_network)
}

/// A database by its cluster file, in a process with [`API_VERSION`], whose network runs until the
/// process ends.
pub(crate) fn open(cluster_file: &Path) -> Database {
    static NETWORK: OnceLock<JoinHandle<Result<(), Code>>> = OnceLock::new();
    NETWORK.get_or_init(|| start(API_VERSION));
    Database::create(Some(cluster_file)).unwrap()
}

/// `FDBDatabase*`, destroyed when dropped.
pub(crate) struct Database(*mut c_void);

// SAFETY: the functions of a database may be called on any thread.
unsafe impl Send for Database {}
// SAFETY: as above, at the same time too.
unsafe impl Sync for Database {}

impl Database {
    /// A database by its cluster file, or by the default one.
    pub(crate) fn create(cluster_file: Option<&Path>) -> Result<Self, Code> {
        let path = cluster_file.map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
        let path = path.as_ref().map_or(ptr::null(), |path| path.as_ptr());
        let mut database = ptr::null_mut();
        let create = symbols().fdb_create_database();
        // SAFETY: the path is null or a string; the result has room.
        outcome(unsafe { create(path, &raw mut database) })?;
        Ok(Self(database))
    }

    /// A database by the text of a cluster file.
    pub(crate) fn from_connection_string(text: &str) -> Result<Self, Code> {
        let text = CString::new(text).unwrap();
        let mut database = ptr::null_mut();
        let create = symbols().fdb_create_database_from_connection_string();
        // SAFETY: a string that lives through the call; the result has room.
        outcome(unsafe { create(text.as_ptr(), &raw mut database) })?;
        Ok(Self(database))
    }

    /// Sets an option.
    pub(crate) fn set_option(&self, option: c_int, value: &[u8]) -> Result<(), Code> {
        let (value, length) = raw(value);
        let set = symbols().fdb_database_set_option();
        // SAFETY: the database is there while `self` is; the bytes are readable for the call.
        outcome(unsafe { set(self.0, option, value, length) })
    }

    /// Destroys the database before its time, which comes all the same.
    pub(crate) fn destroy_too_early(&self) {
        let destroy = symbols().fdb_database_destroy();
        // SAFETY: it was made by the library, which bears a second time.
        unsafe { destroy(self.0) }
    }

    /// A new transaction.
    pub(crate) fn transaction(&self) -> Transaction {
        let mut transaction = ptr::null_mut();
        let create = symbols().fdb_database_create_transaction();
        // SAFETY: the database is there while `self` is; the result has room.
        outcome(unsafe { create(self.0, &raw mut transaction) }).unwrap();
        Transaction::from_raw(transaction)
    }

    /// The state of the client, as JSON.
    pub(crate) fn client_status(&self) -> Future {
        let status = symbols().fdb_database_get_client_status();
        // SAFETY: the database is there while `self` is.
        Future::from_raw(unsafe { status(self.0) })
    }

    /// The protocol version of the server; other than `expected`, if that isn't 0.
    pub(crate) fn server_protocol(&self, expected: u64) -> Future {
        let protocol = symbols().fdb_database_get_server_protocol();
        // SAFETY: the database is there while `self` is.
        Future::from_raw(unsafe { protocol(self.0, expected) })
    }

    /// How busy the network thread is, from 0 to 1.
    pub(crate) fn main_thread_busyness(&self) -> f64 {
        let busyness = symbols().fdb_database_get_main_thread_busyness();
        // SAFETY: the database is there while `self` is.
        unsafe { busyness(self.0) }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let destroy = symbols().fdb_database_destroy();
        // SAFETY: it was made by the library, and is not used any more.
        unsafe { destroy(self.0) }
    }
}
