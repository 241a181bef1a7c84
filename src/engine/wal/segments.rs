//! Which segments and spares the log has, and how much room: told by the log, asked by the
//! sequencer, and cut short by whoever has made the oldest segments unnecessary.
//!
//! A segment is *needed* while it may hold a version that is nowhere else. The manifest says which
//! is the first one needed; recovery begins there, and takes what lies before for leftovers. A
//! segment that is retired becomes a spare, or is removed when there are enough of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use plinth_protocol::Version;

use super::{
    LogError, LogOptions,
    archive::{Archived, archive_segment},
    room::{Admission, Room},
    segment::{SECTOR_BYTES, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, segment_path},
    spare::{Spare, spare_path},
};
use crate::{
    sync::{Condvar, Mutex},
    vfs::Vfs,
};

/// The largest spare that is made: a record has a bound, and so has what is on its way before it.
const WANTED_BYTES_MAX: u64 = 2 << 30;

/// The segments of a log, for its writer and for whoever retires them.
#[derive(Debug)]
pub struct Segments {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    options: LogOptions,
    state: Mutex<State>,
    /// There may be room, or there is none.
    room_changed: Condvar,
    /// There may be something for the keeper to do.
    work: Condvar,
    /// One at a time retires.
    retiring: Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// Those that have a successor, by number.
    closed: BTreeMap<u64, ClosedSegment>,
    /// The number of the segment that is appended to.
    current: u64,
    /// The last version before the segment that is appended to.
    current_after: Version,
    /// How many are at work who need the segments that there are.
    holds: usize,
    /// The segments before this one were to be given up while something was in the way.
    retire_later: u64,
    spares: Vec<Spare>,
    /// Names the next spare.
    next_serial: u64,
    room: Room,
    /// How many segments went to the archive.
    archived: u64,
    /// Why the last one could not.
    archive_trouble: Option<String>,
    is_closed: bool,
}

/// A segment that nothing is added to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClosedSegment {
    /// The last version of the segments before this one.
    pub(super) after: Version,
    /// How far its records reach.
    pub(super) bytes: u64,
    /// How the archive has it, once it does.
    pub(super) archived: Option<Archived>,
}

/// What there is when a log is opened.
#[derive(Debug)]
pub(super) struct FoundSegments {
    pub(super) closed: BTreeMap<u64, ClosedSegment>,
    pub(super) current: u64,
    pub(super) current_after: Version,
    pub(super) spares: Vec<Spare>,
    pub(super) next_serial: u64,
}

/// What a log consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Segments, with the one that is appended to.
    pub segments: u64,
    /// Spares.
    pub spares: u64,
    /// Why no room could be made when it was tried last, if it couldn't.
    pub trouble: Option<String>,
    /// Segments that went to the archive since the start.
    pub archived: u64,
    /// Closed segments that the archive has not got yet.
    pub archive_waiting: u64,
    /// Why the archive could not take a segment when it was tried last, if it couldn't.
    pub archive_trouble: Option<String>,
}

/// Keeps segments until it is dropped.
#[derive(Debug)]
pub struct SegmentsHold {
    segments: Arc<Segments>,
}

impl SegmentsHold {
    /// The first segment that there is.
    pub fn first_segment(&self) -> u64 {
        let state = self.segments.state.lock();
        state.closed.first_key_value().map_or(state.current, |(number, _)| *number)
    }

    /// Where the segments are.
    pub fn directory(&self) -> &Path {
        &self.segments.directory
    }
}

impl Drop for SegmentsHold {
    fn drop(&mut self) {
        let is_last = {
            let mut state = self.segments.state.lock();
            state.holds -= 1;
            state.holds == 0
        };
        if is_last && let Err(error) = self.segments.retire_held_back() {
            // The next retirement, or the next start, tries again.
            tracing::warn!(%error, "segments that are not needed are left behind");
        }
    }
}

impl Segments {
    pub(super) fn new(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        options: &LogOptions,
        found: FoundSegments,
    ) -> Self {
        let FoundSegments { closed, current, current_after, spares, next_serial } = found;
        let state = State {
            closed,
            current,
            current_after,
            holds: 0,
            retire_later: 0,
            spares,
            next_serial,
            room: Room::default(),
            archived: 0,
            archive_trouble: None,
            is_closed: false,
        };
        Self {
            vfs: Arc::clone(vfs),
            directory: directory.to_path_buf(),
            options: options.clone(),
            state: Mutex::new(state),
            room_changed: Condvar::new(),
            work: Condvar::new(),
            retiring: Mutex::new(()),
        }
    }

    /// The first segment that may hold a version above `flushed`. Whoever has everything up to
    /// `flushed` elsewhere, durable, needs none before it.
    pub fn first_needed(&self, flushed: Version) -> u64 {
        let state = self.state.lock();
        if state.current_after <= flushed {
            return state.current;
        }
        let mut newest_first = state.closed.iter().rev();
        let needed = newest_first.find(|(_, segment)| segment.after <= flushed);
        let needed = needed.or_else(|| state.closed.first_key_value());
        needed.map_or(state.current, |(number, _)| *number)
    }

