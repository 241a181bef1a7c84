//! Files as the engine sees them.
//!
//! The engine never calls the operating system for bytes on a disk; it goes through [`Vfs`] and
//! [`File`]. [`OsVfs`] is the real disk, [`MemoryVfs`] is memory and ends with its process.
//! [`SimVfs`] is a disk in memory that forgets what was not synced when its power is cut, and fails
//! as it is told: with it, tests crash the engine at every call that it makes.
//!
//! What is durable after which call, and nothing else may be assumed:
//!
//! | call | durable afterwards |
//! | --- | --- |
//! | [`File::write_all_at`], [`File::allocate`], [`File::set_len`] | nothing |
//! | [`File::sync_data`] | the file's bytes and its length |
//! | [`File::sync_all`] | the same, and what else the file system knows about the file |
//! | [`Vfs::create`], [`Vfs::rename`], [`Vfs::link`], [`Vfs::remove`] | nothing |
//! | [`Vfs::create_directory`], [`Vfs::remove_directory`] | nothing |
//! | [`Vfs::sync_directory`] | which names the directory holds, and what they stand for |
//! | [`File::map`], and every call that only looks | nothing |
//!
//! Without a sync nothing is ordered: a later write may survive a crash that an earlier one did
//! not, and a name the bytes that it stands for. A link or a rename makes none of the file's bytes
//! durable, and a file's sync none of its names. A file's sync that failed may have forgotten what
//! it was asked for, so that the next one succeeds without having written it; whoever sees one fail
//! must stop relying on the file.
//!
//! All calls block. There are no seeks and no hidden buffers. A call that was interrupted, or that
//! read or wrote only a part, is taken up again where it stopped: callers see whole calls alone.

use std::{
    error::Error,
    ffi::OsString,
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

mod mapping;
mod memory;
mod os;
mod region;
pub mod sim;

pub use memory::MemoryVfs;
pub use os::OsVfs;
pub use region::{Advice, Region};
pub use sim::SimVfs;

/// A file system, or what passes for one.
pub trait Vfs: fmt::Debug + Send + Sync {
    /// Creates a file that must not exist yet and opens it for reading and writing.
    fn create(&self, path: &Path) -> Result<Box<dyn File>, VfsError>;

    /// Opens a file that exists for reading and writing.
    fn open(&self, path: &Path) -> Result<Box<dyn File>, VfsError>;

    /// Opens a file that exists for reading alone; nothing needs to permit writing it.
    fn open_for_reading(&self, path: &Path) -> Result<Box<dyn File>, VfsError>;

    /// Gives a file another name in the same directory. A file that had this name before is
    /// replaced: at every moment, also after a crash, the name stands for one of the two.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), VfsError>;

    /// Gives a file a second name, which must not exist yet and may be in another directory of the
    /// same file system; fails with [`io::ErrorKind::CrossesDevices`] if it is in another one. Both
    /// names are then equally good: the file lives until the last is removed.
    fn link(&self, from: &Path, to: &Path) -> Result<(), VfsError>;

    /// Removes a file's name. Who has it open, or mapped, can go on using it.
    fn remove(&self, path: &Path) -> Result<(), VfsError>;

    /// Removes a directory, which must be empty.
    fn remove_directory(&self, path: &Path) -> Result<(), VfsError>;

    /// Creates a directory; its parent must exist. One that exists already is left as it is.
    fn create_directory(&self, path: &Path) -> Result<(), VfsError>;

    /// The names in a directory, sorted.
    fn list(&self, directory: &Path) -> Result<Vec<OsString>, VfsError>;

    /// Whether there is a file or a directory of this name.
    fn exists(&self, path: &Path) -> Result<bool, VfsError>;

    /// How many bytes can still be written to the file system that this file or directory is on.
    /// Others write there too: it is a look at the past.
    fn free_bytes(&self, path: &Path) -> Result<u64, VfsError>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &Path) -> Result<(), VfsError>;

    /// Takes the lock of this file, which is created if need be, until the guard is dropped or the
    /// process ends. Fails with [`io::ErrorKind::WouldBlock`] when somebody else has it.
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, VfsError>;
}

/// An open file.
pub trait File: fmt::Debug + Send + Sync {
    /// The file's length in bytes.
    fn len(&self) -> Result<u64, VfsError>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> Result<bool, VfsError> {
        Ok(self.len()? == 0)
    }

    /// Fills the buffer with the bytes from this offset on; fails with
    /// [`io::ErrorKind::UnexpectedEof`] when there are fewer.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), VfsError>;

    /// Writes all these bytes at this offset. When it fails, any part may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), VfsError>;

    /// Makes the file at least this long and reserves the space, so that writing there can't run
    /// out of it. New bytes read as zeros.
    fn allocate(&self, bytes: u64) -> Result<(), VfsError>;

    /// Cuts or extends the file to this length. New bytes read as zeros.
    fn set_len(&self, bytes: u64) -> Result<(), VfsError>;

    /// Makes the file's bytes and its length durable.
    fn sync_data(&self) -> Result<(), VfsError>;

    /// Makes everything about the file durable, but for its name.
    fn sync_all(&self) -> Result<(), VfsError>;

    /// A view of all the file's bytes. The file must be sealed: from now on nobody writes to it
    /// nor changes its length. See [`Region`] for what becomes of a disk that fails then.
    fn map(&self) -> Result<Region, VfsError>;

    /// Says that these bytes will be read soon, so that the disk may begin. A hint, as below.
    fn will_read(&self, range: Range<u64>);

    /// Says that these bytes won't be read again soon and needn't stay in memory. A hint: where the
    /// system knows better, nothing happens.
    fn uncache(&self, range: Range<u64>);
}

/// Holds a lock until it is dropped.
pub trait LockGuard: fmt::Debug + Send + Sync {}

/// A call to the file system that failed.
#[derive(Debug)]
pub struct VfsError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl VfsError {
    /// The operation, in words that follow "could not", on this path failed for this reason.
    pub fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_path_buf(), source }
    }

    /// Which file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which sort of failure.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether there was no space left on the disk.
    pub fn is_disk_full(&self) -> bool {
        [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&self.kind())
    }
}

impl fmt::Display for VfsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {} {}: {}", self.operation, self.path.display(), self.source)
    }
}

impl Error for VfsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
