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
    LogError, LogRecord, LogStart,
    chain::{Chain, check_first, end_of_last},
    reader::SegmentReader,
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
    let mut chain = Chain::default();
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
        let mut reader = match SegmentReader::open(
            vfs,
            segment_path(directory, number),
            number,
            Some(database_id),
        ) {
            Ok(reader) => reader,
            // Given up since it was listed, by whoever has the database open.
            Err(LogError::File(error)) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                survey.errors.push(error);
                continue;
            }
        };
        if number == start.first_segment
            && let Err(error) = check_first(&reader, start)
        {
            survey.errors.push(error);
        }
        if follows
            && let Some(last) = survey.segments.last()
            && let Err(error) = chain.check_next(&reader.header, (&last.path, last.stopped_at))
        {
            survey.errors.push(error);
        }
        chain = Chain::begin(&reader.header);
        match read_segment(&mut reader, is_last, &mut chain, &mut survey, visit) {
            Ok(ControlFlow::Continue(())) => is_whole = true,
            Ok(ControlFlow::Break(())) => break,
            Err(error) => survey.errors.push(error),
        }
    }
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
            Name::Unfinished | Name::Spare(_) | Name::Other => {}
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
    chain: &mut Chain,
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
    let outcome = read_records(reader, chain, &mut summary, &mut survey.ceiling, visit);
    summary.stopped_at = reader.offset;
    let outcome = outcome.and_then(|flow| {
        if flow.is_continue() && is_last {
            summary.torn_bytes = end_of_last(reader)?.map_or(0, |torn| torn.bytes);
        }
        Ok(flow)
    });
    survey.segments.push(summary);
    outcome
}

fn read_records(
    reader: &mut SegmentReader,
    chain: &mut Chain,
    summary: &mut SegmentSummary,
    ceiling: &mut Option<Version>,
    visit: &mut dyn FnMut(RecordPlace, &LogRecord) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, LogError> {
    while let Some(read) = reader.next()? {
        chain.follow(&read, &reader.path)?;
        let Some(record) = read.contents(&reader.path, Version::ZERO)? else { continue };
        let (offset, bytes) = (read.offset, read.bytes.len() as u64);
        let flow = visit(RecordPlace { segment: summary.number, offset, bytes }, &record);
        summary.end = read.end();
        summary.records += 1;
        match &record {
            LogRecord::Batch(batch) => {
                summary.transactions += batch.len() as u64;
                summary.last_version = read.header.last_version;
            }
            LogRecord::Ceiling(found) => *ceiling = (*ceiling).max(Some(*found)),
        }
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}
