//! The C library, loaded as a language binding loads it.

#![expect(unsafe_code, reason = "C functions are called; each call says why it may be")]

use std::{
    error::Error,
    ffi::{CString, c_char, c_int, c_void},
    future::Future,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    pin::Pin,
    ptr,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread::{JoinHandle, spawn},
};

use crate::{Client, Transaction};

type Object = *mut c_void;
type Bytes = *const u8;
type Callback = extern "C" fn(Object, Object);

macro_rules! symbols {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Symbols {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// Keeps the library loaded.
            _library: libloading::Library,
        }

        impl Symbols {
            fn of(library: libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the types are those of the header.
                    $($name: *unsafe { library.get(stringify!($name)) }?,)*
                    _library: library,
                })
            }
        }
    };
}

symbols! {
    fdb_select_api_version_impl: fn(c_int, c_int) -> c_int;
    fdb_setup_network: fn() -> c_int;
    fdb_run_network: fn() -> c_int;
    fdb_stop_network: fn() -> c_int;
    fdb_create_database: fn(*const c_char, *mut Object) -> c_int;
    fdb_database_destroy: fn(Object);
    fdb_database_create_transaction: fn(Object, *mut Object) -> c_int;
    fdb_transaction_destroy: fn(Object);
    fdb_transaction_get: fn(Object, Bytes, c_int, c_int) -> Object;
    fdb_transaction_set: fn(Object, Bytes, c_int, Bytes, c_int);
    fdb_transaction_commit: fn(Object) -> Object;
    fdb_transaction_on_error: fn(Object, c_int) -> Object;
    fdb_future_destroy: fn(Object);
    fdb_future_is_ready: fn(Object) -> c_int;
    fdb_future_set_callback: fn(Object, Callback, Object) -> c_int;
    fdb_future_get_error: fn(Object) -> c_int;
    fdb_future_get_value: fn(Object, *mut c_int, *mut Bytes, *mut c_int) -> c_int;
}

/// A database of the library.
#[derive(Clone)]
pub(crate) struct C(Arc<Handle>);

struct Handle {
    symbols: Arc<Symbols>,
    database: Object,
}

// SAFETY: the functions of a database may be called on any thread.
unsafe impl Send for Handle {}
// SAFETY: as above, at the same time too.
unsafe impl Sync for Handle {}

/// The network thread.
pub(crate) struct Network {
    symbols: Arc<Symbols>,
    thread: JoinHandle<c_int>,
}

fn checked(code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("the library answers with error {code}")) }
}

/// A length as C has it.
fn length(bytes: impl AsRef<[u8]>) -> c_int {
    c_int::try_from(bytes.as_ref().len()).unwrap_or(c_int::MAX)
}

impl C {
    /// Loads the library that was built beside this program, and starts its network.
    pub(crate) fn load(cluster_file: &Path) -> Result<(Self, Network), Box<dyn Error>> {
        let own = std::env::current_exe()?;
        let folder = own.parent().and_then(Path::parent).ok_or("this program is in no folder")?;
        // SAFETY: our own library, which does nothing when it is loaded.
        let library = unsafe { libloading::Library::new(folder.join("libfdb_c.so")) }?;
        let symbols = Arc::new(Symbols::of(library)?);
        // SAFETY: takes two numbers.
        checked(unsafe { (symbols.fdb_select_api_version_impl)(730, 730) })?;
        // SAFETY: takes nothing.
        checked(unsafe { (symbols.fdb_setup_network)() })?;
        let run = symbols.fdb_run_network;
        // SAFETY: takes nothing.
        let thread = spawn(move || unsafe { run() });
        let path = CString::new(cluster_file.as_os_str().as_bytes())?;
        let mut database = ptr::null_mut();
        let create = symbols.fdb_create_database;
        // SAFETY: the path is a string; the result has room.
        checked(unsafe { create(path.as_ptr(), &raw mut database) })?;
        let handle = Handle { symbols: Arc::clone(&symbols), database };
        Ok((Self(Arc::new(handle)), Network { symbols, thread }))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made by the library, and is not used any more.
        unsafe { (self.symbols.fdb_database_destroy)(self.database) }
    }
}

impl Network {
    pub(crate) fn stop(self) -> Result<(), Box<dyn Error>> {
        // SAFETY: takes nothing.
        checked(unsafe { (self.symbols.fdb_stop_network)() })?;
        Ok(checked(self.thread.join().map_err(|_| "the network thread has panicked")?)?)
    }
}

impl Client for C {
    type Transaction = CTransaction;

