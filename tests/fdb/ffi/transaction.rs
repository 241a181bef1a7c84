//! `FDBTransaction*`.

use std::ffi::{c_int, c_void};

use super::{Code, Future, outcome, raw, symbols::symbols};

/// A key selector.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    pub(crate) key: Vec<u8>,
    pub(crate) or_equal: bool,
    pub(crate) offset: c_int,
}

impl Selector {
    /// The first key that is not less than this one.
    pub(crate) fn first_greater_or_equal(key: impl AsRef<[u8]>) -> Self {
        Self { key: key.as_ref().to_vec(), or_equal: false, offset: 1 }
    }
}

/// What to read of a range, and how.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) begin: Selector,
    pub(crate) end: Selector,
    pub(crate) limit: c_int,
    pub(crate) target_bytes: c_int,
    pub(crate) mode: c_int,
    pub(crate) iteration: c_int,
    pub(crate) snapshot: bool,
    pub(crate) reverse: bool,
}

impl Range {
    /// The rows from `begin` to before `end`, in the mode for large reads.
    pub(crate) fn between(begin: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Self {
        Self {
            begin: Selector::first_greater_or_equal(begin),
            end: Selector::first_greater_or_equal(end),
            limit: 0,
            target_bytes: 0,
            mode: -2,
            iteration: 1,
            snapshot: false,
            reverse: false,
        }
    }
}

/// `FDBTransaction*`, destroyed when dropped.
pub(crate) struct Transaction(*mut c_void);

// SAFETY: the functions of a transaction may be called on any thread.
unsafe impl Send for Transaction {}
// SAFETY: as above, at the same time too.
unsafe impl Sync for Transaction {}

impl Transaction {
    pub(super) fn from_raw(transaction: *mut c_void) -> Self {
        assert!(!transaction.is_null());
        Self(transaction)
    }

    /// Ends it until a reset.
    pub(crate) fn cancel(&self) {
        let cancel = symbols().fdb_transaction_cancel();
        // SAFETY: the transaction is there while `self` is.
        unsafe { cancel(self.0) }
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        let reset = symbols().fdb_transaction_reset();
        // SAFETY: the transaction is there while `self` is.
        unsafe { reset(self.0) }
    }

    /// Sets an option.
    pub(crate) fn set_option(&self, option: c_int, value: &[u8]) -> Result<(), Code> {
        let (value, length) = raw(value);
        let set = symbols().fdb_transaction_set_option();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        outcome(unsafe { set(self.0, option, value, length) })
    }

    /// Chooses the version to read at.
    pub(crate) fn set_read_version(&self, version: i64) {
        let set = symbols().fdb_transaction_set_read_version();
        // SAFETY: the transaction is there while `self` is.
        unsafe { set(self.0, version) }
    }

    /// The version that it reads at.
    pub(crate) fn get_read_version(&self) -> Future {
        let get = symbols().fdb_transaction_get_read_version();
        // SAFETY: the transaction is there while `self` is.
        Future::from_raw(unsafe { get(self.0) })
    }

    /// Reads a key.
    pub(crate) fn get(&self, key: impl AsRef<[u8]>, snapshot: bool) -> Future {
        let (key, length) = raw(key.as_ref());
        let get = symbols().fdb_transaction_get();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        Future::from_raw(unsafe { get(self.0, key, length, snapshot.into()) })
    }

    /// Resolves a key selector.
    pub(crate) fn get_key(&self, selector: &Selector, snapshot: bool) -> Future {
        let (key, length) = raw(&selector.key);
        let (or_equal, offset) = (selector.or_equal.into(), selector.offset);
        let get = symbols().fdb_transaction_get_key();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        Future::from_raw(unsafe { get(self.0, key, length, or_equal, offset, snapshot.into()) })
    }

    /// Reads a page of a range.
    pub(crate) fn get_range(&self, range: &Range) -> Future {
        let (begin, begin_length) = raw(&range.begin.key);
        let (end, end_length) = raw(&range.end.key);
        let get = symbols().fdb_transaction_get_range();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        let future = unsafe {
            get(
                self.0,
                begin,
                begin_length,
                range.begin.or_equal.into(),
                range.begin.offset,
                end,
                end_length,
                range.end.or_equal.into(),
                range.end.offset,
                range.limit,
                range.target_bytes,
                range.mode,
                range.iteration,
                range.snapshot.into(),
                range.reverse.into(),
            )
        };
        Future::from_raw(future)
    }

    /// Where a key lives.
    pub(crate) fn get_addresses_for_key(&self, key: impl AsRef<[u8]>) -> Future {
        let (key, length) = raw(key.as_ref());
        let get = symbols().fdb_transaction_get_addresses_for_key();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        Future::from_raw(unsafe { get(self.0, key, length) })
    }

    /// How large a range is, about.
    pub(crate) fn get_estimated_range_size_bytes(
        &self,
        begin: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
    ) -> Future {
        let (begin, begin_length) = raw(begin.as_ref());
        let (end, end_length) = raw(end.as_ref());
        let get = symbols().fdb_transaction_get_estimated_range_size_bytes();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        Future::from_raw(unsafe { get(self.0, begin, begin_length, end, end_length) })
    }

