//! Reading one key, and the read version that all reads share.
//!
//! The first read need not know a version: it asks for the newest and is told which one that was.
//! Several first reads may be under way together. Whichever answers first decides for all; another
//! that was answered at a different version is made again at the one that was decided. So none ever
//! waits for another.

use std::{future::Future, pin::pin};

use bytes::Bytes;
use plinth_protocol::{
    ConflictRange, Error, ErrorCode, KeyRange, KeyspaceId, Version, response::VersionedValue,
};

use super::{
    Transaction,
    overlay::{Lookup, Overlay, PendingOps},
    special_keys,
    state::State,
    write::{inverted, outside},
};
use crate::{Backend, IntoBytes, Snapshot};

/// How a read of one key goes on.
enum Plan {
    /// Nothing to ask.
    Known(Option<Bytes>),
    /// Ask, then apply.
    Ask(PendingOps),
}

impl<B: Backend> Transaction<B> {
    /// Reads a key. Writes of others to it, before this transaction commits, are conflicts.
    pub fn get(&self, key: impl IntoBytes) -> impl Future<Output = Result<Option<Bytes>, Error>> {
        let key = key.into_bytes();
        async move { self.read(&key, false).await }
    }

    /// Reads a key, which the caller keeps: what an async function is given by value has two places
    /// in its future.
    pub(super) async fn read(
        &self,
        key: &Bytes,
        is_snapshot: bool,
    ) -> Result<Option<Bytes>, Error> {
        if special_keys::is_special(key) {
            // Rare, and larger than what follows.
            return Box::pin(self.read_special_key(key.clone())).await;
        }
        let (_, value) = self.read_value(key, is_snapshot).await?;
        Ok(value.or_else(|| self.virtual_value(key)))
    }

    /// The version that this transaction reads at; the newest, if it hasn't read yet.
    pub async fn get_read_version(&self) -> Result<Version, Error> {
        let generation = {
            let mut state = self.state();
            state.check_deadline();
            if let Some(error) = state.stored_error.as_ref().or(state.ended.as_ref()) {
                return Err(error.clone());
            }
            if let Some(version) = state.read_version() {
                return Ok(version);
            }
            state.has_asked = true;
            state.generation
        };
        let asked = pin!(async {
            let asked = self.backend().read_version().await?;
            let decided = self.agree(generation, &asked)?;
            Ok(decided.map_or(asked.version(), |snapshot| snapshot.version()))
        });
        self.guarded(generation, asked).await
    }

    /// Makes this transaction read at a version that is known from elsewhere; before its first
    /// read.
    pub fn set_read_version(&self, version: Version) {
        let mut state = self.state();
        if !state.admits_void_call() {
            self.inner.changed.notify_waiters();
        } else if version == Version::ZERO || version > Version::MAX {
            state.store_error(ErrorCode::VERSION_INVALID);
        } else if state.has_asked || state.read_point.is_some() {
            state.store_error(ErrorCode::READ_VERSION_ALREADY_SET);
        } else {
            state.read_point = Some(self.backend().snapshot_at(version));
        }
    }

    /// Keeps this transaction's snapshot readable, however long it takes, until the transaction
    /// ends. Without this, reads fail with `transaction_too_old` some seconds after the first.
    pub async fn pin(&self) -> Result<Version, Error> {
        let (generation, at) = {
            let mut state = self.admitted()?;
            state.has_asked = true;
            (state.generation, state.read_version())
        };
        let pinned = pin!(async {
            let mut pinned = self.backend().pin(at).await?;
            // Another read may have decided on another version meanwhile.
            if let Some(decided) = self.agree(generation, &pinned)? {
                pinned = self.backend().pin(Some(decided.version())).await?;
            }
            let version = pinned.version();
            let mut state = self.state();
            state.check_alive(generation)?;
            state.read_point = Some(pinned);
            Ok(version)
        });
        self.guarded(generation, pinned).await
    }

    /// Makes writes of others to `begin..end`, before this transaction commits, conflicts, as
    /// though it had been read. Parts that this transaction has overwritten don't count.
    pub fn add_read_conflict_range(
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
        let is_metadata_version =
            self.is_metadata_version(&begin) && end.split_last() == Some((&0, begin.as_ref()));
        for key in [&begin, &end] {
            if key.as_ref() > state.max_read_key() && !is_metadata_version {
                state.store_error(outside(key));
                return Ok(());
            }
        }
        let limits = self.limits();
        let (begin, end) = (state.cut_end(begin, &limits), state.cut_end(end, &limits));
        state.is_touched = true;
        self.add_unknown_parts(&mut state, self.keyspace, KeyRange { begin, end });
        Ok(())
    }

    /// Makes writes of others to `key`, before this transaction commits, conflicts.
    pub fn add_read_conflict_key(&self, key: impl IntoBytes) -> Result<(), Error> {
        let range = KeyRange::point(&key.into_bytes());
        self.add_read_conflict_range(range.begin, range.end)
    }

    /// Adds the parts of `range` whose values came from the database to the read conflicts, by what
    /// the transaction has written so far.
    fn add_unknown_parts(
        &self,
        state: &mut State<B::Snapshot>,
        keyspace: KeyspaceId,
        range: KeyRange,
    ) {
        let sees_writes = state.options.read_your_writes;
        let overlay = if sees_writes {
            state.writes.overlay(keyspace, self.limits().value_bytes_max).cloned()
        } else {
            None
        };
        add_read_conflict(state, keyspace, overlay.as_deref(), range);
    }

