//! Files in memory, for a database that ends with its process.
//!
//! [`MemoryVfs`] keeps what files hold and nothing else: syncing does nothing, since nothing is to
//! outlive the process, and a file that has lost its names and its users is gone with its memory.
//! Room that is reserved takes none until it is written to.
//!
//! A file that is mapped is not copied: its readers share its bytes, and writing to it fails from
//! then on, which is what whoever maps a file has promised not to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt, io,
    ops::{Bound, Range},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{File, LockGuard, Region, Vfs, VfsError};

/// What is free: as much as the process may have, which nobody knows.
const FREE_BYTES: u64 = 1 << 60;

/// A file system in memory. Clones are the same one. Its root is there from the beginning.
#[derive(Clone, Default)]
pub struct MemoryVfs {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Node>,
    locks: BTreeSet<PathBuf>,
}

#[derive(Clone)]
enum Node {
    File(Arc<Mutex<Contents>>),
    Directory,
}

/// What a file holds.
#[derive(Default)]
struct Contents {
    /// The file's first bytes; the others are zeros.
    bytes: Arc<Vec<u8>>,
    len: u64,
}

impl MemoryVfs {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The memory that all files with a name take.
    pub fn bytes(&self) -> u64 {
        let state = lock(&self.state);
        let files = state.names.values().filter_map(|node| match node {
            Node::File(contents) => Some(lock(contents).bytes.capacity() as u64),
            Node::Directory => None,
        });
        files.sum()
    }

