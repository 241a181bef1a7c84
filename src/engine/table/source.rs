//! The bytes of a table: the mapped file, and what is known of each piece of it.
//!
//! Every block and every section has one byte of state: zero until its checksum has been found
//! right, and then the tick at which it was last read. A piece that was read lately is taken from
//! the mapping without asking anybody. For any other the system is asked whether it is in memory.
//! If not, and the reader may wait, it is read with a call that can fail, rather than through the
//! mapping, which can't; then the mapping is used.
//!
//! A tick is believed for two ticks of 255, so a piece that was last read so long ago that the
//! count has come round may be taken for one that was read lately. Its reader then waits for the
//! disk at most.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
};

use super::{
    error::TableError,
    frame::{self, Frame, TRAILER_BYTES},
    options::TableNumber,
    read_io::ReadIo,
};
use crate::{
    engine::read_error::ReadError,
    vfs::{File, Region},
};

/// The bytes of a table.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    number: TableNumber,
    file: Box<dyn File>,
    region: Region,
    states: Box<[AtomicU8]>,
}

impl Source {
    /// The bytes of a file that has so many pieces.
    pub(super) fn new(
        path: &Path,
        number: TableNumber,
        file: Box<dyn File>,
        pieces: usize,
    ) -> Result<Self, TableError> {
        let region = file.map()?;
        let states = (0..pieces).map(|_| AtomicU8::new(0)).collect();
        Ok(Self { path: path.to_path_buf(), number, file, region, states })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn number(&self) -> TableNumber {
        self.number
    }

    pub(super) fn file(&self) -> &dyn File {
        &*self.file
    }

    /// Bytes on the heap, without those of the file's handle.
    pub(super) fn heap_bytes(&self) -> usize {
        self.path.as_os_str().len() + self.states.len()
    }

    /// A piece of the file, whose checksum is right.
    #[inline]
    pub(super) fn frame(
        &self,
        piece: usize,
        range: &Range<u64>,
        io: &ReadIo,
    ) -> Result<Frame<'_>, ReadError> {
        frame::split(self.piece(piece, range, io)?)
            .ok_or_else(|| self.damaged(range.start, "what ends the block makes no sense").into())
    }

    /// The content of a piece, whatever its trailer says of its type.
    #[inline]
    pub(super) fn content(
        &self,
        piece: usize,
        range: &Range<u64>,
        io: &ReadIo,
    ) -> Result<&[u8], ReadError> {
        let bytes = self.piece(piece, range, io)?;
        let len = bytes.len().checked_sub(TRAILER_BYTES);
        len.and_then(|len| bytes.get(..len))
            .ok_or_else(|| self.damaged(range.start, "a block that is too short").into())
    }

    #[inline]
    fn piece(&self, piece: usize, range: &Range<u64>, io: &ReadIo) -> Result<&[u8], ReadError> {
        let bytes = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .and_then(|(begin, end)| self.region.get(begin..end));
        let (Some(bytes), Some(state)) = (bytes, self.states.get(piece)) else {
            return Err(self.damaged(range.start, "a place beyond the end").into());
        };
        if !io.is_lately(state.load(Ordering::Relaxed)) {
            self.look_at(state, bytes, range, io)?;
        }
        Ok(bytes)
    }

    /// Makes sure that a piece is in memory and what was written.
    #[cold]
    fn look_at(
        &self,
        state: &AtomicU8,
        bytes: &[u8],
        range: &Range<u64>,
        io: &ReadIo,
    ) -> Result<(), ReadError> {
        let (begin, end) = (range.start as usize, range.end as usize);
        let is_new = state.load(Ordering::Relaxed) == 0;
        if !self.region.is_resident(begin..end) {
            if !io.may_wait() {
                return Err(ReadError::Cold);
            }
            self.check(&self.read(range)?, range.start)?;
        } else if is_new {
            self.check(bytes, range.start)?;
        }
        state.store(io.tick(), Ordering::Relaxed);
        Ok(())
    }

    fn check(&self, bytes: &[u8], offset: u64) -> Result<(), TableError> {
        if frame::is_sound(bytes, self.number, offset) {
            Ok(())
        } else {
            Err(self.damaged(offset, "the checksum is wrong"))
        }
    }

    /// Reads from the file, not from the mapping.
    pub(super) fn read(&self, range: &Range<u64>) -> Result<Vec<u8>, TableError> {
        // Not longer than the mapping, so the length is sound.
        let len = (range.end.min(self.region.len() as u64)).saturating_sub(range.start);
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }

    /// The same as [`Source::read`], into a buffer, and leaves the system's cache as it was.
    pub(super) fn read_aside(
        &self,
        range: &Range<u64>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), TableError> {
        let end = range.end.min(self.region.len() as u64);
        let was_resident = self.region.is_resident(range.start as usize..end as usize);
        buffer.resize(end.saturating_sub(range.start) as usize, 0);
        self.file.read_exact_at(buffer, range.start)?;
        if !was_resident {
            self.file.uncache(range.start..end);
        }
        Ok(())
    }

    /// A piece in bytes that were read aside, whose checksum is right.
    pub(super) fn frame_in<'a>(
        &self,
        bytes: Option<&'a [u8]>,
        offset: u64,
    ) -> Result<Frame<'a>, TableError> {
        let bytes = bytes.ok_or_else(|| self.damaged(offset, "a place beyond the end"))?;
        self.check(bytes, offset)?;
        frame::split(bytes)
            .ok_or_else(|| self.damaged(offset, "what ends the block makes no sense"))
    }

    pub(super) fn damaged(&self, offset: u64, what: &'static str) -> TableError {
        TableError::damaged(&self.path, offset, what)
    }
}
