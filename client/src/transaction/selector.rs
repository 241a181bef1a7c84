//! Key selectors, resolved over the database and the transaction's own writes.

use std::pin::pin;

use bytes::Bytes;
use plinth_protocol::{Error, KeyRange, KeySelector, range::key_after};

use super::{Transaction, covered::Covered, room::Room, run::Run, source::Source, write::outside};
use crate::{Backend, Snapshot};

/// The selector without `or_equal`: it begins at the next key instead.
pub(super) fn fold_or_equal(selector: KeySelector) -> KeySelector {
    if selector.or_equal {
        KeySelector { key: key_after(&selector.key), or_equal: false, offset: selector.offset }
    } else {
        selector
    }
}

impl<B: Backend> Transaction<B> {
    /// Resolves a key selector: to `""` off the beginning, to the end of the keyspace off the end.
    pub async fn get_key(&self, selector: KeySelector) -> Result<Bytes, Error> {
        self.read_key(selector, false).await
    }

    pub(super) async fn read_key(
        &self,
        selector: KeySelector,
        is_snapshot: bool,
    ) -> Result<Bytes, Error> {
        let (source, selector) = {
            let mut state = self.admitted()?;
            if selector.key.as_ref() > state.max_read_key() {
                return Err(outside(&selector.key));
            }
            // In this order: what a conflict range can't be longer than holds for the folded key.
            let folded = fold_or_equal(selector);
            let key = state.cut_end(folded.key, &self.limits());
            let selector = KeySelector { key, ..folded };
            (Source::new(self, &mut state, is_snapshot), selector)
        };
        let widest = if selector.offset > 0 {
            KeyRange { begin: selector.key.clone(), end: source.end.clone() }
        } else {
            KeyRange { begin: Bytes::new(), end: selector.key.clone() }
        };
        let resolving = pin!(source.resolve(self, &selector));
        let covered = |resolved: &Bytes| Covered::by_key(&selector, resolved, &source.end);
        self.read_under_way(&source, is_snapshot, widest, resolving, covered).await
    }
}

impl<S: Snapshot> Source<S> {
    /// Resolves a selector without `or_equal`: as a range of one row from there on.
    pub(super) async fn resolve<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        selector: &KeySelector,
    ) -> Result<Bytes, Error> {
        if !self.is_cached {
            return self.ask_key(transaction, selector.clone()).await;
        }
        let reverse = selector.offset <= 0;
        let first = KeySelector::first_greater_or_equal(Bytes::new());
        let last = KeySelector::first_greater_or_equal(self.end.clone());
        let room = Room::new(1, usize::MAX);
        let (begin, end) = if reverse {
            (first, KeySelector { offset: selector.offset + 1, ..selector.clone() })
        } else {
            (selector.clone(), last)
        };
        let run = Run::new(begin, end, reverse, self.end.clone(), room);
        // A run never asks for the far selector here, because that is a plain key.
        let run = self.walk(transaction, run, reverse).await?;
        Ok(match run.rows.into_iter().next() {
            _ if reverse && run.is_after_last => self.end.clone(),
            _ if !reverse && run.is_before_first => Bytes::new(),
            Some(row) => row.key,
            None if reverse => Bytes::new(),
            None => self.end.clone(),
        })
    }
}
