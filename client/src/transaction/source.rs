//! Where a read gets its rows from: the backend at the transaction's snapshot, what was read
//! before, and what was written before.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use plinth_protocol::{Error, KeyRange, KeySelector, KeyspaceId, request::RangeOptions};

use super::{
    Transaction,
    conflicts::Joining,
    covered::Covered,
    overlay::Overlay,
    read::{add_read_conflict, overlay},
    state::State,
};
use crate::{Backend, RangeChunk, Snapshot};

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

    pub(super) async fn ask_range<B: Backend<Snapshot = S>>(
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
        mut work: Pin<&mut impl Future<Output = Result<T, Error>>>,
        covered: impl FnOnce(&T) -> Covered,
    ) -> Result<T, Error> {
        let generation = source.generation;
        let _pending = self.begin_read(&mut self.state());
        if is_snapshot {
            let result = self.guarded(generation, work.as_mut()).await;
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
            // A commit that was sent meanwhile has counted the widest range already.
            if !state.is_prepared {
                let overlay = source.overlay.as_deref();
                let Covered { seen, unseen } = covered(&value);
                add_read_conflict(&mut state, source.keyspace, overlay, seen);
                if let Some(range) = unseen {
                    state.unseen_conflicts.push(source.keyspace, range.into(), Joining::Touching);
                }
            }
        }
        drop(guard);
        Ok(value)
    }
}
