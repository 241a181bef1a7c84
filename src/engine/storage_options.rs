//! How what outlives memory is kept.

use std::time::Duration;

/// How what outlives memory is kept: when memtables go to tables, how many may wait for that, and
/// when commits are slowed down or stopped because they come faster than the disk takes them.
///
/// Small numbers make a test cross everything; the defaults are for real data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageOptions {
    /// How much memory the memtable that is written may take before it is frozen and goes to a
    /// table, in bytes. The keys' index is counted.
    pub memtable_bytes: u64,
    /// The most bytes of log since the memtable began: a memtable that is overwritten in place
    /// stays small while the log that a restart must read grows.
    pub log_bytes_max: u64,
    /// The most frozen memtables that wait for their tables; at least one. Memory for data is
    /// bounded by `(frozen_max + 1) × memtable_bytes` and a batch.
    pub frozen_max: usize,
    /// From so many tables in level 0 on, commits are slowed down, more with every further one.
    pub level0_slow: usize,
    /// At so many tables in level 0 commits stop until a compaction has caught up; above
    /// `level0_slow`.
    pub level0_stop: usize,
    /// The longest delay of a batch before commits stop altogether.
    pub delay_max: Duration,
    /// A manifest that is larger is begun anew.
    pub manifest_bytes_max: u64,
    /// How long background work waits after an error before it tries again; doubled with every
    /// further one, up to `retry_max`.
    pub retry_min: Duration,
    /// The longest that background work waits after an error.
    pub retry_max: Duration,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            memtable_bytes: 256 << 20,
            log_bytes_max: 1 << 30,
            frozen_max: 2,
            level0_slow: 8,
            level0_stop: 20,
            delay_max: Duration::from_millis(100),
            manifest_bytes_max: 4 << 20,
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(10),
        }
    }
}
