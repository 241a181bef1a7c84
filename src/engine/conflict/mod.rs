//! The conflict index: which keys were written when, as far back as the window reaches.
//!
//! History is kept in buckets, each of them some thousand writes long. A check looks at those
//! buckets only that have writes after the reader's version: for a reader of a moment ago, the last
//! one or two. What the window has left behind goes bucket by bucket, whatever is in it.
//!
//! A [`Bucket`] finds single keys by hash. Only who asks about ranges needs their order: until then
//! the keys of a bucket lie in a row as they came; a rare question goes through them all, and for
//! frequent ones they are put into a tree, [`steps`], where the ranges are that were written. So a
//! write of a key costs a look into a table that fits into the processor's cache, and a check of a
//! range looks at the pages at the range's ends only, whatever its width and whatever was written
//! inside it.
//!
//! A conflict is reported if a key of the range was written after the reader's version. Also, with a
//! chance of one in 2⁶⁴ for each pair, if another key with the same hash was; the hash is keyed, so
//! that nobody can look for such pairs.
//!
//! Buckets of time, and hashes for points: `ConflictSet` of FoundationDB has one skip list instead.

mod bucket;
mod steps;

use std::collections::VecDeque;

use plinth_protocol::{ConflictRange, KeyRange, KeyspaceId, Version};

use self::bucket::Bucket;
use super::key::KeyRef;

/// The write history of the window. Lives in the sequencer; one thread.
#[derive(Debug)]
pub struct ConflictIndex {
    oldest: Version,
    /// Oldest first; the last one takes what is written now.
    buckets: VecDeque<Bucket>,
    /// An empty one with memory.
    spare: Option<Bucket>,
    hasher: ahash::RandomState,
}

impl ConflictIndex {
    /// An empty history that begins at `oldest`; `seed` makes its hashes unguessable or repeatable.
    pub fn new(oldest: Version, seed: u64) -> Self {
        let hasher = ahash::RandomState::with_seeds(seed, 0xC0_4F1C, !seed, seed.rotate_left(32));
        Self { oldest, buckets: VecDeque::from([Bucket::default()]), spare: None, hasher }
    }

    /// The version after which every write is known.
    pub fn oldest(&self) -> Version {
        self.oldest
    }

    /// How many writes are kept: those of the window, and less than a bucket's before it.
    pub fn writes(&self) -> usize {
        self.buckets.iter().map(Bucket::writes).sum()
    }

    /// Whether any key of `range` was written after `since`. True also if that is not known,
    /// because `since` is before [`oldest`](Self::oldest).
    pub fn check(&mut self, keyspace: KeyspaceId, range: &ConflictRange, since: Version) -> bool {
        if since < self.oldest {
            return true;
        }
        let hash = match range {
            ConflictRange::Key(key) => self.hash(KeyRef::new(keyspace, key)),
            ConflictRange::Range(_) => 0,
        };
        let newer = self.buckets.iter_mut().rev().take_while(|bucket| bucket.newest() > since);
        match range {
            ConflictRange::Key(key) => {
                let key = KeyRef::new(keyspace, key);
                newer.into_iter().any(|bucket| bucket.is_key_written(key, hash, since))
            }
            ConflictRange::Range(range) if range.is_empty() => false,
            ConflictRange::Range(range) => {
                let ends = [&range.begin, &range.end].map(|key| KeyRef::new(keyspace, key));
                newer.into_iter().any(|bucket| bucket.is_range_written(ends.into(), since))
            }
        }
    }

    /// Notes that `range` is written at `version`.
    ///
    /// # Panics
    /// If an earlier write has a greater version: that history would be wrong.
    pub fn insert(&mut self, keyspace: KeyspaceId, range: &ConflictRange, version: Version) {
        match range {
            ConflictRange::Key(key) => self.insert_key(keyspace, key, version),
            ConflictRange::Range(KeyRange { begin, end }) => {
                self.insert_range(keyspace, (begin, end), version);
            }
        }
    }

    /// The same for a single key.
    pub(super) fn insert_key(&mut self, keyspace: KeyspaceId, key: &[u8], version: Version) {
        let key = KeyRef::new(keyspace, key);
        let hash = self.hash(key);
        self.bucket(version).insert_key(key, hash, version);
    }

    /// The same for the keys from the first to before the second.
    pub(super) fn insert_range(
        &mut self,
        keyspace: KeyspaceId,
        (begin, end): (&[u8], &[u8]),
        version: Version,
    ) {
        if begin < end {
            let ends = [begin, end].map(|key| KeyRef::new(keyspace, key));
            self.bucket(version).insert_range(ends.into(), version);
        }
    }

    /// Forgets what was written at or before `oldest`, as soon as all of its bucket was.
    pub fn expire(&mut self, oldest: Version) {
        self.oldest = self.oldest.max(oldest);
        while let Some(bucket) = self.buckets.front_mut()
            && bucket.newest() <= self.oldest
            && bucket.writes() > 0
        {
            bucket.clear();
            if self.buckets.len() == 1 {
                return;
            }
            self.spare = self.buckets.pop_front();
        }
    }

    fn hash(&self, key: KeyRef<'_>) -> u64 {
        self.hasher.hash_one((key.key, key.keyspace.0))
    }

    /// The bucket for what is written at `version`.
    fn bucket(&mut self, version: Version) -> &mut Bucket {
        let newest = self.buckets.back().map_or(Version::ZERO, Bucket::newest);
        assert!(newest <= version, "history is written in order");
        if let Some(last) = self.buckets.back().filter(|last| last.is_full()) {
            let next = self.spare.take().unwrap_or_else(|| last.another());
            self.buckets.push_back(next);
        }
        self.buckets.back_mut().expect("there is always one")
    }
}

#[cfg(test)]
mod tests;
