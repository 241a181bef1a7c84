//! `FDBFuture*`: waited for, looked into, called back from.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    mem::ManuallyDrop,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::{
    Code, outcome,
    symbols::{RawKey, RawRow, symbols},
};

/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// `FDBFuture*`, destroyed when dropped.
pub(crate) struct Future(*mut c_void);

// SAFETY: the functions of a future may be called on any thread.
unsafe impl Send for Future {}
// SAFETY: as above, at the same time too; memory is only released through `&mut`.
unsafe impl Sync for Future {}

type Callback = Box<dyn FnOnce(Future) + Send>;

/// Copies bytes that the library hands out.
///
/// # Safety
///
/// `data` points to `length` readable bytes, whatever it is if there are none.
unsafe fn copied(data: *const u8, length: c_int) -> Vec<u8> {
    assert!(!data.is_null(), "what is there has a pointer that isn't null, even if it is empty");
    // SAFETY: by this function's contract.
    unsafe { std::slice::from_raw_parts(data, usize::try_from(length).unwrap()) }.to_vec()
}

/// An array that the library hands out.
///
/// # Safety
///
/// `data` points to `count` elements, which last as long as the caller uses them.
unsafe fn array<'a, T>(data: *const T, count: c_int) -> &'a [T] {
    let count = usize::try_from(count).unwrap();
    if count == 0 {
        return &[];
    }
    assert!(data.is_aligned(), "arrays are aligned as C wants them");
    // SAFETY: by this function's contract.
    unsafe { std::slice::from_raw_parts(data, count) }
}

impl Future {
    pub(super) fn from_raw(future: *mut c_void) -> Self {
        assert!(!future.is_null(), "every call gives a future");
        Self(future)
    }

    /// Waits until it is ready; fails if it may not wait, not if the future failed.
    pub(crate) fn block_until_ready(&self) -> Result<(), Code> {
        let block = symbols().fdb_future_block_until_ready();
        // SAFETY: the future is there while `self` is.
        outcome(unsafe { block(self.0) })
    }

    /// Waits, and gives it back if it succeeded.
    pub(crate) fn wait(self) -> Result<Self, Code> {
        self.block_until_ready()?;
        self.error()?;
        Ok(self)
    }

