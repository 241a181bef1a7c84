//! How far a start is with reading the log, for whoever waits for it.

use crate::sync::{AtomicU64, Ordering};

/// Bytes of the log that are to be read, and that have been. Shared by the options of an engine and
/// whoever tells people of it while it opens.
#[derive(Debug, Default)]
pub struct RecoveryProgress {
    total_bytes: AtomicU64,
    done_bytes: AtomicU64,
}

impl RecoveryProgress {
    /// The bytes of the log's files that are needed; nothing before the reading begins.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// How many of them lie behind.
    pub fn done_bytes(&self) -> u64 {
        self.done_bytes.load(Ordering::Relaxed)
    }

    /// So many are to be read, from the first one on.
    pub(in crate::engine) fn begin(&self, total_bytes: u64) {
        self.done_bytes.store(0, Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }

    /// So many lie behind now.
    pub(in crate::engine) fn reach(&self, done_bytes: u64) {
        self.done_bytes.store(done_bytes, Ordering::Relaxed);
    }
}