    fn begin(&self) -> CTransaction {
        let mut transaction = ptr::null_mut();
        let create = self.0.symbols.fdb_database_create_transaction;
        // SAFETY: the database is there while `self` is; the result has room.
        unsafe { create(self.0.database, &raw mut transaction) };
        CTransaction { client: self.clone(), transaction }
    }
}

pub(crate) struct CTransaction {
    client: C,
    transaction: Object,
}

// SAFETY: the functions of a transaction may be called on any thread.
unsafe impl Send for CTransaction {}
// SAFETY: as above, at the same time too.
unsafe impl Sync for CTransaction {}

impl CTransaction {
    fn symbols(&self) -> &Symbols {
        &self.client.0.symbols
    }

    fn future(&self, future: Object) -> CFuture<'_> {
        CFuture { symbols: self.symbols(), future, is_asked: false }
    }
}

impl Drop for CTransaction {
    fn drop(&mut self) {
        // SAFETY: it was made by the library, and is not used any more.
        unsafe { (self.symbols().fdb_transaction_destroy)(self.transaction) }
    }
}

impl Transaction for CTransaction {
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, i32>> + Send {
        let get = self.symbols().fdb_transaction_get;
        // SAFETY: the transaction is there while `self` is; the key is readable for the call.
        let future = unsafe { get(self.transaction, key.as_ptr(), length(key), 0) };
        let mut future = self.future(future);
        async move {
            (&mut future).await?;
            future.value()
        }
    }

    fn set(&self, key: &str, value: &[u8]) {
        let set = self.symbols().fdb_transaction_set;
        let (key, key_length) = (key.as_ptr(), length(key));
        let (value, value_length) = (value.as_ptr(), length(value));
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        unsafe { set(self.transaction, key, key_length, value, value_length) }
    }

    fn commit(&self) -> impl Future<Output = Result<(), i32>> + Send {
        // SAFETY: the transaction is there while `self` is.
        self.future(unsafe { (self.symbols().fdb_transaction_commit)(self.transaction) })
    }

    fn on_error(&self, code: i32) -> impl Future<Output = Result<(), i32>> + Send {
        let on_error = self.symbols().fdb_transaction_on_error;
        // SAFETY: the transaction is there while `self` is.
        self.future(unsafe { on_error(self.transaction, code) })
    }
}

/// A future of the library, which wakes whoever waits by a callback.
struct CFuture<'a> {
    symbols: &'a Symbols,
    future: Object,
    is_asked: bool,
}

// SAFETY: the functions of a future may be called on any thread.
unsafe impl Send for CFuture<'_> {}

extern "C" fn wake(_: Object, parameter: Object) {
    // SAFETY: the waker that was handed over below, which is called back once.
    let waker = unsafe { Box::from_raw(parameter.cast::<Waker>()) };
    waker.wake();
}

impl CFuture<'_> {
    fn value(&self) -> Result<Option<Vec<u8>>, i32> {
        let (mut is_present, mut value, mut length) = (0, ptr::null(), 0);
        let get = self.symbols.fdb_future_get_value;
        // SAFETY: the future is there while `self` is; the results have room.
        let code =
            unsafe { get(self.future, &raw mut is_present, &raw mut value, &raw mut length) };
        if code != 0 {
            return Err(code);
        }
        if is_present == 0 {
            return Ok(None);
        }
        let length = usize::try_from(length).unwrap_or_default();
        // SAFETY: the bytes stay as long as the future.
        let value = unsafe { std::slice::from_raw_parts(value, length) };
        Ok(Some(value.to_vec()))
    }
}

impl Future for CFuture<'_> {
    type Output = Result<(), i32>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is there while `self` is.
        if unsafe { (self.symbols.fdb_future_is_ready)(self.future) } != 0 {
            // SAFETY: as above.
            let code = unsafe { (self.symbols.fdb_future_get_error)(self.future) };
            return Poll::Ready(if code == 0 { Ok(()) } else { Err(code) });
        }
        if !std::mem::replace(&mut self.is_asked, true) {
            // The task that asks first is the one that waits to the end.
            let waker = Box::into_raw(Box::new(context.waker().clone()));
            // SAFETY: the future is there while `self` is; `wake` takes such a parameter anywhere.
            unsafe { (self.symbols.fdb_future_set_callback)(self.future, wake, waker.cast()) };
        }
        Poll::Pending
    }
}

impl Drop for CFuture<'_> {
    fn drop(&mut self) {
        // SAFETY: it was made by the library, and is not used any more.
        unsafe { (self.symbols.fdb_future_destroy)(self.future) }
    }
}
