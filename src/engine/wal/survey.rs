//! Reads a log without changing anything: for whoever checks it or looks at it.
//!
//! What recovery would read is read, and held against what recovery would ask of it; but where
//! recovery would stop, this notes what is wrong and goes on with the next segment. While a server
//! has the log open, its last segment may seem to end in the middle of a record, which is no
//! damage, and older segments may go away.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use plinth_protocol::Version;

use super::{
    LogError, LogOptions, LogRecord, LogStart,
    reader::{ReadRecord, SegmentReader},
    recovery::{Progress, check_first},
    segment::{Name, segment_path},
};
use crate::vfs::Vfs;

/// A segment as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its number.
    pub number: u64,
    /// Its file.
    pub path: PathBuf,
    /// The file's length.
    pub file_bytes: u64,
    /// The last version of the segments before it.
    pub after_version: Version,
    /// Where its sound records end.
    pub end: u64,
    /// How many records it has.
    pub records: u64,
    /// How many transactions those hold.
    pub transactions: u64,
    /// The version of the last transaction, or of those before the segment.
    pub last_version: Version,
    /// Bytes behind the records that are not a whole record: of the last segment a write that was
    /// cut short, or is under way.
    pub torn_bytes: u64,
    /// Where reading ended: where the next record would begin.
    pub stopped_at: u64,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// The segment.
    pub segment: u64,
    /// Where it begins there.
    pub offset: u64,
    /// How long it is, header and padding included.
    pub bytes: u64,
}

/// What a log comes to.
#[derive(Debug, Default)]
pub struct LogSurvey {
    /// The segments that could be read, ascending.
    pub segments: Vec<SegmentSummary>,
    /// Segments that are there and not needed.
    pub leftovers: u64,
    /// The highest ceiling, if there was one.
    pub ceiling: Option<Version>,
    /// What is wrong, in the order in which it was met.
    pub errors: Vec<LogError>,
}

impl LogSurvey {
    /// The version of the last transaction.
    pub fn last_version(&self) -> Version {
        self.segments.last().map_or(Version::ZERO, |segment| segment.last_version)
    }
}

/// Reads the log in this directory from `start` on; `visit` is shown every sound record, and may
/// break off. Fails only if the directory can't be listed.
pub fn survey(
    vfs: &dyn Vfs,
    directory: &Path,
    database_id: [u8; 16],
    start: LogStart,
    visit: &mut dyn FnMut(RecordPlace, &LogRecord) -> ControlFlow<()>,
) -> Result<LogSurvey, LogError> {
    let mut survey = LogSurvey::default();
    let numbers = list(vfs, directory, start, &mut survey)?;
    let options = LogOptions { database_id, ..LogOptions::default() };
    let mut progress = Progress { flushed: start.flushed, ..Progress::default() };
    // The segment before, and whether it is known how it ends.
    let (mut before, mut is_whole) = (None, false);
    for (place, &number) in numbers.iter().enumerate() {
        let expected = before.map_or(start.first_segment, |before: u64| before + 1);
        if number != expected && (before.is_some() || start != LogStart::default()) {
            let path = segment_path(directory, expected);
            survey.errors.push(LogError::MissingSegment { path });
        }
        let is_last = place + 1 == numbers.len();
        let follows = is_whole && before.is_some_and(|before| before + 1 == number);
        before = Some(number);
        is_whole = false;
        let mut reader = match SegmentReader::open(vfs, directory, number, &options) {
            Ok(reader) => reader,
            // Given up since it was listed, by whoever has the database open.
            Err(LogError::File(error)) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                survey.errors.push(error);
                continue;
            }
        };
        if number == start.first_segment
            && let Err(what) = check_first(&reader.header, start)
        {
            survey.errors.push(LogError::Damaged { path: reader.path.clone(), offset: 0, what });
        }
        let header = &reader.header;
        let leads_here =
            (header.previous, header.after_version) == (progress.previous, progress.last_version);
        if follows
            && !leads_here
            && let Some(last) = survey.segments.last()
        {
            let what = "the records end before the one that the next segment's header names";
            let (path, offset) = (last.path.clone(), last.stopped_at);
            survey.errors.push(LogError::Damaged { path, offset, what });
        }
        (progress.previous, progress.last_version) = (header.previous, header.after_version);
        match read_segment(&mut reader, is_last, &mut progress, &mut survey, visit) {
            Ok(ControlFlow::Continue(())) => is_whole = true,
            Ok(ControlFlow::Break(())) => break,
            Err(error) => survey.errors.push(error),
        }
    }
    survey.ceiling = progress.report.ceiling;
    Ok(survey)
}

/// The numbers of the segments from the first needed one on.
fn list(
    vfs: &dyn Vfs,
    directory: &Path,
    start: LogStart,
    survey: &mut LogSurvey,
) -> Result<Vec<u64>, LogError> {
    let mut numbers = Vec::new();
    for name in vfs.list(directory)? {
        match Name::of(&name) {
            Name::Segment(number) if number < start.first_segment => survey.leftovers += 1,
            Name::Segment(number) => numbers.push(number),
            Name::Unexpected => {
                survey.errors.push(LogError::UnexpectedFile { path: directory.join(name) });
            }
            Name::Unfinished | Name::Other => {}
        }
    }
    if numbers.is_empty() && start != LogStart::default() {
        let path = segment_path(directory, start.first_segment);
        survey.errors.push(LogError::MissingSegment { path });
    }
    Ok(numbers)
}

/// Reads a segment to its end, and enters it in the survey whatever comes of that.
fn read_segment(
    reader: &mut SegmentReader,
    is_last: bool,
    progress: &mut Progress,
    survey: &mut LogSurvey,
    visit: &mut dyn FnMut(RecordPlace, &LogRecord) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, LogError> {
    let header = &reader.header;
    let mut summary = SegmentSummary {
        number: header.number,
        path: reader.path.clone(),
        file_bytes: reader.file_bytes(),
        after_version: header.after_version,
        end: reader.offset,
        records: 0,
        transactions: 0,
        last_version: header.after_version,
        torn_bytes: 0,
        stopped_at: reader.offset,
    };
    let outcome = read_records(reader, progress, &mut summary, visit);
    summary.stopped_at = reader.offset;
    let outcome = outcome.and_then(|flow| {
        if flow.is_continue() && is_last {
            let rest = reader.rest()?;
            if rest.has_witness {
                let what = "a record was here and was durable, as a later one says";
                let (path, offset) = (reader.path.clone(), reader.offset);
                return Err(LogError::Damaged { path, offset, what });
            }
            summary.torn_bytes = rest.bytes;
        }
        Ok(flow)
    });
    survey.segments.push(summary);
    outcome
}

fn read_records(
    reader: &mut SegmentReader,
    progress: &mut Progress,
    summary: &mut SegmentSummary,
    visit: &mut dyn FnMut(RecordPlace, &LogRecord) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, LogError> {
    let path = reader.path.clone();
    while let Some((read, bytes)) = reader.next()? {
        let bytes = bytes.len() as u64;
        if let Err(what) = progress.check(&read) {
            return Err(LogError::Damaged { path, offset: read.offset, what });
        }
        let ReadRecord { offset, .. } = read;
        let flow = visit(RecordPlace { segment: summary.number, offset, bytes }, &read.record);
        summary.end = offset + bytes;
        summary.records += 1;
        if let LogRecord::Batch(batch) = &read.record {
            summary.transactions += batch.len() as u64;
            summary.last_version = read.header.last_version;
        }
        progress.count(read);
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}
