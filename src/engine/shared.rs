//! What the threads of an engine share.

use std::sync::Arc;

use plinth_protocol::{Commit, Durability, Error, ErrorCode, Version};

use super::{
    background::Background,
    commit::{
        CommitSink,
        batch::{Batch, Waiter, answer, withdraw},
        hand_off::HandOff,
        log::LogJob,
        mark::Marks,
        publish::{BatchNumber, Publisher},
        queue::{Bounds, Queue, Refused, Taken},
        validate::validate,
    },
    damage,
    idempotency::Idempotency,
    live_tables::LiveTables,
    options::EngineOptions,
    pin::{Pin, Pins},
    stats::{Counters, EngineStats, RecoveryStats, add, get},
    store::Store,
    version_clock::versions_in,
    wal::{LogError, Segments},
    watch::{WatchBounds, Watches},
};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

/// A commit that waits for the sequencer.
pub(crate) struct Queued {
    pub(crate) commit: Commit,
    pub(crate) sink: Arc<dyn CommitSink>,
    pub(crate) token: u64,
    pub(crate) since_micros: u64,
    /// Keeps its read version readable until it is decided, where the window might pass it.
    pub(crate) _pin: Option<Pin>,
}

impl Queued {
    /// Its waiter, with what it is to be told.
    pub(crate) fn into_waiter(
        self,
        outcome: Result<plinth_protocol::CommitResult, Error>,
    ) -> Waiter {
        let Self { sink, token, since_micros, .. } = self;
        Waiter { sink, token, outcome, since_micros }
    }
}

/// The state of an engine.
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    pub(crate) store: Store,
    pub(crate) queue: Queue<Queued>,
    pub(crate) hand_off: HandOff<LogJob>,
    /// What the log consists of, and how much room it has.
    pub(crate) segments: Arc<Segments>,
    pub(crate) marks: Marks,
    pub(crate) publisher: Publisher<Batch>,
    pub(crate) poison: Poison,
    /// No version above is given; durable.
    pub(crate) ceiling: AtomicU64,
    pub(crate) pins: Arc<Pins>,
    pub(crate) watches: Watches,
    pub(crate) idempotency: Idempotency,
    pub(crate) counters: Counters,
    pub(crate) live: Arc<LiveTables>,
    pub(crate) background: Background,
    /// What opening had to do.
    pub(crate) recovery: RecoveryStats,
}

/// What an engine begins with.
pub(crate) struct Beginning {
    pub(crate) store: Store,
    pub(crate) live: Arc<LiveTables>,
    pub(crate) idempotency: Idempotency,
    pub(crate) segments: Arc<Segments>,
    /// Where history ends.
    pub(crate) last: Version,
    pub(crate) ceiling: Version,
    pub(crate) recovery: RecoveryStats,
}

impl Shared {
    /// The state of an engine that begins so.
    pub(crate) fn new(options: EngineOptions, beginning: Beginning) -> Self {
        let Beginning { store, live, idempotency, segments, last, ceiling, recovery } = beginning;
        let bounds =
            Bounds { items_max: options.queue_items_max, bytes_max: options.queue_bytes_max };
        Self {
            store,
            queue: Queue::new(bounds),
            hand_off: HandOff::new(),
            segments,
            marks: Marks::default(),
            publisher: Publisher::new(last),
            poison: Poison::default(),
            ceiling: AtomicU64::new(ceiling.0),
            pins: Pins::new(last, options.pins_max),
            watches: Watches::new(WatchBounds {
                count_max: options.watches_max,
                bytes_max: options.watches_bytes_max,
            }),
            idempotency,
            counters: Counters::default(),
            live,
            background: Background::new(),
            recovery,
            options,
        }
    }

    /// How many versions the window spans.
    pub(crate) fn window_versions(&self) -> u64 {
        versions_in(self.options.window)
    }

    pub(crate) fn ceiling(&self) -> Version {
        Version(self.ceiling.load(Ordering::Acquire))
    }

    /// Checks a commit and lines it up, without waking the sequencer; hands it back with the reason
    /// if it can't.
    #[expect(clippy::result_large_err, reason = "a refused commit goes back to its owner")]
    pub(crate) fn line_up(
        &self,
        commit: Commit,
        sink: Arc<dyn CommitSink>,
        token: u64,
    ) -> Result<(), (Commit, Error)> {
        if let Some(error) = self.poison.error() {
            return Err((commit, error));
        }
        let bytes = match validate(&commit, &self.options.limits) {
            Ok(bytes) => bytes,
            Err(error) => return Err((commit, error)),
        };
        let pin = commit.read_version.and_then(|version| self.hold_if_old(version));
        let since_micros = self.options.clock.monotonic_micros();
        let queued = Queued { commit, sink, token, since_micros, _pin: pin };
        self.queue.push(queued, bytes).map_err(|(queued, refused)| {
            let error = match refused {
                Refused::Full => {
                    add(&self.counters.overloads, 1);
                    ErrorCode::COMMIT_OVERLOADED
                }
                Refused::Closed => ErrorCode::SHUTTING_DOWN,
            };
            (queued.commit, error.into())
        })
    }

