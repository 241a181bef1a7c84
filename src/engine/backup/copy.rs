//! Linking and copying files, a bounded piece at a time.

use std::{io, path::Path};

use super::{BackupError, BackupProgress, OnProgress};
use crate::vfs::{File, Vfs};

/// How much is copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Says how far the work is, and whether it is to go on.
pub(super) struct Meter<'a> {
    progress: BackupProgress,
    on_progress: OnProgress<'a>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(total_bytes: u64, on_progress: OnProgress<'a>) -> Self {
        Self { progress: BackupProgress { done_bytes: 0, total_bytes }, on_progress }
    }

    /// So many bytes more are done. Fails if that was to be all.
    pub(super) fn advance(&mut self, bytes: u64) -> Result<(), BackupError> {
        self.progress.done_bytes += bytes;
        self.progress.total_bytes = self.progress.total_bytes.max(self.progress.done_bytes);
        let goes_on = (self.on_progress)(self.progress).is_continue();
        if goes_on { Ok(()) } else { Err(BackupError::Cancelled) }
    }

    /// Everything is done, whatever was expected.
    pub(super) fn finish(&mut self) -> Result<(), BackupError> {
        self.progress.total_bytes = self.progress.done_bytes;
        self.advance(0)
    }
}

/// A file that is written from its beginning to its end, and its checksum.
pub(super) struct Output {
    file: Box<dyn File>,
    buffer: Vec<u8>,
    /// What is written and buffered.
    bytes: u64,
    crc: crc32fast::Hasher,
}

impl Output {
    pub(super) fn create(vfs: &dyn Vfs, path: &Path) -> Result<Self, BackupError> {
        let file = vfs.create(path)?;
        Ok(Self { file, buffer: Vec::new(), bytes: 0, crc: crc32fast::Hasher::new() })
    }

    /// How long the file is so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.buffer.extend_from_slice(bytes);
        self.bytes += bytes.len() as u64;
        if self.buffer.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Adds zeros up to this offset.
    pub(super) fn pad_to(&mut self, offset: u64) -> Result<(), BackupError> {
        while self.bytes < offset {
            let count = (offset - self.bytes).min(PIECE_BYTES as u64);
            self.buffer.resize(self.buffer.len() + count as usize, 0);
            self.bytes += count;
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BackupError> {
        self.crc.update(&self.buffer);
        let begin = self.bytes - self.buffer.len() as u64;
        self.file.write_all_at(&self.buffer, begin)?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes it durable, but for its name; its checksum.
    pub(super) fn finish(mut self) -> Result<u32, BackupError> {
        self.flush()?;
        self.file.sync_all()?;
        self.file.uncache(0..self.bytes);
        Ok(self.crc.finalize())
    }
}

/// Copies a file, and makes the copy durable but for its name. Answers its checksum.
pub(super) fn copy(
    vfs: &dyn Vfs,
    from: &Path,
    to: &Path,
    meter: &mut Meter<'_>,
) -> Result<u32, BackupError> {
    let mut output = Output::create(vfs, to)?;
    read(vfs, from, &mut |piece| {
        output.write(piece)?;
        meter.advance(piece.len() as u64)
    })?;
    output.finish()
}

/// Reads a file to its end, piece by piece. Answers its length.
pub(super) fn read(
    vfs: &dyn Vfs,
    path: &Path,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<u64, BackupError> {
    let file = vfs.open_for_reading(path)?;
    let bytes = file.len()?;
    let mut piece = vec![0; bytes.min(PIECE_BYTES as u64) as usize];
    let mut offset = 0;
    while offset < bytes {
        let count = (bytes - offset).min(piece.len() as u64) as usize;
        let piece = piece.get_mut(..count).unwrap_or_default();
        file.read_exact_at(piece, offset)?;
        visit(piece)?;
        offset += count as u64;
    }
    file.uncache(0..bytes);
    Ok(bytes)
}

/// Gives a sealed file a second name; where the file system can't, copies it. Answers whether it
/// was linked.
pub(super) fn link_or_copy(
    vfs: &dyn Vfs,
    from: &Path,
    to: &Path,
    bytes: u64,
    meter: &mut Meter<'_>,
) -> Result<bool, BackupError> {
    match vfs.link(from, to) {
        Ok(()) => {
            meter.advance(bytes)?;
            return Ok(true);
        }
        Err(error) if can_copy(error.kind()) => {}
        Err(error) => return Err(error.into()),
    }
    copy(vfs, from, to, meter)?;
    Ok(false)
}

/// Whether a link failed in a way in which a copy need not: the file system is another one, has no
/// links, allows none here, or has no more for this file.
fn can_copy(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::CrossesDevices
            | io::ErrorKind::Unsupported
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::TooManyLinks
    )
}
