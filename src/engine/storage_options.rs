//! How what outlives memory is kept.

use std::time::Duration;

use super::table::{Compression, TableOptions};

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
    /// So many tables of level 0 are compacted; below `level0_slow`.
    pub level0_tables: usize,
    /// How many bytes level 1 holds before its tables go to level 2. Tables of level 0 go to level 1
    /// in amounts of `level0_tables × memtable_bytes`, so it is best not much smaller than that.
    pub level1_bytes: u64,
    /// How many times larger each further level is; at least two. A byte is rewritten up to about
    /// so many times on its way through a level, and about one part in so many of what the tables
    /// hold is stale.
    pub level_ratio: u64,
    /// How large compactions make tables. A larger one is cheaper to look after, a smaller one is
    /// compacted with less of what it has nothing to do with.
    pub table_bytes_max: u64,
    /// How many bytes of tables a second compactions write as long as level 0 is short. The nearer
    /// it comes to `level0_slow`, the more, up to ten times as many; from there on nothing is held
    /// back. Zero never holds anything back.
    pub compaction_bytes_per_second: u64,
    /// How the tables of each level are packed when they are written there. Tables that move to
    /// another level without being rewritten stay as they are.
    pub compression: [Compression; 7],
    /// Tables are packed, as `compression` says, while all of them together are larger than this:
    /// where they fit into memory, that of the system's cache too, to unpack a block for each read
    /// is dearer than the room that it takes.
    pub packed_from_bytes: u64,
    /// How large the blocks of tables are, and their filters; `compression` says how they are packed.
    pub table: TableOptions,
    /// How fast commits come when they begin to be slowed down, in bytes of log a second. The more
    /// waits for the disk, the slower, down to a sixty-fourth just before they stop.
    pub slow_bytes_per_second: u64,
    /// A manifest that is larger is begun anew.
    pub manifest_bytes_max: u64,
    /// How long background work waits after an error before it tries again; doubled with every
    /// further one, up to `retry_max`.
    pub retry_min: Duration,
    /// The longest that background work waits after an error.
    pub retry_max: Duration,
    /// The longest that work waits after an error which commits may be waiting for: flushes, and
    /// making room for the log. So long at most it takes until commits go on when a full disk has
    /// room again.
    pub retry_max_urgent: Duration,
}

impl Default for StorageOptions {
    fn default() -> Self {
        use Compression::{Lz4, None};
        Self {
            memtable_bytes: 256 << 20,
            log_bytes_max: 1 << 30,
            frozen_max: 2,
            level0_slow: 8,
            level0_stop: 20,
            level0_tables: 4,
            level1_bytes: 256 << 20,
            level_ratio: 10,
            table_bytes_max: 64 << 20,
            compaction_bytes_per_second: 64 << 20,
            compression: [None, None, Lz4, Lz4, Lz4, Lz4, Lz4],
            packed_from_bytes: 8 << 30,
            table: TableOptions::default(),
            slow_bytes_per_second: 64 << 20,
            manifest_bytes_max: 4 << 20,
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(10),
            retry_max_urgent: Duration::from_secs(2),
        }
    }
}

/// What part of a machine's memory a memtable may be.
const MEMTABLE_PART: u64 = 24;

impl StorageOptions {
    /// For a process that has `bytes` of memory for itself: at most an eighth is for what was written
    /// last. The larger a memtable, the more is overwritten in it before it goes to a table, and the
    /// fewer tables there are to compact. As long as tables fit into half of it, they are not packed.
    pub fn for_memory(bytes: u64) -> Self {
        let default = Self::default();
        let memtable_bytes = (bytes / MEMTABLE_PART).clamp(64 << 20, 1 << 30);
        let level1_bytes = default.level1_bytes.max(memtable_bytes);
        Self { memtable_bytes, level1_bytes, packed_from_bytes: bytes / 2, ..default }
    }

    /// How tables of a level are built while there are so many bytes of tables.
    pub(in crate::engine) fn table(&self, level: usize, tables_bytes: u64) -> TableOptions {
        let is_packed = tables_bytes > self.packed_from_bytes;
        let of_level = self.compression.get(level).filter(|_| is_packed);
        TableOptions { compression: of_level.copied().unwrap_or_default(), ..self.table }
    }

    /// How long background work waits after so many failures in a row.
    pub(super) fn retry_after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        self.retry_min.saturating_mul(1 << doublings).min(self.retry_max)
    }

    /// The same for work that commits may be waiting for.
    pub(super) fn retry_urgent_after(&self, failures: u32) -> Duration {
        self.retry_after(failures).min(self.retry_max_urgent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memtable_is_a_small_part_of_the_memory() {
        let memtable = |bytes: u64| StorageOptions::for_memory(bytes).memtable_bytes;
        assert_eq!(memtable(24 << 30), 1 << 30);
        assert_eq!(memtable(1 << 50), 1 << 30);
        assert_eq!(memtable(6 << 30), 256 << 20);
        assert_eq!(memtable(0), 64 << 20);
        let large = StorageOptions::for_memory(24 << 30);
        assert!(large.level1_bytes >= large.memtable_bytes);
        assert!((large.frozen_max as u64 + 1) * large.memtable_bytes <= (24 << 30) / 8);
    }

    #[test]
    fn tables_are_packed_in_lower_levels_when_they_are_much() {
        let options = StorageOptions::for_memory(2_000);
        let compression = |level, bytes| options.table(level, bytes).compression;
        assert_eq!(compression(2, 1_000), Compression::None);
        assert_eq!(compression(2, 1_001), Compression::Lz4);
        assert_eq!(compression(1, 1_001), Compression::None);
    }

    #[test]
    fn waiting_doubles_up_to_its_bound() {
        let options = StorageOptions {
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(1),
            ..StorageOptions::default()
        };
        let millis = [1, 2, 4, 5, u32::MAX].map(|n| options.retry_after(n).as_millis());
        assert_eq!(millis, [100, 200, 800, 1000, 1000]);
        let options = StorageOptions { retry_max_urgent: Duration::from_millis(300), ..options };
        let millis = [1, 2, 3, u32::MAX].map(|n| options.retry_urgent_after(n).as_millis());
        assert_eq!(millis, [100, 200, 300, 300]);
    }
}
