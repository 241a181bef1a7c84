//! Reads one segment, a window at a time.
//!
//! [`SegmentReader::next`] gives the records one after the other, until a place where no sound
//! record is. What that place means is for recovery to decide; [`SegmentReader::rest`] helps with
//! it. A record's bytes are a slice of the window they were read into: nothing is copied.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use plinth_protocol::Version;

use super::{
    LogError,
    body::decode::{BodyError, CheckedRecord},
    record::{Place, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader},
    segment::{SECTOR_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader},
};
use crate::{
    engine::{
        file_header::HeaderError,
        planted::{Bug::LogChecksumIgnored, is_planted},
    },
    vfs::{File, Vfs},
};

/// How much is read at a time. A longer record is read at once, after its length is checked.
const WINDOW_BYTES: u64 = 1 << 20;
/// Windows that are kept to be read into again, when nobody has a record of them any more.
const WINDOWS_KEPT: usize = 8;
/// Compared with at once, since most of what is behind the records is zeros.
const ZERO_SECTOR: [u8; SECTOR_BYTES as usize] = [0; SECTOR_BYTES as usize];

/// A segment that is read from its beginning.
#[derive(Debug)]
pub(super) struct SegmentReader {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    file: Box<dyn File>,
    file_bytes: u64,
    /// Where the next record begins, as far as one can tell.
    pub(super) offset: u64,
    /// Part of the file, from this offset on.
    window: Bytes,
    window_offset: u64,
    /// Windows before this one, the oldest first.
    windows: VecDeque<Bytes>,
}

/// A record whose checksums are right.
#[derive(Clone, Debug)]
pub(super) struct ReadRecord {
    pub(super) offset: u64,
    pub(super) header: RecordHeader,
    pub(super) header_crc: u32,
    /// All of it: its header, its body, and the zeros up to the next multiple of eight.
    pub(super) bytes: Bytes,
}

impl ReadRecord {
    /// The offset behind it.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// What the record says of versions above `after`, or why it is not a record all the same.
    pub(super) fn check(&self, path: &Path, after: Version) -> Result<CheckedRecord, LogError> {
        let end = RECORD_HEADER_BYTES + self.header.body_bytes as usize;
        let (record_type, offset) = (self.header.record_type, self.offset);
        let body = self.bytes.slice(RECORD_HEADER_BYTES..end);
        CheckedRecord::check(record_type, body, after).map_err(|error| {
            let path = path.to_path_buf();
            match error {
                BodyError::UnknownType => LogError::UnknownRecord { path, offset, record_type },
                BodyError::Malformed(what) => LogError::Damaged { path, offset, what },
            }
        })
    }
}

/// What lies behind the last sound record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// The bytes up to the last one that is known to have been written behind the last record: the
    /// last one that isn't zero, or, where an earlier life of the file has left something, the end
    /// of the last record that was begun.
    pub(super) bytes: u64,
    /// Whether a record there says that the place where reading ended had been durable.
    pub(super) has_witness: bool,
}

impl SegmentReader {
    /// Opens the segment with this number and checks its header; and, if one is given, that it
    /// belongs to this database.
    pub(super) fn open(
        vfs: &dyn Vfs,
        path: PathBuf,
        number: u64,
        database_id: Option<[u8; 16]>,
    ) -> Result<Self, LogError> {
        let file = vfs.open_for_reading(&path)?;
        let file_bytes = file.len()?;
        let damaged = |what| LogError::Damaged { path: path.clone(), offset: 0, what };
        let mut header = [0; SEGMENT_HEADER_BYTES];
        if file_bytes < header.len() as u64 {
            return Err(damaged("the file is shorter than a segment's header"));
        }
        file.read_exact_at(&mut header, 0)?;
        let header = match SegmentHeader::decode(&header) {
            Ok(header) => header,
            Err(HeaderError::Damaged) => return Err(damaged("the segment's header is damaged")),
            Err(HeaderError::UnknownFormat(format)) => {
                return Err(LogError::UnknownFormat { path, format });
            }
        };
        if database_id.is_some_and(|id| id != header.database_id) {
            return Err(LogError::ForeignSegment { path });
        }
        if header.number != number {
            return Err(damaged("the segment's header has another number than its name"));
        }
        Ok(Self {
            path,
            header,
            file,
            file_bytes,
            offset: SEGMENT_HEADER_BYTES as u64,
            window: Bytes::new(),
            window_offset: 0,
            windows: VecDeque::new(),
        })
    }

    /// Goes on with the memory of another reader, which is done.
    pub(super) fn take_memory(&mut self, mut done: Self) {
        done.keep_window();
        self.windows = done.windows;
    }

    /// The file's length.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The next record, or none where there is no sound one.
    pub(super) fn next(&mut self) -> Result<Option<ReadRecord>, LogError> {
        let Some((header, header_crc)) = self.next_header()? else { return Ok(None) };
        let (offset, record_bytes) = (self.offset, header.record_bytes());
        if record_bytes as u64 > self.file_bytes - offset {
            return Ok(None);
        }
        let bytes = self.bytes(offset, record_bytes)?;
        let body = bytes.get(RECORD_HEADER_BYTES..).unwrap_or_default();
        let (body, padding) = body.split_at(body.len().min(header.body_bytes as usize));
        let is_sound = crc32fast::hash(body) == header.body_crc || is_planted(LogChecksumIgnored);
        if !is_sound || padding.iter().any(|&byte| byte != 0) {
            return Ok(None);
        }
        let begin = (offset - self.window_offset) as usize;
        let bytes = self.window.slice(begin..begin + record_bytes);
        self.offset = offset + record_bytes as u64;
        Ok(Some(ReadRecord { offset, header, header_crc, bytes }))
    }

