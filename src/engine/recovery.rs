//! Opening: from a data directory to an engine that stands where it stood.
//!
//! The manifest says which tables there are and how far they reach. Everything that no change had
//! made count is removed. The log behind is replayed into the store; ids of recent commits are
//! remembered again, from their file and from the log. When memory is full on the way it is flushed
//! as it would be later, so that a log of any length is replayed in bounded memory; a crash then
//! leaves less to replay.
//!
//! Then versions are reserved on disk: the engine goes on above every ceiling it finds, hence above
//! everything that was ever handed out, and nothing is handed out before the new ceiling is durable.
//! Tables may reach further than a log that was not synced before a crash; versions go on above
//! both.

use std::{error, fmt, io, ops::ControlFlow, sync::Arc};

use plinth_protocol::{ErrorCode, Version};

use super::{
    directory::{DataDirectory, DirectoryError},
    flush::Flush,
    idempotency::{Idempotency, Place},
    live_tables::{LiveTables, LiveTablesError, LiveTablesReport},
    manifest::{ManifestError, ManifestOptions, ids::read_ids},
    options::{EngineOptions, Pipeline},
    reserve::Reserve,
    shared::{Beginning, Shared},
    stats::RecoveryStats,
    store::{Store, StoreOptions, StoreWriter},
    table::TableError,
    table_set::TableSet,
    version_clock::versions_in,
    visible::Stamp,
    wal::{
        CheckedBatch, CheckedRecord, EncodedTransaction, Log, LogError, LogOptions, LogStart,
        RecordEncoder,
    },
};
use crate::sync::Ordering;

/// The version of a database that nobody has written to. Not zero: in requests that means "none", and
/// a commit that read at it would be taken for one that read nothing.
const FIRST: Version = Version(1);

/// How many transactions are replayed between two looks at what the store can forget.
const REPLAY_STRIDE: u64 = 4096;

/// How often it is told how far the replay is.
const TELL_MICROS: u64 = 2_000_000;

/// Why an engine could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The data directory can't be used.
    Directory(DirectoryError),
    /// The log can't be read or written.
    Log(LogError),
    /// The manifest can't be read or written.
    Manifest(ManifestError),
    /// A table that the manifest names can't be opened.
    Table(TableError),
    /// No version is left.
    VersionsExhausted,
    /// The engine's threads can't be started.
    Threads(io::Error),
}

impl OpenError {
    /// Whether there was no space left on the disk.
    fn is_disk_full(&self) -> bool {
        match self {
            Self::Log(error) => error.is_disk_full(),
            Self::Manifest(ManifestError::File(error)) => error.is_disk_full(),
            Self::Table(error) => error.is_disk_full(),
            _ => false,
        }
    }

    /// The code to tell a client.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::VersionsExhausted => ErrorCode::STORAGE_DAMAGED,
            Self::Directory(_)
            | Self::Log(_)
            | Self::Manifest(_)
            | Self::Table(_)
            | Self::Threads(_) => ErrorCode::IO_ERROR,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Manifest(error) => error.fmt(f),
            Self::Table(error) => write!(f, "a table can't be opened: {error}"),
            Self::VersionsExhausted => {
                f.write_str("the log is damaged: it reserves every version there is")
            }
            Self::Threads(error) => write!(f, "the engine's threads can't be started: {error}"),
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Directory(error) => Some(error),
            Self::Log(error) => Some(error),
            Self::Manifest(error) => Some(error),
            Self::Table(error) => Some(error),
            Self::Threads(error) => Some(error),
            Self::VersionsExhausted => None,
        }
    }
}

impl From<LiveTablesError> for OpenError {
    fn from(error: LiveTablesError) -> Self {
        match error {
            LiveTablesError::Manifest(error) => Self::Manifest(error),
            LiveTablesError::Table(error) => Self::Table(error),
        }
    }
}

/// What an engine is made of.
pub(crate) struct Recovered {
    pub(crate) shared: Shared,
    pub(crate) writer: StoreWriter,
    pub(crate) log: Log,
    pub(crate) directory: Arc<DataDirectory>,
    /// Where history ends: versions go on above.
    pub(crate) last: Version,
}

/// Opens the directory, and what is in it; on a full disk with the room that is kept for that.
pub(crate) fn recover(options: EngineOptions) -> Result<Recovered, OpenError> {
    let directory = DataDirectory::open(&options.vfs, &options.directory, options.new_database_id)
        .map_err(OpenError::Directory)?;
    let directory = Arc::new(directory);
    match recover_in(options.clone(), &directory, None) {
        Err(error) if error.is_disk_full() => {
            let reserve = Reserve::new(&options);
            if !reserve.release().map_err(ManifestError::File).map_err(OpenError::Manifest)? {
                return Err(error);
            }
            tracing::warn!(%error, path = %reserve.path().display(), "the reserve is used");
            recover_in(options, &directory, Some(&reserve))
        }
        recovered => recovered,
    }
}

