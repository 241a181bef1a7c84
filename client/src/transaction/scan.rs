//! Scanning: what the database answers in chunks, with the transaction's own writes laid over it.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use plinth_protocol::{
    Error, KeyRange, KeySelector, KeyspaceId, range::key_after, request::RangeOptions,
    response::KeyValue,
};

use super::{
    Transaction,
    overlay::{Merged, Overlay},
    read::{add_read_conflict, overlay},
    state::State,
};
use crate::{Backend, RangeChunk, Snapshot};

/// What FoundationDB's servers count for a row beside its key and value; its client counts less.
const ASKED_ROW_BYTES: usize = 24;

/// Where a read reads from, as it was when the read was issued: writes that follow don't change it.
#[derive(Debug)]
pub(super) struct Source<S> {
    pub(super) generation: u64,
    pub(super) keyspace: KeyspaceId,
    /// The read point, if it was known.
    at: Option<S>,
    pub(super) overlay: Option<Arc<Overlay>>,
    /// The first key that can't be read.
    pub(super) end: Bytes,
    bypass_unreadable: bool,
}

impl<S: Snapshot> Source<S> {
    pub(super) fn new<B: Backend<Snapshot = S>>(
        transaction: &Transaction<B>,
        state: &mut State<S>,
        is_snapshot: bool,
    ) -> Self {
        state.is_touched = true;
        state.has_asked = true;
        let keyspace = transaction.keyspace;
        let value_bytes_max = transaction.limits().value_bytes_max;
        Self {
            generation: state.generation,
            keyspace,
            at: state.read_point.clone(),
            overlay: overlay(state, keyspace, is_snapshot, value_bytes_max).cloned(),
            end: Bytes::from_static(state.max_read_key()),
            bypass_unreadable: state.options.bypass_unreadable,
        }
    }

    /// Where to read now: where it was decided meanwhile, if it wasn't when the read was issued.
    fn place<B: Backend<Snapshot = S>>(&self, transaction: &Transaction<B>) -> Option<S> {
        self.at.clone().or_else(|| transaction.state().read_point.clone())
    }

    pub(super) async fn ask_key<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        selector: KeySelector,
    ) -> Result<Bytes, Error> {
        let backend = transaction.backend();
        let at = self.place(transaction);
        let end = self.end.clone();
        if at.is_some() {
            return Ok(backend.get_key(at.as_ref(), self.keyspace, selector, end).await?.value);
        }
        let read = backend.get_key(None, self.keyspace, selector.clone(), end.clone()).await?;
        match transaction.agree(self.generation, &read.snapshot)? {
            None => Ok(read.value),
            decided => {
                Ok(backend.get_key(decided.as_ref(), self.keyspace, selector, end).await?.value)
            }
        }
    }

    async fn ask_range<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        range: KeyRange,
        options: RangeOptions,
    ) -> Result<RangeChunk, Error> {
        let backend = transaction.backend();
        let at = self.place(transaction);
        if at.is_some() {
            return Ok(backend.get_range(at.as_ref(), self.keyspace, range, options).await?.value);
        }
        let read = backend.get_range(None, self.keyspace, range.clone(), options).await?;
        match transaction.agree(self.generation, &read.snapshot)? {
            None => Ok(read.value),
            decided => {
                Ok(backend.get_range(decided.as_ref(), self.keyspace, range, options).await?.value)
            }
        }
    }
}

/// A limit as a backend wants it, where 0 is none.
fn limit(limit: usize) -> u32 {
    if limit == usize::MAX { 0 } else { u32::try_from(limit).unwrap_or(u32::MAX) }
}

/// How many of the rows fit: up to `room`, and no more once the bytes have come to `bytes_max`;
/// adds their bytes to `bytes`.
pub(super) fn rows_within(
    rows: &[KeyValue],
    row_bytes: usize,
    room: usize,
    bytes_max: usize,
    bytes: &mut usize,
) -> usize {
    let mut taken = 0;
    for row in rows.iter().take(room) {
        if *bytes >= bytes_max {
            break;
        }
        *bytes = bytes.saturating_add(row.key.len() + row.value.len() + row_bytes);
        taken += 1;
    }
    taken
}

/// A range on its way, from one end to the other.
#[derive(Debug)]
pub(super) struct Scan<'a, S> {
    source: &'a Source<S>,
    /// What is still to be read.
    rest: KeyRange,
    reverse: bool,
    keys_only: bool,
}

