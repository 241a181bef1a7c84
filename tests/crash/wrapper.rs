//! A disk with a bug in front of it: what an engine would do if it called its disk wrongly.

use std::{ffi::OsString, ops::Range, path::Path};

use plinthdb::vfs::{File, LockGuard, Region, SimVfs, Vfs, VfsError};

/// Tries a sync that has failed once more, and takes the second answer for the first: what a
/// program does that doesn't know that a failed sync has forgotten.
#[derive(Clone, Debug)]
pub(crate) struct RetriesSyncs(pub(crate) SimVfs);

#[derive(Debug)]
struct RetryingFile(Box<dyn File>);

impl RetriesSyncs {
    fn wrap(file: Box<dyn File>) -> Box<dyn File> {
        Box::new(RetryingFile(file))
    }
}

impl Vfs for RetriesSyncs {
    fn create(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        self.0.create(path).map(Self::wrap)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        self.0.open(path).map(Self::wrap)
    }

    fn open_for_reading(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        self.0.open_for_reading(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        self.0.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        self.0.link(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), VfsError> {
        self.0.remove(path)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), VfsError> {
        self.0.remove_directory(path)
    }

    fn create_directory(&self, path: &Path) -> Result<(), VfsError> {
        self.0.create_directory(path)
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, VfsError> {
        self.0.list(directory)
    }

    fn exists(&self, path: &Path) -> Result<bool, VfsError> {
        self.0.exists(path)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, VfsError> {
        self.0.free_bytes(path)
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), VfsError> {
        self.0.sync_directory(directory)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, VfsError> {
        self.0.lock(path)
    }
}

impl File for RetryingFile {
    fn len(&self) -> Result<u64, VfsError> {
        self.0.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), VfsError> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), VfsError> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> Result<(), VfsError> {
        self.0.allocate(bytes)
    }

    fn set_len(&self, bytes: u64) -> Result<(), VfsError> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> Result<(), VfsError> {
        self.0.sync_data().or_else(|_| self.0.sync_data())
    }

    fn sync_all(&self) -> Result<(), VfsError> {
        self.0.sync_all().or_else(|_| self.0.sync_all())
    }

    fn map(&self) -> Result<Region, VfsError> {
        self.0.map()
    }

    fn will_read(&self, range: Range<u64>) {
        self.0.will_read(range);
    }

    fn uncache(&self, range: Range<u64>) {
        self.0.uncache(range);
    }
}
