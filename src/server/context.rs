//! What all connections of a server share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use plinth_protocol::{
    Error, ErrorCode,
    hello::FEATURE_CHECKSUM,
    limits::Limits,
    request::Request,
    response::{Response, ServerInfo},
};

use super::{
    config::{Backups, ServerConfig, ServerLimits},
    held::HeldTransactions,
    jobs::Jobs,
    mailbox::{Event, Mailbox},
    statistics::{Counts, Statistics, Tally, cpu_us},
    text::Allowance,
};
use crate::{aside::Aside, embedded::EngineBackend, engine::Engine};

/// The features that a client may ask for in its hello.
pub(super) const HELLO_FEATURES: [&str; 1] = [FEATURE_CHECKSUM];

/// What the server can do, for people and programs that look before they ask.
const FEATURES: [&str; 9] = [
    "checksum",
    "commit-status",
    "jobs",
    "keyspaces",
    "pins",
    "range-streams",
    "server-held-transactions",
    "text-mode",
    "watches",
];

/// The directory of backups within the data directory, unless another is set.
const BACKUPS: &str = "backups";

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct ServerContext {
    pub(super) engine: Engine,
    pub(super) aside: Arc<Aside>,
    pub(super) limits: ServerLimits,
    /// The engine's limits, which the hello tells.
    pub(super) protocol: Limits,
    pub(super) statistics: Statistics,
    pub(super) held: HeldTransactions,
    pub(super) jobs: Jobs,
    /// What the open transactions of text sessions may hold together.
    pub(super) text_allowance: Allowance,
    started_at: Instant,
    members: Mutex<Members>,
}

/// The connections.
#[derive(Debug, Default)]
struct Members {
    mailboxes: HashMap<u64, Arc<Mailbox>>,
    /// What those have counted that are gone.
    ended: Counts,
}

impl ServerContext {
    pub(super) fn new(engine: Engine, config: &ServerConfig) -> Self {
        let limits = config.limits;
        let backups = match &config.backups {
            Backups::InDataDirectory => Some(engine.directory().join(BACKUPS)),
            Backups::Below(directory) => Some(directory.clone()),
            Backups::Refused => None,
        };
        let aside = Arc::new(Aside::new(engine.clone()));
        Self {
            jobs: Jobs::new(engine.clone(), backups),
            held: HeldTransactions::new(EngineBackend::sharing(&aside), limits),
            text_allowance: Allowance::new(limits.transactions_bytes_max),
            protocol: engine.limits(),
            engine,
            aside,
            limits,
            statistics: Statistics::default(),
            started_at: Instant::now(),
            members: Mutex::default(),
        }
    }

    /// Enters a connection's mailbox, so that it is told when the server stops.
    pub(super) fn enter(&self, connection: u64, mailbox: &Arc<Mailbox>) {
        self.members().mailboxes.insert(connection, Arc::clone(mailbox));
    }

    /// Forgets a connection, but not what it has counted.
    pub(super) fn leave(&self, connection: u64) {
        let mut members = self.members();
        if let Some(mailbox) = members.mailboxes.remove(&connection) {
            members.ended.add(&mut mailbox.counts.total());
        }
    }

