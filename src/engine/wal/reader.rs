//! Reads one segment, a window at a time.
//!
//! [`SegmentReader::next`] gives the records that follow from the one before, until a place where
//! no sound record is. What that place means is for recovery to decide; [`SegmentReader::rest`]
//! helps with it.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{
    LogError, LogOptions, LogRecord, body,
    body::BodyError,
    record::{Place, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader},
    segment::{HeaderError, SECTOR_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, segment_path},
};
use crate::vfs::{File, Vfs};

/// How much is read at a time. A longer record is read at once, after its length is checked.
const WINDOW_BYTES: u64 = 1 << 20;
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
    /// Part of the file: so many bytes from this offset on, at the buffer's beginning.
    window: Vec<u8>,
    window_offset: u64,
    window_bytes: u64,
}

/// A record that is sound in itself.
#[derive(Debug)]
pub(super) struct ReadRecord {
    pub(super) offset: u64,
    pub(super) header: RecordHeader,
    pub(super) header_crc: u32,
    pub(super) record: LogRecord,
}

/// What lies behind the last sound record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// The bytes up to the last one that isn't zero.
    pub(super) bytes: u64,
    /// Whether a record there says that the place where reading ended had been durable.
    pub(super) has_witness: bool,
}

impl SegmentReader {
    /// Opens a segment and checks its header.
    pub(super) fn open(
        vfs: &dyn Vfs,
        directory: &Path,
        number: u64,
        options: &LogOptions,
    ) -> Result<Self, LogError> {
        let path = segment_path(directory, number);
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
        if header.database_id != options.database_id {
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
            window: Vec::new(),
            window_offset: 0,
            window_bytes: 0,
        })
    }

    /// The file's length.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The next record and its bytes, or none where there is no sound one.
    pub(super) fn next(&mut self) -> Result<Option<(ReadRecord, &[u8])>, LogError> {
        let Some((header, header_crc)) = self.next_header()? else { return Ok(None) };
        let (offset, record_bytes) = (self.offset, header.record_bytes());
        if record_bytes as u64 > self.file_bytes - offset {
            return Ok(None);
        }
        let bytes = self.bytes(offset, record_bytes)?;
        let body = bytes.get(RECORD_HEADER_BYTES..).unwrap_or_default();
        let (body, padding) = body.split_at(body.len().min(header.body_bytes as usize));
        if crc32fast::hash(body) != header.body_crc || padding.iter().any(|&byte| byte != 0) {
            return Ok(None);
        }
        let record = body::decode(header.record_type, Bytes::copy_from_slice(body));
        let record = record.map_err(|error| self.body_error(offset, header.record_type, error))?;
        self.offset = offset + record_bytes as u64;
        let read = ReadRecord { offset, header, header_crc, record };
        Ok(Some((read, self.bytes(offset, record_bytes)?)))
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
            let salt = self.header.salt;
            let bytes = self.bytes(offset, more as usize)?;
            let sector = bytes.get(..count as usize).unwrap_or(bytes);
            let last = if sector == ZERO_SECTOR { None } else { last_non_zero(sector) };
            if let Some(last) = last {
                rest.bytes = offset + last as u64 + 1 - begin;
                rest.has_witness |= has_witness(bytes, begin, Place { salt, offset });
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
        if offset < self.window_offset || end > self.window_offset + self.window_bytes {
            let wanted = (count as u64).max(WINDOW_BYTES).min(self.file_bytes - offset);
            if (self.window.len() as u64) < wanted {
                self.window = vec![0; wanted as usize];
            }
            // Emptied first: should reading fail, there is no window.
            self.window_bytes = 0;
            let window = self.window.get_mut(..wanted as usize).unwrap_or_default();
            self.file.read_exact_at(window, offset)?;
            (self.window_offset, self.window_bytes) = (offset, wanted);
        }
        let begin = (offset - self.window_offset) as usize;
        Ok(self.window.get(begin..begin + count).unwrap_or_default())
    }

    fn body_error(&self, offset: u64, record_type: u8, error: BodyError) -> LogError {
        let path = self.path.clone();
        match error {
            BodyError::UnknownType => LogError::UnknownRecord { path, offset, record_type },
            BodyError::Malformed(what) => LogError::Damaged { path, offset, what },
        }
    }
}

fn last_non_zero(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|&byte| byte != 0)
}

/// Whether there is a header in these bytes, which are at this place, that says that what lies
/// behind `end` had been durable.
fn has_witness(bytes: &[u8], end: u64, place: Place) -> bool {
    let mut starts = (0..bytes.len()).step_by(RECORD_ALIGNMENT);
    starts.any(|start| {
        let bytes = bytes.get(start..).unwrap_or_default();
        let place = Place { offset: place.offset + start as u64, ..place };
        bytes.starts_with(&RECORD_MAGIC)
            && bytes
                .first_chunk()
                .and_then(|bytes| RecordHeader::decode(bytes, place))
                .is_some_and(|(header, _)| header.durable_to > end)
    })
}
