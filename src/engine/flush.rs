//! Flush: a frozen memtable becomes a table of level 0.
//!
//! Only what is published is flushed: a memtable holds commits before they are on the disk, and what
//! is refused after all must never become durable. The table is written and synced, then one edit of
//! the manifest makes it count and says how far the tables reach, then readers are given it in place
//! of the memtable, and then the log before it may go. An error at any point leaves everything as it
//! was: the memtable stays, and is flushed again.

use std::{error::Error, fmt, ops::ControlFlow, sync::Arc};

use plinth_protocol::Version;

use super::{
    compaction::rewrite::{Neighbours, RewriteError, RewriteInput, rewrite},
    idempotency::Idempotency,
    live_tables::LiveTables,
    manifest::{Flushed, ManifestError, ids::write_ids},
    memtable::FrozenMemtable,
    planted::{Bug, is_planted},
    storage_options::StorageOptions,
    store::Store,
    table::{Table, TableError, TableNumber},
};

/// Why a memtable was not flushed.
#[derive(Debug)]
pub(in crate::engine) enum FlushError {
    /// It was asked to stop.
    Stopped,
    Table(TableError),
    Manifest(ManifestError),
}

impl FlushError {
    /// Whether there was no space left on the disk.
    pub(in crate::engine) fn is_disk_full(&self) -> bool {
        match self {
            Self::Table(error) => error.is_disk_full(),
            Self::Manifest(ManifestError::File(error)) => error.is_disk_full(),
            Self::Stopped | Self::Manifest(_) => false,
        }
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the flush was stopped"),
            Self::Table(error) => write!(f, "a memtable could not be written: {error}"),
            Self::Manifest(error) => write!(f, "a memtable could not be written: {error}"),
        }
    }
}

impl Error for FlushError {}

impl From<TableError> for FlushError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl From<RewriteError> for FlushError {
    fn from(error: RewriteError) -> Self {
        match error {
            // Memory can always be read.
            RewriteError::Cancelled | RewriteError::Read(_) => Self::Stopped,
            RewriteError::Write(error) => Self::Table(error),
        }
    }
}

impl From<ManifestError> for FlushError {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

/// What flushes write to and read from.
pub(in crate::engine) struct Flush<'a> {
    pub(in crate::engine) live: &'a LiveTables,
    pub(in crate::engine) store: &'a Store,
    pub(in crate::engine) idempotency: &'a Idempotency,
    pub(in crate::engine) options: &'a StorageOptions,
    /// Versions are reserved up to here, durable.
    pub(in crate::engine) ceiling: Version,
    /// The first segment of the log that is needed when everything up to the memtable's last version
    /// is in tables.
    pub(in crate::engine) log_start: u64,
}

impl Flush<'_> {
    /// Flushes the oldest frozen memtable, all of which must be published. Answers how many bytes
    /// of tables were written.
    ///
    /// `pace` is asked from time to time whether to go on.
    pub(in crate::engine) fn run(
        &self,
        frozen: &Arc<FrozenMemtable>,
        pace: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<u64, FlushError> {
        let table = self.write(frozen, pace)?;
        let bytes = table.as_ref().map_or(0, |table| table.properties().bytes);
        let ids = self.write_ids(frozen.last()).inspect_err(|_| {
            let path = table.as_ref().map(|table| table.path().to_path_buf());
            self.live.remove_if_there(path.into_iter().collect());
        })?;
        let flushed = Flushed { version: frozen.last(), log_start: self.log_start, ids };
        let tables = table.into_iter().collect();
        self.live.flushed_to(self.store, frozen, tables, flushed, self.ceiling)?;
        Ok(bytes)
    }

    /// Writes what of the memtable anyone may still see; none if that is nothing.
    fn write(
        &self,
        frozen: &FrozenMemtable,
        pace: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Arc<Table>>, FlushError> {
        let contents = frozen.contents();
        let below = self.store.tables();
        let input = RewriteInput {
            streams: vec![Box::new(contents.entries())],
            tombstones: vec![contents.tombstones()],
            horizon: self.store.horizon(),
            // It is the oldest memtable, and compactions don't bring keys to where none were.
            is_last: &|begin, end| !below.may_hold(begin, end),
            // One table a memtable: what counts for level 0 is how many there are.
            table_bytes_max: u64::MAX,
            neighbours: Neighbours::default(),
            options: self.options.table(0, self.live.tables_bytes()),
        };
        let vfs = &**self.live.vfs();
        let mut next_number = || TableNumber(self.live.take_number());
        let written =
            rewrite(vfs, self.live.tables_path(), input, &mut next_number, &mut |_| pace())?;
        let Some(properties) = written.first() else { return Ok(None) };
        let path = self.live.table_path(properties.number);
        let table = Table::open(vfs, &path, properties.number).inspect_err(|_| {
            self.live.remove_if_there(vec![path]);
        })?;
        Ok(Some(Arc::new(table)))
    }

    /// Writes the ids of commits up to `last`, whose log may go; none if none is remembered.
    fn write_ids(&self, last: Version) -> Result<Option<u64>, ManifestError> {
        let ids = self.idempotency.up_to(last);
        if ids.is_empty() || is_planted(Bug::IdsForgotten) {
            return Ok(None);
        }
        let number = self.live.take_number();
        let vfs = &**self.live.vfs();
        let directory = self.live.manifest_path();
        match write_ids(vfs, directory, number, self.live.database_id(), &ids) {
            Ok(()) => Ok(Some(number)),
            Err(error) => {
                self.live.remove_if_there(vec![self.live.ids_path(number)]);
                Err(error)
            }
        }
    }
}
