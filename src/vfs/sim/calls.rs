//! The calls of a simulated disk.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ColdPages, SimVfs, State, Target, cut, disk::FileId, pages::PAGE_BYTES};
use crate::vfs::{File, LockGuard, Region, Vfs, VfsError};

impl Vfs for SimVfs {
    fn create(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let create = |state: &mut State| state.disk.create(path).map(drop);
        self.change("create", Target::Path(path), "create", create, create, |_| ())?;
        self.opened(path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        self.look("open", Target::Path(path), "open", |state| state.disk.file(path))?;
        self.opened(path)
    }

    fn open_for_reading(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let label = "open_for_reading";
        let file = self.look("open", Target::Path(path), label, |state| state.disk.file(path))?;
        Ok(Box::new(SimFile { vfs: self.clone(), file, is_writable: false }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        let rename = |state: &mut State| {
            state.check_same_device(from, to)?;
            state.disk.rename(from, to)
        };
        self.change("rename a file to", Target::Path(to), "rename", rename, rename, |_| ())
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        let link = |state: &mut State| {
            state.check_same_device(from, to)?;
            state.disk.link(from, to)
        };
        self.change("link a file to", Target::Path(to), "link", link, link, |_| ())
    }

    fn remove(&self, path: &Path) -> Result<(), VfsError> {
        let remove = |state: &mut State| state.disk.remove(path);
        self.change("remove", Target::Path(path), "remove", remove, remove, |_| ())
    }

    fn remove_directory(&self, path: &Path) -> Result<(), VfsError> {
        let remove = |state: &mut State| state.disk.remove_directory(path);
        let (operation, target) = ("remove the directory", Target::Path(path));
        self.change(operation, target, "remove_directory", remove, remove, |_| ())
    }

    fn create_directory(&self, path: &Path) -> Result<(), VfsError> {
        let create = |state: &mut State| state.disk.create_directory(path);
        let operation = "create the directory";
        self.change(operation, Target::Path(path), "create_directory", create, create, |_| ())
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, VfsError> {
        self.look("list", Target::Path(directory), "list", |state| {
            let children = state.disk.children(directory)?;
            Ok(children.filter_map(|path| path.file_name()).map(Into::into).collect())
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, VfsError> {
        self.look("look for", Target::Path(path), "exists", |state| {
            Ok(state.disk.names.contains_key(path))
        })
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, VfsError> {
        let operation = "measure the space around";
        self.look(operation, Target::Path(path), "free_bytes", |state| {
            if state.disk.names.contains_key(path) {
                Ok(state.free())
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        })
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), VfsError> {
        let sync = |state: &mut State| state.disk.sync_directory(directory);
        let part = |_: &mut State| Ok(());
        // Names go through a file system's journal: one that fails to write it stops altogether,
        // and doesn't forget.
        self.change(
            "sync the directory",
            Target::Path(directory),
            "sync_directory",
            sync,
            part,
            |_| (),
        )
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, VfsError> {
        self.look("lock", Target::Path(path), "lock", |state| {
            if !state.disk.names.contains_key(path) {
                state.disk.create(path)?;
            }
            if state.locks.insert(path.to_path_buf()) {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })?;
        Ok(Box::new(SimLock { vfs: self.clone(), path: path.to_path_buf() }))
    }
}

impl SimVfs {
    fn opened(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let file = self.lock_state().disk.file(path);
        let file = file.map_err(|error| VfsError::new("open", path, error))?;
        Ok(Box::new(SimFile { vfs: self.clone(), file, is_writable: true }))
    }
}

/// An open file of a simulated disk.
#[derive(Debug)]
struct SimFile {
    vfs: SimVfs,
    file: FileId,
    is_writable: bool,
}

impl SimFile {
    /// Changes the file, if it was opened for that.
    fn change(
        &self,
        operation: &'static str,
        label: &str,
        whole: impl FnOnce(&mut State) -> io::Result<()>,
        part: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> Result<(), VfsError> {
        let may = |_: &mut State| {
            if self.is_writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
        };
        let whole = |state: &mut State| may(state).and_then(|()| whole(state));
        let part = |state: &mut State| may(state).and_then(|()| part(state));
        self.vfs.change(operation, Target::File(self.file), label, whole, part, |_| ())
    }

    fn sync(&self, label: &str) -> Result<(), VfsError> {
        let sync = |state: &mut State| {
            state.disk.sync_file(self.file);
            Ok(())
        };
        let forget = |state: &mut State| {
            if let Some(file) = state.disk.files.get_mut(&self.file) {
                cut::forget(file, &mut state.random);
            }
        };
        self.vfs.change("sync", Target::File(self.file), label, sync, |_| Ok(()), forget)
    }
}

impl File for SimFile {
    fn len(&self) -> Result<u64, VfsError> {
        let len = |state: &mut State| Ok(state.disk.files[&self.file].current.len());
        self.vfs.look("measure", Target::File(self.file), "len", len)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), VfsError> {
        self.vfs.look("read", Target::File(self.file), "read", |state| {
            let file = &state.disk.files[&self.file];
            if file.current.read(buffer, offset) {
                if let Some(cold) = file.mapped.upgrade() {
                    cold.warm(&(offset..offset + buffer.len() as u64));
                }
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), VfsError> {
        let write = |state: &mut State| state.write(self.file, bytes, offset);
        let part = |state: &mut State| state.write_part(self.file, bytes, offset);
        self.change("write", "write", write, part)
    }

    fn allocate(&self, bytes: u64) -> Result<(), VfsError> {
        let allocate = |state: &mut State| {
            let len = state.disk.files[&self.file].current.len();
            if bytes > len { state.set_len(self.file, bytes) } else { Ok(()) }
        };
        self.change("reserve space for", "allocate", allocate, allocate)
    }

    fn set_len(&self, bytes: u64) -> Result<(), VfsError> {
        let set_len = |state: &mut State| state.set_len(self.file, bytes);
        self.change("set the length of", "set_len", set_len, set_len)
    }

    fn sync_data(&self) -> Result<(), VfsError> {
        self.sync("sync_data")
    }

    fn sync_all(&self) -> Result<(), VfsError> {
        self.sync("sync_all")
    }

    fn map(&self) -> Result<Region, VfsError> {
        self.vfs.look("map", Target::File(self.file), "map", |state| {
            let cold = state.cold_pages(self.file);
            let bytes = state.disk.files[&self.file].current.bytes();
            Ok(Region::owned(bytes.into(), cold))
        })
    }

    fn will_read(&self, _: Range<u64>) {}

    fn uncache(&self, range: Range<u64>) {
        let state = self.vfs.lock_state();
        let file = &state.disk.files[&self.file];
        if state.plan.cold.is_some()
            && let Some(cold) = file.mapped.upgrade()
        {
            cold.chill(&(range.start..range.end.min(file.current.len())));
        }
    }
}

/// The lock of a file of a simulated disk.
#[derive(Debug)]
struct SimLock {
    vfs: SimVfs,
    path: PathBuf,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.vfs.lock_state().locks.remove(&self.path);
    }
}

impl State {
    /// What of a file that is being mapped is not in memory: known already if it is mapped, else
    /// as the plan and its seed say.
    fn cold_pages(&mut self, file: FileId) -> Arc<ColdPages> {
        let Some(state) = self.disk.files.get_mut(&file) else { return Arc::default() };
        if let Some(cold) = state.mapped.upgrade() {
            return cold;
        }
        let mut pages = BTreeSet::new();
        if let Some(one_in) = self.plan.cold {
            let count = state.current.len().div_ceil(PAGE_BYTES as u64);
            pages.extend((0..count).filter(|_| self.random.one_in(one_in)));
        }
        let cold = Arc::new(ColdPages::new(pages));
        state.mapped = Arc::downgrade(&cold);
        cold
    }
}
