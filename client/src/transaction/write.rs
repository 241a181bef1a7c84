//! Writes: they go to the transaction's own log, and to the database with the commit.

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, Error, ErrorCode, KeyRange, KeyspaceId, Mutation, MutationOp, Versionstamp,
    WriteConflict,
};

use super::{
    Transaction,
    special_keys::{SPECIAL_KEYS_END, is_special},
    state::{METADATA_VERSION_KEY, State},
};
use crate::{Backend, IntoBytes};

/// What FoundationDB counts for saying where a versionstamp goes.
const STAMP_OFFSET_BYTES: usize = 4;

impl<B: Backend> Transaction<B> {
    /// Gives `key` this value.
    ///
    /// Like all writes this returns nothing: if the key or the value can't be, the next read or the
    /// commit fails with the reason.
    pub fn set(&self, key: impl IntoBytes, value: impl IntoBytes) {
        let (key, value) = (key.into_bytes(), value.into_bytes());
        if self.is_metadata_version(&key) {
            self.refuse(metadata_version_form());
            return;
        }
        if self.writes_special_keys(&key) {
            self.set_special_key(key, value);
            return;
        }
        self.write(|state| {
            self.check_key(state, &key)?;
            self.check_value(&value)?;
            Ok(Some(MutationOp::Set { key, value }))
        });
    }

    /// Removes `key`, if it is there.
    pub fn clear(&self, key: impl IntoBytes) {
        let key = key.into_bytes();
        if self.writes_special_keys(&key) {
            self.clear_special_keys(&KeyRange::point(&key));
            return;
        }
        self.write(|state| {
            if key.as_ref() >= state.max_write_key() {
                return Err(outside(&key));
            }
            let fits = key.len() <= state.writable_key_bytes_max(&key, &self.limits());
            Ok(fits.then_some(MutationOp::Clear { key }))
        });
    }

    /// Removes every key `k` with `begin <= k < end`.
    pub fn clear_range(&self, begin: impl IntoBytes, end: impl IntoBytes) {
        let (begin, end) = (begin.into_bytes(), end.into_bytes());
        if begin > end {
            self.refuse(inverted(&begin, &end));
            return;
        }
        if self.writes_special_keys(&begin) && end.as_ref() <= SPECIAL_KEYS_END {
            self.clear_special_keys(&KeyRange { begin, end });
            return;
        }
        self.write(|state| {
            for key in [&begin, &end] {
                if key.as_ref() > state.max_write_key() {
                    return Err(outside(key));
                }
            }
            let limits = self.limits();
            let (begin, end) = (state.cut_end(begin, &limits), state.cut_end(end, &limits));
            Ok((begin < end).then_some(MutationOp::ClearRange { begin, end }))
        });
    }

    /// Removes the keys of a range that may reach beyond the users' keys.
    pub(crate) fn clear_range_unchecked(&self, begin: Bytes, end: Bytes) {
        self.write(|_| Ok(Some(MutationOp::ClearRange { begin, end })));
    }

    /// Changes the value of `key` by an operation that is computed when the transaction commits, so
    /// that two transactions which do so don't conflict.
    pub fn atomic(&self, op: AtomicOp, key: impl IntoBytes, operand: impl IntoBytes) {
        let (key, operand) = (key.into_bytes(), operand.into_bytes());
        self.write(|state| {
            self.check_key(state, &key)?;
            self.check_value(&operand)?;
            Ok(Some(MutationOp::Atomic { op, key, operand }))
        });
    }

    /// Sets `key` after the ten bytes at `offset` within it have become the transaction's
    /// versionstamp. Until then the keys that this can become are unreadable.
    pub fn set_versionstamped_key(
        &self,
        key: impl IntoBytes,
        value: impl IntoBytes,
        offset: usize,
    ) {
        let (key, value) = (key.into_bytes(), value.into_bytes());
        self.write(|state| {
            self.check_key(state, &key)?;
            self.check_value(&value)?;
            let offset = check_stamp(&key, offset)?;
            Ok(Some(MutationOp::SetVersionstampedKey { key, offset, value }))
        });
    }

