//! Key selectors, resolved over the database and the transaction's own writes.

use bytes::Bytes;
use plinth_protocol::{Error, KeyRange, KeySelector, range::key_after};

use super::{Transaction, scan::Scan, scan::Source, write::outside};
use crate::Backend;

/// Where a selector has led.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) key: Bytes,
    /// Whether it ran off the beginning of the keyspace.
    pub(super) is_before_first: bool,
    /// Whether it ran off the end.
    pub(super) is_after_last: bool,
}

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
            let key = state.cut_end(selector.key, &self.limits());
            let selector = fold_or_equal(KeySelector { key, ..selector });
            (Source::new(self, &mut state, is_snapshot), selector)
        };
        let widest = if selector.offset > 0 {
            KeyRange { begin: selector.key.clone(), end: source.end.clone() }
        } else {
            KeyRange { begin: Bytes::new(), end: selector.key.clone() }
        };
        let resolving = source.resolve(self, &selector);
        let covered = |resolved: &Resolved| {
            if selector.offset <= 0 {
                KeyRange { begin: resolved.key.clone(), end: selector.key.clone() }
            } else if resolved.key >= source.end {
                KeyRange { begin: selector.key.clone(), end: source.end.clone() }
            } else {
                KeyRange { begin: selector.key.clone(), end: key_after(&resolved.key) }
            }
        };
        self.read_under_way(&source, is_snapshot, widest, resolving, covered)
            .await
            .map(|resolved| resolved.key)
    }
}

impl<S: crate::Snapshot> Source<S> {
    /// Resolves a selector without `or_equal`.
    pub(super) async fn resolve<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        selector: &KeySelector,
    ) -> Result<Resolved, Error> {
        let KeySelector { key, offset, .. } = selector;
        if *offset <= 0 && key.is_empty() {
            return Ok(Self::before_first());
        }
        if *offset > 0 && *key >= self.end {
            return Ok(self.after_last());
        }
        if self.overlay.is_none() {
            let found = self.ask_key(transaction, selector.clone()).await?;
            return Ok(self.judge(found, *offset));
        }
        let reverse = *offset <= 0;
        let range = if reverse {
            KeyRange { begin: Bytes::new(), end: key.clone().min(self.end.clone()) }
        } else {
            KeyRange { begin: key.clone(), end: self.end.clone() }
        };
        let wanted = offset.unsigned_abs() as usize + usize::from(reverse);
        let mut scan = Scan::new(self, range, reverse, true);
        let mut missing = wanted;
        while !scan.is_done() {
            let piece = scan.next(transaction, missing, usize::MAX).await?;
            if let Some(row) = piece.rows.get(missing - 1) {
                return Ok(Resolved {
                    key: row.key.clone(),
                    is_before_first: false,
                    is_after_last: false,
                });
            }
            missing -= piece.rows.len();
            if piece.is_blocked {
                return Err(super::read::unreadable());
            }
        }
        Ok(if reverse { Self::before_first() } else { self.after_last() })
    }

    fn before_first() -> Resolved {
        Resolved { key: Bytes::new(), is_before_first: true, is_after_last: false }
    }

    fn after_last(&self) -> Resolved {
        Resolved { key: self.end.clone(), is_before_first: false, is_after_last: true }
    }

    /// A backend's answer: `""` and the end say that the selector ran off (or that the empty key
    /// itself was meant, which conflicts and reads the same).
    fn judge(&self, key: Bytes, offset: i32) -> Resolved {
        let is_before_first = offset <= 0 && key.is_empty();
        let is_after_last = offset > 0 && key >= self.end;
        Resolved { key, is_before_first, is_after_last }
    }
}
