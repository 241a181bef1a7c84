//! The reserve: room on the disk that only a start may use.
//!
//! A start writes the end of the log and the manifest anew before it goes on, because what was read
//! may have come from a cache and not from the disk. On a full disk there would be no room for that,
//! and nobody could even read. So there is a file, `RESERVE`, that holds nothing but room. A start
//! that meets a full disk removes it and begins again; what it replaces then is gone, which is as
//! much as it has used, and the reserve is made again. Nothing else ever uses it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::options::EngineOptions;
use crate::vfs::{Vfs, VfsError};

const NAME: &str = "RESERVE";

/// Room for a start.
#[derive(Debug)]
pub(crate) struct Reserve {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// The reserve of a data directory: a segment of the log, and a manifest.
    pub(crate) fn new(options: &EngineOptions) -> Self {
        let manifest_bytes = options.storage.manifest_bytes_max;
        Self {
            vfs: Arc::clone(&options.vfs),
            path: options.directory.join(NAME),
            bytes: options.log.segment_bytes.saturating_add(manifest_bytes),
        }
    }

    /// Lets the room go; false if there was none.
    pub(crate) fn release(&self) -> Result<bool, VfsError> {
        let is_there = self.vfs.exists(&self.path)?;
        if is_there {
            self.vfs.remove(&self.path)?;
        }
        Ok(is_there)
    }

    /// Makes sure of the room; leaves nothing behind if there is none.
    pub(crate) fn make(&self) -> Result<(), VfsError> {
        if self.vfs.exists(&self.path)? {
            if self.vfs.open_for_reading(&self.path)?.len()? >= self.bytes {
                return Ok(());
            }
            self.vfs.remove(&self.path)?;
        }
        let made = self.vfs.create(&self.path).and_then(|file| {
            file.allocate(self.bytes)?;
            file.sync_all()?;
            self.path.parent().map_or(Ok(()), |directory| self.vfs.sync_directory(directory))
        });
        if made.is_err() && self.vfs.exists(&self.path).unwrap_or(false) {
            // If it can't be removed now, the next try does it.
            let _ = self.vfs.remove(&self.path);
        }
        made
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