    /// Sets `key` to `value` after the ten bytes at `offset` within it have become the
    /// transaction's versionstamp. Until then the key is unreadable.
    pub fn set_versionstamped_value(
        &self,
        key: impl IntoBytes,
        value: impl IntoBytes,
        offset: usize,
    ) {
        let (key, value) = (key.into_bytes(), value.into_bytes());
        self.write(|state| {
            if self.is_metadata_version(&key) {
                if offset != 0 || value.as_ref() != [0; Versionstamp::LEN] {
                    return Err(Error::new(
                        ErrorCode::CLIENT_INVALID_OPERATION,
                        "The metadata version takes a value of ten zero bytes, stamped at 0",
                    ));
                }
            } else {
                self.check_key(state, &key)?;
            }
            self.check_value(&value)?;
            let offset = check_stamp(&value, offset)?;
            Ok(Some(MutationOp::SetVersionstampedValue { key, value, offset }))
        });
    }

    /// Makes other transactions that read any of `begin..end` conflict with this one, as though it
    /// had been written.
    pub fn add_write_conflict_range(
        &self,
        begin: impl IntoBytes,
        end: impl IntoBytes,
    ) -> Result<(), Error> {
        let (begin, end) = (begin.into_bytes(), end.into_bytes());
        if begin > end {
            return Err(inverted(&begin, &end));
        }
        let mut state = self.state();
        if !state.admits_void_call() {
            self.inner.changed.notify_waiters();
            return Ok(());
        }
        for key in [&begin, &end] {
            if key.as_ref() > state.max_write_key() {
                let error = outside(key);
                state.store_error(error);
                return Ok(());
            }
        }
        let limits = self.limits();
        let (begin, end) = (state.cut_end(begin, &limits), state.cut_end(end, &limits));
        if begin < end {
            state.is_touched = true;
            state.count_conflict(begin.len() + end.len());
            let range = KeyRange { begin, end }.into();
            state.write_conflicts.push(WriteConflict { keyspace: self.keyspace, range });
        }
        Ok(())
    }

    /// Makes other transactions that read `key` conflict with this one.
    pub fn add_write_conflict_key(&self, key: impl IntoBytes) -> Result<(), Error> {
        let range = KeyRange::point(&key.into_bytes());
        self.add_write_conflict_range(range.begin, range.end)
    }

    /// Lets the caller say what a write does, or why it can't be, and carries it out.
    pub(super) fn write(
        &self,
        plan: impl FnOnce(&State<B::Snapshot>) -> Result<Option<MutationOp>, Error>,
    ) {
        let mut state = self.state();
        if !state.admits_void_call() {
            self.inner.changed.notify_waiters();
            return;
        }
        let is_silent = std::mem::take(&mut state.is_next_write_silent);
        match plan(&state) {
            Ok(Some(op)) => self.record(&mut state, op, is_silent),
            Ok(None) => {}
            Err(error) => state.store_error(error),
        }
    }

    fn record(&self, state: &mut State<B::Snapshot>, op: MutationOp, is_silent: bool) {
        let is_stamped_key = matches!(op, MutationOp::SetVersionstampedKey { .. });
        state.is_touched = true;
        let (mutation_bytes, conflict_bytes) = sizes(&op);
        if matches!(op, MutationOp::Clear { .. }) {
            // FoundationDB counts the clear of one key as it counts a range.
            state.count_conflict(mutation_bytes);
        } else {
            state.count_mutation(mutation_bytes);
        }
        if !is_silent && !is_stamped_key {
            state.count_conflict(conflict_bytes);
        }
        let mutation = Mutation { keyspace: self.keyspace, adds_conflict: !is_silent, op };
        for watch in &state.watches {
            watch.see_write(&mutation);
        }
        let read_version = state.read_version();
        state.writes.push(mutation, read_version);
    }

