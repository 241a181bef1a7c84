//! The conflict index: which keys were written when, as far back as the window reaches.
//!
//! One step function over the keys of each keyspace: the boundary at `k` says when the keys from
//! `k` to the next boundary were last written. A write splits the function at its ends and levels
//! what is between; a check looks for a step above the version that the reader saw. Exact: no
//! false conflicts, no missed ones.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
};

use bytes::Bytes;
use plinth_protocol::{ConflictRange, KeyspaceId, Version};

/// The write history of the window. Lives in the sequencer; one thread.
#[derive(Debug)]
pub struct ConflictIndex {
    oldest: Version,
    steps: HashMap<KeyspaceId, BTreeMap<Bytes, Version>>,
    /// Boundaries in the order of their versions, to be looked at again when these have expired.
    expiring: VecDeque<(Version, KeyspaceId, Bytes)>,
}

/// What a [`ConflictIndex`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflictStats {
    /// Boundaries between keys written at different versions.
    pub boundaries: usize,
}

impl ConflictIndex {
    /// An empty history that begins at `oldest`.
    pub fn new(oldest: Version) -> Self {
        Self { oldest, steps: HashMap::new(), expiring: VecDeque::new() }
    }

    /// The version from which on every write is known.
    pub fn oldest(&self) -> Version {
        self.oldest
    }

    /// What is held.
    pub fn stats(&self) -> ConflictStats {
        ConflictStats { boundaries: self.steps.values().map(BTreeMap::len).sum() }
    }

    /// Whether anything in `range` was written after `since`. True as well if the answer is not
    /// known, because `since` is before [`oldest`](Self::oldest).
    pub fn check(&self, keyspace: KeyspaceId, range: &ConflictRange, since: Version) -> bool {
        if since < self.oldest {
            return true;
        }
        let range = range.to_range();
        let Some(steps) = self.steps.get(&keyspace).filter(|_| !range.is_empty()) else {
            return false;
        };
        let before = steps.range(..=range.begin.clone()).next_back();
        let within =
            steps.range::<Bytes, _>((Bound::Excluded(&range.begin), Bound::Excluded(&range.end)));
        before.into_iter().chain(within).any(|(_, &version)| version > since)
    }

    /// Notes that `range` is written at `version`, which is not below any earlier one.
    pub fn insert(&mut self, keyspace: KeyspaceId, range: &ConflictRange, version: Version) {
        let range = range.to_range();
        if range.is_empty() {
            return;
        }
        let steps = self.steps.entry(keyspace).or_default();
        let after =
            steps.range(..=range.end.clone()).next_back().map_or(Version::ZERO, |(_, &v)| v);
        let levelled: Vec<Bytes> = steps
            .range(range.begin.clone()..range.end.clone())
            .map(|(boundary, _)| boundary.clone())
            .collect();
        for boundary in levelled {
            steps.remove(&boundary);
        }
        steps.insert(range.begin.clone(), version);
        steps.entry(range.end.clone()).or_insert(after);
        self.expiring.push_back((version, keyspace, range.begin));
        self.expiring.push_back((version, keyspace, range.end));
    }

    /// Forgets what was written at or before `oldest`.
    pub fn expire(&mut self, oldest: Version) {
        self.oldest = self.oldest.max(oldest);
        while self.expiring.front().is_some_and(|&(version, ..)| version <= self.oldest) {
            let Some((_, keyspace, boundary)) = self.expiring.pop_front() else { return };
            let Some(steps) = self.steps.get_mut(&keyspace) else { continue };
            let is_low = |version: &Version| *version <= self.oldest;
            let is_needed = !steps.get(&boundary).is_some_and(is_low)
                || steps.range(..boundary.clone()).next_back().is_some_and(|(_, v)| !is_low(v));
            if !is_needed {
                steps.remove(&boundary);
            }
            if steps.is_empty() {
                self.steps.remove(&keyspace);
            }
        }
    }
}
