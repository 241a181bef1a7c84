//! The data directory: who may use it, and which database it holds.
//!
//! ```text
//! plinth-data/
//!   LOCK        locked by the process that has the database open
//!   IDENTITY    magic, format, database id, checksum: 32 bytes
//!   log/        the log's segments
//!   manifest/   which tables count, and the ids of recent commits
//!   tables/     what is not in memory
//!   RESERVE     room that a start on a full disk may use; holds nothing
//! ```
//!
//! `IDENTITY` is written first of all, under another name, and renamed when it is durable. So a
//! directory with anything in it and without an `IDENTITY` isn't ours, and is left alone.
//!
//! Format 1 had a log and nothing else. Such a directory is as sound in format 2, but no longer once
//! the log has been cut short; so it gets its new format before anything is written that the older
//! program doesn't know, and that program refuses it from then on.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::backup::description::BACKUP;
use crate::vfs::{LockGuard, Vfs, VfsError};

const LOCK: &str = "LOCK";
pub(in crate::engine) const IDENTITY: &str = "IDENTITY";
/// There while a directory is being restored to.
pub(in crate::engine) const RESTORING: &str = "RESTORING";
const IDENTITY_UNFINISHED: &str = "IDENTITY.new";
const LOG: &str = "log";
const MANIFEST: &str = "manifest";
const TABLES: &str = "tables";

const IDENTITY_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"PLINTHDB";
const FORMAT: u32 = 2;
/// The format of a directory with a log alone.
const FORMAT_OF_LOG_ALONE: u32 = 1;

/// What tells a database from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatabaseId(pub [u8; 16]);

impl fmt::Display for DatabaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A data directory that this process alone has open, until this is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    database_id: DatabaseId,
    _lock: Box<dyn LockGuard>,
}

impl DataDirectory {
    /// Opens a data directory. One that is empty, or isn't there, becomes the directory of a new
    /// database with this id.
    pub fn open(
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        new_id: DatabaseId,
    ) -> Result<Self, DirectoryError> {
        create_with_parents(&**vfs, path)?;
        // Before the lock, so that no lock file is left in somebody else's directory.
        check_ours(&**vfs, path)?;
        let lock = vfs.lock(&path.join(LOCK)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => DirectoryError::Locked { path: path.to_path_buf() },
            _ => DirectoryError::File(error),
        })?;
        let database_id = if vfs.exists(&path.join(IDENTITY))? {
            if vfs.exists(&path.join(RESTORING))? {
                // It was restored to, wholly: the identity came last.
                vfs.remove(&path.join(RESTORING))?;
            }
            let (format, id) = read_identity(&**vfs, &path.join(IDENTITY))?;
            if format != FORMAT {
                tracing::info!(format, new = FORMAT, "the data directory gets a new format");
                write_identity(&**vfs, path, id)?;
            }
            id
        } else {
            check_ours(&**vfs, path)?;
            write_identity(&**vfs, path, new_id)?;
            new_id
        };
        Ok(Self { path: path.to_path_buf(), database_id, _lock: lock })
    }

    /// Which database it holds.
    pub fn database_id(&self) -> DatabaseId {
        self.database_id
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log's segments are.
    pub fn log_path(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Where the manifest is, and the files of ids.
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    /// Where the tables are.
    pub fn tables_path(&self) -> PathBuf {
        self.path.join(TABLES)
    }
}

/// A data directory that is only looked at; another process may have it open.
#[derive(Clone, Debug)]
pub(in crate::engine) struct DirectoryLook {
    /// The directory itself.
    pub(in crate::engine) path: PathBuf,
    /// Which database it holds.
    pub(in crate::engine) database_id: DatabaseId,
}

impl DirectoryLook {
    /// Looks at the directory's identity.
    pub(in crate::engine) fn new(vfs: &dyn Vfs, path: &Path) -> Result<Self, DirectoryError> {
        if !vfs.exists(path)? || vfs.list(path)?.is_empty() {
            return Err(DirectoryError::Missing { path: path.to_path_buf() });
        }
        check_ours(vfs, path)?;
        let (_, database_id) = read_identity(vfs, &path.join(IDENTITY))?;
        Ok(Self { path: path.to_path_buf(), database_id })
    }

    /// Keeps others from opening the database, if it has ever been opened here. A copy that has not
    /// gets no lock file.
    pub(in crate::engine) fn lock(
        &self,
        vfs: &dyn Vfs,
    ) -> Result<Option<Box<dyn LockGuard>>, DirectoryError> {
        let path = self.path.join(LOCK);
        if !vfs.exists(&path)? {
            return Ok(None);
        }
        vfs.lock(&path).map(Some).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => DirectoryError::Locked { path: self.path.clone() },
            _ => DirectoryError::File(error),
        })
    }

    /// Where the log's segments are.
    pub(in crate::engine) fn log_path(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Where the manifest is, and the files of ids.
    pub(in crate::engine) fn manifest_path(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    /// Where the tables are.
    pub(in crate::engine) fn tables_path(&self) -> PathBuf {
        self.path.join(TABLES)
    }
}

/// Makes a directory and those above it that are missing.
pub(in crate::engine) fn create_with_parents(vfs: &dyn Vfs, path: &Path) -> Result<(), VfsError> {
    let mut missing = vec![];
    for ancestor in path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
        if vfs.exists(ancestor)? {
            break;
        }
        missing.push(ancestor);
    }
    for directory in missing.into_iter().rev() {
        vfs.create_directory(directory)?;
        if let Some(parent) = directory.parent() {
            vfs.sync_directory(parent)?;
        }
    }
    Ok(())
}