    /// Keeps what a connection has counted that was never entered.
    pub(super) fn count_ended(&self, mailbox: &Mailbox) {
        self.members().ended.add(&mut mailbox.counts.total());
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all connections have counted, those too that are gone.
    fn counted(&self) -> Tally {
        let members = self.members();
        let mut all = members.ended.total();
        for mailbox in members.mailboxes.values() {
            all.merge(mailbox.counts.total());
        }
        all
    }

    /// Tells all connections to stop.
    pub(super) fn stop_connections(&self) {
        let mailboxes: Vec<_> = self.members().mailboxes.values().cloned().collect();
        for mailbox in mailboxes {
            mailbox.send(Event::Stop);
        }
    }

    /// Carries out a request about jobs, aside of the threads that serve.
    pub(super) async fn answer_about_jobs(
        self: Arc<Self>,
        request: Request,
    ) -> Result<Response, Error> {
        let answered = tokio::task::spawn_blocking(move || self.jobs.answer(&request)).await;
        answered.unwrap_or_else(|_| Err(ErrorCode::SHUTTING_DOWN.into()))
    }

    /// What the server says of itself.
    pub(super) fn info(&self) -> ServerInfo {
        let engine = self.engine.stats();
        let held = self.held.usage();
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let counts = &self.statistics;
        let counted = self.counted();
        let micros = |latency: Duration| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let latency = &engine.commit_latency;
        // Through whichever door they came; transactions that only read never come here.
        let asked = engine.commits
            + engine.conflicts
            + engine.too_old
            + engine.failures
            + engine.overloads
            + engine.repeats;
        let table_bytes = engine.levels.iter().map(|level| level.bytes).sum::<u64>();
        let statistics = [
            ("active_transactions", held.open),
            ("total_transactions", asked + held.open + held.aborted + held.expired),
            ("committed_transactions", engine.commits),
            ("aborted_transactions", held.aborted + held.expired),
            ("conflict_errors", engine.conflicts),
            ("average_commit_latency_us", micros(latency.mean())),
            ("storage_size_bytes", engine.log_bytes + table_bytes),
            ("commit_latency_p50_us", micros(latency.quantile(0.5))),
            ("commit_latency_p99_us", micros(latency.quantile(0.99))),
            ("commits_too_old", engine.too_old),
            ("commits_failed", engine.failures),
            ("commits_refused", engine.overloads),
            ("commits_repeated", engine.repeats),
            ("commits_queued", engine.queue_items as u64),
            ("commit_batches", engine.batches),
            ("log_writes", engine.log_writes),
            ("log_syncs", engine.log_syncs),
            ("log_failed", u64::from(engine.is_poisoned)),
            ("frozen_memtables", engine.store.frozen),
            ("frozen_bytes", engine.store.frozen_bytes),
            ("flushes", engine.flushes),
            ("flushed_bytes", engine.flushed_bytes),
            ("background_errors", engine.background.errors),
            ("commits_stalled", u64::from(engine.is_stalled)),
            ("commit_stall_us", engine.stall_micros),
            ("commit_delay_us", engine.delay_micros),
            ("tables", engine.levels.iter().map(|level| level.tables).sum()),
            ("table_bytes", table_bytes),
            ("level0_tables", engine.levels.first().map_or(0, |level| level.tables)),
            ("recovery_us", engine.recovery.micros),
            ("recovery_transactions", engine.recovery.transactions),
            ("recovery_orphans", engine.recovery.orphans),
            ("recovery_torn_bytes", engine.recovery.torn_bytes),
            ("recovery_flushes", engine.recovery.flushes),
            ("damaged_files", engine.damaged_files),
            ("compactions", engine.compaction.compactions),
            ("compaction_read_bytes", engine.compaction.read_bytes),
            ("compaction_written_bytes", engine.compaction.written_bytes),
            ("compaction_moved_tables", engine.compaction.moves),
            ("compaction_tables_dropped_unread", engine.compaction.dropped_unread),
            ("damaged_tables", engine.compaction.damaged_tables),
            ("log_segments", engine.log_segments),
            ("log_spares", engine.log_spares),
            ("disk_full", u64::from(engine.disk_full.is_some())),
            ("archived_segments", engine.archived_segments),
            ("archive_waiting", engine.archive_waiting),
            ("archive_failing", u64::from(engine.archive_trouble.is_some())),
            ("memory_keys", engine.store.keys),
            ("memory_entries", engine.store.entries),
            ("memory_bytes", engine.store.bytes),
            ("read_version", engine.published.0),
            ("oldest_readable_version", engine.horizon.0),
            ("watches_open", engine.watches as u64),
            ("pins_open", engine.pins as u64),
            ("connections_open", count(&counts.open)),
            ("connections_total", count(&counts.opened)),
            ("connections_refused", count(&counts.refused)),
            ("requests_total", counted.requests),
            ("requests_failed", counted.failed),
            ("reads_total", counted.reads),
            ("reads_cold_total", self.aside.cold_total()),
            ("reads_cold_waiting", self.aside.cold_running()),
            ("input_bytes", counted.input_bytes),
            ("output_bytes", counted.output_bytes),
            ("socket_reads", counted.socket_reads),
            ("socket_writes", counted.socket_writes),
            ("connection_waits", counted.waits),
            ("transactions_held_bytes", held.bytes),
            ("transactions_expired", held.expired),
            ("jobs_running", self.jobs.running()),
            ("cpu_us", cpu_us()),
        ];
        ServerInfo {
            server_version: Bytes::from_static(env!("CARGO_PKG_VERSION").as_bytes()),
            uptime_seconds: self.started_at.elapsed().as_secs(),
            features: FEATURES.map(|name| Bytes::from_static(name.as_bytes())).to_vec(),
            statistics: statistics
                .into_iter()
                .map(|(name, value)| (Bytes::from_static(name.as_bytes()), value))
                .collect(),
        }
    }
}
