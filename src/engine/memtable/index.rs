//! The point index: from a key to its node in one look.
//!
//! An open hash table of buckets as large as a cache line: eight tag bytes, and pointers to seven
//! nodes. A tag is a byte of the hash, so the key of a wrong node is fetched in one of 255 cases
//! only; the eighth tag says that keys which belong here went on to the next bucket.
//!
//! One writer, any number of readers, no locks. When the table gets full a table twice as large
//! is put in front of it, and every insertion moves a few buckets on: nobody ever waits for the
//! whole. Until all is moved, what isn't found in the new table is looked up in the old one, which
//! stays as it was.

use std::{
    hash::{BuildHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

use super::{
    node::{NodePointer, NodeRef},
    reclaim::{Owned, ReadGuard},
};
use crate::engine::{key::KeyRef, prefetch::prefetch};

/// Nodes in a bucket.
const SLOTS: usize = 7;
/// Nodes a bucket holds on average when the table is to grow.
const FULL: usize = 5;
/// Old buckets that an insertion moves. One would do: the new table takes five insertions for each
/// old bucket until it is full itself.
const MOVED_BY_INSERTION: usize = 2;
/// Buckets of the first table; a power of two.
const BUCKETS_MIN: usize = 16;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;
/// The tag that says "some went on".
const OVERFLOW: u64 = 0xFF << 56;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    tags: AtomicU64,
    slots: [AtomicPtr<()>; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// The node of this key, and its slot.
    fn find<'g>(
        &self,
        tag: u8,
        key: KeyRef<'_>,
        guard: &'g ReadGuard,
    ) -> Option<(usize, NodeRef<'g>)> {
        for slot in self.matches(tag) {
            if let Some(node) = self.node(slot, guard)
                && node.key() == key
            {
                return Some((slot, node));
            }
        }
        None
    }

    /// The slots with this tag, and perhaps one more.
    fn matches(&self, tag: u8) -> impl Iterator<Item = usize> {
        let tags = self.tags.load(Ordering::Acquire) & !OVERFLOW;
        let differing = tags ^ (LOW_BITS * u64::from(tag));
        // Marks every byte that is zero, and perhaps the one above such a byte.
        let mut matches = differing.wrapping_sub(LOW_BITS) & !differing & HIGH_BITS & !OVERFLOW;
        std::iter::from_fn(move || {
            let slot = (matches != 0).then(|| matches.trailing_zeros() as usize / 8)?;
            matches &= matches - 1;
            Some(slot)
        })
    }

    /// Begins to fetch the nodes with this tag.
    fn prefetch(&self, tag: u8) {
        for slot in self.matches(tag) {
            if let Some(place) = self.slots.get(slot) {
                prefetch(place.load(Ordering::Relaxed).cast::<u8>());
            }
        }
    }

    /// Begins to fetch all nodes.
    fn prefetch_all(&self) {
        for place in &self.slots {
            prefetch(place.load(Ordering::Relaxed).cast::<u8>());
        }
    }

    fn pointer(&self, slot: usize) -> Option<NodePointer> {
        let pointer = self.slots.get(slot)?.load(Ordering::Acquire);
        // SAFETY: slots hold null or what `into_slot` gave.
        unsafe { NodePointer::from_slot(pointer) }
    }

    fn node<'g>(&self, slot: usize, guard: &'g ReadGuard) -> Option<NodeRef<'g>> {
        let node = self.pointer(slot)?;
        // SAFETY: the bucket is reachable under the guard, and nodes are taken out of their
        // buckets before they are retired.
        Some(unsafe { node.get(guard) })
    }

    /// Puts a node into a free slot, if there is one.
    fn insert(&self, tag: u8, node: NodePointer) -> bool {
        let tags = self.tags.load(Ordering::Relaxed);
        let Some(slot) = (0..SLOTS).find(|slot| (tags >> (slot * 8)) as u8 == 0) else {
            return false;
        };
        let Some(place) = self.slots.get(slot) else { return false };
        place.store(node.into_slot(), Ordering::Release);
        self.tags.store(tags | u64::from(tag) << (slot * 8), Ordering::Release);
        true
    }

    fn remove(&self, slot: usize) {
        let Some(place) = self.slots.get(slot) else { return };
        let tags = self.tags.load(Ordering::Relaxed);
        self.tags.store(tags & !(0xFF << (slot * 8)), Ordering::Release);
        place.store(std::ptr::null_mut(), Ordering::Release);
    }

    fn overflows(&self) -> bool {
        self.tags.load(Ordering::Acquire) & OVERFLOW != 0
    }
}

#[derive(Debug)]
struct Table {
    buckets: Box<[Bucket]>,
    /// How far a hash is shifted to give its bucket.
    shift: u32,
}

/// Where a key belongs: `hash` picks the bucket by its high bits and the tag by its low ones.
fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}