/// Opens the tables, replays the log, and reserves versions. A reserve that was let go is made again
/// as soon as what was written anew has taken the place of what it replaces.
fn recover_in(
    options: EngineOptions,
    directory: &Arc<DataDirectory>,
    released: Option<&Reserve>,
) -> Result<Recovered, OpenError> {
    let began_micros = options.clock.monotonic_micros();
    let manifest_options = ManifestOptions {
        database_id: directory.database_id().0,
        seed: options.seed,
        bytes_max: options.storage.manifest_bytes_max,
    };
    let (live, found) = LiveTables::open(&options.vfs, directory, manifest_options)?;
    let (tables, orphans) = (found.tables.len() as u64, found.orphans);
    tracing::info!(tables, orphans, manifest = ?found.manifest, "the tables are open");
    let mut replay = Replay::begin(&options, Arc::new(live), &found)?;
    replay.is_disk_full = released.is_some();
    let (mut log, report) = Log::recover_in_place(
        &options.vfs,
        &directory.log_path(),
        LogOptions {
            database_id: directory.database_id().0,
            seed: options.seed,
            // Driven by hand, everything happens on the caller's thread.
            reads_ahead: options.pipeline == Pipeline::Threads,
            progress: Arc::clone(&options.recovery_progress),
            ..options.log.clone()
        },
        replay.log_start,
        &mut |record| replay.record(record),
    )
    .map_err(OpenError::Log)?;
    let (last, ahead) = replay.finish(&options)?;
    if let Some(reserve) = released
        && let Err(error) = reserve.make()
    {
        // It is tried again later.
        tracing::warn!(%error, "the next start has no room of its own");
    }
    let ceiling = reserve(&mut log, last, ahead).map_err(OpenError::Log)?;
    let Replay { mut writer, store, live, idempotency, mut stats, .. } = replay;
    writer.set_horizon(last);
    writer.show();
    stats.tables = tables;
    stats.orphans = orphans + report.leftovers;
    stats.log_segments = report.segments;
    stats.log_records = report.records;
    stats.torn_bytes = report.torn_tail.as_ref().map_or(0, |tail| tail.bytes);
    stats.micros = options.clock.monotonic_micros().saturating_sub(began_micros);
    tracing::info!(?stats, torn_tail = ?report.torn_tail, newest = last.0, "recovered");
    let segments = log.segments();
    let recovery = stats;
    let beginning = Beginning { store, live, idempotency, segments, last, ceiling, recovery };
    let shared = Shared::new(options, beginning);
    shared.counters.log_bytes.store(log.bytes(), Ordering::Relaxed);
    shared.counters.log_end.store(log.end(), Ordering::Relaxed);
    Ok(Recovered { shared, writer, log, directory: Arc::clone(directory), last })
}

/// Reserves versions up to `ahead`. On a full disk none are, for the time being: then there are reads,
/// and no commits. Answers up to where versions are reserved.
fn reserve(log: &mut Log, last: Version, ahead: Version) -> Result<Version, LogError> {
    if !log.make_room_for_ceiling() {
        tracing::warn!("there is no room in the log: commits are refused until there is");
        return Ok(last);
    }
    let mut record = RecordEncoder::default();
    record.ceiling(ahead)?;
    log.append(&mut record)?;
    log.sync()?;
    Ok(ahead)
}

struct Replay<'a> {
    options: &'a EngineOptions,
    live: Arc<LiveTables>,
    store: Store,
    writer: StoreWriter,
    idempotency: Idempotency,
    log_start: LogStart,
    wall_ms: u64,
    newest: Version,
    ceiling: Version,
    since_maintenance: u64,
    /// Memory could not be flushed for want of room, or must not use up what there is.
    is_disk_full: bool,
    stats: RecoveryStats,
    told_micros: u64,
}

impl<'a> Replay<'a> {
    /// Begins with what the tables hold, and the ids that the log may not have any more.
    fn begin(
        options: &'a EngineOptions,
        live: Arc<LiveTables>,
        found: &LiveTablesReport,
    ) -> Result<Self, OpenError> {
        let state = live.manifest_state();
        let wall_ms = options.clock.wall_millis();
        let idempotency =
            Idempotency::new(options.idempotency_keep, options.idempotency_bytes_max, options.seed);
        let mut log_start = LogStart::default();
        if let Some(flushed) = state.flushed {
            log_start = LogStart { first_segment: flushed.log_start, flushed: flushed.version };
            if let Some(ids) = flushed.ids {
                let directory = live.manifest_path();
                let ids = read_ids(&*options.vfs, directory, ids, live.database_id());
                for id in ids.map_err(OpenError::Manifest)? {
                    idempotency.remember(&id.id, id.place, id.committed_at_ms, wall_ms);
                }
            }
        }
        let tables = TableSet::empty().with(&found.tables, &[]);
        let store_options = StoreOptions { seed: options.seed };
        let (store, mut writer) = Store::with_tables(store_options, tables, log_start.flushed);
        writer.hide();
        Ok(Self {
            options,
            live,
            store,
            writer,
            idempotency,
            log_start,
            wall_ms,
            newest: log_start.flushed,
            ceiling: state.ceiling,
            since_maintenance: 0,
            is_disk_full: false,
            stats: RecoveryStats::default(),
            told_micros: options.clock.monotonic_micros(),
        })
    }

