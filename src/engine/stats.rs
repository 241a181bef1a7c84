//! Statistics: what the engine has done since it was opened, and what it holds now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use plinth_protocol::{CommitResult, Error, ErrorCode, Version};

use super::{
    commit::batch::{Batch, Waiter},
    compaction::stats::{CompactionCounters, CompactionStats},
    store::StoreStats,
};

/// Buckets of a [`LatencyHistogram`]: four to a doubling, from 1 µs to over an hour.
const BUCKETS: usize = 128;

/// What an engine has done and holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineStats {
    /// Commits that were answered as committed, repeats included.
    pub commits: u64,
    /// Commits that did not, because of a conflict or because their time was over.
    pub conflicts: u64,
    /// Commits that did not, because their read version was too old.
    pub too_old: u64,
    /// Commits that were answered with any other error after they had been queued.
    pub failures: u64,
    /// Commits that were refused because too many were waiting.
    pub overloads: u64,
    /// Commits that had happened before, known by their idempotency id.
    pub repeats: u64,
    /// Batches that were published.
    pub batches: u64,
    /// How long commits took from the queue to the answer.
    pub commit_latency: LatencyHistogram,
    /// Bytes of the log on disk.
    pub log_bytes: u64,
    /// Writes to the log.
    pub log_writes: u64,
    /// Syncs of the log.
    pub log_syncs: u64,
    /// Segments of the log.
    pub log_segments: u64,
    /// Files that are ready to become segments.
    pub log_spares: u64,
    /// Why no more room could be made for the log, if it couldn't when it was tried last, or what
    /// a flush or a compaction met that found the disk full. Commits go on while there is room that
    /// was made before, then they are refused; it is tried again.
    pub disk_full: Option<String>,
    /// Segments that went to the archive since the start.
    pub archived_segments: u64,
    /// Closed segments that the archive has not got yet: they are kept until it has.
    pub archive_waiting: u64,
    /// Why the archive could not take a segment when it was tried last, if it couldn't.
    pub archive_trouble: Option<String>,
    /// Commits that wait for the sequencer.
    pub queue_items: usize,
    /// Watches that are set.
    pub watches: usize,
    /// Snapshots that are pinned.
    pub pins: usize,
    /// The oldest pinned version.
    pub oldest_pin: Option<Version>,
    /// Outcomes that are remembered by idempotency id.
    pub idempotency_ids: usize,
    /// The read version.
    pub published: Version,
    /// The oldest version that can be read.
    pub horizon: Version,
    /// The version up to which versions are reserved on disk.
    pub ceiling: Version,
    /// Whether the log has failed.
    pub is_poisoned: bool,
    /// What the store holds.
    pub store: StoreStats,
    /// What compactions have done.
    pub compaction: CompactionStats,
    /// The tables, by level.
    pub levels: Vec<LevelStats>,
    /// Memtables that were written to tables.
    pub flushes: u64,
    /// Bytes of tables that flushes wrote.
    pub flushed_bytes: u64,
    /// Errors of background work.
    pub background: BackgroundStats,
    /// Files in which reads have met damage since this process started.
    pub damaged_files: u64,
    /// How long commits were held back because the disk didn't keep up, in microseconds.
    pub stall_micros: u64,
    /// How long the last batch makes the next one wait, in microseconds; zero when the disk keeps
    /// up.
    pub delay_micros: u64,
    /// Whether commits have stopped until background work has caught up.
    pub is_stalled: bool,
    /// What opening had to do.
    pub recovery: RecoveryStats,
}

/// The tables of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelStats {
    /// How many there are.
    pub tables: u64,
    /// The bytes of their files.
    pub bytes: u64,
}

/// How background work fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackgroundStats {
    /// How often it failed; it is always tried again.
    pub errors: u64,
    /// What the last failure was.
    pub last_error: Option<String>,
}

/// What opening the engine had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryStats {
    /// Tables that were opened.
    pub tables: u64,
    /// Files that counted for nothing and were removed.
    pub orphans: u64,
    /// Segments of the log that were read.
    pub log_segments: u64,
    /// Records of the log that were read.
    pub log_records: u64,
    /// Transactions that were carried out again.
    pub transactions: u64,
    /// Bytes at the log's end that had never been whole.
    pub torn_bytes: u64,
    /// Memtables that were flushed on the way, because memory was full.
    pub flushes: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// How long something took, many times over.
#[derive(Clone, Debug, Default)]
pub struct LatencyHistogram {
    counts: Vec<u64>,
    sum_micros: u64,
}