impl Table {
    fn new(buckets: usize) -> Self {
        assert!(buckets.is_power_of_two());
        let zeroed = Box::<[Bucket]>::new_zeroed_slice(buckets);
        // SAFETY: a bucket is atomic integers and pointers, for which zeros are a value.
        let zeroed = unsafe { zeroed.assume_init() };
        Self { buckets: zeroed, shift: 64 - buckets.trailing_zeros() }
    }

    fn probe(&self, hash: u64) -> impl Iterator<Item = &Bucket> {
        let home = (hash >> self.shift) as usize;
        let len = self.buckets.len();
        (0..len).filter_map(move |step| self.buckets.get((home + step) & (len - 1)))
    }

    fn find<'g>(
        &self,
        hash: u64,
        key: KeyRef<'_>,
        guard: &'g ReadGuard,
    ) -> Option<(&Bucket, usize, NodeRef<'g>)> {
        for bucket in self.probe(hash) {
            if let Some((slot, node)) = bucket.find(tag(hash), key, guard) {
                return Some((bucket, slot, node));
            }
            if !bucket.overflows() {
                return None;
            }
        }
        None
    }

    fn insert(&self, hash: u64, node: NodePointer) {
        for bucket in self.probe(hash) {
            if bucket.insert(tag(hash), node) {
                return;
            }
            bucket.tags.fetch_or(OVERFLOW, Ordering::Release);
        }
        unreachable!("a table is never filled beyond five sevenths");
    }

    fn bytes(&self) -> usize {
        size_of_val::<[Bucket]>(&self.buckets)
    }
}

/// The tables in use.
#[derive(Debug)]
struct Tables {
    current: Arc<Table>,
    /// While its nodes are being moved.
    previous: Option<Arc<Table>>,
}

/// The index, as readers and the writer share it.
#[derive(Debug)]
pub(super) struct PointIndex {
    tables: Owned<Tables>,
    hasher: ahash::RandomState,
}

/// What only the writer keeps of a [`PointIndex`].
#[derive(Debug, Default)]
pub(super) struct PointIndexWriter {
    nodes: usize,
    /// The next bucket of the previous table to be moved.
    next_moved: usize,
}

impl PointIndex {
    /// An empty index; `seed` makes the hash unguessable or repeatable.
    pub(super) fn new(seed: u64) -> Self {
        let tables = Tables { current: Arc::new(Table::new(BUCKETS_MIN)), previous: None };
        Self {
            tables: Owned::new(tables),
            hasher: ahash::RandomState::with_seeds(seed, !seed, seed.rotate_left(32), 0x5EED),
        }
    }

