//! The real disk.
//!
//! A thin face on the operating system: positioned reads and writes, `fallocate`, `fdatasync`,
//! `fsync` also of directories, and `flock`. Interrupted calls are taken up again; everything else
//! that goes wrong is reported once and not tried again.

use std::{
    ffi::OsString,
    fs, io,
    num::NonZeroU64,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, FlockOperation};

use super::{File, LockGuard, Region, Vfs, VfsError, mapping::Mapping};

/// Linux begins to read so much for a hint, and forgets the rest where a disk takes less at once.
const HINTED_AT_ONCE: NonZeroU64 = NonZeroU64::new(128 << 10).expect("it is not zero");

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

impl Vfs for OsVfs {
    fn create(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|error| VfsError::new("create", path, error))?;
        Ok(Box::new(OsFile { file, path: path.to_path_buf() }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| VfsError::new("open", path, error))?;
        Ok(Box::new(OsFile { file, path: path.to_path_buf() }))
    }

    fn open_for_reading(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let file = fs::File::open(path).map_err(|error| VfsError::new("open", path, error))?;
        Ok(Box::new(OsFile { file, path: path.to_path_buf() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        fs::rename(from, to).map_err(|error| VfsError::new("rename a file to", to, error))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        fs::hard_link(from, to).map_err(|error| VfsError::new("link a file to", to, error))
    }

    fn remove(&self, path: &Path) -> Result<(), VfsError> {
        fs::remove_file(path).map_err(|error| VfsError::new("remove", path, error))
    }

    fn remove_directory(&self, path: &Path) -> Result<(), VfsError> {
        fs::remove_dir(path).map_err(|error| VfsError::new("remove the directory", path, error))
    }

    fn create_directory(&self, path: &Path) -> Result<(), VfsError> {
        match fs::create_dir(path) {
            Err(_) if path.is_dir() => Ok(()),
            result => result.map_err(|error| VfsError::new("create the directory", path, error)),
        }
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, VfsError> {
        let list = || -> io::Result<Vec<OsString>> {
            fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        let mut names = list().map_err(|error| VfsError::new("list", directory, error))?;
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool, VfsError> {
        path.try_exists().map_err(|error| VfsError::new("look for", path, error))
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, VfsError> {
        match rustix::io::retry_on_intr(|| rustix::fs::statvfs(path)) {
            Ok(free) => Ok(free.f_bavail.saturating_mul(free.f_frsize)),
            Err(error) => Err(VfsError::new("measure the space around", path, error.into())),
        }
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), VfsError> {
        // The parent of a bare name is the empty path, which means here.
        let path = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        fs::File::open(path)
            .and_then(|file| file.sync_all())
            .map_err(|error| VfsError::new("sync the directory", directory, error))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, VfsError> {
        let lock = || -> io::Result<OsLock> {
            let mut options = fs::File::options();
            let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok(OsLock { _file: file })
        };
        match lock() {
            Ok(lock) => Ok(Box::new(lock)),
            Err(error) => Err(VfsError::new("lock", path, error)),
        }
    }
}

/// A file of the operating system.
#[derive(Debug)]
struct OsFile {
    file: fs::File,
    path: PathBuf,
}

impl OsFile {
    fn error(&self, operation: &'static str, error: impl Into<io::Error>) -> VfsError {
        VfsError::new(operation, &self.path, error.into())
    }
}

impl File for OsFile {
    fn len(&self) -> Result<u64, VfsError> {
        let metadata = self.file.metadata().map_err(|error| self.error("measure", error))?;
        Ok(metadata.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), VfsError> {
        self.file.read_exact_at(buffer, offset).map_err(|error| self.error("read", error))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), VfsError> {
        self.file.write_all_at(bytes, offset).map_err(|error| self.error("write", error))
    }

    fn allocate(&self, bytes: u64) -> Result<(), VfsError> {
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                // Some file systems can't reserve; a longer file is then the best there is.
                Err(rustix::io::Errno::OPNOTSUPP) => {
                    return if self.len()? < bytes { self.set_len(bytes) } else { Ok(()) };
                }
                Err(error) => return Err(self.error("reserve space for", error)),
            }
        }
    }

    fn set_len(&self, bytes: u64) -> Result<(), VfsError> {
        self.file.set_len(bytes).map_err(|error| self.error("set the length of", error))
    }

    fn sync_data(&self) -> Result<(), VfsError> {
        self.file.sync_data().map_err(|error| self.error("sync", error))
    }

    fn sync_all(&self) -> Result<(), VfsError> {
        self.file.sync_all().map_err(|error| self.error("sync", error))
    }

    fn map(&self) -> Result<Region, VfsError> {
        let mapping = Mapping::new(&self.file).map_err(|error| self.error("map", error))?;
        Ok(Region::mapped(mapping))
    }

    fn will_read(&self, range: Range<u64>) {
        let mut begin = range.start;
        while let Some(left) = NonZeroU64::new(range.end.saturating_sub(begin)) {
            let piece = left.min(HINTED_AT_ONCE);
            _ = rustix::fs::fadvise(&self.file, begin, Some(piece), rustix::fs::Advice::WillNeed);
            begin += piece.get();
        }
    }

    fn uncache(&self, range: Range<u64>) {
        let Some(len) = NonZeroU64::new(range.end.saturating_sub(range.start)) else { return };
        let advice = rustix::fs::Advice::DontNeed;
        // A hint that isn't taken is none that anybody misses.
        _ = rustix::fs::fadvise(&self.file, range.start, Some(len), advice);
    }
}

/// The lock goes with the open file.
#[derive(Debug)]
struct OsLock {
    _file: fs::File,
}

impl LockGuard for OsLock {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::Advice;

    #[test]
    fn a_file_is_created_once_written_read_and_renamed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        let file = OsVfs.create(&path).unwrap();
        assert_eq!(OsVfs.create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.allocate(4096).unwrap();
        file.write_all_at(b"plinth", 4090).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 4096);
        let mut bytes = [1; 8];
        file.read_exact_at(&mut bytes, 4088).unwrap();
        assert_eq!(&bytes, b"\0\0plinth");
        let past_the_end = file.read_exact_at(&mut bytes, 4089).unwrap_err();
        assert_eq!(past_the_end.kind(), io::ErrorKind::UnexpectedEof);
        OsVfs.rename(&path, &other).unwrap();
        OsVfs.sync_directory(directory.path()).unwrap();
        assert_eq!(OsVfs.list(directory.path()).unwrap(), ["b"]);
        assert!(!OsVfs.exists(&path).unwrap());
        let missing = OsVfs.open(&path).unwrap_err();
        assert!(missing.to_string().contains(&path.display().to_string()), "{missing}");
    }

    #[test]
    fn a_linked_file_lives_until_its_last_name_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        OsVfs.create(&path("a")).unwrap().write_all_at(b"plinth", 0).unwrap();
        OsVfs.create_directory(&path("d")).unwrap();
        OsVfs.link(&path("a"), &path("d/b")).unwrap();
        let again = OsVfs.link(&path("a"), &path("d/b")).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        OsVfs.remove(&path("a")).unwrap();
        let file = OsVfs.open_for_reading(&path("d/b")).unwrap();
        assert_eq!(file.len().unwrap(), 6);
        assert!(file.write_all_at(b"x", 0).is_err(), "it is open for reading alone");
        assert!(OsVfs.remove_directory(&path("d")).is_err(), "it is not empty");
        OsVfs.remove(&path("d/b")).unwrap();
        OsVfs.remove_directory(&path("d")).unwrap();
        assert!(OsVfs.list(directory.path()).unwrap().is_empty());
        assert!(OsVfs.free_bytes(directory.path()).unwrap() > 0);
    }

    #[test]
    fn a_mapped_file_outlives_its_name_and_is_resident_once_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let file = OsVfs.create(&path).unwrap();
        assert!(file.map().unwrap().is_empty());
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        file.sync_all().unwrap();
        let region = OsVfs.open_for_reading(&path).unwrap().map().unwrap();
        OsVfs.remove(&path).unwrap();
        file.uncache(0..100_000);
        file.will_read(0..300_000);
        for advice in [Advice::Random, Advice::Sequential, Advice::WillNeed, Advice::Normal] {
            region.advise(5000..200_000, advice);
        }
        assert_eq!(region[..], bytes[..]);
        assert!(region.is_resident(0..100_000), "all of it was just read");
        assert!(region.is_resident(99_999..100_000) && region.is_resident(0..0));
        assert!(region.is_resident(100_000..100_000) && !region.is_resident(0..100_001));
    }

    #[test]
    fn a_lock_excludes_others_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("LOCK");
        let lock = OsVfs.lock(&path).unwrap();
        assert_eq!(OsVfs.lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        OsVfs.lock(&path).unwrap();
    }
}