    fn record(&mut self, record: CheckedRecord) -> Result<(), LogError> {
        match record {
            CheckedRecord::Batch(batch) => self.batch(&batch),
            CheckedRecord::Ceiling(ceiling) => {
                self.ceiling = self.ceiling.max(ceiling);
                Ok(())
            }
        }
    }

    /// Applies transactions. Each has a version of its own: one that has not is none of ours.
    fn batch(&mut self, batch: &CheckedBatch) -> Result<(), LogError> {
        let mut transactions = batch.transactions()?;
        let mut replaying = self.writer.replay();
        let mut writes = Vec::new();
        while let Some(transaction) = transactions.next(&mut |write| writes.push(write))? {
            let EncodedTransaction { version, order, idempotency_id, committed_at_ms } =
                transaction;
            if version <= self.newest {
                return Err(LogError::OutOfOrder { version, after: self.newest });
            }
            self.newest = version;
            replaying.apply(Stamp { version, order }, &writes);
            writes.clear();
            if let Some(id) = idempotency_id {
                let place = Place { version, order };
                self.idempotency.remember(id, place, committed_at_ms, self.wall_ms);
            }
        }
        replaying.end();
        self.writer.count();
        self.stats.transactions += batch.count();
        self.since_maintenance += batch.count();
        if self.since_maintenance >= REPLAY_STRIDE {
            self.keep_house();
            self.tell();
        }
        if self.writer.should_rotate(self.options.storage.memtable_bytes) {
            self.keep_house();
            self.flush()?;
        }
        Ok(())
    }

    /// Drops all but the newest version of each key: nobody reads yet.
    fn keep_house(&mut self) {
        self.since_maintenance = 0;
        self.writer.set_horizon(self.newest);
        while self.writer.maintain() {}
    }

    fn tell(&mut self) {
        let now = self.options.clock.monotonic_micros();
        if now.saturating_sub(self.told_micros) >= TELL_MICROS {
            self.told_micros = now;
            let RecoveryStats { transactions, flushes, .. } = self.stats;
            tracing::info!(transactions, flushes, newest = self.newest.0, "the log is replayed");
        }
    }

    /// Memory is full. The log stays as it is until all of it is replayed.
    fn flush(&mut self) -> Result<(), LogError> {
        // Not more than one try: each would write most of a table in vain.
        if !self.writer.rotate() || self.is_disk_full {
            return Ok(());
        }
        let Some(frozen) = self.store.oldest_frozen() else { return Ok(()) };
        let flush = Flush {
            live: &self.live,
            store: &self.store,
            idempotency: &self.idempotency,
            options: &self.options.storage,
            ceiling: self.ceiling,
            log_start: self.log_start.first_segment,
        };
        match flush.run(&frozen, &mut || ControlFlow::Continue(())) {
            Ok(_) => self.stats.flushes += 1,
            // It fitted into memory before. The background goes on when there is room.
            Err(error) if error.is_disk_full() => {
                tracing::warn!(%error, "what is replayed stays in memory");
                self.is_disk_full = true;
            }
            Err(error) => return Err(LogError::Replay { reason: error.to_string() }),
        }
        drop(frozen);
        self.store.bury();
        Ok(())
    }

    /// The version to go on after, and the ceiling to make durable before that.
    fn finish(&self, options: &EngineOptions) -> Result<(Version, Version), OpenError> {
        let last = self.newest.max(self.ceiling).max(FIRST);
        let ahead = ceiling_ahead(options);
        let ceiling = Version(last.0.saturating_add(ahead).min(Version::MAX.0));
        if ceiling.0 - last.0 < ahead {
            return Err(OpenError::VersionsExhausted);
        }
        Ok((last, ceiling))
    }
}

/// How many versions are reserved at a time: enough for some batches, however short the time.
pub(crate) fn ceiling_ahead(options: &EngineOptions) -> u64 {
    let batches = 4 * options.batch_items_max as u64;
    versions_in(options.ceiling_ahead).max(batches)
}