/// Fails if there is anything in the directory, but no identity.
fn check_ours(vfs: &dyn Vfs, path: &Path) -> Result<(), DirectoryError> {
    let names = vfs.list(path)?;
    if names.iter().any(|name| name == IDENTITY) {
        return Ok(());
    }
    for (name, what) in [(RESTORING, NotDatabase::Unrestored), (BACKUP, NotDatabase::Backup)] {
        if names.iter().any(|found| found == name) {
            return Err(DirectoryError::NotDatabase { path: path.to_path_buf(), what });
        }
    }
    // What a start that was cut short may have left.
    let is_ours = |name: &&std::ffi::OsString| *name != LOCK && *name != IDENTITY_UNFINISHED;
    match names.iter().find(is_ours) {
        None => Ok(()),
        Some(found) => Err(DirectoryError::Foreign { path: path.join(found) }),
    }
}

/// Says which database this directory is of; from then on it is one.
pub(in crate::engine) fn write_identity(
    vfs: &dyn Vfs,
    path: &Path,
    id: DatabaseId,
) -> Result<(), VfsError> {
    let unfinished = path.join(IDENTITY_UNFINISHED);
    if vfs.exists(&unfinished)? {
        vfs.remove(&unfinished)?;
    }
    let file = vfs.create(&unfinished)?;
    file.write_all_at(&encode_identity(id), 0)?;
    file.sync_all()?;
    vfs.rename(&unfinished, &path.join(IDENTITY))?;
    vfs.sync_directory(path)?;
    path.parent().map_or(Ok(()), |parent| vfs.sync_directory(parent))
}