impl LatencyHistogram {
    /// How many times.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.sum_micros.checked_div(self.count()).unwrap_or(0))
    }

    /// What `fraction` of them stayed below, within a fifth; zero if there were none.
    pub fn quantile(&self, fraction: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a rank, rounded anyway; negative fractions become zero"
        )]
        let rank = (self.count() as f64 * fraction) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > rank || (seen == rank && seen == self.count() && seen > 0) {
                return Duration::from_micros(upper_bound(bucket));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a duration: its two highest bits below the leading one refine the power of two.
fn bucket_of(micros: u64) -> usize {
    let micros = micros.max(1);
    let power = micros.ilog2();
    let quarter =
        if power >= 2 { (micros >> (power - 2)) & 3 } else { (micros << (2 - power)) & 3 };
    (4 * power as usize + quarter as usize).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> u64 {
    let (power, quarter) = (bucket / 4, bucket as u64 % 4);
    ((5 + quarter) << power) / 4
}

/// Counts as they grow; any thread adds.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) too_old: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) overloads: AtomicU64,
    pub(crate) repeats: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    /// Where the log ends: its bytes, with those of segments that went since the start.
    pub(crate) log_end: AtomicU64,
    pub(crate) log_writes: AtomicU64,
    pub(crate) log_syncs: AtomicU64,
    pub(in crate::engine) compaction: Arc<CompactionCounters>,
    pub(crate) flushes: AtomicU64,
    pub(crate) flushed_bytes: AtomicU64,
    pub(crate) stall_micros: AtomicU64,
    pub(crate) delay_micros: AtomicU64,
    pub(crate) is_stalled: AtomicU64,
    latency_sum_micros: AtomicU64,
    latency_counts: [AtomicU64; BUCKETS],
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Default for Counters {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            commits: zero(),
            conflicts: zero(),
            too_old: zero(),
            failures: zero(),
            overloads: zero(),
            repeats: zero(),
            batches: zero(),
            log_bytes: zero(),
            log_end: zero(),
            log_writes: zero(),
            log_syncs: zero(),
            compaction: Arc::default(),
            flushes: zero(),
            flushed_bytes: zero(),
            stall_micros: zero(),
            delay_micros: zero(),
            is_stalled: zero(),
            latency_sum_micros: zero(),
            latency_counts: std::array::from_fn(|_| zero()),
        }
    }
}

impl Counters {
    /// Counts a batch that is about to be answered.
    pub(crate) fn count(&self, batch: &Batch, now_micros: u64) {
        add(&self.batches, 1);
        for waiter in &batch.waiters {
            self.count_waiter(waiter, now_micros);
        }
    }

    fn count_waiter(&self, waiter: &Waiter, now_micros: u64) {
        add(self.counter_of(&waiter.outcome), 1);
        if matches!(waiter.outcome, Ok(CommitResult::Committed { .. })) {
            let micros = now_micros.saturating_sub(waiter.since_micros);
            add(&self.latency_sum_micros, micros);
            if let Some(count) = self.latency_counts.get(bucket_of(micros)) {
                add(count, 1);
            }
        }
    }

    fn counter_of(&self, outcome: &Result<CommitResult, Error>) -> &AtomicU64 {
        match outcome {
            Ok(CommitResult::Committed { .. }) => &self.commits,
            Ok(CommitResult::Conflicted { .. }) => &self.conflicts,
            Err(error) if error.code == ErrorCode::TRANSACTION_TOO_OLD => &self.too_old,
            Err(_) => &self.failures,
        }
    }

    pub(crate) fn commit_latency(&self) -> LatencyHistogram {
        LatencyHistogram {
            counts: self.latency_counts.iter().map(get).collect(),
            sum_micros: get(&self.latency_sum_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_bounds_what_falls_into_it_within_a_quarter() {
        for micros in (1..5_000).chain([1 << 20, 1 << 30, (1 << 31) + 12_345]) {
            let bound = upper_bound(bucket_of(micros));
            assert!(micros <= bound && bound <= micros + micros / 4 + 1, "{micros}: {bound}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_come_from_the_counts() {
        let counters = Counters::default();
        for micros in 1..=100 {
            add(&counters.latency_counts[bucket_of(micros)], 1);
            add(&counters.latency_sum_micros, micros);
        }
        let histogram = counters.commit_latency();
        assert_eq!((histogram.count(), histogram.mean().as_micros()), (100, 50));
        let [median, high] = [0.5, 0.99].map(|fraction| histogram.quantile(fraction).as_micros());
        assert!((50..=64).contains(&median) && (99..=125).contains(&high), "{median} {high}");
        assert_eq!(LatencyHistogram::default().quantile(0.5), Duration::ZERO);
    }
}
