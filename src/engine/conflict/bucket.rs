//! A stretch of the history: what was written from one version to another.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use plinth_protocol::{KeyspaceId, Version};

use super::steps::Page;
use crate::engine::key::KeyRef;

/// A bucket takes no more writes than this, nor much more bytes of keys: as many as fit into a hash
/// table of 2¹⁴ slots, seven eighths of which it fills. Small in tests, so that a few writes fill many.
const WRITES_MAX: usize = if cfg!(test) { 50 } else { 14 << 10 };
const KEY_BYTES_MAX: usize = 4 << 20;
/// So many pending writes are put in order at once; more only for those who come again: putting a
/// bucket in order costs some dozen passes over it.
const PENDING_FEW: usize = if cfg!(test) { 4 } else { 64 };
const PASSES_MAX: usize = if cfg!(test) { 2 } else { 16 };

/// What was written in a stretch of versions.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    newest: Version,
    writes: usize,
    /// When a key was last written by itself: by the hash of the key.
    points: HashMap<u64, Version, BuildHasherDefault<AlreadyHashed>>,
    /// Those writes of single keys that are not in `ordered` yet, oldest first.
    pending: Vec<Pending>,
    /// Their keys, one behind the other.
    pending_keys: Vec<u8>,
    /// How often all of them were looked at.
    passes: usize,
    /// What was written where, in the order of keys: all ranges, and keys up to some version.
    ordered: Page,
    has_ranges: bool,
}

/// A write that is to be put in order. Its key begins where that of the one before ends.
#[derive(Debug)]
struct Pending {
    version: Version,
    keyspace: KeyspaceId,
    key_bytes: u32,
}

impl Bucket {
    /// The version of the last write.
    pub(super) fn newest(&self) -> Version {
        self.newest
    }

    /// How many writes it has taken.
    pub(super) fn writes(&self) -> usize {
        self.writes
    }

    /// Whether it is time for another bucket.
    pub(super) fn is_full(&self) -> bool {
        self.writes >= WRITES_MAX || self.pending_keys.len() >= KEY_BYTES_MAX
    }

    /// An empty one with room for as much as this one has taken.
    pub(super) fn another(&self) -> Self {
        Self {
            points: HashMap::with_capacity_and_hasher(
                self.points.len(),
                BuildHasherDefault::default(),
            ),
            pending: Vec::with_capacity(self.pending.len()),
            pending_keys: Vec::with_capacity(self.pending_keys.len()),
            ..Self::default()
        }
    }

    /// Empties it; it keeps its memory.
    pub(super) fn clear(&mut self) {
        self.newest = Version::ZERO;
        self.writes = 0;
        self.points.clear();
        self.pending.clear();
        self.pending_keys.clear();
        self.passes = 0;
        self.ordered = Page::default();
        self.has_ranges = false;
    }

    /// Notes a write of a key with this hash, not before any other.
    pub(super) fn insert_key(&mut self, key: KeyRef<'_>, hash: u64, version: Version) {
        self.newest = version;
        self.writes += 1;
        self.points.insert(hash, version);
        let key_bytes = u32::try_from(key.key.len()).expect("a key fits into a frame");
        self.pending.push(Pending { version, keyspace: key.keyspace, key_bytes });
        self.pending_keys.extend_from_slice(key.key);
    }

    /// Notes a write of a range that is not empty, not before any other.
    pub(super) fn insert_range(
        &mut self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        version: Version,
    ) {
        self.put_in_order();
        self.newest = version;
        self.writes += 1;
        self.has_ranges = true;
        let split = self.ordered.assign_range(Some(begin), Some(end), version);
        self.ordered.grow(split);
    }

    /// Whether a key with this hash was written after `since`.
    pub(super) fn is_key_written(&self, key: KeyRef<'_>, hash: u64, since: Version) -> bool {
        self.points.get(&hash).is_some_and(|version| *version > since)
            || self.has_ranges && self.ordered.key_exceeds(key, since)
    }

    /// Whether a key from `begin` to before `end` was written after `since`.
    pub(super) fn is_range_written(
        &mut self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        since: Version,
    ) -> bool {
        if self.pending.len() <= PENDING_FEW || self.passes >= PASSES_MAX {
            self.put_in_order();
        } else {
            self.passes += 1;
        }
        self.pending().any(|(key, version)| version > since && begin <= key && key < end)
            || self.ordered.range_exceeds(Some(begin), Some(end), since)
    }

    fn pending(&self) -> impl Iterator<Item = (KeyRef<'_>, Version)> {
        let mut keys = self.pending_keys.as_slice();
        self.pending.iter().map(move |&Pending { version, keyspace, key_bytes }| {
            let (key, rest) = keys.split_at(key_bytes as usize);
            keys = rest;
            (KeyRef::new(keyspace, key), version)
        })
    }

    fn put_in_order(&mut self) {
        let mut ordered = std::mem::take(&mut self.ordered);
        for (key, version) in self.pending() {
            let split = ordered.assign_key(key, version);
            ordered.grow(split);
        }
        self.ordered = ordered;
        self.pending.clear();
        self.pending_keys.clear();
        self.passes = 0;
    }
}

/// For keys that are hashes.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("hashes are 64 bits");
    }
}
