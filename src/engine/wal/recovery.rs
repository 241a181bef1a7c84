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
//! Where threads may be used, one reads and checks while the caller's applies what came before.
//!
//! A crash at any point of this leaves what the next recovery needs. Memory is bounded by the
//! longest record and a window.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use plinth_protocol::Version;

use super::{
    Log, LogError, LogOptions, LogRecord, Segments,
    archive::archive_segment,
    body::decode::CheckedRecord,
    chain::{Chain, check_first, end_of_last},
    log::LogEnd,
    reader::{ReadRecord, SegmentReader},
    segment::{
        FIRST_SEGMENT, Name, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, Unfinished, segment_path,
    },
    segments::{ClosedSegment, FoundSegments},
    spare::{Spare, spare_path},
};
use crate::{
    engine::{
        RecoveryProgress,
        planted::{Bug, is_planted},
    },
    vfs::Vfs,
};

/// How many records are read and checked before the caller has taken them.
const RECORDS_AHEAD: usize = 16;
/// How much of a segment is asked for before it is read: all of it, unless segments are very long.
const AHEAD_BYTES_MAX: u64 = 128 << 20;
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

/// Gives records to the caller, and counts them.
struct Replay<'a> {
    report: RecoveryReport,
    progress: Arc<RecoveryProgress>,
    /// Bytes of the segments that are read.
    behind: u64,
    chain: Chain,
    /// Transactions up to this version are not given back.
    flushed: Version,
    to: &'a mut dyn FnMut(CheckedRecord) -> Result<(), LogError>,
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
        let mut replay = |record: CheckedRecord| replay(record.to_record()?);
        Self::recover_in_place(vfs, directory, options, start, &mut replay)
    }

    /// Does so without taking the records apart: that is left to `replay`.
    pub(in crate::engine) fn recover_in_place(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        options: LogOptions,
        start: LogStart,
        replay: &mut dyn FnMut(CheckedRecord) -> Result<(), LogError>,
    ) -> Result<(Self, RecoveryReport), LogError> {
        if !options.reads_ahead {
            return Self::read(vfs, directory, options, start, replay);
        }
        thread::scope(|scope| {
            let (give, take) = mpsc::sync_channel(RECORDS_AHEAD);
            let reader = thread::Builder::new().name("plinth-recovery".to_owned());
            let reader = reader.spawn_scoped(scope, move || {
                let ended = |_| LogError::Replay { reason: "it was ended".to_owned() };
                Self::read(vfs, directory, options, start, &mut |record| {
                    give.send(record).map_err(ended)
                })
            });
            let reader = reader.map_err(|error| LogError::Replay { reason: error.to_string() })?;
            let replayed = take.iter().try_for_each(replay);
            // Whoever reads ends, should there still be something to give.
            drop(take);
            let read = reader.join().unwrap_or_else(|_| {
                Err(LogError::Replay { reason: "the log's reader panicked".to_owned() })
            });
            replayed.and(read)
        })
    }

    /// Reads the log, gives its records to `replay`, and makes it ready to be appended to.
    fn read(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        options: LogOptions,
        start: LogStart,
        replay: &mut dyn FnMut(CheckedRecord) -> Result<(), LogError>,
    ) -> Result<(Self, RecoveryReport), LogError> {
        make_directory(&**vfs, directory)?;
        let mut found = find_segments(&**vfs, directory, &options, start)?;
        keep_spares(&**vfs, directory, &options, &mut found)?;
        let mut replay = Replay {
            report: RecoveryReport { leftovers: found.leftovers, ..RecoveryReport::default() },
            progress: Arc::clone(&options.progress),
            behind: 0,
            chain: Chain::default(),
            flushed: start.flushed,
            to: replay,
        };
        replay.progress.begin(needed_bytes(&**vfs, directory, start, &found)?);
        let mut closed = BTreeMap::new();
        let (segment, position) = match found.last {
            None => {
                let unfinished = Unfinished::create(&**vfs, directory, first_header(&options))?;
                let capacity = options.segment_bytes;
                let segment = unfinished.finish(&**vfs, directory, capacity, &options)?;
                (segment, SEGMENT_HEADER_BYTES as u64)
            }
            Some(last) => {
                let mut reader = open_first(&**vfs, directory, &options, start)?;
                replay.chain = Chain::begin(&reader.header);
                ask_for(&**vfs, directory, start.first_segment)?;
                while reader.header.number < last {
                    ask_for(&**vfs, directory, reader.header.number + 1)?;
                    let (number, after) = (reader.header.number, reader.header.after_version);
                    let bytes = replay.read_all(&mut reader, |_| Ok(()))?;
                    closed.insert(number, ClosedSegment { after, bytes, archived: None });
                    let path = segment_path(directory, number + 1);
                    let id = Some(options.database_id);
                    let mut next = SegmentReader::open(&**vfs, path, number + 1, id)?;
                    replay.chain.check_next(&next.header, (&reader.path, reader.offset))?;
                    next.take_memory(reader);
                    reader = next;
                }
                renew_last(&**vfs, directory, &options, reader, &mut replay)?
            }
        };
        let Replay { mut report, chain, .. } = replay;
        report.segments = closed.len() as u64 + u64::from(found.last.is_some());
        let header = &segment.header;
        let segments = FoundSegments {
            closed,
            current: header.number,
            current_after: header.after_version,
            spares: found.spares,
            next_serial: found.next_serial,
        };
        let segments = Segments::new(vfs, directory, &options, segments);
        let end = LogEnd { position, chain, segments };
        Ok((Self::open(vfs, directory, options, segment, end), report))
    }
}

