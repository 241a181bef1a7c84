//! Repairs of a damaged data directory, each asked for by its name. None is ever done unasked.
//!
//! A repair gives something up so that the rest can be used again, which a backup would not. So each
//! first says what that is ([`Consent::Missing`]), and does it only when told to go on. What it
//! changes or removes is kept in `repair-<n>/` in the data directory, under the same names: copied
//! by a second name where that is enough, so it takes no room until the original goes.
//!
//! | repair | gives up |
//! | --- | --- |
//! | [`Repair::truncate_log`] | the log from a place on: the commits there |
//! | [`Repair::drop_table`] | a table: the versions in it, so that older ones of the same keys show |
//! | [`Repair::rebuild_manifest`] | the manifest: makes one of the tables that are there |
//!
//! A crash during a repair leaves a directory in which it can be asked for again.

mod log;
mod manifest;
mod table;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use plinth_protocol::Version;

pub use self::log::LogPlace;
use super::{
    compaction::rewrite::RewriteError,
    directory::{DataDirectory, DatabaseId, DirectoryError, DirectoryLook},
    manifest::{Edit, Manifest, ManifestError, ManifestOptions, ManifestState, look::look},
    table::TableError,
    verify::REPAIR_PREFIX,
    wal::LogError,
};
use crate::vfs::{Vfs, VfsError};

/// How far above every version that is known the next one will be after commits were given up:
/// above what may have been handed out and can't be read any more. A minute of versions.
const VERSIONS_SKIPPED: u64 = 60_000_000;

/// Whether a repair may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It may only say what it would give up.
    Missing,
    /// It may do it.
    Given,
}

/// What a repair gives up, and what has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// What is given up and what is done, in sentences.
    pub lines: Vec<String>,
    /// Where copies are kept; none if nothing was done.
    pub copies: Option<PathBuf>,
}

/// Why a repair was not done.
#[derive(Debug)]
#[non_exhaustive]
pub enum RepairError {
    /// The directory can't be used.
    Directory(DirectoryError),
    /// The manifest can't be read or written.
    Manifest(ManifestError),
    /// The log can't be read.
    Log(LogError),
    /// A table can't be read or written.
    Table(TableError),
    /// Tables can't be put together.
    Rewrite(String),
    /// The file system failed.
    File(VfsError),
    /// It makes no sense here, for this reason.
    Pointless(String),
}

impl fmt::Display for RepairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => error.fmt(f),
            Self::Manifest(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Table(error) => error.fmt(f),
            Self::Rewrite(reason) => write!(f, "the tables can't be put together: {reason}"),
            Self::File(error) => error.fmt(f),
            Self::Pointless(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for RepairError {}

macro_rules! from {
    ($($variant:ident($source:ty);)*) => {
        $(impl From<$source> for RepairError {
            fn from(error: $source) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from! {
    Directory(DirectoryError);
    Manifest(ManifestError);
    Log(LogError);
    Table(TableError);
    File(VfsError);
}

impl From<RewriteError> for RepairError {
    fn from(error: RewriteError) -> Self {
        Self::Rewrite(error.to_string())
    }
}

/// A data directory that is to be repaired; nobody else can open it meanwhile.
#[derive(Debug)]
pub struct Repair {
    vfs: Arc<dyn Vfs>,
    directory: DataDirectory,
    seed: u64,
}

impl Repair {
    /// Takes the directory. `seed` should be unguessable where others choose keys.
    pub fn open(vfs: &Arc<dyn Vfs>, path: &Path, seed: u64) -> Result<Self, RepairError> {
        // So that no database is made where none is.
        let DirectoryLook { database_id, .. } = DirectoryLook::new(&**vfs, path)?;
        let directory = DataDirectory::open(vfs, path, database_id)?;
        Ok(Self { vfs: Arc::clone(vfs), directory, seed })
    }

    fn database_id(&self) -> DatabaseId {
        self.directory.database_id()
    }

    fn state(&self) -> Result<ManifestState, RepairError> {
        let look = look(&*self.vfs, &self.directory.manifest_path(), self.database_id().0)?;
        Ok(look.map(|look| look.state).unwrap_or_default())
    }

    fn open_manifest(&self) -> Result<Manifest, RepairError> {
        let options = ManifestOptions {
            database_id: self.database_id().0,
            seed: self.seed,
            bytes_max: u64::MAX / 4,
        };
        Ok(Manifest::open(&self.vfs, &self.directory.manifest_path(), options)?.0)
    }

    /// Lets no version up to a minute above this one be handed out again.
    fn reserve_above(&self, version: Version) -> Result<(), RepairError> {
        let ceiling = Version(version.0.saturating_add(VERSIONS_SKIPPED).min(Version::MAX.0));
        let edit = Edit { ceiling: Some(ceiling), ..Edit::default() };
        Ok(self.open_manifest()?.commit(&edit)?)
    }

    /// A new directory for copies.
    fn begin_copies(&self) -> Result<Copies<'_>, RepairError> {
        let root = self.directory.path();
        let names = self.vfs.list(root)?;
        let numbers = names
            .iter()
            .filter_map(|name| name.to_str()?.strip_prefix(REPAIR_PREFIX)?.parse::<u64>().ok());
        let number = numbers.max().unwrap_or(0).saturating_add(1);
        let path = root.join(format!("{REPAIR_PREFIX}{number}"));
        self.vfs.create_directory(&path)?;
        self.vfs.sync_directory(root)?;
        Ok(Copies { vfs: &*self.vfs, path })
    }
}

/// Where what a repair changes is kept.
struct Copies<'r> {
    vfs: &'r dyn Vfs,
    path: PathBuf,
}

impl Copies<'_> {
    /// Keeps these files of a directory under second names, durable on return. A file that isn't
    /// there is left out.
    fn keep(&self, directory: &Path, files: &[PathBuf]) -> Result<(), RepairError> {
        let copies = self.path.join(directory.file_name().unwrap_or_default());
        self.vfs.create_directory(&copies)?;
        self.vfs.sync_directory(&self.path)?;
        for file in files {
            let copy = copies.join(file.file_name().unwrap_or_default());
            match self.vfs.link(file, &copy) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                linked => linked?,
            }
        }
        Ok(self.vfs.sync_directory(&copies)?)
    }
}