    /// Gives up the segments before this one; it must be durable elsewhere that they are not needed.
    /// Answers how many there were. While they are held, they are given up when they no longer are.
    pub fn retire(&self, first_needed: u64) -> Result<u64, LogError> {
        {
            let mut state = self.state.lock();
            state.retire_later = state.retire_later.max(first_needed);
        }
        self.retire_held_back()
    }

    /// Gives up what was to be given up, as far as nothing is in the way.
    fn retire_held_back(&self) -> Result<u64, LogError> {
        let _alone = self.retiring.lock();
        let mut count = 0;
        // Renaming and removing may take long; the log's writer must not wait for it.
        while let Some((number, serial)) = self.next_to_retire() {
            let path = serial.map(|serial| spare_path(&self.directory, serial));
            let segment = segment_path(&self.directory, number);
            if let Some(path) = &path {
                self.vfs.rename(&segment, path)?;
            } else {
                self.vfs.remove(&segment)?;
            }
            self.state.lock().closed.remove(&number);
            count += 1;
            if let Some(path) = path {
                self.add_found(&path)?;
            }
        }
        Ok(count)
    }

    /// The oldest segment that can be given up, and the name to give it as a spare, if it is to be
    /// one.
    fn next_to_retire(&self) -> Option<(u64, Option<u64>)> {
        let mut state = self.state.lock();
        if state.holds > 0 {
            return None;
        }
        let (number, closed) = state.closed.first_key_value()?;
        let (number, archived) = (*number, closed.archived);
        let is_kept = self.options.archive.is_some() && archived.is_none();
        if number >= state.retire_later || is_kept {
            return None;
        }
        let serial = state.next_serial;
        // What is in the archive as the same file must stay as it is.
        let is_recycled =
            state.spares.len() < self.options.spares_max && archived != Some(Archived::Linked);
        if is_recycled {
            state.next_serial += 1;
        }
        Some((number, is_recycled.then_some(serial)))
    }

    /// Takes a file that was a segment for a spare, if it has the right length.
    fn add_found(&self, path: &Path) -> Result<(), LogError> {
        match Spare::find(&*self.vfs, path, self.options.segment_bytes)? {
            Some(spare) => self.add_spare(spare),
            None => self.vfs.remove(path)?,
        }
        Ok(())
    }

    fn add_spare(&self, spare: Spare) {
        let mut state = self.state.lock();
        state.spares.push(spare);
        state.room.trouble = None;
        drop(state);
        self.room_changed.notify_all();
    }

    /// Keeps all segments that are needed now, until the hold is dropped. Needed is what the manifest
    /// says after this call: a retirement under way gives up others.
    pub fn hold(self: &Arc<Self>) -> SegmentsHold {
        self.state.lock().holds += 1;
        SegmentsHold { segments: Arc::clone(self) }
    }

    /// Bytes of the records in segments that are closed.
    pub fn closed_bytes(&self) -> u64 {
        self.state.lock().closed.values().map(|segment| segment.bytes).sum()
    }

    /// What there is.
    pub fn stats(&self) -> SegmentStats {
        let state = self.state.lock();
        SegmentStats {
            segments: state.closed.len() as u64 + 1,
            spares: state.spares.len() as u64,
            trouble: state.room.trouble.clone(),
            archived: state.archived,
            archive_waiting: if self.options.archive.is_some() {
                state.closed.values().filter(|segment| segment.archived.is_none()).count() as u64
            } else {
                0
            },
            archive_trouble: state.archive_trouble.clone(),
        }
    }

    /// The log goes on in the next segment; the one before is closed with so many bytes.
    pub(super) fn rotated(&self, number: u64, after: Version, bytes_before: u64) {
        let mut state = self.state.lock();
        let closed =
            ClosedSegment { after: state.current_after, bytes: bytes_before, archived: None };
        let before = state.current;
        state.closed.insert(before, closed);
        (state.current, state.current_after) = (number, after);
        drop(state);
        self.work.notify_one();
    }

    /// A segment with this header out of the smallest spare with room for so many bytes, if there is
    /// one.
    pub(super) fn segment_of_spare(
        &self,
        header: &SegmentHeader,
        bytes: u64,
    ) -> Option<Result<Segment, LogError>> {
        let spare = {
            let mut state = self.state.lock();
            let fitting =
                state.spares.iter().enumerate().filter(|(_, spare)| spare.has_room(bytes));
            let (at, _) = fitting.min_by_key(|(_, spare)| spare.capacity)?;
            state.spares.swap_remove(at)
        };
        Some(spare.into_segment(&*self.vfs, &self.directory, header))
    }

    /// Asks for room for a batch's record of this many bytes. A bit is kept for ceilings, which let
    /// the read version go on when the disk is full.
    pub(crate) fn ask(&self, bytes: u64) -> Admission {
        let kept = (self.options.segment_bytes / 16).clamp(2 * SECTOR_BYTES, 64 << 10);
        self.ask_keeping(bytes, kept)
    }

