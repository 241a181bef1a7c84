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
}

/// A segment that nothing is added to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClosedSegment {
    /// The last version of the segments before this one.
    pub(super) after: Version,
    /// How far its records reach.
    pub(super) bytes: u64,
}

impl Segments {
    pub(super) fn new(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        closed: BTreeMap<u64, ClosedSegment>,
        current: u64,
        current_after: Version,
    ) -> Self {
        let state = Mutex::new(State { closed, current, current_after });
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
    /// Answers how many there were.
    pub fn retire(&self, first_needed: u64) -> Result<u64, LogError> {
        let mut count = 0;
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
