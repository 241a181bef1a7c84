//! What compactions have done.

use std::sync::atomic::{AtomicU64, Ordering};

/// What compactions have done since the engine was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionStats {
    /// Compactions that merged tables.
    pub compactions: u64,
    /// Bytes of the tables that they read.
    pub read_bytes: u64,
    /// Bytes of the tables that they wrote.
    pub written_bytes: u64,
    /// Tables that went to another level as they were.
    pub moves: u64,
    /// Tables that went unread, because range tombstones hide all of them.
    pub dropped_unread: u64,
    /// Tables that compactions leave alone at present, because they could not read them. The log
    /// names file and offset.
    pub damaged_tables: u64,
}

impl CompactionStats {
    /// How many bytes were written to tables for each byte that was flushed to one.
    pub fn write_amplification(&self, flushed_bytes: u64) -> f64 {
        if flushed_bytes == 0 {
            return 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio, for people")]
        let ratio = (flushed_bytes + self.written_bytes) as f64 / flushed_bytes as f64;
        ratio
    }
}

/// [`CompactionStats`] as they grow. One thread compacts, any thread looks.
#[derive(Debug, Default)]
pub(in crate::engine) struct CompactionCounters {
    pub(super) compactions: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) moves: AtomicU64,
    pub(super) dropped_unread: AtomicU64,
    pub(super) damaged_tables: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl CompactionCounters {
    /// The counts of now.
    pub(in crate::engine) fn stats(&self) -> CompactionStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CompactionStats {
            compactions: get(&self.compactions),
            read_bytes: get(&self.read_bytes),
            written_bytes: get(&self.written_bytes),
            moves: get(&self.moves),
            dropped_unread: get(&self.dropped_unread),
            damaged_tables: get(&self.damaged_tables),
        }
    }
}
