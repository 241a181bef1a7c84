//! Idempotency: which commits have happened, by the id that their client chose.
//!
//! A client that lost the answer to a commit sends it again with the same id; the sequencer finds
//! the id here and answers with the first one's version instead of carrying it out twice. An id is
//! entered when its commit is sequenced, so that a twin in the same batch is found as well, and
//! from the log at recovery. Commits that did not happen are not remembered: sent again they are
//! decided again.
//!
//! Ids are remembered for a time (ten minutes by default) and up to a bound in bytes, the oldest
//! going first. A client that waits longer than that before it asks must read to find out.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use ahash::RandomState;
use bytes::Bytes;
use plinth_protocol::Version;

use crate::sync::Mutex;

/// What an entry takes beside its id, about.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// The ids of the commits of the last minutes.
#[derive(Debug)]
pub(crate) struct Idempotency {
    remembered: Mutex<Remembered>,
    keep_ms: u64,
    bytes_max: usize,
}

#[derive(Debug)]
struct Remembered {
    by_id: HashMap<Bytes, Place, RandomState>,
    by_age: VecDeque<RememberedId>,
    bytes: usize,
}

/// Where in history a commit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) version: Version,
    pub(crate) order: u16,
}

/// A commit that is known by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RememberedId {
    pub(crate) id: Bytes,
    pub(crate) place: Place,
    pub(crate) committed_at_ms: u64,
}

impl Idempotency {
    /// `seed` keys the hash, since ids come from strangers.
    pub(crate) fn new(keep: Duration, bytes_max: usize, seed: u64) -> Self {
        let hasher = RandomState::with_seeds(seed, !seed, seed.rotate_left(17), seed ^ 0x5EED);
        let by_id = HashMap::with_hasher(hasher);
        let remembered = Remembered { by_id, by_age: VecDeque::new(), bytes: 0 };
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        Self { remembered: Mutex::new(remembered), keep_ms, bytes_max }
    }

    /// Where the commit with this id stands, if it is remembered.
    pub(crate) fn find(&self, id: &[u8]) -> Option<Place> {
        self.remembered.lock().by_id.get(id).copied()
    }

    /// Remembers a commit, and forgets what is too old at `now_ms` or too much.
    pub(crate) fn remember(&self, id: &[u8], place: Place, committed_at_ms: u64, now_ms: u64) {
        if committed_at_ms.saturating_add(self.keep_ms) < now_ms {
            return;
        }
        // A copy, lest a short id keep the large buffer alive that it came in.
        let id = Bytes::copy_from_slice(id);
        let mut remembered = self.remembered.lock();
        if remembered.by_id.insert(id.clone(), place).is_none() {
            remembered.bytes += id.len() + ENTRY_OVERHEAD_BYTES;
            remembered.by_age.push_back(RememberedId { id, place, committed_at_ms });
        }
        remembered.forget(now_ms, self.keep_ms, self.bytes_max);
    }

    /// The commits up to `last` that are remembered, the oldest first.
    pub(crate) fn up_to(&self, last: Version) -> Vec<RememberedId> {
        let remembered = self.remembered.lock();
        remembered.by_age.iter().filter(|id| id.place.version <= last).cloned().collect()
    }

    /// Forgets what is too old at `now_ms`.
    pub(crate) fn expire(&self, now_ms: u64) {
        self.remembered.lock().forget(now_ms, self.keep_ms, self.bytes_max);
    }

    /// How many commits are remembered.
    pub(crate) fn len(&self) -> usize {
        self.remembered.lock().by_id.len()
    }
}

impl Remembered {
    fn forget(&mut self, now_ms: u64, keep_ms: u64, bytes_max: usize) {
        while let Some(oldest) = self.by_age.front() {
            let is_old = oldest.committed_at_ms.saturating_add(keep_ms) < now_ms;
            if !is_old && self.bytes <= bytes_max {
                return;
            }
            let Some(RememberedId { id, .. }) = self.by_age.pop_front() else { return };
            self.by_id.remove(&id);
            self.bytes -= id.len() + ENTRY_OVERHEAD_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(version: u64) -> Place {
        Place { version: Version(version), order: 0 }
    }

    #[test]
    fn ids_are_forgotten_by_age() {
        let ids = Idempotency::new(Duration::from_secs(1), 1 << 20, 7);
        ids.remember(&Bytes::from_static(b"one"), place(1), 10_000, 10_000);
        ids.remember(&Bytes::from_static(b"two"), place(2), 10_500, 10_500);
        assert_eq!(ids.find(b"one"), Some(place(1)));
        ids.expire(11_001);
        assert_eq!((ids.find(b"one"), ids.find(b"two")), (None, Some(place(2))));
        ids.remember(&Bytes::from_static(b"old"), place(3), 1, 11_001);
        assert_eq!(ids.find(b"old"), None);
    }

    #[test]
    fn the_oldest_ids_go_when_there_are_too_many() {
        let ids = Idempotency::new(Duration::from_secs(1), 2 * (ENTRY_OVERHEAD_BYTES + 1), 7);
        for (version, id) in (0..).zip([&b"a"[..], b"b", b"c"]) {
            ids.remember(&Bytes::from_static(id), place(version), 5, 5);
        }
        assert_eq!((ids.find(b"a"), ids.find(b"c")), (None, Some(place(2))));
        assert_eq!(ids.len(), 2);
        assert_eq!(ids.up_to(Version(1)).into_iter().map(|id| id.id).collect::<Vec<_>>(), ["b"]);
    }
}