    /// Does something with the names; a failure is told as one of `operation` on `path`.
    fn with_names<T>(
        &self,
        operation: &'static str,
        path: &Path,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T, VfsError> {
        work(&mut lock(&self.state)).map_err(|error| VfsError::new(operation, path, error))
    }

    fn opened(&self, path: &Path, is_writable: bool) -> Result<Box<dyn File>, VfsError> {
        let contents = self.with_names("open", path, |state| state.file(path))?;
        Ok(Box::new(MemoryFile { contents, path: path.to_path_buf(), is_writable }))
    }
}

impl State {
    fn file(&self, path: &Path) -> io::Result<Arc<Mutex<Contents>>> {
        match self.names.get(path) {
            Some(Node::File(contents)) => Ok(Arc::clone(contents)),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether there is such a directory. The root has no parent, and a bare name's is empty.
    fn is_directory(&self, path: &Path) -> bool {
        path.parent().is_none() || matches!(self.names.get(path), Some(Node::Directory))
    }

    /// Enters a name that isn't there, in a directory that is.
    fn enter(&mut self, path: &Path, node: Node) -> io::Result<()> {
        if self.names.contains_key(path) || path.parent().is_none() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !path.parent().is_some_and(|parent| self.is_directory(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.names.insert(path.to_path_buf(), node);
        Ok(())
    }

    /// The paths right below a directory.
    fn below<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        // Paths are ordered by their components, so that what lies below comes right behind.
        let behind = self.names.range::<Path, _>((Bound::Included(directory), Bound::Unbounded));
        behind
            .map(|(path, _)| path)
            .take_while(move |path| path.starts_with(directory))
            .filter(move |path| path.parent() == Some(directory))
    }
}

impl Vfs for MemoryVfs {
    fn create(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let contents = Arc::<Mutex<Contents>>::default();
        let node = Node::File(Arc::clone(&contents));
        self.with_names("create", path, |state| state.enter(path, node))?;
        Ok(Box::new(MemoryFile { contents, path: path.to_path_buf(), is_writable: true }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        self.opened(path, true)
    }

    fn open_for_reading(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        self.opened(path, false)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        self.with_names("rename a file to", to, |state| {
            let contents = state.file(from)?;
            if state.is_directory(to) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            state.names.remove(to);
            state.enter(to, Node::File(contents))?;
            if from != to {
                state.names.remove(from);
            }
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        self.with_names("link a file to", to, |state| {
            let contents = state.file(from)?;
            state.enter(to, Node::File(contents))
        })
    }

    fn remove(&self, path: &Path) -> Result<(), VfsError> {
        self.with_names("remove", path, |state| {
            state.file(path)?;
            state.names.remove(path);
            Ok(())
        })
    }

    fn remove_directory(&self, path: &Path) -> Result<(), VfsError> {
        self.with_names("remove the directory", path, |state| {
            match state.names.get(path) {
                Some(Node::Directory) => {}
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
            if state.below(path).next().is_some() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            state.names.remove(path);
            Ok(())
        })
    }

    fn create_directory(&self, path: &Path) -> Result<(), VfsError> {
        self.with_names("create the directory", path, |state| {
            if state.is_directory(path) { Ok(()) } else { state.enter(path, Node::Directory) }
        })
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, VfsError> {
        self.with_names("list", directory, |state| {
            if !state.is_directory(directory) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let names = state.below(directory).filter_map(|path| path.file_name());
            Ok(names.map(ToOwned::to_owned).collect())
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, VfsError> {
        let state = lock(&self.state);
        Ok(state.is_directory(path) || state.names.contains_key(path))
    }

    fn free_bytes(&self, _: &Path) -> Result<u64, VfsError> {
        Ok(FREE_BYTES)
    }

    fn sync_directory(&self, _: &Path) -> Result<(), VfsError> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, VfsError> {
        self.with_names("lock", path, |state| {
            if !state.names.contains_key(path) {
                state.enter(path, Node::File(Arc::default()))?;
            }
            let is_free = state.locks.insert(path.to_path_buf());
            if is_free { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        })?;
        Ok(Box::new(MemoryLock { vfs: self.clone(), path: path.to_path_buf() }))
    }
}

impl fmt::Debug for MemoryVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryVfs({} names)", lock(&self.state).names.len())
    }
}

/// A file of a [`MemoryVfs`].
struct MemoryFile {
    contents: Arc<Mutex<Contents>>,
    /// The name that it was opened by.
    path: PathBuf,
    is_writable: bool,
}

impl MemoryFile {
    fn error(&self, operation: &'static str, error: impl Into<io::Error>) -> VfsError {
        VfsError::new(operation, &self.path, error.into())
    }

    /// Changes what the file holds, if it may be changed.
    fn change(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Vec<u8>, &mut u64) -> io::Result<()>,
    ) -> Result<(), VfsError> {
        if !self.is_writable {
            return Err(self.error(operation, io::ErrorKind::PermissionDenied));
        }
        let Contents { bytes, len } = &mut *lock(&self.contents);
        let Some(bytes) = Arc::get_mut(bytes) else {
            return Err(self.error(operation, io::Error::other("the file is mapped")));
        };
        work(bytes, len).map_err(|error| self.error(operation, error))
    }
}

impl File for MemoryFile {
    fn len(&self) -> Result<u64, VfsError> {
        Ok(lock(&self.contents).len)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), VfsError> {
        let contents = lock(&self.contents);
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > contents.len) {
            return Err(self.error("read", io::ErrorKind::UnexpectedEof));
        }
        let there = usize::try_from(offset).ok().and_then(|offset| contents.bytes.get(offset..));
        let there = there.unwrap_or_default();
        let count = there.len().min(buffer.len());
        let (written, zeros) = buffer.split_at_mut(count);
        written.copy_from_slice(there.get(..count).unwrap_or_default());
        zeros.fill(0);
        Ok(())
    }

    fn write_all_at(&self, written: &[u8], offset: u64) -> Result<(), VfsError> {
        self.change("write", |bytes, len| {
            let begin = to_size(offset)?;
            let end = begin.checked_add(written.len()).ok_or(io::ErrorKind::FileTooLarge)?;
            if bytes.len() < begin {
                bytes.resize(begin, 0);
            }
            // What is written over, and what is added.
            let (over, added) = written.split_at(written.len().min(bytes.len() - begin));
            if let Some(place) = bytes.get_mut(begin..begin + over.len()) {
                place.copy_from_slice(over);
            }
            bytes.extend_from_slice(added);
            *len = (*len).max(end as u64);
            Ok(())
        })
    }

    fn allocate(&self, bytes_min: u64) -> Result<(), VfsError> {
        self.change("reserve space for", |_, len| {
            *len = (*len).max(bytes_min);
            Ok(())
        })
    }

    fn set_len(&self, new: u64) -> Result<(), VfsError> {
        self.change("set the length of", |bytes, len| {
            bytes.truncate(to_size(new)?);
            *len = new;
            Ok(())
        })
    }

    fn sync_data(&self) -> Result<(), VfsError> {
        Ok(())
    }

    fn sync_all(&self) -> Result<(), VfsError> {
        Ok(())
    }

    fn map(&self) -> Result<Region, VfsError> {
        let Contents { bytes, len } = &mut *lock(&self.contents);
        let len = to_size(*len).map_err(|error| self.error("map", error))?;
        if let Some(bytes) = Arc::get_mut(bytes) {
            // Nothing is added any more.
            bytes.resize(len, 0);
            bytes.shrink_to_fit();
        }
        Ok(Region::shared(Arc::clone(bytes)))
    }

    fn will_read(&self, _: Range<u64>) {}

    fn uncache(&self, _: Range<u64>) {}
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryFile({})", self.path.display())
    }
}

#[derive(Debug)]
struct MemoryLock {
    vfs: MemoryVfs,
    path: PathBuf,
}

impl LockGuard for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        lock(&self.vfs.state).locks.remove(&self.path);
    }
}

fn to_size(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// A panic while it was held has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_where_they_were_written_and_zeros_elsewhere() {
        let vfs = MemoryVfs::new();
        let file = vfs.create(Path::new("/a")).unwrap();
        file.allocate(1 << 40).unwrap();
        file.write_all_at(b"plinth", 10).unwrap();
        file.write_all_at(b"over and on", 14).unwrap();
        assert_eq!(file.len().unwrap(), 1 << 40);
        let mut bytes = [1; 30];
        file.read_exact_at(&mut bytes, 8).unwrap();
        assert_eq!(&bytes, b"\0\0plinover and on\0\0\0\0\0\0\0\0\0\0\0\0\0");
        file.read_exact_at(&mut bytes, (1 << 40) - 30).unwrap();
        assert_eq!(bytes, [0; 30]);
        let past_the_end = file.read_exact_at(&mut bytes, (1 << 40) - 29).unwrap_err();
        assert_eq!(past_the_end.kind(), io::ErrorKind::UnexpectedEof);
        assert!(vfs.bytes() < 1000, "room that is reserved takes none");
        file.set_len(12).unwrap();
        file.set_len(20).unwrap();
        file.read_exact_at(&mut bytes[..10], 10).unwrap();
        assert_eq!(&bytes[..10], b"pl\0\0\0\0\0\0\0\0", "what was cut off does not come back");
    }

    #[test]
    fn names_are_made_moved_listed_and_removed() {
        let vfs = MemoryVfs::new();
        let path = Path::new;
        vfs.create_directory(path("/d")).unwrap();
        vfs.create_directory(path("/d")).unwrap();
        vfs.create(path("/d/b")).unwrap().write_all_at(b"one", 0).unwrap();
        vfs.create(path("/d/a")).unwrap();
        vfs.create(path("/d.new")).unwrap();
        let exists = io::ErrorKind::AlreadyExists;
        assert_eq!(vfs.create(path("/d/a")).unwrap_err().kind(), exists);
        assert_eq!(vfs.create(path("/e/a")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(vfs.list(path("/d")).unwrap(), ["a", "b"]);
        assert_eq!(vfs.list(path("/")).unwrap(), ["d", "d.new"]);
        assert_eq!(vfs.link(path("/d/b"), path("/d/a")).unwrap_err().kind(), exists);
        vfs.link(path("/d/b"), path("/c")).unwrap();
        vfs.rename(path("/d/b"), path("/d/a")).unwrap();
        assert_eq!(vfs.list(path("/d")).unwrap(), ["a"]);
        assert_eq!(vfs.open(path("/d/a")).unwrap().len().unwrap(), 3);
        let full = vfs.remove_directory(path("/d")).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::DirectoryNotEmpty);
        vfs.remove(path("/d/a")).unwrap();
        vfs.remove_directory(path("/d")).unwrap();
        assert!(!vfs.exists(path("/d")).unwrap() && vfs.exists(path("/")).unwrap());
        let file = vfs.open_for_reading(path("/c")).unwrap();
        assert!(file.write_all_at(b"x", 0).is_err(), "it is open for reading alone");
        let missing = vfs.open(path("/d/a")).unwrap_err();
        assert!(missing.to_string().contains("/d/a"), "{missing}");
    }

    #[test]
    fn a_mapped_file_is_shared_and_sealed_and_outlives_its_name() {
        let vfs = MemoryVfs::new();
        let file = vfs.create(Path::new("/a")).unwrap();
        file.write_all_at(b"plinth", 0).unwrap();
        file.allocate(8).unwrap();
        let region = file.map().unwrap();
        vfs.remove(Path::new("/a")).unwrap();
        assert_eq!(&region[..], b"plinth\0\0");
        assert!(region.is_resident(0..8) && !region.is_resident(0..9));
        assert!(file.write_all_at(b"x", 0).is_err());
        assert_eq!(file.map().unwrap().as_ptr(), region.as_ptr());
        assert_eq!(vfs.bytes(), 0);
    }

    #[test]
    fn a_lock_excludes_others_until_it_is_dropped() {
        let vfs = MemoryVfs::new();
        let held = vfs.lock(Path::new("/LOCK")).unwrap();
        let again = vfs.lock(Path::new("/LOCK")).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        vfs.lock(Path::new("/LOCK")).unwrap();
    }
}