impl<'a, S: Snapshot> Scan<'a, S> {
    pub(super) fn new(
        source: &'a Source<S>,
        range: KeyRange,
        reverse: bool,
        keys_only: bool,
    ) -> Self {
        let keys_only = keys_only
            && source.overlay.as_ref().is_none_or(|overlay| !overlay.has_dependents_within(&range));
        Self { source, rest: range, reverse, keys_only }
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether the next rows have to be asked for.
    pub(super) fn has_to_ask(&self) -> bool {
        self.known_until().is_none()
    }

    fn known_until(&self) -> Option<Bytes> {
        self.source.overlay.as_ref()?.known_until(&self.rest, self.reverse)
    }

    /// Some more rows, as far as what is known reaches, or what one question answers. At most about
    /// `rows_wanted` rows, and no more once `bytes_wanted` have come together.
    pub(super) async fn next<B: Backend<Snapshot = S>>(
        &mut self,
        transaction: &Transaction<B>,
        rows_wanted: usize,
        bytes_wanted: usize,
    ) -> Result<Merged, Error> {
        if self.rest.is_empty() {
            return Ok(Merged::default());
        }
        let Some(overlay) = self.source.overlay.as_deref() else {
            let range = self.rest.clone();
            let chunk = self.ask(transaction, range, rows_wanted, bytes_wanted).await?;
            self.pass(&chunk);
            return Ok(Merged { rows: chunk.rows, is_blocked: false });
        };
        let (covered, rows) = if let Some(until) = self.known_until() {
            (self.take_until(&until), Vec::new())
        } else {
            let until = overlay.unknown_until(&self.rest, self.reverse);
            let range = if self.reverse {
                KeyRange { begin: until.clone(), end: self.rest.end.clone() }
            } else {
                KeyRange { begin: self.rest.begin.clone(), end: until.clone() }
            };
            let chunk = self.ask(transaction, range, rows_wanted, bytes_wanted).await?;
            let covered = if chunk.more { self.pass(&chunk) } else { self.take_until(&until) };
            (covered, chunk.rows)
        };
        let bypass = self.source.bypass_unreadable;
        Ok(overlay.merge(&covered, rows, self.reverse, bypass))
    }

    /// All rows of `range` up to the limits, however many answers that takes.
    async fn ask<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        mut range: KeyRange,
        rows_wanted: usize,
        bytes_wanted: usize,
    ) -> Result<RangeChunk, Error> {
        let mut all = RangeChunk::default();
        let mut bytes = 0;
        loop {
            let options = RangeOptions {
                rows_max: limit(rows_wanted - all.rows.len()),
                bytes_target: limit(bytes_wanted - bytes),
                reverse: self.reverse,
                keys_only: self.keys_only,
                streams: false,
            };
            let mut chunk = self.source.ask_range(transaction, range.clone(), options).await?;
            let room = rows_wanted - all.rows.len();
            let taken = rows_within(&chunk.rows, ASKED_ROW_BYTES, room, bytes_wanted, &mut bytes);
            let is_full = taken == room || bytes >= bytes_wanted;
            all.more = is_full || chunk.more;
            chunk.rows.truncate(taken);
            if all.rows.is_empty() {
                all.rows = chunk.rows;
            } else {
                all.rows.append(&mut chunk.rows);
            }
            let Some(last) = all.rows.last().filter(|_| all.more && !is_full) else {
                return Ok(all);
            };
            if self.reverse {
                range.end = last.key.clone();
            } else {
                range.begin = key_after(&last.key);
            }
        }
    }

    /// Moves past a chunk; what it covers.
    fn pass(&mut self, chunk: &RangeChunk) -> KeyRange {
        let until = match chunk.rows.last() {
            Some(row) if chunk.more && self.reverse => row.key.clone(),
            Some(row) if chunk.more => key_after(&row.key),
            _ if self.reverse => self.rest.begin.clone(),
            _ => self.rest.end.clone(),
        };
        self.take_until(&until)
    }

    /// Takes what lies between here and `until` off the rest.
    fn take_until(&mut self, until: &Bytes) -> KeyRange {
        let at = until.clone().clamp(self.rest.begin.clone(), self.rest.end.clone());
        if self.reverse {
            let end = std::mem::replace(&mut self.rest.end, at.clone());
            KeyRange { begin: at, end }
        } else {
            let begin = std::mem::replace(&mut self.rest.begin, at.clone());
            KeyRange { begin, end: at }
        }
    }
}

/// A read under way counts in the conflict check with the widest range that it can come to cover,
/// until it is done or dropped: a commit need not wait for it.
struct UnderWay<'a, B: Backend> {
    transaction: &'a Transaction<B>,
    generation: u64,
    number: u64,
}

impl<B: Backend> Drop for UnderWay<'_, B> {
    fn drop(&mut self) {
        let mut state = self.transaction.state();
        if state.generation == self.generation {
            state.under_way.retain(|(number, ..)| *number != self.number);
        }
    }
}

impl<B: Backend> Transaction<B> {
    /// Carries out a read of which it is not known yet how far it will reach: `widest` is the most,
    /// `covered` says what it was in the end.
    pub(super) async fn read_under_way<T>(
        &self,
        source: &Source<B::Snapshot>,
        is_snapshot: bool,
        widest: KeyRange,
        work: impl Future<Output = Result<T, Error>>,
        covered: impl FnOnce(&T) -> KeyRange,
    ) -> Result<T, Error> {
        let generation = source.generation;
        if is_snapshot {
            let result = self.guarded(generation, work).await;
            return result.map_err(|error| self.remember_failure(generation, error));
        }
        let guard = {
            let mut state = self.state();
            let number = state.next_read;
            state.next_read += 1;
            state.under_way.push((number, source.keyspace, widest));
            UnderWay { transaction: self, generation, number }
        };
        let result = self.guarded(generation, work).await;
        let value = result.map_err(|error| self.remember_failure(generation, error))?;
        {
            let mut state = self.state();
            state.check_alive(generation)?;
            // A commit that has begun meanwhile has counted the widest range already.
            if !state.is_used_up {
                let overlay = source.overlay.as_deref();
                add_read_conflict(&mut state, source.keyspace, overlay, covered(&value));
            }
        }
        drop(guard);
        Ok(value)
    }
}
