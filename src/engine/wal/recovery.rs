//! Opens the log after whatever has happened.
//!
//! 1. Segments that were being made are removed; they have never held anything. So are those before
//!    the first one that is needed; what they held is elsewhere.
//! 2. The segments are read in order, and their records given to the caller, but for transactions
//!    that it has already. A segment with a successor must end with the record that the successor's
//!    header names.
//! 3. The last segment may have a torn tail. The place where reading ends there is damage if a
//!    record behind it says that it had been durable, and the end of the log otherwise.
//! 4. The last segment is written anew from the records that were read and checked, synced, and
//!    renamed over the old one. What was read may have come from a cache and not from the disk,
//!    because a sync had failed before; and what was torn is gone for good, so that it can't be
//!    mistaken for damage later. Older segments were synced before they got a successor.
//!
//! A crash at any point of this leaves what the next recovery needs. Memory is bounded by the
//! longest record and a window.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use plinth_protocol::Version;

use super::{
    Log, LogError, LogOptions, LogRecord, Segments,
    log::LogEnd,
    reader::{ReadRecord, SegmentReader},
    segment::{
        FIRST_SEGMENT, Name, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, Unfinished, segment_path,
    },
    segments::ClosedSegment,
};
use crate::vfs::Vfs;

/// How much of the last segment is gathered before it is written.
const COPY_BYTES: usize = 1 << 20;

/// Where recovery begins: what of the log is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStart {
    /// The first segment that is needed. Those before it are removed.
    pub first_segment: u64,
    /// Transactions up to this version are not given back: they are durable elsewhere. If it is
    /// above zero, the first segment must be there.
    pub flushed: Version,
}

impl Default for LogStart {
    /// The whole log is needed.
    fn default() -> Self {
        Self { first_segment: FIRST_SEGMENT, flushed: Version::ZERO }
    }
}

/// What recovery has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// How many segments were read.
    pub segments: u64,
    /// How many segments were there and not needed.
    pub leftovers: u64,
    /// How many records were read.
    pub records: u64,
    /// How many transactions were given back.
    pub transactions: u64,
    /// The last commit version, if there was one.
    pub last_version: Option<Version>,
    /// The highest ceiling, if there was one.
    pub ceiling: Option<Version>,
    /// What was cut off, because it had not been synced and was not whole.
    pub torn_tail: Option<TornTail>,
}

/// Bytes at the end of the log that were not whole records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where the tail began.
    pub offset: u64,
    /// How long it was, up to the last byte that wasn't zero.
    pub bytes: u64,
}

/// What is gathered from segment to segment.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) report: RecoveryReport,
    /// Transactions up to this version are not given back.
    pub(super) flushed: Version,
    /// The checksum of the last record.
    pub(super) previous: u32,
    pub(super) last_version: Version,
    pub(super) closed: BTreeMap<u64, ClosedSegment>,
}

impl Log {
    /// Opens the log in this directory, which is made if need be, and gives its records to
    /// `replay`, oldest first, from `start` on. An error of `replay` ends it.
    ///
    /// The caller must keep others from using the directory.
    pub fn recover(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        options: LogOptions,
        start: LogStart,
        replay: &mut dyn FnMut(LogRecord) -> Result<(), LogError>,
    ) -> Result<(Self, RecoveryReport), LogError> {
        make_directory(&**vfs, directory)?;
        let mut progress = Progress { flushed: start.flushed, ..Progress::default() };
        let last = find_segments(&**vfs, directory, start, &mut progress)?;
        for number in start.first_segment..last.unwrap_or(FIRST_SEGMENT) {
            let mut reader =
                open_segment(&**vfs, directory, number, &options, start, &mut progress)?;
            let after = reader.header.after_version;
            let bytes = reader.read_all(&mut progress, replay, |_, _| Ok(()))?;
            progress.closed.insert(number, ClosedSegment { after, bytes });
        }
        let (segment, position) = match last {
            None => {
                let unfinished = Unfinished::create(&**vfs, directory, first_header(&options))?;
                let capacity = options.segment_bytes;
                let segment = unfinished.finish(&**vfs, directory, capacity, &options)?;
                (segment, SEGMENT_HEADER_BYTES as u64)
            }
            Some(last) => {
                let reader = open_segment(&**vfs, directory, last, &options, start, &mut progress)?;
                renew_last(&**vfs, directory, &options, reader, &mut progress, replay)?
            }
        };
        let Progress { mut report, previous, last_version, closed, .. } = progress;
        report.segments = closed.len() as u64 + u64::from(last.is_some());
        let header = &segment.header;
        let segments = Segments::new(vfs, directory, closed, header.number, header.after_version);
        let end = LogEnd { position, previous, last_version, segments };
        Ok((Self::open(vfs, directory, options, segment, end), report))
    }
}