/// The format, which is one that this program knows, and the id.
fn read_identity(vfs: &dyn Vfs, path: &Path) -> Result<(u32, DatabaseId), DirectoryError> {
    let file = vfs.open_for_reading(path)?;
    if file.len()? != IDENTITY_BYTES as u64 {
        return Err(DirectoryError::Damaged { path: path.to_path_buf() });
    }
    let mut bytes = [0; IDENTITY_BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    match decode_identity(&bytes) {
        Some((format @ (FORMAT_OF_LOG_ALONE | FORMAT), id)) => Ok((format, id)),
        Some((format, _)) => Err(DirectoryError::UnknownFormat { path: path.into(), format }),
        None => Err(DirectoryError::Damaged { path: path.to_path_buf() }),
    }
}

/// These 32 bytes have the same meaning in every format, so that every program can say which
/// format it has met.
fn encode_identity(id: DatabaseId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(IDENTITY_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&id.0);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// The format and the id.
fn decode_identity(bytes: &[u8; IDENTITY_BYTES]) -> Option<(u32, DatabaseId)> {
    let (covered, crc) = bytes.split_last_chunk::<4>()?;
    let (magic, rest) = covered.split_first_chunk::<8>()?;
    let (format, rest) = rest.split_first_chunk::<4>()?;
    let id = rest.first_chunk::<16>()?;
    let is_sound = *magic == MAGIC && u32::from_le_bytes(*crc) == crc32fast::hash(covered);
    is_sound.then_some((u32::from_le_bytes(*format), DatabaseId(*id)))
}

/// What a directory is that is ours and no database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDatabase {
    /// A backup.
    Backup,
    /// A restore that was cut short.
    Unrestored,
}

/// Why a data directory can't be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The file system failed.
    File(VfsError),
    /// Another process has the database open.
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds something that isn't a database of ours.
    Foreign {
        /// What was found in it.
        path: PathBuf,
    },
    /// There is no database in the directory.
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is something of ours, and no database.
    NotDatabase {
        /// The directory.
        path: PathBuf,
        /// What it is.
        what: NotDatabase,
    },
    /// The identity is damaged.
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The database is in a format that this program doesn't know.
    UnknownFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format.
        format: u32,
    },
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "the data directory can't be used: {error}"),
            Self::Locked { path } => write!(
                f,
                "another process has the database in {} open; stop it, or choose another data \
                 directory",
                path.display()
            ),
            Self::Foreign { path } => write!(
                f,
                "the data directory is neither empty nor a Plinth database: there is {} and no \
                 {IDENTITY} file; choose another directory",
                path.display()
            ),
            Self::Missing { path } => {
                write!(f, "there is no database in {}", path.display())
            }
            Self::NotDatabase { path, what: NotDatabase::Backup } => write!(
                f,
                "{} is a backup, not a database: make one of it with plinth restore",
                path.display()
            ),
            Self::NotDatabase { path, what: NotDatabase::Unrestored } => write!(
                f,
                "{} was being restored to, and that was cut short: restore to it again",
                path.display()
            ),
            Self::Damaged { path } => write!(
                f,
                "{} is damaged; restore it from a backup of this data directory",
                path.display()
            ),
            Self::UnknownFormat { path, format } => write!(
                f,
                "{} says that the database is in format {format}, and this program knows formats \
                 {FORMAT_OF_LOG_ALONE} and {FORMAT}; use the program that wrote it, or a newer one",
                path.display()
            ),
        }
    }
}

impl Error for DirectoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}

