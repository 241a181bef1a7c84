//! Spares: files that have the room of a segment, reserved on the disk, and wait to become one.
//!
//! A spare is new, or it is a retired segment that is used again. Then there is still in it what it
//! held; the next segment's header says so, and has another salt. A spare becomes a segment like a
//! new file does: under its old name it gets its header, which is synced, and then it is renamed.

use std::path::{Path, PathBuf};

use super::{
    LogError, LogOptions,
    segment::{SECTOR_BYTES, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, fill, segment_path},
};
use crate::vfs::{File, Vfs};

/// A file that waits to become a segment.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    file: Box<dyn File>,
    /// Its length.
    pub(super) capacity: u64,
    /// What lies before this has been written in an earlier life.
    stale_to: u64,
    /// What lies before this has been written at least once.
    filled: u64,
}

/// The path of a spare.
pub(super) fn spare_path(directory: &Path, serial: u64) -> PathBuf {
    directory.join(format!("{serial:016}.spare"))
}

impl Spare {
    /// Makes a new one and reserves its room; leaves nothing behind if that fails.
    pub(super) fn make(
        vfs: &dyn Vfs,
        directory: &Path,
        serial: u64,
        capacity: u64,
        options: &LogOptions,
    ) -> Result<Self, LogError> {
        let path = spare_path(directory, serial);
        let file = vfs.create(&path)?;
        let filled = options.zero_fill_bytes.max(SECTOR_BYTES).min(capacity);
        let reserved = file
            .allocate(capacity)
            .and_then(|()| fill(&*file, SEGMENT_HEADER_BYTES as u64, filled))
            .and_then(|()| file.sync_all());
        match reserved {
            Ok(()) => Ok(Self { path, file, capacity, stale_to: 0, filled }),
            Err(error) => {
                drop(file);
                // If it can't be removed now, the next start removes it.
                let _ = vfs.remove(&path);
                Err(error.into())
            }
        }
    }

    /// A file that was a spare before, or a segment, if it has this length.
    pub(super) fn find(
        vfs: &dyn Vfs,
        path: &Path,
        capacity: u64,
    ) -> Result<Option<Self>, LogError> {
        let file = vfs.open(path)?;
        if file.len()? != capacity {
            return Ok(None);
        }
        // A crash may have come between its length and its room.
        file.allocate(capacity)?;
        let path = path.to_path_buf();
        Ok(Some(Self { path, file, capacity, stale_to: capacity, filled: capacity }))
    }

    /// Whether a segment in it has room for this many bytes of records.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.room() >= bytes
    }

    /// How many bytes of records a segment in it can hold.
    pub(super) fn room(&self) -> u64 {
        self.capacity - SEGMENT_HEADER_BYTES as u64
    }

    /// Becomes the segment with this header.
    pub(super) fn into_segment(
        self,
        vfs: &dyn Vfs,
        directory: &Path,
        header: &SegmentHeader,
    ) -> Result<Segment, LogError> {
        let header = SegmentHeader { stale_to: self.stale_to, ..header.clone() };
        self.file.write_all_at(&header.encode(), 0)?;
        self.file.sync_all()?;
        vfs.rename(&self.path, &segment_path(directory, header.number))?;
        vfs.sync_directory(directory)?;
        Ok(Segment { header, file: self.file, capacity: self.capacity, filled: self.filled })
    }
}