/// Makes the log's directory and its name durable. Also when it exists: it may have been made just
/// before a crash of the program, and never been synced.
fn make_directory(vfs: &dyn Vfs, directory: &Path) -> Result<(), LogError> {
    vfs.create_directory(directory)?;
    if let Some(parent) = directory.parent() {
        vfs.sync_directory(parent)?;
    }
    Ok(())
}

/// Removes unfinished segments and those that are not needed, and answers the number of the last
/// segment; those between are known by their names to be there.
fn find_segments(
    vfs: &dyn Vfs,
    directory: &Path,
    start: LogStart,
    progress: &mut Progress,
) -> Result<Option<u64>, LogError> {
    let mut last = None;
    for name in vfs.list(directory)? {
        match Name::of(&name) {
            Name::Segment(number) if number < start.first_segment => {
                vfs.remove(&directory.join(name))?;
                progress.report.leftovers += 1;
            }
            Name::Segment(number) => {
                // Names are sorted as their numbers are.
                let expected = last.map_or(start.first_segment, |last: u64| last + 1);
                if number != expected {
                    return Err(missing(directory, expected));
                }
                last = Some(number);
            }
            Name::Unfinished => vfs.remove(&directory.join(name))?,
            Name::Unexpected => {
                return Err(LogError::UnexpectedFile { path: directory.join(name) });
            }
            Name::Other => {}
        }
    }
    if last.is_none() && start != LogStart::default() {
        return Err(missing(directory, start.first_segment));
    }
    Ok(last)
}

fn missing(directory: &Path, number: u64) -> LogError {
    LogError::MissingSegment { path: segment_path(directory, number) }
}

/// Opens a segment that must follow from what has been read, or be the first one.
fn open_segment(
    vfs: &dyn Vfs,
    directory: &Path,
    number: u64,
    options: &LogOptions,
    start: LogStart,
    progress: &mut Progress,
) -> Result<SegmentReader, LogError> {
    let reader = SegmentReader::open(vfs, directory, number, options)?;
    let Err(what) = follow(&reader.header, start, progress) else { return Ok(reader) };
    if number == start.first_segment {
        return Err(LogError::Damaged { path: reader.path, offset: 0, what });
    }
    // The header is sound, so it is the segment before that has lost its end.
    let mut before = SegmentReader::open(vfs, directory, number - 1, options)?;
    while before.next()?.is_some() {}
    Err(LogError::Damaged { path: before.path, offset: before.offset, what })
}

/// Checks that a segment follows from what has been read, or can be the first one.
pub(super) fn follow(
    header: &SegmentHeader,
    start: LogStart,
    progress: &mut Progress,
) -> Result<(), &'static str> {
    if header.number == start.first_segment {
        check_first(header, start)?;
        progress.previous = header.previous;
        progress.last_version = header.after_version;
        return Ok(());
    }
    if header.previous != progress.previous || header.after_version != progress.last_version {
        return Err("the records end before the one that the next segment's header names");
    }
    Ok(())
}

/// What lies before the first segment must be elsewhere.
pub(super) fn check_first(header: &SegmentHeader, start: LogStart) -> Result<(), &'static str> {
    if header.number == FIRST_SEGMENT && header.previous != 0 {
        return Err("the first segment's header names a record before it");
    }
    if header.after_version > start.flushed {
        return Err("transactions before this segment are missing");
    }
    Ok(())
}