/// What is in the log's directory.
#[derive(Default)]
struct Found {
    /// The number of the last segment; all from the first needed one to it are there.
    last: Option<u64>,
    /// How many were there and not needed.
    leftovers: u64,
    serials: Vec<u64>,
    spares: Vec<Spare>,
    next_serial: u64,
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

/// Removes unfinished segments and those that are not needed; those that are must have the right
/// names.
fn find_segments(
    vfs: &dyn Vfs,
    directory: &Path,
    options: &LogOptions,
    start: LogStart,
) -> Result<Found, LogError> {
    let mut found = Found::default();
    for name in vfs.list(directory)? {
        match Name::of(&name) {
            Name::Segment(number) if number < start.first_segment => {
                if remove_leftover(vfs, &directory.join(name), number, options)? {
                    found.leftovers += 1;
                }
            }
            Name::Segment(number) => {
                // Names are sorted as their numbers are.
                let expected = found.last.map_or(start.first_segment, |last: u64| last + 1);
                if number != expected {
                    return Err(missing(directory, expected));
                }
                found.last = Some(number);
            }
            Name::Unfinished => vfs.remove(&directory.join(name))?,
            Name::Spare(serial) => found.serials.push(serial),
            Name::Unexpected => {
                return Err(LogError::UnexpectedFile { path: directory.join(name) });
            }
            Name::Other => {}
        }
    }
    if found.last.is_none() && start != LogStart::default() {
        return Err(missing(directory, start.first_segment));
    }
    Ok(found)
}

/// Removes a segment that is not needed. If there is an archive that it can't be put into, it stays
/// for the next start.
fn remove_leftover(
    vfs: &dyn Vfs,
    path: &Path,
    number: u64,
    options: &LogOptions,
) -> Result<bool, LogError> {
    if let Some(archive) = &options.archive
        && let Err(error) = archive_segment(vfs, path, archive, number, u64::MAX)
    {
        tracing::warn!(%error, "a segment can't be archived, and is kept until the next start");
        return Ok(false);
    }
    vfs.remove(path)?;
    Ok(true)
}

/// Takes over the spares that are of use, and removes the others.
fn keep_spares(
    vfs: &dyn Vfs,
    directory: &Path,
    options: &LogOptions,
    found: &mut Found,
) -> Result<(), LogError> {
    found.next_serial = found.serials.last().map_or(1, |last| last.saturating_add(1));
    for serial in &found.serials {
        let path = spare_path(directory, *serial);
        let spare = if found.spares.len() < options.spares_max {
            // One that can't be had, because the disk is full, is no reason not to start.
            Spare::find(vfs, &path, options.segment_bytes).unwrap_or(None)
        } else {
            None
        };
        match spare {
            Some(spare) => found.spares.push(spare),
            None => vfs.remove(&path)?,
        }
    }
    Ok(())
}

/// The bytes of the segments that are needed.
fn needed_bytes(
    vfs: &dyn Vfs,
    directory: &Path,
    start: LogStart,
    found: &Found,
) -> Result<u64, LogError> {
    let numbers = found.last.map_or(0..0, |last| start.first_segment..last.saturating_add(1));
    numbers.map(|number| segment_path(directory, number)).try_fold(0, |bytes: u64, path| {
        Ok(bytes.saturating_add(vfs.open_for_reading(&path)?.len()?))
    })
}

/// Has the disk begin with a segment, which is read soon: the disk then works on while the reader
/// waits for the caller.
fn ask_for(vfs: &dyn Vfs, directory: &Path, number: u64) -> Result<(), LogError> {
    let file = vfs.open_for_reading(&segment_path(directory, number))?;
    file.will_read(0..file.len()?.min(AHEAD_BYTES_MAX));
    Ok(())
}

fn missing(directory: &Path, number: u64) -> LogError {
    LogError::MissingSegment { path: segment_path(directory, number) }
}

/// Opens the first segment that is needed.
fn open_first(
    vfs: &dyn Vfs,
    directory: &Path,
    options: &LogOptions,
    start: LogStart,
) -> Result<SegmentReader, LogError> {
    let number = start.first_segment;
    let path = segment_path(directory, number);
    let reader = SegmentReader::open(vfs, path, number, Some(options.database_id))?;
    check_first(&reader, start)?;
    Ok(reader)
}

/// Reads the last segment, and writes it anew from its records. Answers the new one and its end.
fn renew_last(
    vfs: &dyn Vfs,
    directory: &Path,
    options: &LogOptions,
    mut reader: SegmentReader,
    replay: &mut Replay<'_>,
) -> Result<(Segment, u64), LogError> {
    if is_planted(Bug::LastRecordForgotten) {
        reader.forget_last()?;
    }
    let mut unfinished = Unfinished::create(vfs, directory, reader.header.clone())?;
    let mut copy = Vec::new();
    let mut end = SEGMENT_HEADER_BYTES as u64;
    replay.read_all(&mut reader, |read| {
        copy.resize(copy.len() + (read.offset - end) as usize, 0);
        copy.extend_from_slice(&read.bytes);
        end = read.end();
        if copy.len() >= COPY_BYTES {
            unfinished.write(&copy)?;
            copy.clear();
        }
        Ok(())
    })?;
    replay.report.torn_tail = end_of_last(&mut reader)?;
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
        stale_to: 0,
    }
}

