//! The bytes of a table: the mapped file, and what is known of each piece of it.
//!
//! Every block and every section has one byte of state: zero until its checksum has been found
//! right, and then the tick at which it was last looked at. A piece that was looked at lately is
//! taken from the mapping without asking anybody. For any other the system is asked whether it is
//! in memory. If not, and the reader may wait, it is read with a call that can fail, rather than
//! through the mapping, which can't; then the mapping is used.
//!
//! To ask costs more than to read. How lately is lately enough depends on whether memory is short:
//! as long as nothing of the table that had been in memory was found to be gone, a minute, and one
//! piece in sixteen is asked for all the same, so that it is found soon; after that a moment, for
//! some minutes.
//!
//! A piece is summed when it is read first, and when it is read anew because it was gone. What goes
//! and comes back while it is believed to be there is not: the system has fetched it then, as it
//! fetches anything else that is mapped.
//!
//! Ticks come round after 255, so a piece that was looked at so long ago may be taken for one that
//! was lately. Its reader then waits for the disk at most.

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
    /// The tick at which a piece that had been in memory was not any more; zero if that is long ago.
    gone: AtomicU8,
}

/// A piece that was looked at less than so many ticks ago is in memory.
const MOMENT: u8 = 2;
/// The same while memory is not short.
const LONG: u8 = 60;
/// After so many ticks in which nothing was gone, memory is not short any more.
const SHORT: u8 = 120;
/// One piece of so many is not believed to be in memory for long.
const SAMPLE: usize = 16;

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
        let gone = AtomicU8::new(0);
        Ok(Self { path: path.to_path_buf(), number, file, region, states, gone })
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
        let age = io.age(state.load(Ordering::Relaxed));
        if age.is_none_or(|age| age >= MOMENT && !self.is_believed(age, piece, io)) {
            self.look_at(state, bytes, range, io)?;
        }
        Ok(bytes)
    }

    /// Whether a piece is in memory that was looked at so long ago, longer than a moment.
    #[inline]
    fn is_believed(&self, age: u8, piece: usize, io: &ReadIo) -> bool {
        age < LONG
            && !(piece ^ usize::from(io.tick())).is_multiple_of(SAMPLE)
            && self.gone.load(Ordering::Relaxed) == 0
    }

    /// The bytes of a piece, if it is in memory for sure: for getting a part of it nearer, not
    /// for reading.
    #[inline]
    pub(super) fn peek(&self, piece: usize, range: &Range<u64>, io: &ReadIo) -> Option<&[u8]> {
        let age = io.age(self.states.get(piece)?.load(Ordering::Relaxed))?;
        if age >= MOMENT && !self.is_believed(age, piece, io) {
            return None;
        }
        self.region.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
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
            if !is_new {
                self.gone.store(io.tick(), Ordering::Relaxed);
            }
            if !io.may_wait() {
                return Err(ReadError::Cold);
            }
            self.check(&self.read(range)?, range.start)?;
        } else if is_new {
            self.check(bytes, range.start)?;
        } else if io.age(self.gone.load(Ordering::Relaxed)).is_some_and(|age| age >= SHORT) {
            self.gone.store(0, Ordering::Relaxed);
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
