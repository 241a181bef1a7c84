//! Where a read gets its rows from: the backend at the transaction's snapshot, what was read
//! before, and what was written before.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use plinth_protocol::{
    Error, KeyRange, KeySelector, KeyspaceId, range::key_after, request::RangeOptions,
};

use super::{
    Transaction,
    overlay::Overlay,
    read::{add_read_conflict, overlay},
    run::{Answer, Question, Room},
    state::State,
};
use crate::{Backend, RangeChunk, Snapshot};

/// What FoundationDB's servers count for a row beside its key and value, more than its client.
const ASKED_ROW_BYTES: usize = 24;

/// Where a read reads from, as it was when the read was issued: writes that follow don't change it.
#[derive(Debug)]
pub(super) struct Source<S> {
    pub(super) generation: u64,
    pub(super) keyspace: KeyspaceId,
    /// The read point, if it was known.
    at: Option<S>,
    pub(super) overlay: Option<Arc<Overlay>>,
    /// Whether what was read before counts; else reads go straight to the database.
    pub(super) is_cached: bool,
    /// The first key that can't be read.
    pub(super) end: Bytes,
    pub(super) bypass_unreadable: bool,
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
            is_cached: state.options.read_your_writes,
            end: Bytes::from_static(state.max_read_key()),
            bypass_unreadable: state.options.bypass_unreadable,
        }
    }

    /// Where to read now: where it was decided meanwhile, if it wasn't when the read was issued.
    fn place<B: Backend<Snapshot = S>>(&self, transaction: &Transaction<B>) -> Option<S> {
        self.at.clone().or_else(|| transaction.state().read_point.clone())
    }

    /// Resolves a selector without `or_equal` in the database alone.
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

    /// Asks the database alone.
    pub(super) async fn ask<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        question: &Question,
        reverse: bool,
    ) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        let Question { begin, end, room, rows_min } = question;
        let begin = self.ask_end(transaction, begin, &mut answer).await?;
        let end = self.ask_end(transaction, end, &mut answer).await?;
        let mut range = KeyRange { begin, end };
        if range.is_empty() {
            return Ok(Answer::default());
        }
        let (mut room, mut rows_min) = (*room, *rows_min);
        let mut left = room.bytes;
        while !range.is_empty() {
            let options = RangeOptions {
                rows_max: limit(room.rows),
                bytes_target: limit(left),
                reverse,
                keys_only: false,
                streams: false,
            };
            let chunk = self.ask_range(transaction, range.clone(), options).await?;
            let (is_full, is_last) =
                Self::accept(chunk, &mut room, &mut left, &mut rows_min, &mut answer);
            let Some(last) = answer.rows.last().filter(|_| !is_full && !is_last) else {
                let is_at_begin =
                    reverse && answer.rows.last().is_some_and(|last| last.key == range.begin);
                answer.more = is_full && !is_at_begin;
                break;
            };
            if reverse {
                range.end = last.key.clone();
            } else {
                range.begin = key_after(&last.key);
            }
        }
        if answer.more {
            answer.is_before_first &= !reverse;
            answer.is_after_last &= reverse;
        }
        Ok(answer)
    }

    /// Takes what there is room for of a chunk; `left` are the bytes that the servers of
    /// FoundationDB would still give. Whether the room is full then, and whether there
    /// is nothing after what was taken.
    fn accept(
        chunk: RangeChunk,
        room: &mut Room,
        left: &mut usize,
        rows_min: &mut usize,
        answer: &mut Answer,
    ) -> (bool, bool) {
        let count = chunk.rows.len();
        for (index, row) in chunk.rows.into_iter().enumerate() {
            if *left != usize::MAX {
                *left = left.saturating_sub(row.key.len() + row.value.len() + ASKED_ROW_BYTES);
            }
            room.take(&row);
            *rows_min = rows_min.saturating_sub(1);
            answer.rows.push(row);
            if room.rows == 0 {
                return (true, false);
            }
            if *left == 0 {
                if *rows_min == 0 {
                    return (true, false);
                }
                // More rows are needed whatever their bytes: the rest is asked for anew.
                room.bytes = room.bytes.max(1);
                *left = room.bytes;
                return (false, index + 1 == count && !chunk.more);
            }
        }
        (false, !chunk.more)
    }

    async fn ask_end<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        selector: &KeySelector,
        answer: &mut Answer,
    ) -> Result<Bytes, Error> {
        if selector.offset == 1 {
            return Ok(selector.key.clone().min(self.end.clone()));
        }
        let key = self.ask_key(transaction, selector.clone()).await?;
        answer.is_before_first |= selector.offset < 1 && key.is_empty();
        answer.is_after_last |= selector.offset > 1 && key >= self.end;
        Ok(key)
    }
}

/// A limit as a backend wants it, where 0 is none.
fn limit(limit: usize) -> u32 {
    if limit == usize::MAX { 0 } else { u32::try_from(limit).unwrap_or(u32::MAX) }
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