    /// A commit in the queue must not become too old there if its owner had pinned its version.
    fn hold_if_old(&self, version: Version) -> Option<Pin> {
        let age = self.publisher.published().0.saturating_sub(version.0);
        if age > self.window_versions() / 2 { self.pins.hold(version) } else { None }
    }

    /// The durability that a commit gets.
    pub(crate) fn level_of(&self, commit: &Commit) -> Durability {
        let configured = self.options.durability.level();
        commit.durability.map_or(configured, |wanted| wanted.min(configured))
    }

    /// Answers batches that have been published, and tells the watches.
    pub(crate) fn finish(&self, batches: Vec<Batch>) {
        for batch in batches {
            self.counters.count(&batch, self.options.clock.monotonic_micros());
            answer(batch.waiters);
            self.watches.published(&batch.transactions);
        }
    }

    /// Answers batches that will never be published.
    pub(crate) fn give_up(&self, batches: Vec<Batch>, code: ErrorCode) {
        for mut batch in batches {
            withdraw(&mut batch.waiters, code);
            self.counters.count(&batch, self.options.clock.monotonic_micros());
            answer(batch.waiters);
        }
    }

    /// Nothing is committed any more.
    pub(crate) fn fail(&self, error: &LogError) {
        self.poison.set(error.to_string());
        self.publisher.refuse();
        self.marks.close();
    }

    /// A thread of the pipeline has died of a bug: nobody may wait for it.
    pub(crate) fn abandon(&self) {
        self.poison.set("a thread of the commit pipeline ended unexpectedly".to_owned());
        self.marks.close();
        self.queue.close();
        self.give_up(self.publisher.fail(BatchNumber(0)), ErrorCode::COMMIT_UNKNOWN_RESULT);
        let mut left = Vec::new();
        let all = Bounds { items_max: usize::MAX, bytes_max: usize::MAX };
        while self.queue.take(&mut left, all) == Taken::Items {}
        let refused = || ErrorCode::STORAGE_FAILED.into();
        answer(left.into_iter().map(|queued| queued.into_waiter(Err(refused()))).collect());
        self.segments.close();
        self.hand_off.abandon();
    }

    pub(crate) fn stats(&self) -> EngineStats {
        let counters = &self.counters;
        let segments = self.segments.stats();
        let (pins, oldest_pin) = self.pins.stats();
        EngineStats {
            commits: get(&counters.commits),
            conflicts: get(&counters.conflicts),
            too_old: get(&counters.too_old),
            failures: get(&counters.failures),
            overloads: get(&counters.overloads),
            repeats: get(&counters.repeats),
            batches: get(&counters.batches),
            commit_latency: counters.commit_latency(),
            log_bytes: get(&counters.log_bytes),
            log_writes: get(&counters.log_writes),
            log_syncs: get(&counters.log_syncs),
            log_segments: segments.segments,
            log_spares: segments.spares,
            disk_full: segments.trouble.or_else(|| self.background.disk_full()),
            archived_segments: segments.archived,
            archive_waiting: segments.archive_waiting,
            archive_trouble: segments.archive_trouble,
            queue_items: self.queue.len(),
            watches: self.watches.len(),
            pins,
            oldest_pin,
            idempotency_ids: self.idempotency.len(),
            published: self.publisher.published(),
            horizon: self.store.horizon(),
            ceiling: self.ceiling(),
            is_poisoned: self.poison.is_set(),
            store: self.store.stats(),
            compaction: self.counters.compaction.stats(),
            levels: self.live.level_stats(),
            flushes: get(&counters.flushes),
            flushed_bytes: get(&counters.flushed_bytes),
            background: self.background.stats(),
            damaged_files: damage::files(),
            stall_micros: get(&counters.stall_micros),
            delay_micros: get(&counters.delay_micros),
            is_stalled: get(&counters.is_stalled) > 0,
            recovery: self.recovery,
        }
    }
}

/// Whether the log has failed, and of what. Once set it stays.
pub(crate) struct Poison {
    is_set: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Default for Poison {
    fn default() -> Self {
        Self { is_set: AtomicBool::new(false), reason: Mutex::new(None) }
    }
}

impl Poison {
    pub(crate) fn set(&self, reason: String) {
        tracing::error!(reason, "the log failed: commits are refused from now on");
        self.reason.lock().get_or_insert(reason);
        self.is_set.store(true, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// What a commit is told, if the log has failed.
    pub(crate) fn error(&self) -> Option<Error> {
        if !self.is_set() {
            return None;
        }
        let code = ErrorCode::STORAGE_FAILED;
        let reason = self.reason.lock();
        let reason = reason.as_deref().unwrap_or("unknown");
        Some(Error::new(code, format!("{}: {reason}", code.text())))
    }
}
