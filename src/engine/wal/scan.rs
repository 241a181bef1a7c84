//! Reads segments one behind the other, wherever each of them lies, and changes nothing: for copies
//! of a log, for archives, and for looking at a log that isn't open.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use plinth_protocol::Version;

use super::{
    LogError, LogRecord, LogStart,
    chain::{Chain, check_first, end_of_last},
    reader::SegmentReader,
    segment::{Name, SEGMENT_HEADER_BYTES, segment_path},
};
use crate::vfs::Vfs;

/// Where the log ends when everything in it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    /// The segment that is written.
    pub segment: u64,
    /// Before this offset of it, everything is durable.
    pub position: u64,
    /// The checksum of the last record.
    pub previous: u32,
    /// The last commit version, or that of what lies before the log.
    pub last_version: Version,
}

/// A reader that goes from segment to segment.
#[derive(Debug)]
pub struct LogScan {
    database_id: [u8; 16],
    start: LogStart,
    next_segment: u64,
    chain: Chain,
    ceiling: Version,
    /// The segment before, and where its records ended.
    before: Option<(PathBuf, u64)>,
}

/// A record and where it lies.
#[derive(Debug)]
pub struct ScannedRecord<'a> {
    /// Where it begins in its segment.
    pub offset: u64,
    /// All its bytes.
    pub bytes: &'a [u8],
    /// The checksum by which the next record names it.
    pub checksum: u32,
    /// What it says; none if all of it is flushed.
    pub record: Option<LogRecord>,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScannedSegment {
    /// Behind its last record, or where the visitor broke off.
    pub end: u64,
    /// How many bytes behind that are not zero: a torn tail, unless the visitor broke off.
    pub rest_bytes: u64,
}

impl LogScan {
    /// A reader of the log of this database that begins at this place.
    pub fn new(database_id: [u8; 16], start: LogStart) -> Self {
        Self {
            database_id,
            start,
            next_segment: start.first_segment,
            chain: Chain::default(),
            ceiling: Version::ZERO,
            before: None,
        }
    }

    /// The segment that comes next.
    pub fn next_segment(&self) -> u64 {
        self.next_segment
    }

    /// The last commit version that was read, or that of what lies before the first segment.
    pub fn last_version(&self) -> Version {
        self.chain.last_version
    }

    /// The checksum of the last record that was read.
    pub fn previous(&self) -> u32 {
        self.chain.previous
    }

    /// The segment that was read last, and where its records ended.
    pub fn before(&self) -> Option<&(PathBuf, u64)> {
        self.before.as_ref()
    }

    /// The highest ceiling that was read.
    pub fn ceiling(&self) -> Version {
        self.ceiling
    }

    /// Reads the next segment, which lies in this directory, up to this offset if one is given: a
    /// log that is written has something new behind its mark at any time. Checks that the segment
    /// follows from the one before and that nothing is damaged; a torn tail is said.
    pub fn read_segment<E: From<LogError>>(
        &mut self,
        vfs: &dyn Vfs,
        directory: &Path,
        end_offset: Option<u64>,
        visit: &mut dyn FnMut(ScannedRecord<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<ScannedSegment, E> {
        let end_offset = end_offset.unwrap_or(u64::MAX);
        let path = segment_path(directory, self.next_segment);
        let id = Some(self.database_id);
        let mut reader = SegmentReader::open(vfs, path.clone(), self.next_segment, id)?;
        if let Some((before, end)) = &self.before {
            self.chain.check_next(&reader.header, (before, *end))?;
        } else {
            check_first(&reader, self.start)?;
            self.chain = Chain::begin(&reader.header);
        }
        let mut end = SEGMENT_HEADER_BYTES as u64;
        let mut is_ended = end_offset == u64::MAX;
        while reader.offset < end_offset
            && let Some(read) = reader.next()?
        {
            if read.offset >= end_offset {
                break;
            }
            // Whoever breaks off has not taken this record.
            let before = self.chain;
            self.chain.follow(&read, &path)?;
            let record = read.contents(&path, self.start.flushed)?;
            if let Some(LogRecord::Ceiling(ceiling)) = record {
                self.ceiling = self.ceiling.max(ceiling);
            }
            let (offset, checksum) = (read.offset, read.header_crc);
            let visited = visit(ScannedRecord { offset, bytes: &read.bytes, checksum, record })?;
            if visited.is_break() {
                self.chain = before;
                is_ended = false;
                break;
            }
            end = read.end();
        }
        let mut segment = ScannedSegment { end, rest_bytes: 0 };
        if is_ended {
            segment.rest_bytes = end_of_last(&mut reader)?.map_or(0, |torn| torn.bytes);
        }
        self.before = Some((path, end));
        self.next_segment += 1;
        Ok(segment)
    }
}

/// The numbers of the segments in a directory, ascending.
pub fn segments_in(vfs: &dyn Vfs, directory: &Path) -> Result<Vec<u64>, LogError> {
    let names = vfs.list(directory)?;
    let numbers = names.iter().filter_map(|name| match Name::of(name) {
        Name::Segment(number) => Some(number),
        _ => None,
    });
    Ok(numbers.collect())
}

/// The last version of the segments before this one, as its header says.
pub fn version_before(
    vfs: &dyn Vfs,
    directory: &Path,
    number: u64,
    database_id: [u8; 16],
) -> Result<Version, LogError> {
    let path = segment_path(directory, number);
    let reader = SegmentReader::open(vfs, path, number, Some(database_id))?;
    Ok(reader.header.after_version)
}

/// The path of a segment in a directory.
pub fn path_of_segment(directory: &Path, number: u64) -> PathBuf {
    segment_path(directory, number)
}