    /// Asks for room for a ceiling's record.
    pub(crate) fn ask_for_ceiling(&self) -> Admission {
        self.ask_keeping(SECTOR_BYTES, 0)
    }

    /// Says that a spare with room for so many bytes will be of use.
    pub(crate) fn want(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.room.wanted = state.room.wanted.max(bytes.min(WANTED_BYTES_MAX));
        drop(state);
        self.work.notify_one();
    }

    fn ask_keeping(&self, bytes: u64, kept: u64) -> Admission {
        let mut state = self.state.lock();
        let spare = state.spares.iter().map(Spare::room).max().unwrap_or(0);
        let admission = state.room.ask(bytes, kept, spare);
        drop(state);
        if admission == Admission::Later {
            self.work.notify_one();
        }
        admission
    }

    /// So many bytes, admitted before, are on their way to the log.
    pub(crate) fn enter(&self, bytes: u64) {
        self.state.lock().room.in_flight += bytes;
    }

    /// So many bytes have arrived in the log, which has so many left behind them.
    pub(crate) fn arrived(&self, bytes: u64, left: u64) {
        let mut state = self.state.lock();
        state.room.in_flight = state.room.in_flight.saturating_sub(bytes);
        state.room.left = left;
        drop(state);
        self.room_changed.notify_all();
    }

    /// Waits until something about the room may have changed, at most so long.
    pub(crate) fn wait_for_room(&self, limit: Duration) {
        let state = self.state.lock();
        drop(self.room_changed.wait_for(state, limit));
    }

    /// The oldest closed segment that the archive has not got, and how far its records reach.
    fn to_archive(&self, state: &State) -> Option<(u64, u64)> {
        self.options.archive.as_ref()?;
        let mut closed = state.closed.iter();
        let (number, segment) = closed.find(|(_, segment)| segment.archived.is_none())?;
        (!state.is_closed).then_some((*number, segment.bytes))
    }

    /// Puts a closed segment into the archive; false if the archive has them all. What could not be
    /// given up before goes then.
    pub(super) fn archive_next(&self) -> Result<bool, LogError> {
        let next = self.to_archive(&self.state.lock());
        let (Some((number, end)), Some(archive)) = (next, &self.options.archive) else {
            return Ok(false);
        };
        let segment = segment_path(&self.directory, number);
        let archived = archive_segment(&*self.vfs, &segment, archive, number, end);
        let mut state = self.state.lock();
        match archived {
            Ok(archived) => {
                state.archive_trouble = None;
                state.archived += 1;
                if let Some(segment) = state.closed.get_mut(&number) {
                    segment.archived = Some(archived);
                }
            }
            Err(error) => {
                state.archive_trouble = Some(error.to_string());
                return Err(error);
            }
        }
        drop(state);
        self.retire_held_back()?;
        Ok(true)
    }

    /// The capacity of the spare that is to be made, if one is. If none is, nothing is wrong.
    pub(super) fn spare_due(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let due = self.due(&state);
        if due.is_none() {
            state.room.trouble = None;
        }
        due
    }

    fn due(&self, state: &State) -> Option<u64> {
        let header = SEGMENT_HEADER_BYTES as u64;
        let wanted = self.options.segment_bytes.max(state.room.wanted + header);
        let has_one = state.spares.iter().any(|spare| spare.capacity >= wanted);
        (!has_one && !state.is_closed).then(|| wanted.next_multiple_of(SECTOR_BYTES))
    }

    /// Makes a spare.
    pub(super) fn make_spare(&self, capacity: u64) -> Result<(), LogError> {
        let serial = {
            let mut state = self.state.lock();
            state.next_serial += 1;
            state.next_serial - 1
        };
        match Spare::make(&*self.vfs, &self.directory, serial, capacity, &self.options) {
            Ok(spare) => {
                self.add_spare(spare);
                Ok(())
            }
            Err(error) => {
                let mut state = self.state.lock();
                state.room.trouble = Some(error.to_string());
                // Whoever needs more than others asks for it again.
                state.room.wanted = 0;
                drop(state);
                self.room_changed.notify_all();
                Err(error)
            }
        }
    }

    /// Waits for something to do, at most `limit`. False when the log is closed.
    pub(super) fn wait_for_work(&self, limit: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        if state.is_closed {
            return false;
        }
        state = match limit {
            Some(limit) => self.work.wait_for(state, limit),
            None if self.due(&state).is_none() && self.to_archive(&state).is_none() => {
                self.work.wait(state)
            }
            None => state,
        };
        !state.is_closed
    }

    /// Whether the log is open, has all the room that it wants, and could get it when it last did.
    pub(super) fn is_at_ease(&self) -> bool {
        let state = self.state.lock();
        !state.is_closed && state.room.trouble.is_none() && self.due(&state).is_none()
    }

    /// Nothing more is to be made ready.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.work.notify_all();
        self.room_changed.notify_all();
    }
}