    /// Keys that split a range into pieces of about a size.
    pub(crate) fn get_range_split_points(
        &self,
        begin: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
        chunk_bytes: i64,
    ) -> Future {
        let (begin, begin_length) = raw(begin.as_ref());
        let (end, end_length) = raw(end.as_ref());
        let get = symbols().fdb_transaction_get_range_split_points();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        Future::from_raw(unsafe { get(self.0, begin, begin_length, end, end_length, chunk_bytes) })
    }

    /// How long its tags held it back, in seconds.
    pub(crate) fn get_tag_throttled_duration(&self) -> Future {
        let get = symbols().fdb_transaction_get_tag_throttled_duration();
        // SAFETY: the transaction is there while `self` is.
        Future::from_raw(unsafe { get(self.0) })
    }

    /// What it has cost.
    pub(crate) fn get_total_cost(&self) -> Future {
        let get = symbols().fdb_transaction_get_total_cost();
        // SAFETY: the transaction is there while `self` is.
        Future::from_raw(unsafe { get(self.0) })
    }

    /// Sets a key to a value.
    pub(crate) fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, key_length) = raw(key.as_ref());
        let (value, value_length) = raw(value.as_ref());
        let set = symbols().fdb_transaction_set();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        unsafe { set(self.0, key, key_length, value, value_length) }
    }

    /// Changes a value by an operation.
    pub(crate) fn atomic_op(
        &self,
        key: impl AsRef<[u8]>,
        parameter: impl AsRef<[u8]>,
        operation: c_int,
    ) {
        let (key, key_length) = raw(key.as_ref());
        let (parameter, parameter_length) = raw(parameter.as_ref());
        let atomic = symbols().fdb_transaction_atomic_op();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        unsafe { atomic(self.0, key, key_length, parameter, parameter_length, operation) }
    }

    /// Clears a key.
    pub(crate) fn clear(&self, key: impl AsRef<[u8]>) {
        let (key, length) = raw(key.as_ref());
        let clear = symbols().fdb_transaction_clear();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        unsafe { clear(self.0, key, length) }
    }

    /// Clears the keys from `begin` to before `end`.
    pub(crate) fn clear_range(&self, begin: impl AsRef<[u8]>, end: impl AsRef<[u8]>) {
        let (begin, begin_length) = raw(begin.as_ref());
        let (end, end_length) = raw(end.as_ref());
        let clear = symbols().fdb_transaction_clear_range();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        unsafe { clear(self.0, begin, begin_length, end, end_length) }
    }

    /// Ready when, after the commit, the value of a key is another one.
    pub(crate) fn watch(&self, key: impl AsRef<[u8]>) -> Future {
        let (key, length) = raw(key.as_ref());
        let watch = symbols().fdb_transaction_watch();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        Future::from_raw(unsafe { watch(self.0, key, length) })
    }

    /// Commits.
    pub(crate) fn commit(&self) -> Future {
        let commit = symbols().fdb_transaction_commit();
        // SAFETY: the transaction is there while `self` is.
        Future::from_raw(unsafe { commit(self.0) })
    }

    /// The version of its commit; -1 if it has none.
    pub(crate) fn get_committed_version(&self) -> Result<i64, Code> {
        let mut version = 0;
        let get = symbols().fdb_transaction_get_committed_version();
        // SAFETY: the transaction is there while `self` is; the result has room.
        outcome(unsafe { get(self.0, &raw mut version) })?;
        Ok(version)
    }

    /// How large it is.
    pub(crate) fn get_approximate_size(&self) -> Future {
        let get = symbols().fdb_transaction_get_approximate_size();
        // SAFETY: the transaction is there while `self` is.
        Future::from_raw(unsafe { get(self.0) })
    }

    /// The versionstamp that its commit will have.
    pub(crate) fn get_versionstamp(&self) -> Future {
        let get = symbols().fdb_transaction_get_versionstamp();
        // SAFETY: the transaction is there while `self` is.
        Future::from_raw(unsafe { get(self.0) })
    }

    /// Waits and begins again if that helps against an error.
    pub(crate) fn on_error(&self, code: c_int) -> Future {
        let on_error = symbols().fdb_transaction_on_error();
        // SAFETY: the transaction is there while `self` is.
        Future::from_raw(unsafe { on_error(self.0, code) })
    }

    /// Adds a range to what was read (0) or written (1).
    pub(crate) fn add_conflict_range(
        &self,
        begin: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
        kind: c_int,
    ) -> Result<(), Code> {
        let (begin, begin_length) = raw(begin.as_ref());
        let (end, end_length) = raw(end.as_ref());
        let add = symbols().fdb_transaction_add_conflict_range();
        // SAFETY: the transaction is there while `self` is; the bytes are readable for the call.
        outcome(unsafe { add(self.0, begin, begin_length, end, end_length, kind) })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let destroy = symbols().fdb_transaction_destroy();
        // SAFETY: it was made by the library, and is not used any more.
        unsafe { destroy(self.0) }
    }
}