    /// Whether it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let is_ready = symbols().fdb_future_is_ready();
        // SAFETY: the future is there while `self` is.
        unsafe { is_ready(self.0) != 0 }
    }

    /// How it failed.
    pub(crate) fn error(&self) -> Result<(), Code> {
        let error = symbols().fdb_future_get_error();
        // SAFETY: the future is there while `self` is.
        outcome(unsafe { error(self.0) })
    }

    /// Cancels it.
    pub(crate) fn cancel(&self) {
        let cancel = symbols().fdb_future_cancel();
        // SAFETY: the future is there while `self` is.
        unsafe { cancel(self.0) }
    }

    /// Frees the result.
    pub(crate) fn release_memory(&mut self) {
        let release = symbols().fdb_future_release_memory();
        // SAFETY: the future is there while `self` is; nobody looks into it, as `self` is borrowed.
        unsafe { release(self.0) }
    }

    /// Waits no longer than a limit, and says whether it is ready.
    pub(crate) fn is_ready_within(&self, limit: Duration) -> bool {
        let (tell, told) = mpsc::channel();
        self.on_ready(move |_| {
            // Nobody may wait any more.
            let _ = tell.send(());
        });
        told.recv_timeout(limit).is_ok()
    }

    /// Has a function called once when it is ready. The function must not panic.
    pub(crate) fn on_ready(&self, callback: impl FnOnce(&Self) + Send + 'static) {
        // Its owner destroys it.
        self.call_back(move |future| callback(&ManuallyDrop::new(future)));
    }

    /// Gives itself to a function once it is ready, at once if it is. The function must not panic.
    pub(crate) fn give_when_ready(self, callback: impl FnOnce(Self) + Send + 'static) {
        ManuallyDrop::new(self).call_back(callback);
    }

    fn call_back(&self, callback: impl FnOnce(Self) + Send + 'static) {
        extern "C" fn call(future: *mut c_void, parameter: *mut c_void) {
            // SAFETY: the callback that was handed over below; that it is called only once is what
            // `count_calls` tests.
            let callback = unsafe { Box::from_raw(parameter.cast::<Callback>()) };
            callback(Future(future));
        }
        let callback: Callback = Box::new(callback);
        let parameter = Box::into_raw(Box::new(callback));
        let set = symbols().fdb_future_set_callback();
        // SAFETY: the future is there when the call begins; `call` takes such a parameter on any
        // thread.
        let code = unsafe { set(self.0, Some(call), parameter.cast()) };
        assert_eq!(code, 0, "a callback is never refused");
    }

    /// Counts how often the library calls back.
    pub(crate) fn count_calls(&self) -> Arc<AtomicUsize> {
        extern "C" fn count(_: *mut c_void, parameter: *mut c_void) {
            // SAFETY: the counter below, which is never freed.
            let counter = unsafe { &*parameter.cast::<Arc<AtomicUsize>>() };
            counter.fetch_add(1, Ordering::SeqCst);
        }
        let counter = Arc::new(AtomicUsize::new(0));
        // Freed never, so that a call too many is counted and does no harm.
        let parameter: &'static Arc<AtomicUsize> = Box::leak(Box::new(Arc::clone(&counter)));
        let set = symbols().fdb_future_set_callback();
        let parameter = ptr::from_ref(parameter).cast_mut().cast();
        // SAFETY: the future is there while `self` is; `count` takes such a parameter on any thread.
        let code = unsafe { set(self.0, Some(count), parameter) };
        assert_eq!(code, 0, "a callback is never refused");
        counter
    }

    /// Sets no callback at all.
    pub(crate) fn set_null_callback(&self) -> Result<(), Code> {
        let set = symbols().fdb_future_set_callback();
        // SAFETY: the future is there while `self` is.
        outcome(unsafe { set(self.0, None, ptr::null_mut()) })
    }

    /// A number.
    pub(crate) fn int64(&self) -> Result<i64, Code> {
        let mut number = 0;
        let get = symbols().fdb_future_get_int64();
        // SAFETY: the future is there while `self` is; the result has room.
        outcome(unsafe { get(self.0, &raw mut number) })?;
        Ok(number)
    }

    /// An unsigned number.
    pub(crate) fn uint64(&self) -> Result<u64, Code> {
        let mut number = 0;
        let get = symbols().fdb_future_get_uint64();
        // SAFETY: the future is there while `self` is; the result has room.
        outcome(unsafe { get(self.0, &raw mut number) })?;
        Ok(number)
    }

    /// A fraction.
    pub(crate) fn double(&self) -> Result<f64, Code> {
        let mut number = 0.0;
        let get = symbols().fdb_future_get_double();
        // SAFETY: the future is there while `self` is; the result has room.
        outcome(unsafe { get(self.0, &raw mut number) })?;
        Ok(number)
    }

    /// Yes or no.
    pub(crate) fn boolean(&self) -> Result<bool, Code> {
        let mut number = 0;
        let get = symbols().fdb_future_get_bool();
        // SAFETY: the future is there while `self` is; the result has room.
        outcome(unsafe { get(self.0, &raw mut number) })?;
        Ok(number != 0)
    }

    /// A key.
    pub(crate) fn key(&self) -> Result<Vec<u8>, Code> {
        let (mut key, mut length) = (ptr::null(), 0);
        let get = symbols().fdb_future_get_key();
        // SAFETY: the future is there while `self` is; the results have room.
        outcome(unsafe { get(self.0, &raw mut key, &raw mut length) })?;
        // SAFETY: the bytes stay until the future's memory is released, which needs `&mut`.
        Ok(unsafe { copied(key, length) })
    }

    /// A value, if there is one.
    pub(crate) fn value(&self) -> Result<Option<Vec<u8>>, Code> {
        // What must be left alone if there is no value.
        let untouched: *const u8 = ptr::dangling();
        let (mut is_present, mut value, mut length) = (-1, untouched, -1);
        let get = symbols().fdb_future_get_value();
        // SAFETY: the future is there while `self` is; the results have room.
        let code = unsafe { get(self.0, &raw mut is_present, &raw mut value, &raw mut length) };
        outcome(code)?;
        if is_present == 0 {
            assert_eq!((value, length), (untouched, -1), "nothing is told of an absent value");
            return Ok(None);
        }
        assert_eq!(is_present, 1);
        // SAFETY: the bytes stay until the future's memory is released, which needs `&mut`.
        Ok(Some(unsafe { copied(value, length) }))
    }

    /// Keys.
    pub(crate) fn keys(&self) -> Result<Vec<Vec<u8>>, Code> {
        let (mut keys, mut count): (*const RawKey, _) = (ptr::null(), 0);
        let get = symbols().fdb_future_get_key_array();
        // SAFETY: the future is there while `self` is; the results have room.
        outcome(unsafe { get(self.0, &raw mut keys, &raw mut count) })?;
        // SAFETY: the array stays until the future's memory is released, which needs `&mut`.
        let keys = unsafe { array(keys, count) };
        // SAFETY: so do the bytes.
        Ok(keys.iter().map(|key| unsafe { copied(key.key, key.key_length) }).collect())
    }

    /// Strings.
    pub(crate) fn strings(&self) -> Result<Vec<String>, Code> {
        let (mut strings, mut count): (*const *const c_char, _) = (ptr::null(), 0);
        let get = symbols().fdb_future_get_string_array();
        // SAFETY: the future is there while `self` is; the results have room.
        outcome(unsafe { get(self.0, &raw mut strings, &raw mut count) })?;
        // SAFETY: the array stays until the future's memory is released, which needs `&mut`.
        let strings = unsafe { array(strings, count) };
        let text = |&string| {
            // SAFETY: so do the strings, which end with a zero.
            let string = unsafe { CStr::from_ptr(string) };
            string.to_str().unwrap().to_owned()
        };
        Ok(strings.iter().map(text).collect())
    }

    /// A page of rows, and whether there may be more.
    pub(crate) fn rows(&self) -> Result<(Vec<Row>, bool), Code> {
        let (mut rows, mut count, mut more): (*const RawRow, _, _) = (ptr::null(), 0, -1);
        let get = symbols().fdb_future_get_keyvalue_array();
        // SAFETY: the future is there while `self` is; the results have room.
        outcome(unsafe { get(self.0, &raw mut rows, &raw mut count, &raw mut more) })?;
        // SAFETY: the array stays until the future's memory is released, which needs `&mut`.
        let rows = unsafe { array(rows, count) };
        let row = |row: &RawRow| {
            // SAFETY: so do the bytes of the keys.
            let key = unsafe { copied(row.key, row.key_length) };
            // SAFETY: and those of the values.
            (key, unsafe { copied(row.value, row.value_length) })
        };
        Ok((rows.iter().map(row).collect(), more != 0))
    }
}

impl Drop for Future {
    fn drop(&mut self) {
        let destroy = symbols().fdb_future_destroy();
        // SAFETY: it was made by the library, and is not used any more.
        unsafe { destroy(self.0) }
    }
}