impl Replay<'_> {
    /// Reads a segment's records and gives them to the caller, and before that to `keep`. Answers
    /// where they end.
    fn read_all(
        &mut self,
        reader: &mut SegmentReader,
        mut keep: impl FnMut(&ReadRecord) -> Result<(), LogError>,
    ) -> Result<u64, LogError> {
        let mut end = reader.offset;
        while let Some(read) = reader.next()? {
            self.chain.follow(&read, &reader.path)?;
            keep(&read)?;
            end = read.end();
            self.give(&read, &reader.path)?;
            self.progress.reach(self.behind + end);
        }
        self.behind += reader.file_bytes();
        self.progress.reach(self.behind);
        Ok(end)
    }

    fn give(&mut self, read: &ReadRecord, path: &Path) -> Result<(), LogError> {
        let report = &mut self.report;
        report.records += 1;
        if self.chain.last_version > Version::ZERO {
            report.last_version = Some(self.chain.last_version);
        }
        let Some(record) = read.checked(path, self.flushed)? else { return Ok(()) };
        match &record {
            CheckedRecord::Batch(batch) => report.transactions += batch.count(),
            CheckedRecord::Ceiling(ceiling) => report.ceiling = report.ceiling.max(Some(*ceiling)),
        }
        (self.to)(record)
    }
}
