//! Opening: from a data directory to an engine that stands where it stood.
//!
//! The log is replayed into the store; ids of recent commits are remembered again. Then versions
//! are reserved on disk: the engine goes on above every ceiling it finds, hence above everything
//! that was ever handed out, and nothing is handed out before the new ceiling is durable.

use std::{error, fmt, io};

use plinth_protocol::{ErrorCode, Version};

use super::{
    directory::{DataDirectory, DirectoryError},
    idempotency::{Idempotency, Place},
    options::EngineOptions,
    shared::Shared,
    store::{Store, StoreOptions, StoreWriter},
    version_clock::versions_in,
    wal::{Log, LogError, LogOptions, LogRecord, LogStart, RecordEncoder},
    write::CommittedTransaction,
};

/// How many transactions are replayed between two looks at what the store can forget.
const REPLAY_STRIDE: usize = 4096;

/// Why an engine could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The data directory can't be used.
    Directory(DirectoryError),
    /// The log can't be read or written.
    Log(LogError),
    /// No version is left.
    VersionsExhausted,
    /// The engine's threads can't be started.
    Threads(io::Error),
}

impl OpenError {
    /// The code to tell a client.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::VersionsExhausted => ErrorCode::STORAGE_DAMAGED,
            Self::Directory(_) | Self::Log(_) | Self::Threads(_) => ErrorCode::IO_ERROR,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
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
            Self::Threads(error) => Some(error),
            Self::VersionsExhausted => None,
        }
    }
}

/// What an engine is made of.
pub(crate) struct Recovered {
    pub(crate) shared: Shared,
    pub(crate) writer: StoreWriter,
    pub(crate) log: Log,
    pub(crate) directory: DataDirectory,
    /// Where history ends: versions go on above.
    pub(crate) last: Version,
}

/// Opens the directory, replays the log, and reserves versions.
pub(crate) fn recover(options: EngineOptions) -> Result<Recovered, OpenError> {
    let directory = DataDirectory::open(&options.vfs, &options.directory, options.new_database_id)
        .map_err(OpenError::Directory)?;
    let (store, writer) = Store::new(StoreOptions { seed: options.seed });
    let mut replay = Replay {
        writer,
        idempotency: Idempotency::new(
            options.idempotency_keep,
            options.idempotency_bytes_max,
            options.seed,
        ),
        wall_ms: options.clock.wall_millis(),
        newest: Version::ZERO,
        ceiling: Version::ZERO,
        since_maintenance: 0,
    };
    let (mut log, report) = Log::recover(
        &options.vfs,
        &directory.log_path(),
        LogOptions {
            database_id: directory.database_id().0,
            seed: options.seed,
            ..options.log.clone()
        },
        LogStart::default(),
        &mut |record| replay.record(record),
    )
    .map_err(OpenError::Log)?;
    tracing::info!(?report, newest = replay.newest.0, "the log is replayed");
    let (last, ceiling) = replay.finish(&options)?;
    let mut record = RecordEncoder::default();
    record
        .ceiling(ceiling)
        .and_then(|()| log.append(&mut record))
        .and_then(|()| log.sync())
        .map_err(OpenError::Log)?;
    let Replay { mut writer, idempotency, .. } = replay;
    writer.set_horizon(last);
    let shared = Shared::new(options, store, idempotency, log.segments(), last, ceiling);
    shared.counters.log_bytes.store(log.bytes(), std::sync::atomic::Ordering::Relaxed);
    Ok(Recovered { shared, writer, log, directory, last })
}

struct Replay {
    writer: StoreWriter,
    idempotency: Idempotency,
    wall_ms: u64,
    newest: Version,
    ceiling: Version,
    since_maintenance: usize,
}

impl Replay {
    fn record(&mut self, record: LogRecord) -> Result<(), LogError> {
        match record {
            LogRecord::Batch(transactions) => {
                transactions.iter().try_for_each(|transaction| self.transaction(transaction))
            }
            LogRecord::Ceiling(ceiling) => {
                self.ceiling = self.ceiling.max(ceiling);
                Ok(())
            }
        }
    }

    /// Applies a transaction. Each has a version of its own: one that has not is none of ours.
    fn transaction(&mut self, transaction: &CommittedTransaction) -> Result<(), LogError> {
        let CommittedTransaction { version, order, .. } = *transaction;
        if version <= self.newest {
            return Err(LogError::OutOfOrder { version, after: self.newest });
        }
        self.newest = version;
        self.writer.apply(version, order, &transaction.writes);
        if let Some(id) = &transaction.idempotency_id {
            let place = Place { version, order };
            self.idempotency.remember(id, place, transaction.committed_at_ms, self.wall_ms);
        }
        self.since_maintenance += 1;
        if self.since_maintenance >= REPLAY_STRIDE {
            // Nobody reads yet: only the newest version of each key is needed.
            self.since_maintenance = 0;
            self.writer.set_horizon(version);
            while self.writer.maintain() {}
        }
        Ok(())
    }

    /// The version to go on after, and the ceiling to make durable before that.
    fn finish(&self, options: &EngineOptions) -> Result<(Version, Version), OpenError> {
        let last = self.newest.max(self.ceiling);
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