    /// The hash by which a key is found.
    pub(super) fn hash(&self, key: KeyRef<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key.key);
        hasher.write_u32(key.keyspace.0);
        hasher.finish()
    }

    /// Begins to fetch the bucket of a key with this hash, which is to be looked up soon.
    pub(super) fn prefetch_bucket(&self, hash: u64, guard: &ReadGuard) {
        if let Some(bucket) = self.tables.load(guard).current.probe(hash).next() {
            prefetch((&raw const *bucket).cast());
        }
    }

    /// Begins to fetch the nodes that a key with this hash may have; the bucket should be there by
    /// now.
    pub(super) fn prefetch_node(&self, hash: u64, guard: &ReadGuard) {
        if let Some(bucket) = self.tables.load(guard).current.probe(hash).next() {
            bucket.prefetch(tag(hash));
        }
    }

    /// The node of a key.
    pub(super) fn get<'g>(&self, key: KeyRef<'_>, guard: &'g ReadGuard) -> Option<NodeRef<'g>> {
        self.find(self.hash(key), key, guard)
    }

    /// The node of a key with this hash.
    pub(super) fn find<'g>(
        &self,
        hash: u64,
        key: KeyRef<'_>,
        guard: &'g ReadGuard,
    ) -> Option<NodeRef<'g>> {
        let tables = self.tables.load(guard);
        let found = tables.current.find(hash, key, guard);
        let found = found.or_else(|| tables.previous.as_ref()?.find(hash, key, guard));
        found.map(|(_, _, node)| node)
    }

    /// Adds a node whose key isn't there. Only the writer does this.
    pub(super) fn insert(
        &self,
        writer: &mut PointIndexWriter,
        node: NodeRef<'_>,
        guard: &ReadGuard,
    ) {
        self.move_some(writer, guard);
        let tables = self.tables.load(guard);
        if tables.previous.is_none() && writer.nodes >= tables.current.buckets.len() * FULL {
            let current = Arc::new(Table::new(tables.current.buckets.len() * 2));
            let previous = Some(Arc::clone(&tables.current));
            self.tables.replace(Tables { current, previous }, guard);
            writer.next_moved = 0;
        }
        self.tables.load(guard).current.insert(self.hash(node.key()), node.pointer());
        writer.nodes += 1;
    }

    /// Moves a few nodes from the previous table to the current one.
    fn move_some(&self, writer: &mut PointIndexWriter, guard: &ReadGuard) {
        let tables = self.tables.load(guard);
        let Some(previous) = &tables.previous else { return };
        for _ in 0..MOVED_BY_INSERTION {
            let Some(bucket) = previous.buckets.get(writer.next_moved) else {
                let current = Arc::clone(&tables.current);
                self.tables.replace(Tables { current, previous: None }, guard);
                return;
            };
            for node in (0..SLOTS).filter_map(|slot| bucket.node(slot, guard)) {
                tables.current.insert(self.hash(node.key()), node.pointer());
            }
            writer.next_moved += 1;
        }
        // Their keys are hashed anew, so that of each bucket all nodes are needed.
        for ahead in 0..MOVED_BY_INSERTION {
            if let Some(bucket) =
                previous.buckets.get(writer.next_moved + MOVED_BY_INSERTION + ahead)
            {
                bucket.prefetch_all();
            }
        }
    }

    /// Takes a node out. Only the writer does this.
    pub(super) fn remove(&self, writer: &mut PointIndexWriter, key: KeyRef<'_>, guard: &ReadGuard) {
        let hash = self.hash(key);
        let tables = self.tables.load(guard);
        let current = tables.current.find(hash, key, guard);
        let previous =
            tables.previous.as_ref().and_then(|previous| previous.find(hash, key, guard));
        debug_assert!(current.is_some() || previous.is_some(), "{key:?} is in the index");
        for (bucket, slot, _) in current.into_iter().chain(previous) {
            bucket.remove(slot);
        }
        writer.nodes -= 1;
    }

    /// All nodes, in no order.
    pub(super) fn nodes(&self, writer: &PointIndexWriter, guard: &ReadGuard) -> Vec<NodePointer> {
        let tables = self.tables.load(guard);
        let mut nodes = Vec::with_capacity(writer.nodes);
        let previous = tables.previous.as_ref().and_then(|table| {
            // Those before are moved, and are still there.
            table.buckets.get(writer.next_moved..)
        });
        for bucket in tables.current.buckets.iter().chain(previous.unwrap_or_default()) {
            let slots = (0..SLOTS).filter_map(|slot| bucket.pointer(slot));
            nodes.extend(slots);
        }
        debug_assert_eq!(nodes.len(), writer.nodes);
        nodes
    }

    /// How much memory the tables take.
    pub(super) fn bytes(&self, guard: &ReadGuard) -> usize {
        let tables = self.tables.load(guard);
        tables.current.bytes() + tables.previous.as_ref().map_or(0, |table| table.bytes())
    }
}

#[cfg(test)]
mod tests {
    use plinth_protocol::{KeyspaceId, Version};

    use super::*;
    use crate::engine::visible::Stamp;

    #[test]
    fn every_key_is_found_while_the_table_grows_and_shrinks() {
        let guard = ReadGuard::pin();
        let index = PointIndex::new(3);
        let mut writer = PointIndexWriter::default();
        let stamp = Stamp { version: Version(1), order: 0 };
        let keys: Vec<[u8; 4]> = (0..3000u32).map(u32::to_be_bytes).collect();
        let key_of = |at: usize| KeyRef::new(KeyspaceId(at as u32 % 2), &keys[at]);
        let mut nodes = Vec::new();
        for at in 0..keys.len() {
            assert!(index.get(key_of(at), &guard).is_none());
            let pointer = NodePointer::allocate(key_of(at), stamp, None);
            nodes.push(pointer);
            // SAFETY: just made.
            index.insert(&mut writer, unsafe { pointer.get(&guard) }, &guard);
            if at % 3 == 2 {
                index.remove(&mut writer, key_of(at - 1), &guard);
            }
            if at % 97 == 0 {
                for seen in 0..=at {
                    let is_removed = seen % 3 == 1 && seen < at;
                    let found = index.get(key_of(seen), &guard).map(NodeRef::key);
                    assert_eq!(found, (!is_removed).then(|| key_of(seen)), "{seen} of {at}");
                }
                let listed = index.nodes(&writer, &guard);
                // SAFETY: the nodes are freed at the end.
                let listed = listed.iter().map(|node| unsafe { node.get(&guard) }.key());
                let is_there = |seen: &usize| seen % 3 != 1 || *seen == at;
                let mut expected: Vec<_> = (0..=at).filter(is_there).map(key_of).collect();
                let mut listed: Vec<_> = listed.collect();
                expected.sort_unstable();
                listed.sort_unstable();
                assert_eq!(listed, expected, "{at}");
            }
        }
        assert_eq!(writer.nodes, 2000);
        drop(index);
        for node in nodes {
            // SAFETY: the index is gone.
            unsafe { node.free() };
        }
    }
}
