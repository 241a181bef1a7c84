//! What happens to bytes at rest, behind the engine's back: bits that flip, sectors that are gone,
//! blocks in the wrong place, files of another time.
//!
//! All of it is durable at once and counts as no call. A region that is mapped keeps the bytes that
//! it has, as the page cache does.

use std::{io, path::Path};

use super::{
    SimVfs,
    disk::FileEffect,
    pages::{PAGE_BYTES, SECTOR_BYTES},
};

impl SimVfs {
    /// A file's bytes as they are now.
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock_state();
        let file = state.disk.file(path)?;
        Ok(state.disk.files[&file].current.bytes())
    }

    /// Replaces a file's bytes: by another file's, by those of an older self, by any. The file and
    /// its directory are made if need be.
    pub fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock_state();
        let disk = &mut state.disk;
        let missing: Vec<_> =
            path.ancestors().skip(1).filter(|path| !disk.names.contains_key(*path)).collect();
        for directory in missing.into_iter().rev() {
            disk.create_directory(directory)?;
        }
        let file = match disk.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(path)?,
            file => file?,
        };
        disk.add_file_effect(file, FileEffect::SetLen(0));
        disk.add_file_effect(file, FileEffect::Write { offset: 0, bytes: bytes.into() });
        disk.sync_file(file);
        let directories: Vec<_> = disk.pending_names.keys().cloned().collect();
        directories.iter().try_for_each(|directory| disk.sync_directory(directory))
    }

    /// Flips one bit of a file.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) -> io::Result<()> {
        self.damage(path, |bytes| bytes[offset] ^= 1 << (bit % 8))
    }

    /// Zeroes the sector of a file that this offset lies in.
    pub fn zero_sector(&self, path: &Path, offset: usize) -> io::Result<()> {
        self.damage(path, |bytes| {
            let begin = offset / SECTOR_BYTES * SECTOR_BYTES;
            let end = (begin + SECTOR_BYTES).min(bytes.len());
            bytes[begin..end].fill(0);
        })
    }

    /// Swaps two pages of a file, as two writes to the wrong places do. What lies past the end of
    /// the file stays where it is.
    pub fn swap_pages(&self, path: &Path, first: usize, second: usize) -> io::Result<()> {
        self.damage(path, |bytes| {
            for within in 0..PAGE_BYTES {
                let (one, other) = (first * PAGE_BYTES + within, second * PAGE_BYTES + within);
                if one.max(other) < bytes.len() {
                    bytes.swap(one, other);
                }
            }
        })
    }

    /// Writes one sector of a file over another, as a write to the wrong place does.
    pub fn copy_sector(&self, path: &Path, from: usize, to: usize) -> io::Result<()> {
        self.damage(path, |bytes| {
            let begin = |offset: usize| (offset / SECTOR_BYTES * SECTOR_BYTES).min(bytes.len());
            let (from, to) = (begin(from), begin(to));
            let count = SECTOR_BYTES.min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + count, to);
        })
    }

    /// Cuts a file to this length.
    pub fn truncate(&self, path: &Path, len: usize) -> io::Result<()> {
        let mut bytes = self.bytes(path)?;
        bytes.truncate(len);
        self.put(path, &bytes)
    }

    fn damage(&self, path: &Path, change: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let mut bytes = self.bytes(path)?;
        change(&mut bytes);
        self.put(path, &bytes)
    }
}
