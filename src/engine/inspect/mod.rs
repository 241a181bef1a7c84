//! Looks into a data directory: what the manifest, the tables and the log hold, and one key's
//! versions in all of them.
//!
//! Nothing is changed, and no lock is held, so it works beside a process that has the database
//! open. What that one has in memory alone is not shown then, and what it is about to replace may
//! go while it is looked at; [`Inspection::is_in_use`] says so.

mod key;

use std::{fmt, ops::ControlFlow, path::Path};

use plinth_protocol::Version;

pub use self::key::{KeyVersion, Layer, What};
use super::{
    directory::{DatabaseId, DirectoryError, DirectoryLook},
    key::KeyRef,
    layer::EntryStream as _,
    manifest::{Flushed, ManifestError, ManifestState, files::numbered, look::look, state::LEVELS},
    read_error::ReadError,
    table::{Table, TableError, TableNumber, TableProperties},
    verify::start_of,
    wal::{LogError, LogRecord, LogSurvey, RecordPlace, survey},
};
use crate::vfs::Vfs;

/// Why something can't be looked at.
#[derive(Debug)]
#[non_exhaustive]
pub enum InspectError {
    /// The directory.
    Directory(DirectoryError),
    /// The manifest.
    Manifest(ManifestError),
    /// The log.
    Log(LogError),
    /// A table.
    Table(ReadError),
    /// The manifest names no such table.
    NoSuchTable(u64),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => error.fmt(f),
            Self::Manifest(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Table(error) => error.fmt(f),
            Self::NoSuchTable(number) => write!(f, "the manifest names no table {number}"),
        }
    }
}

impl std::error::Error for InspectError {}

impl From<TableError> for InspectError {
    fn from(error: TableError) -> Self {
        Self::Table(error.into())
    }
}

impl From<ReadError> for InspectError {
    fn from(error: ReadError) -> Self {
        Self::Table(error)
    }
}

/// A look into a data directory.
#[derive(Debug)]
pub struct Inspection<'v> {
    vfs: &'v dyn Vfs,
    look: DirectoryLook,
    is_in_use: bool,
    state: ManifestState,
}

/// A table as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `TableProperties`")]
pub struct TableSummary {
    pub number: u64,
    pub level: u8,
    pub bytes: u64,
    /// Keyspace and first key.
    pub begin: (u32, Vec<u8>),
    /// Keyspace and first key after.
    pub end: (u32, Vec<u8>),
    pub least_version: Version,
    pub greatest_version: Version,
    pub entries: u64,
    pub clears: u64,
    pub superseded: u64,
    pub range_tombstones: u64,
    pub key_bytes: u64,
    pub value_bytes: u64,
}

/// A version of a key in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableEntry<'e> {
    /// Its keyspace.
    pub keyspace: u32,
    /// The key.
    pub key: &'e [u8],
    /// When it was written.
    pub version: Version,
    /// In which place among the transactions of the version.
    pub order: u16,
    /// The value; none if the key was cleared.
    pub value: Option<&'e [u8]>,
}

/// A range of keys that was cleared at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearedRange {
    /// Keyspace and first key.
    pub begin: (u32, Vec<u8>),
    /// Keyspace and first key after.
    pub end: (u32, Vec<u8>),
    /// Version and order of each time, newest first.
    pub stamps: Vec<(Version, u16)>,
}

impl<'v> Inspection<'v> {
    /// Looks at the identity and the manifest of the database in this directory.
    pub fn open(vfs: &'v dyn Vfs, directory: &Path) -> Result<Self, InspectError> {
        let seen = DirectoryLook::new(vfs, directory).map_err(InspectError::Directory)?;
        let is_in_use = match seen.lock(vfs) {
            Ok(_) => false,
            Err(DirectoryError::Locked { .. }) => true,
            Err(error) => return Err(InspectError::Directory(error)),
        };
        let manifest = look(vfs, &seen.manifest_path(), seen.database_id.0);
        let manifest = manifest.map_err(InspectError::Manifest)?;
        let state = manifest.map(|look| look.state).unwrap_or_default();
        Ok(Self { vfs, look: seen, is_in_use, state })
    }

    /// Whether a process has the database open.
    pub fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    /// Which database it is.
    pub fn database_id(&self) -> DatabaseId {
        self.look.database_id
    }

    /// How far the tables reach; nowhere before the first flush.
    pub fn flushed(&self) -> Option<Flushed> {
        self.state.flushed
    }

    /// The version up to which versions were reserved when the manifest was last changed.
    pub fn ceiling(&self) -> Version {
        self.state.ceiling
    }

    /// The tables that count, by level and key; those of level 0 newest first.
    pub fn tables(&self) -> Vec<TableSummary> {
        let mut tables = Vec::new();
        for level in 0..LEVELS {
            let of_level = self.state.tables.values().filter(|(of, _)| *of == level);
            let mut of_level: Vec<_> = of_level.map(|(_, properties)| properties).collect();
            if level == 0 {
                of_level.reverse();
            } else {
                of_level.sort_by(|a, b| a.begin.cmp(&b.begin));
            }
            tables.extend(of_level.into_iter().map(|of| TableSummary::new(level, of)));
        }
        tables
    }

    /// Shows every entry of a table until `visit` breaks; then answers its range tombstones.
    pub fn table(
        &self,
        number: u64,
        visit: &mut dyn FnMut(TableEntry<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<ClearedRange>, InspectError> {
        let table = self.open_table(TableNumber(number))?;
        let mut entries = table.entries()?;
        while let Some(entry) = entries.head() {
            let KeyRef { keyspace, key } = entry.key;
            let shown = visit(TableEntry {
                keyspace: keyspace.0,
                key,
                version: entry.stamp.version,
                order: entry.stamp.order,
                value: entry.value,
            });
            if shown.is_break() {
                break;
            }
            entries.advance()?;
        }
        let tombstones = table.tombstones()?;
        Ok(tombstones
            .into_iter()
            .map(|tombstone| ClearedRange {
                begin: (tombstone.begin.keyspace.0, tombstone.begin.key.into_vec()),
                end: (tombstone.end.keyspace.0, tombstone.end.key.into_vec()),
                stamps: tombstone.stamps.iter().map(|at| (at.version, at.order)).collect(),
            })
            .collect())
    }

    fn open_table(&self, number: TableNumber) -> Result<Table, InspectError> {
        if !self.state.tables.contains_key(&number) {
            return Err(InspectError::NoSuchTable(number.0));
        }
        let path = numbered(&self.look.tables_path(), number.0, "table");
        Ok(Table::open(self.vfs, &path, number)?)
    }

    /// Reads the part of the log that counts, and shows its records until `visit` breaks.
    pub fn log(
        &self,
        visit: &mut dyn FnMut(RecordPlace, &LogRecord) -> ControlFlow<()>,
    ) -> Result<LogSurvey, InspectError> {
        let (directory, id) = (self.look.log_path(), self.look.database_id.0);
        survey(self.vfs, &directory, id, start_of(&self.state), visit).map_err(InspectError::Log)
    }
}

impl TableSummary {
    fn new(level: u8, of: &TableProperties) -> Self {
        Self {
            number: of.number.0,
            level,
            bytes: of.bytes,
            begin: (of.begin.keyspace.0, of.begin.key.to_vec()),
            end: (of.end.keyspace.0, of.end.key.to_vec()),
            least_version: of.least_version,
            greatest_version: of.greatest_version,
            entries: of.entries,
            clears: of.clears,
            superseded: of.superseded,
            range_tombstones: of.range_tombstones,
            key_bytes: of.key_bytes,
            value_bytes: of.value_bytes,
        }
    }
}