/// Reads the last segment, and writes it anew from its records. Answers the new one and its end.
fn renew_last(
    vfs: &dyn Vfs,
    directory: &Path,
    options: &LogOptions,
    mut reader: SegmentReader,
    progress: &mut Progress,
    replay: &mut dyn FnMut(LogRecord) -> Result<(), LogError>,
) -> Result<(Segment, u64), LogError> {
    let mut unfinished = Unfinished::create(vfs, directory, reader.header.clone())?;
    let mut copy = Vec::new();
    let mut end = SEGMENT_HEADER_BYTES as u64;
    reader.read_all(progress, replay, |offset, bytes| {
        copy.resize(copy.len() + (offset - end) as usize, 0);
        copy.extend_from_slice(bytes);
        end = offset + bytes.len() as u64;
        if copy.len() >= COPY_BYTES {
            unfinished.write(&copy)?;
            copy.clear();
        }
        Ok(())
    })?;
    let rest = reader.rest()?;
    if rest.has_witness {
        let what = "a record was here and was durable, as a later one says";
        return Err(LogError::Damaged { path: reader.path, offset: reader.offset, what });
    }
    if rest.bytes > 0 {
        progress.report.torn_tail =
            Some(TornTail { path: reader.path, offset: reader.offset, bytes: rest.bytes });
    }
    if !copy.is_empty() {
        unfinished.write(&copy)?;
    }
    let segment = unfinished.finish(vfs, directory, options.segment_bytes, options)?;
    Ok((segment, end))
}

fn first_header(options: &LogOptions) -> SegmentHeader {
    SegmentHeader {
        database_id: options.database_id,
        number: FIRST_SEGMENT,
        salt: options.salt(FIRST_SEGMENT),
        after_version: Version::ZERO,
        previous: 0,
    }
}

impl SegmentReader {
    /// Reads all records, checks that each follows from the one before, and gives them to `replay`,
    /// and their places and bytes to `keep`. Answers where they end.
    fn read_all(
        &mut self,
        progress: &mut Progress,
        replay: &mut dyn FnMut(LogRecord) -> Result<(), LogError>,
        mut keep: impl FnMut(u64, &[u8]) -> Result<(), LogError>,
    ) -> Result<u64, LogError> {
        let path = self.path.clone();
        let mut end = self.offset;
        while let Some((read, bytes)) = self.next()? {
            let offset = read.offset;
            if let Err(what) = progress.check(&read) {
                return Err(LogError::Damaged { path, offset, what });
            }
            keep(offset, bytes)?;
            end = offset + bytes.len() as u64;
            if let Some(record) = progress.count(read) {
                replay(record)?;
            }
        }
        Ok(end)
    }
}

impl Progress {
    pub(super) fn check(&self, read: &ReadRecord) -> Result<(), &'static str> {
        let header = &read.header;
        if header.last_version > Version::MAX {
            return Err("this record's version is above the greatest that there is");
        }
        if header.previous != self.previous {
            return Err("this record does not follow from the one before it");
        }
        let LogRecord::Batch(batch) = &read.record else { return Ok(()) };
        let (first, last) = (batch.first(), batch.last());
        if first.map(|first| first.version) != Some(header.first_version)
            || last.map(|last| last.version) != Some(header.last_version)
        {
            return Err("this record's versions are not those that its header names");
        }
        if header.first_version <= self.last_version {
            return Err("this record's versions are not above those before it");
        }
        Ok(())
    }

    /// Counts a record, and answers what of it is to be given back.
    pub(super) fn count(&mut self, read: ReadRecord) -> Option<LogRecord> {
        self.previous = read.header_crc;
        self.report.records += 1;
        match read.record {
            LogRecord::Batch(mut batch) => {
                self.last_version = read.header.last_version;
                self.report.last_version = Some(self.last_version);
                if read.header.first_version <= self.flushed {
                    batch.retain(|transaction| transaction.version > self.flushed);
                }
                self.report.transactions += batch.len() as u64;
                (!batch.is_empty()).then_some(LogRecord::Batch(batch))
            }
            LogRecord::Ceiling(ceiling) => {
                self.report.ceiling = self.report.ceiling.max(Some(ceiling));
                Some(read.record)
            }
        }
    }
}