    /// Ends the segment before its last sound record, for a planted bug.
    pub(super) fn forget_last(&mut self) -> Result<(), LogError> {
        let (begin, mut last) = (self.offset, self.offset);
        while let Some(read) = self.next()? {
            last = read.offset;
        }
        (self.offset, self.file_bytes) = (begin, last);
        Ok(())
    }

    /// What lies between the place where [`SegmentReader::next`] gave none and the file's end.
    pub(super) fn rest(&mut self) -> Result<Rest, LogError> {
        let begin = self.offset;
        let mut rest = Rest { bytes: 0, has_witness: false };
        let mut offset = begin.next_multiple_of(RECORD_ALIGNMENT as u64);
        while offset < self.file_bytes {
            let count = (self.file_bytes - offset).min(SECTOR_BYTES);
            // A header may reach into the next sector.
            let more = (self.file_bytes - offset).min(count + RECORD_HEADER_BYTES as u64);
            let SegmentHeader { salt, stale_to, .. } = self.header;
            let file_bytes = self.file_bytes;
            let bytes = self.bytes(offset, more as usize)?;
            let sector = bytes.get(..count as usize).unwrap_or(bytes);
            let last = if sector == ZERO_SECTOR { None } else { last_non_zero(sector) };
            if let Some(last) = last {
                if offset >= stale_to {
                    rest.bytes = rest.bytes.max(offset + last as u64 + 1 - begin);
                }
                for (at, header) in headers_in(bytes, Place { salt, offset }) {
                    let end = (at + header.record_bytes() as u64).min(file_bytes);
                    rest.bytes = rest.bytes.max(end - begin);
                    rest.has_witness |= header.durable_to > begin;
                }
            }
            offset += count;
        }
        Ok(rest)
    }

    /// The header of the record at the offset, or, where there are zeros, of the one that begins the
    /// next sector; the offset is moved there.
    fn next_header(&mut self) -> Result<Option<(RecordHeader, u32)>, LogError> {
        if let Some(header) = self.header_at(self.offset)? {
            return Ok(Some(header));
        }
        let next_sector = self.offset.next_multiple_of(SECTOR_BYTES);
        if next_sector > self.file_bytes {
            return Ok(None);
        }
        let gap = self.bytes(self.offset, (next_sector - self.offset) as usize)?;
        if gap.iter().any(|&byte| byte != 0) {
            return Ok(None);
        }
        self.offset = next_sector;
        self.header_at(next_sector)
    }

    fn header_at(&mut self, offset: u64) -> Result<Option<(RecordHeader, u32)>, LogError> {
        let place = Place { salt: self.header.salt, offset };
        if self.file_bytes.saturating_sub(offset) < RECORD_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let bytes = self.bytes(offset, RECORD_HEADER_BYTES)?;
        Ok(bytes.first_chunk().and_then(|bytes| RecordHeader::decode(bytes, place)))
    }

    /// Bytes of the file, which the caller knows to be there.
    fn bytes(&mut self, offset: u64, count: usize) -> Result<&[u8], LogError> {
        let end = offset + count as u64;
        debug_assert!(end <= self.file_bytes, "the caller has checked the end");
        if offset < self.window_offset || end > self.window_offset + self.window.len() as u64 {
            let wanted = (count as u64).max(WINDOW_BYTES).min(self.file_bytes - offset);
            self.keep_window();
            let mut window = self.free_window();
            window.resize(wanted as usize, 0);
            self.file.read_exact_at(&mut window, offset)?;
            (self.window, self.window_offset) = (window.freeze(), offset);
        }
        let begin = (offset - self.window_offset) as usize;
        Ok(self.window.get(begin..begin + count).unwrap_or_default())
    }
}

impl SegmentReader {
    /// Keeps the window's memory for another one.
    fn keep_window(&mut self) {
        let window = std::mem::take(&mut self.window);
        if !window.is_empty() && window.len() as u64 <= WINDOW_BYTES {
            self.windows.push_back(window);
        }
        if self.windows.len() > WINDOWS_KEPT {
            self.windows.pop_front();
        }
    }

    /// Memory for a window: that of the oldest one, unless somebody still has a record of it.
    fn free_window(&mut self) -> BytesMut {
        let is_free = self.windows.front().is_some_and(Bytes::is_unique);
        let oldest = if is_free { self.windows.pop_front() } else { None };
        oldest.and_then(|oldest| oldest.try_into_mut().ok()).unwrap_or_default()
    }
}

fn last_non_zero(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|&byte| byte != 0)
}

/// The records' headers in these bytes, which are at this place, and where they are.
fn headers_in(bytes: &[u8], place: Place) -> impl Iterator<Item = (u64, RecordHeader)> + '_ {
    (0..bytes.len()).step_by(RECORD_ALIGNMENT).filter_map(move |start| {
        let bytes = bytes.get(start..).unwrap_or_default();
        let offset = place.offset + start as u64;
        if !bytes.starts_with(&RECORD_MAGIC) {
            return None;
        }
        let (header, _) = RecordHeader::decode(bytes.first_chunk()?, Place { offset, ..place })?;
        Some((offset, header))
    })
}
