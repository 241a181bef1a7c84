//! How many keys there are while a workload adds to them.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts keys. A key counts once it and all before it have been written, so that no reader looks
/// for one that is still on its way.
#[derive(Debug)]
pub(crate) struct Growth {
    count: AtomicU64,
    next: AtomicU64,
    /// Written, but one before them isn't.
    early: Mutex<BTreeSet<u64>>,
}

impl Growth {
    /// As many keys to begin with.
    pub(crate) fn new(count: u64) -> Self {
        Self { count: count.into(), next: count.into(), early: Mutex::default() }
    }

    /// How many there are.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The number of a new key, which the caller writes and then reports.
    pub(crate) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes note that the key with this number has been written.
    pub(crate) fn written(&self, number: u64) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        early.insert(number);
        let mut count = self.count();
        while early.remove(&count) {
            count += 1;
        }
        self.count.store(count, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_once_all_before_it_are_written() {
        let growth = Growth::new(10);
        let [first, second, third] = [growth.next(), growth.next(), growth.next()];
        assert_eq!([first, second, third], [10, 11, 12]);
        growth.written(third);
        growth.written(second);
        assert_eq!(growth.count(), 10);
        growth.written(first);
        assert_eq!(growth.count(), 13);
    }
}
