//! Which segments the log has: told by the log, asked and cut short by whoever has made the oldest
//! ones unnecessary.
//!
//! A segment is *needed* while it may hold a version that is nowhere else. The manifest says which
//! is the first one needed; recovery begins there, and takes what lies before for leftovers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use plinth_protocol::Version;

use super::{LogError, segment::segment_path};
use crate::{sync::Mutex, vfs::Vfs};

/// The segments of a log, for its writer and for whoever retires them.
#[derive(Debug)]
pub struct Segments {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    state: Mutex<State>,
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
    /// The segments before this one were to be given up while they were held.
    retire_later: u64,
}

/// A segment that nothing is added to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClosedSegment {
    /// The last version of the segments before this one.
    pub(super) after: Version,
    /// How far its records reach.
    pub(super) bytes: u64,
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
        let first_needed = {
            let mut state = self.segments.state.lock();
            state.holds -= 1;
            if state.holds > 0 { 0 } else { std::mem::take(&mut state.retire_later) }
        };
        if first_needed > 0
            && let Err(error) = self.segments.retire(first_needed)
        {
            // The next retirement, or the next start, tries again.
            tracing::warn!(%error, "segments that are not needed are left behind");
        }
    }
}

impl Segments {
    pub(super) fn new(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        closed: BTreeMap<u64, ClosedSegment>,
        current: u64,
        current_after: Version,
    ) -> Self {
        let state = Mutex::new(State { closed, current, current_after, holds: 0, retire_later: 0 });
        Self { vfs: Arc::clone(vfs), directory: directory.to_path_buf(), state }
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
        needed
            .or_else(|| state.closed.first_key_value())
            .map_or(state.current, |(number, _)| *number)
    }

    /// Gives up the segments before this one; it must be durable elsewhere that they are not needed.
    /// Answers how many there were. While they are held, they are given up when they no longer are.
    pub fn retire(&self, first_needed: u64) -> Result<u64, LogError> {
        let mut count = 0;
        {
            let mut state = self.state.lock();
            if state.holds > 0 {
                state.retire_later = state.retire_later.max(first_needed);
                return Ok(0);
            }
        }
        loop {
            // Removing a file may take long; the log's writer must not wait for it.
            let Some(number) = self.first_closed().filter(|number| *number < first_needed) else {
                return Ok(count);
            };
            self.vfs.remove(&segment_path(&self.directory, number))?;
            self.state.lock().closed.remove(&number);
            count += 1;
        }
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

    /// The log goes on in the next segment; the one before is closed with so many bytes.
    pub(super) fn rotated(&self, number: u64, after: Version, bytes_before: u64) {
        let mut state = self.state.lock();
        let closed = ClosedSegment { after: state.current_after, bytes: bytes_before };
        let before = state.current;
        state.closed.insert(before, closed);
        (state.current, state.current_after) = (number, after);
    }

    fn first_closed(&self) -> Option<u64> {
        self.state.lock().closed.first_key_value().map(|(number, _)| *number)
    }
}
