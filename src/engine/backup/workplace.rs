//! A directory in the making.
//!
//! A marker is the first thing in it. While it is there and what makes the directory whole isn't,
//! the directory is one that was cut short: it is taken for nothing else, and the next attempt
//! clears it and begins again. A directory with anything else in it is left alone.

use std::path::{Path, PathBuf};

use super::{BackupError, LOG, MANIFEST, TABLES};
use crate::{
    engine::directory::create_with_parents,
    vfs::{Vfs, VfsError},
};

/// A directory in the making. Dropped before it is finished, it is cleared.
#[derive(Debug)]
pub(super) struct Workplace<'a> {
    vfs: &'a dyn Vfs,
    path: PathBuf,
    marker: &'static str,
    /// The file that makes the directory whole.
    whole: &'static str,
    is_finished: bool,
}

impl<'a> Workplace<'a> {
    /// Begins a directory, which must not be there, or be empty, or have been cut short: it has the
    /// marker, and not yet what makes it whole.
    pub(super) fn begin(
        vfs: &'a dyn Vfs,
        path: &Path,
        marker: &'static str,
        whole: &'static str,
    ) -> Result<Self, BackupError> {
        create_with_parents(vfs, path)?;
        let names = vfs.list(path)?;
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        if !names.is_empty() && (!has(marker) || has(whole)) {
            return Err(BackupError::NotEmpty { path: path.to_path_buf() });
        }
        let place = Self { vfs, path: path.to_path_buf(), marker, whole, is_finished: false };
        if has(marker) {
            place.clear()?;
        } else {
            vfs.create(&path.join(marker))?;
        }
        vfs.sync_directory(path)?;
        Ok(place)
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf, BackupError> {
        let path = self.path.join(name);
        self.vfs.create_directory(&path)?;
        Ok(path)
    }

    /// Makes all names durable, but for those that are still to come.
    pub(super) fn sync(&self) -> Result<(), BackupError> {
        for name in self.vfs.list(&self.path)? {
            if is_directory(&name) {
                self.vfs.sync_directory(&self.path.join(name))?;
            }
        }
        self.vfs.sync_directory(&self.path)?;
        Ok(())
    }

    /// It is whole.
    pub(super) fn finish(mut self) {
        self.is_finished = true;
    }

    /// Removes everything but the marker.
    fn clear(&self) -> Result<(), VfsError> {
        let whole = self.path.join(self.whole);
        if self.vfs.exists(&whole)? {
            // First of all, and for good: nothing that looks whole may lack a part.
            self.vfs.remove(&whole)?;
            self.vfs.sync_directory(&self.path)?;
        }
        for name in self.vfs.list(&self.path)? {
            let path = self.path.join(&name);
            if name == self.marker {
                continue;
            }
            if !is_directory(&name) {
                self.vfs.remove(&path)?;
                continue;
            }
            for inner in self.vfs.list(&path)? {
                self.vfs.remove(&path.join(inner))?;
            }
            self.vfs.remove_directory(&path)?;
        }
        Ok(())
    }

    /// Removes everything, and the directory. The marker goes last.
    fn remove(&self) -> Result<(), VfsError> {
        self.clear()?;
        self.vfs.sync_directory(&self.path)?;
        let marker = self.path.join(self.marker);
        if self.vfs.exists(&marker)? {
            self.vfs.remove(&marker)?;
        }
        self.vfs.remove_directory(&self.path)
    }
}

impl Drop for Workplace<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        if let Err(error) = self.remove() {
            // The marker is still there: the next attempt clears it.
            let path = self.path.display();
            tracing::warn!(%path, %error, "what was begun could not be removed");
        }
    }
}

fn is_directory(name: &std::ffi::OsStr) -> bool {
    [TABLES, MANIFEST, LOG].iter().any(|known| name == *known)
}