    /// The generation that it was read in, and the value.
    pub(super) async fn read_value(
        &self,
        key: &Bytes,
        is_snapshot: bool,
    ) -> Result<(u64, Option<Bytes>), Error> {
        let (generation, at, ops, _pending) = {
            let mut state = self.admitted()?;
            let generation = state.generation;
            match self.plan_get(&mut state, key, is_snapshot)? {
                Plan::Known(value) => return Ok((generation, value)),
                Plan::Ask(ops) => {
                    let at = state.read_point.clone();
                    (generation, at, ops, self.begin_read(&mut state))
                }
            }
        };
        let found = {
            let asked = pin!(self.ask_value(generation, at.as_ref(), key));
            self.guarded(generation, asked).await
        };
        let base = match found {
            Ok(found) => found.map(|found| found.value),
            Err(error) => return Err(self.remember_failure(generation, error)),
        };
        {
            let mut state = self.state();
            if state.generation == generation && state.options.read_your_writes {
                state.cache(self.keyspace).insert_key(key.clone(), base.clone());
            }
        }
        let value = if ops.is_empty() {
            base
        } else {
            Overlay::fold(&ops, base, self.limits().value_bytes_max)
        };
        Ok((generation, value))
    }

    fn plan_get(
        &self,
        state: &mut State<B::Snapshot>,
        key: &Bytes,
        is_snapshot: bool,
    ) -> Result<Plan, Error> {
        if key.as_ref() >= state.max_read_key() && !self.is_metadata_version(key) {
            return Err(outside(key));
        }
        let limits = self.limits();
        if key.len() > state.readable_key_bytes_max(key, &limits) {
            return Ok(Plan::Known(None));
        }
        state.is_touched = true;
        let bypass = state.options.bypass_unreadable;
        let lookup = match overlay(state, self.keyspace, is_snapshot, limits.value_bytes_max) {
            Some(overlay) => overlay.lookup(key, bypass),
            None => Lookup::Untouched,
        };
        let ops = match lookup {
            Lookup::Untouched => PendingOps::new(),
            Lookup::Dependent(ops) => ops,
            Lookup::Cleared => return Ok(Plan::Known(None)),
            Lookup::Known(value) => return Ok(Plan::Known(value)),
            Lookup::Unreadable => {
                let error = unreadable();
                state.read_failure.get_or_insert(error.clone());
                return Err(error);
            }
        };
        if !is_snapshot {
            state.add_read_key(self.keyspace, key.clone());
        }
        state.has_asked = true;
        Ok(Plan::Ask(ops))
    }

    async fn ask_value(
        &self,
        generation: u64,
        at: Option<&B::Snapshot>,
        key: &Bytes,
    ) -> Result<Option<VersionedValue>, Error> {
        let backend = self.backend();
        let read = backend.get(at, self.keyspace, key.clone()).await?;
        if at.is_some() {
            return Ok(read.value);
        }
        match self.agree(generation, &read.snapshot)? {
            None => Ok(read.value),
            Some(decided) => {
                drop(read);
                // Rare: what was asked first, at the same time as this, has decided otherwise.
                let again = Box::pin(backend.get(Some(&decided), self.keyspace, key.clone()));
                Ok(again.await?.value)
            }
        }
    }

    /// Settles the read version: `None` if the one that was asked for and got holds for the whole
    /// transaction, else the one that was decided before.
    pub(super) fn agree(
        &self,
        generation: u64,
        asked: &B::Snapshot,
    ) -> Result<Option<B::Snapshot>, Error> {
        let mut state = self.state();
        state.check_alive(generation)?;
        match &state.read_point {
            Some(known) if known.version() != asked.version() => Ok(Some(known.clone())),
            Some(_) => Ok(None),
            None => {
                state.read_point = Some(asked.clone());
                Ok(None)
            }
        }
    }

    /// Notes that a read failed on its way, so that the commit fails too: what the application
    /// made of the failure can't be checked.
    pub(super) fn remember_failure(&self, generation: u64, error: Error) -> Error {
        let mut state = self.state();
        if state.generation == generation && state.ended.is_none() {
            state.read_failure.get_or_insert(error.clone());
        }
        error
    }
}

/// What a read of the keyspace has to lay over the database's answer, if anything.
pub(super) fn overlay<S: Snapshot>(
    state: &mut State<S>,
    keyspace: KeyspaceId,
    is_snapshot: bool,
    value_bytes_max: usize,
) -> Option<&std::sync::Arc<Overlay>> {
    let sees_writes = state.options.read_your_writes
        && (!is_snapshot || state.options.snapshot_read_your_writes > 0);
    if sees_writes { state.writes.overlay(keyspace, value_bytes_max) } else { None }
}

/// Adds a range to the read conflicts, without the parts that the overlay knows the values of.
pub(super) fn add_read_conflict<S: Snapshot>(
    state: &mut State<S>,
    keyspace: KeyspaceId,
    overlay: Option<&Overlay>,
    range: KeyRange,
) {
    match overlay {
        None => state.add_read_range(keyspace, range),
        Some(_) if range.is_empty() => {}
        Some(overlay) => {
            overlay.each_unknown(&range, |part| match ConflictRange::from(part) {
                ConflictRange::Key(key) => state.add_read_key(keyspace, key),
                ConflictRange::Range(part) => state.add_read_range(keyspace, part),
            });
        }
    }
}

pub(super) fn unreadable() -> Error {
    ErrorCode::ACCESSED_UNREADABLE.into()
}