    /// Whether a write to `key` goes to the special keys.
    fn writes_special_keys(&self, key: &[u8]) -> bool {
        is_special(key) && self.state().options.api_version.has_special_key_writes()
    }

    pub(super) fn is_metadata_version(&self, key: &[u8]) -> bool {
        self.keyspace == KeyspaceId::DEFAULT && key == METADATA_VERSION_KEY
    }

    fn check_key(&self, state: &State<B::Snapshot>, key: &Bytes) -> Result<(), Error> {
        self.check_place(state, key)?;
        self.check_key_length(state, key)
    }

    /// Whether a key can be written here.
    pub(super) fn check_place(&self, state: &State<B::Snapshot>, key: &Bytes) -> Result<(), Error> {
        if self.is_metadata_version(key) {
            return Err(metadata_version_form());
        }
        if key.as_ref() >= state.max_write_key() {
            return Err(outside(key));
        }
        Ok(())
    }

    pub(super) fn check_key_length(
        &self,
        state: &State<B::Snapshot>,
        key: &Bytes,
    ) -> Result<(), Error> {
        let limit = state.writable_key_bytes_max(key, &self.limits());
        if key.len() > limit {
            let text = format!("A key of {} bytes is longer than the limit of {limit}", key.len());
            return Err(Error::new(ErrorCode::KEY_TOO_LARGE, text));
        }
        Ok(())
    }

    pub(super) fn check_value(&self, value: &Bytes) -> Result<(), Error> {
        let limit = self.limits().value_bytes_max;
        if value.len() > limit {
            let length = value.len();
            let text = format!("A value of {length} bytes is longer than the limit of {limit}");
            return Err(Error::new(ErrorCode::VALUE_TOO_LARGE, text));
        }
        Ok(())
    }
}

/// What the metadata version must be set to.
pub(super) fn metadata_version_form() -> Error {
    Error::new(
        ErrorCode::CLIENT_INVALID_OPERATION,
        "The metadata version can only be set to a versionstamp",
    )
}

pub(super) fn outside(key: &Bytes) -> Error {
    let shown = key.slice(..key.len().min(32));
    let text = format!("The key {shown:?} is outside the legal range: it is not the user's");
    Error::new(ErrorCode::KEY_OUTSIDE_LEGAL_RANGE, text)
}

pub(super) fn inverted(begin: &Bytes, end: &Bytes) -> Error {
    let (begin, end) = (begin.slice(..begin.len().min(32)), end.slice(..end.len().min(32)));
    let text = format!("The range begins at {begin:?}, after its end {end:?}");
    Error::new(ErrorCode::INVERTED_RANGE, text)
}

/// Whether a versionstamp at `offset` lies within `bytes`.
pub(super) fn check_stamp(bytes: &Bytes, offset: usize) -> Result<u32, Error> {
    let fits = offset.checked_add(Versionstamp::LEN).is_some_and(|end| end <= bytes.len());
    u32::try_from(offset).ok().filter(|_| fits).ok_or_else(|| {
        let length = bytes.len();
        let text = format!("No versionstamp of ten bytes fits at {offset} into {length} bytes");
        Error::new(ErrorCode::CLIENT_INVALID_OPERATION, text)
    })
}

/// What a mutation and its conflict range add to the transaction's size, beside the overhead.
fn sizes(op: &MutationOp) -> (usize, usize) {
    match op {
        MutationOp::Set { key, value } | MutationOp::Atomic { key, operand: value, .. } => {
            (key.len() + value.len(), 2 * key.len() + 1)
        }
        MutationOp::SetVersionstampedKey { key, value, .. }
        | MutationOp::SetVersionstampedValue { key, value, .. } => {
            (key.len() + value.len() + STAMP_OFFSET_BYTES, 2 * key.len() + 1)
        }
        MutationOp::Clear { key } => (2 * key.len() + 1, 2 * key.len() + 1),
        MutationOp::ClearRange { begin, end } => (begin.len() + end.len(), begin.len() + end.len()),
    }
}