impl From<VfsError> for DirectoryError {
    fn from(error: VfsError) -> Self {
        Self::File(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::{
        OsVfs, SimVfs,
        sim::{Keep, KeepNames},
    };

    const ID: DatabaseId = DatabaseId(*b"0123456789abcdef");
    const OTHER: DatabaseId = DatabaseId([9; 16]);

    fn open(vfs: &SimVfs, id: DatabaseId) -> Result<DataDirectory, DirectoryError> {
        let vfs: Arc<dyn Vfs> = Arc::new(vfs.clone());
        DataDirectory::open(&vfs, Path::new("/a/b/data"), id)
    }

    fn identity() -> PathBuf {
        PathBuf::from("/a/b/data/IDENTITY")
    }

    #[test]
    fn a_directory_is_made_once_and_keeps_its_identity() {
        let vfs = SimVfs::new();
        let directory = open(&vfs, ID).unwrap();
        assert_eq!(directory.database_id(), ID);
        assert_eq!(directory.log_path(), Path::new("/a/b/data/log"));
        assert!(matches!(open(&vfs, ID), Err(DirectoryError::Locked { .. })));
        drop(directory);
        assert_eq!(open(&vfs.restart(), OTHER).unwrap().database_id(), ID);
    }

    #[test]
    fn the_real_disk_does_the_same() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
        let directory = DataDirectory::open(&vfs, &path, ID).unwrap();
        let second = DataDirectory::open(&vfs, &path, ID).unwrap_err();
        assert!(second.to_string().contains("another process"), "{second}");
        drop(directory);
        assert_eq!(DataDirectory::open(&vfs, &path, OTHER).unwrap().database_id(), ID);
    }

    #[test]
    fn a_directory_with_other_things_is_left_alone() {
        let vfs = SimVfs::new();
        vfs.put(Path::new("/a/b/data/photo.jpg"), b"x").unwrap();
        let error = open(&vfs, ID).unwrap_err();
        assert!(error.to_string().contains("photo.jpg"), "{error}");
        assert_eq!(vfs.list(Path::new("/a/b/data")).unwrap(), ["photo.jpg"]);
    }

    #[test]
    fn damage_and_other_formats_are_named() {
        let vfs = SimVfs::new();
        drop(open(&vfs, ID).unwrap());
        let sound = vfs.bytes(&identity()).unwrap();
        for bit in 0..sound.len() * 8 {
            let vfs = vfs.duplicate();
            vfs.flip_bit(&identity(), bit / 8, bit as u8).unwrap();
            assert!(matches!(open(&vfs, ID), Err(DirectoryError::Damaged { .. })), "bit {bit}");
        }
        for len in 0..sound.len() {
            vfs.put(&identity(), &sound[..len]).unwrap();
            assert!(matches!(open(&vfs, ID), Err(DirectoryError::Damaged { .. })), "{len} bytes");
        }
        let mut newer = sound;
        newer[8] = 3;
        set_crc(&mut newer);
        vfs.put(&identity(), &newer).unwrap();
        let error = open(&vfs, ID).unwrap_err();
        assert!(matches!(error, DirectoryError::UnknownFormat { format: 3, .. }), "{error}");
        assert!(error.to_string().contains("format 3"), "{error}");
    }

    fn set_crc(identity: &mut [u8]) {
        let crc = crc32fast::hash(&identity[..28]);
        identity[28..].copy_from_slice(&crc.to_le_bytes());
    }

    #[test]
    fn a_directory_of_format_1_gets_format_2_through_any_power_cut() {
        let vfs = SimVfs::new();
        drop(open(&vfs, ID).unwrap());
        let newer = vfs.bytes(&identity()).unwrap();
        let mut older = newer.clone();
        older[8] = 1;
        set_crc(&mut older);
        vfs.put(&identity(), &older).unwrap();
        let opened = vfs.duplicate();
        assert_eq!(open(&opened, OTHER).unwrap().database_id(), ID);
        assert_eq!(opened.bytes(&identity()).unwrap(), newer);
        for call in 1.. {
            let whole = vfs.duplicate();
            whole.set_plan(format!("{call}=cut-during").parse().unwrap());
            if open(&whole, OTHER).is_ok() {
                assert!(call > 4, "{call} calls");
                break;
            }
            for seed in 0..20 {
                let cut = whole.after_cut(Keep::Random, KeepNames::Any, seed);
                let found = cut.bytes(&identity()).unwrap();
                assert!(found == older || found == newer, "call {call} seed {seed}");
                assert_eq!(open(&cut, OTHER).unwrap().database_id(), ID);
                assert_eq!(cut.bytes(&identity()).unwrap(), newer);
            }
        }
    }

    #[test]
    fn a_power_cut_at_any_call_leaves_a_directory_that_opens_and_an_identity_that_stays() {
        let whole = SimVfs::new();
        drop(open(&whole, ID).unwrap());
        assert!(whole.calls() > 8);
        for call in 1..=whole.calls() {
            for seed in 0..20 {
                let vfs = SimVfs::with_plan(format!("{call}=cut-during").parse().unwrap());
                assert!(open(&vfs, ID).is_err());
                let cut = vfs.after_cut(Keep::Random, KeepNames::Any, seed);
                let first = open(&cut, OTHER).unwrap_or_else(|error| {
                    panic!("call {call} seed {seed}: {error}");
                });
                let again =
                    open(&cut.after_cut(Keep::Nothing, KeepNames::Any, 0), DatabaseId([8; 16]));
                assert_eq!(
                    again.unwrap().database_id(),
                    first.database_id(),
                    "call {call} seed {seed}"
                );
            }
        }
    }
}
