//! A leaf of the tree: nodes in the order of their keys.
//!
//! ```text
//!   digests │ 7 │ 3 │ 9 │ 5 │   │   slots: filled one after the other, then never changed
//!   nodes   │ ▪ │ ▪ │ ▪ │ ▪ │   │
//!   order   │ 1 │ 3 │ 0 │ 2 │       which slots the keys are in, from the least to the greatest
//! ```
//!
//! A node that comes takes the next slot, one that goes leaves its slot unused, and either time a new
//! order takes the place of the old: a reader sees the leaf as it was before or as it is after, and
//! goes on with the order that it has found. Only a leaf without a free slot is copied. (The order of
//! Masstree's leaves is a permutation as well: Mao, Kohler, Morris, "Cache Craftiness for Fast
//! Multicore Key-Value Storage", 2012; there it is one integer, which keeps leaves to 15 keys.)

use std::{
    ops::Range,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
};

use plinth_protocol::Version;

use super::super::{
    node::{NodePointer, NodeRef},
    reclaim::{Owned, ReadGuard},
};
use crate::engine::{
    key::{Common, KeyRef, among_equals},
    prefetch::{prefetch, prefetch_lines},
};

/// Nodes of a leaf at most: their order and its length fill a cache line.
pub(super) const LEAF_MAX: usize = 63;
/// Slots that a copy has free at least.
const FREE_MIN: usize = 4;
/// By so many bytes the keys of a leaf may begin to differ later than their digests, before these
/// are taken anew: the other bytes of a digest are enough to tell most keys apart.
const PREFIX_LAG: usize = 2;
/// An empty-since that no version reaches.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Leaf {
    common: Common,
    digests: Box<[AtomicU64]>,
    nodes: Box<[AtomicPtr<()>]>,
    order: Owned<Order>,
    /// Slots that are filled. Only the writer looks.
    filled: AtomicU32,
    /// Nodes whose newest record has a value. Only the writer looks.
    set: AtomicU32,
    empty_since: AtomicU64,
    last_birth: AtomicU64,
}

/// Which slots hold the keys, in their order.
#[derive(Clone, Debug)]
struct Order {
    len: u8,
    slots: [u8; LEAF_MAX],
}

impl Order {
    /// Slots that are in order themselves.
    fn ascending(len: usize) -> Self {
        let mut order = Self { len: 0, slots: [0; LEAF_MAX] };
        for (place, slot) in order.slots.iter_mut().zip(0..).take(len) {
            *place = slot;
            order.len += 1;
        }
        order
    }

    fn slots(&self) -> &[u8] {
        self.slots.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// With a slot more, at this place among the others.
    fn with(&self, at: usize, slot: u8) -> Self {
        let mut order = self.clone();
        order.slots.copy_within(at..usize::from(self.len), at + 1);
        if let Some(place) = order.slots.get_mut(at) {
            *place = slot;
        }
        order.len += 1;
        order
    }

    /// Without the slot at this place.
    fn without(&self, at: usize) -> Self {
        let mut order = self.clone();
        order.slots.copy_within(at + 1..usize::from(self.len), at);
        order.len -= 1;
        order
    }
}

/// What came of adding a node.
pub(super) enum Added {
    /// The leaf has it.
    Here,
    /// This leaf, which has it, is to take its place.
    Copy(Leaf),
    /// These two, one of which has it, are to take its place.
    Halves(Leaf, Leaf),
}

impl Leaf {
    pub(super) fn empty() -> Self {
        let order = Order::ascending(0);
        Self::of_slots(Common::default(), &[], FREE_MIN, order, Marks::default())
    }

    /// A leaf of these nodes, at most [`LEAF_MAX`], in the order of their keys; `at` is the version
    /// that is being written.
    pub(super) fn build(
        nodes: &[NodePointer],
        last_birth: u64,
        at: Version,
        guard: &ReadGuard,
    ) -> Self {
        for node in nodes {
            node.prefetch();
        }
        for node in nodes {
            // SAFETY: the writer has not retired the node.
            unsafe { node.prefetch_newest() };
        }
        // SAFETY: the same.
        let is_set = |node: &&NodePointer| unsafe { node.get(guard) }.newest().is_set();
        let marks = Marks { set: nodes.iter().filter(is_set).count(), last_birth };
        let (common, slots) = digested(nodes, guard);
        let leaf = Self::of_slots(common, &slots, FREE_MIN, Order::ascending(nodes.len()), marks);
        leaf.note_emptiness(at);
        leaf
    }

    fn of_slots(
        common: Common,
        slots: &[(u64, NodePointer)],
        free: usize,
        order: Order,
        Marks { set, last_birth }: Marks,
    ) -> Self {
        let filled = slots.len();
        let len = (filled + free.max(FREE_MIN)).min(LEAF_MAX);
        let mut digests = Vec::with_capacity(len);
        digests.extend(slots.iter().map(|&(digest, _)| AtomicU64::new(digest)));
        digests.resize_with(len, AtomicU64::default);
        let mut nodes = Vec::with_capacity(len);
        nodes.extend(slots.iter().map(|&(_, node)| AtomicPtr::new(node.into_slot())));
        nodes.resize_with(len, AtomicPtr::default);
        Self {
            common,
            digests: digests.into(),
            nodes: nodes.into(),
            order: Owned::new(order),
            filled: AtomicU32::new(filled as u32),
            set: AtomicU32::new(set as u32),
            empty_since: AtomicU64::new(if set == 0 { 0 } else { NEVER }),
            last_birth: AtomicU64::new(last_birth),
        }
    }

    /// The leaf as it is now.
    pub(super) fn view<'g>(&'g self, guard: &'g ReadGuard) -> View<'g> {
        View { leaf: self, slots: self.order.load(guard).slots(), guard }
    }

    /// Adds a node whose key isn't there, with its first record. Only the writer does this.
    pub(super) fn add(&self, node: NodeRef<'_>, guard: &ReadGuard) -> Added {
        let view = self.view(guard);
        let key = node.key();
        let at = match view.find(key) {
            Ok(at) | Err(at) => at,
        };
        let record = node.newest();
        let fits = self.common.compare(key, || view.key(0)).is_eq() && !view.is_empty();
        let filled = self.filled.load(Ordering::Relaxed) as usize;
        if fits
            && let (Some(digest), Some(place)) = (self.digests.get(filled), self.nodes.get(filled))
        {
            digest.store(self.common.digest(key), Ordering::Relaxed);
            place.store(node.pointer().into_slot(), Ordering::Relaxed);
            if record.is_set() {
                self.note_birth(record.stamp().version, false);
            }
            self.filled.store(filled as u32 + 1, Ordering::Relaxed);
            let order = self.order.load(guard).with(at, filled as u8);
            self.order.replace(order, guard);
            return Added::Here;
        }
        let last_birth = self.last_birth.load(Ordering::Relaxed);
        let version = record.stamp().version;
        let marks = Marks {
            set: self.set.load(Ordering::Relaxed) as usize + usize::from(record.is_set()),
            last_birth: if record.is_set() { last_birth.max(version.0) } else { last_birth },
        };
        let mut slots = view.copy(0..view.len());
        slots.insert(at, (self.common.digest(key), node.pointer()));
        if slots.len() <= LEAF_MAX {
            let leaf = self.with_slots(slots, fits, marks, guard);
            if marks.set == 0 {
                let empty_since = self.empty_since.load(Ordering::Relaxed);
                leaf.empty_since.store(empty_since, Ordering::Relaxed);
            }
            return Added::Copy(leaf);
        }
        // Keys that come in ascending order leave full leaves behind.
        let middle = if at + 1 == slots.len() { at } else { slots.len() / 2 };
        let is_all_set = marks.set == slots.len();
        let right = slots.split_off(middle);
        let half = |slots: Vec<(u64, NodePointer)>| {
            // SAFETY: the writer has not retired the node.
            let is_set =
                |(_, node): &&(u64, NodePointer)| unsafe { node.get(guard) }.newest().is_set();
            let set = if is_all_set { slots.len() } else { slots.iter().filter(is_set).count() };
            let leaf = self.with_slots(slots, fits, Marks { set, ..marks }, guard);
            leaf.note_emptiness(version);
            leaf
        };
        Added::Halves(half(slots), half(right))
    }

    /// A leaf of these slots, which are in the order of their keys. `fits` says whether the digests
    /// are what they should be, if all keys begin as those of this leaf do.
    fn with_slots(
        &self,
        mut slots: Vec<(u64, NodePointer)>,
        fits: bool,
        marks: Marks,
        guard: &ReadGuard,
    ) -> Self {
        let mut common = self.common;
        if let (Some(&(_, first)), Some(&(_, last))) = (slots.first(), slots.last()) {
            // SAFETY: the writer has not retired the node.
            let key = |node: NodePointer| unsafe { node.get(guard) }.key();
            let exact = Common::of(key(first), key(last));
            if !fits || exact.len() > common.len() + PREFIX_LAG {
                let nodes: Vec<_> = slots.iter().map(|&(_, node)| node).collect();
                (common, slots) = digested(&nodes, guard);
            }
        }
        let (free, order) = (slots.len() / 2, Order::ascending(slots.len()));
        Self::of_slots(common, &slots, free, order, marks)
    }

    /// Takes the node at this place out; there are others. Only the writer does this, and retires the
    /// node afterwards. `at_version` is the version from which on nobody sees it.
    pub(super) fn remove(&self, at: usize, at_version: Version, guard: &ReadGuard) {
        let was_set = self.view(guard).node(at).is_some_and(|node| node.newest().is_set());
        if was_set {
            self.set.fetch_sub(1, Ordering::Relaxed);
        }
        if self.set.load(Ordering::Relaxed) == 0 {
            self.empty_since.fetch_min(at_version.0, Ordering::Relaxed);
        }
        let order = self.order.load(guard).without(at);
        self.order.replace(order, guard);
    }

    /// Notes that a key has got a value, written at `version`, while it had none that could be seen;
    /// `was_set` if one was hidden by a range clear.
    pub(super) fn note_birth(&self, version: Version, was_set: bool) {
        self.last_birth.fetch_max(version.0, Ordering::Relaxed);
        if !was_set {
            self.set.fetch_add(1, Ordering::Relaxed);
            self.empty_since.store(NEVER, Ordering::Relaxed);
        }
    }

    /// Notes that the newest record of a key has become one without a value, at `version`.
    pub(super) fn note_clear(&self, version: Version) {
        if self.set.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.empty_since.store(version.0, Ordering::Relaxed);
        }
    }

    fn note_emptiness(&self, at: Version) {
        if self.set.load(Ordering::Relaxed) == 0 {
            self.empty_since.store(at.0, Ordering::Relaxed);
        }
    }

    /// The version from which on no key has a value, if there is one.
    pub(super) fn empty_since(&self) -> u64 {
        self.empty_since.load(Ordering::Relaxed)
    }

    /// When a key last got a value while it had none.
    pub(super) fn last_birth(&self) -> u64 {
        self.last_birth.load(Ordering::Relaxed)
    }

    /// Begins to fetch what leads to the nodes; the leaf itself should be there by now.
    pub(super) fn prefetch_lists(&self, guard: &ReadGuard) {
        prefetch((&raw const *self.order.load(guard)).cast());
        prefetch_lines(&self.nodes);
    }

    /// Begins to fetch what is looked at when a scan begins in this leaf.
    pub(super) fn prefetch_for_scan(&self, guard: &ReadGuard) {
        self.prefetch_lists(guard);
        prefetch_lines(&self.digests);
    }

    /// Begins to fetch what is looked at when a node is added; the leaf itself should be there by now.
    pub(super) fn prefetch_for_add(&self, guard: &ReadGuard) {
        prefetch((&raw const *self.order.load(guard)).cast());
        prefetch_lines(&self.digests);
        if let Some(place) = self.nodes.get(self.filled.load(Ordering::Relaxed) as usize) {
            prefetch((&raw const *place).cast());
        }
    }
}

/// What a leaf knows of its nodes' records.
#[derive(Clone, Copy, Default)]
struct Marks {
    set: usize,
    last_birth: u64,
}

/// Nodes with the digests of their keys, which they are in the order of.
fn digested(nodes: &[NodePointer], guard: &ReadGuard) -> (Common, Vec<(u64, NodePointer)>) {
    for node in nodes {
        node.prefetch();
    }
    // SAFETY: the writer has not retired the node.
    let key = |node: &NodePointer| unsafe { node.get(guard) }.key();
    let common = match nodes {
        [first, .., last] => Common::of(key(first), key(last)),
        [only] => Common::of(key(only), key(only)),
        [] => Common::default(),
    };
    (common, nodes.iter().map(|node| (common.digest(key(node)), *node)).collect())
}

/// A leaf as it was when it was looked at. Places count from the least key.
#[derive(Clone, Copy)]
pub(super) struct View<'g> {
    pub(super) leaf: &'g Leaf,
    slots: &'g [u8],
    guard: &'g ReadGuard,
}

impl<'g> View<'g> {
    pub(super) fn len(self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(self) -> bool {
        self.slots.is_empty()
    }

    /// The node at a place, if there are so many.
    pub(super) fn pointer(self, at: usize) -> Option<NodePointer> {
        let slot = usize::from(*self.slots.get(at)?);
        let pointer = self.leaf.nodes.get(slot)?.load(Ordering::Relaxed);
        // SAFETY: slots hold null or what `into_slot` gave.
        unsafe { NodePointer::from_slot(pointer) }
    }

    pub(super) fn node(self, at: usize) -> Option<NodeRef<'g>> {
        // SAFETY: the order was reached from the root under the guard, and the writer replaces it by
        // one without the node before it retires the node.
        self.pointer(at).map(|node| unsafe { node.get(self.guard) })
    }

    pub(super) fn key(self, at: usize) -> KeyRef<'g> {
        self.node(at).expect("places are within the leaf").key()
    }

    /// The place of the key, or where it would have to be.
    pub(super) fn find(self, key: KeyRef<'_>) -> Result<usize, usize> {
        if self.is_empty() {
            return Err(0);
        }
        match self.leaf.common.compare(key, || self.key(0)) {
            std::cmp::Ordering::Less => return Err(0),
            std::cmp::Ordering::Greater => return Err(self.len()),
            std::cmp::Ordering::Equal => {}
        }
        let digest = self.leaf.common.digest(key);
        // All at once, rather than one after the other as the search comes to them.
        prefetch_lines(&self.leaf.digests);
        let low = self.slots.partition_point(|&slot| self.digest(slot) < digest);
        let equals =
            self.slots.iter().skip(low).take_while(|&&slot| self.digest(slot) == digest).count();
        among_equals(low..low + equals, key, |at| self.key(at))
    }

    fn digest(self, slot: u8) -> u64 {
        self.leaf.digests.get(usize::from(slot)).map_or(0, |digest| digest.load(Ordering::Relaxed))
    }

    /// Whether all keys are certainly below `end`: as far as that can be said without looking at one.
    pub(super) fn is_below(self, end: KeyRef<'_>) -> bool {
        let Some(&last) = self.slots.last() else { return false };
        match self.leaf.common.compare(end, || self.key(0)) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => self.digest(last) < self.leaf.common.digest(end),
            std::cmp::Ordering::Greater => true,
        }
    }

    /// Whether all keys are certainly above `begin`: as far as that can be said without looking at one.
    pub(super) fn is_above(self, begin: KeyRef<'_>) -> bool {
        let Some(&first) = self.slots.first() else { return false };
        match self.leaf.common.compare(begin, || self.key(0)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => self.leaf.common.digest(begin) < self.digest(first),
            std::cmp::Ordering::Greater => false,
        }
    }

    /// The nodes at these places with their digests.
    fn copy(self, places: Range<usize>) -> Vec<(u64, NodePointer)> {
        let mut copy = Vec::with_capacity(LEAF_MAX + 1);
        for at in places {
            if let (Some(&slot), Some(node)) = (self.slots.get(at), self.pointer(at)) {
                copy.push((self.digest(slot), node));
            }
        }
        copy
    }

    /// Begins to fetch what a scan comes to soon: the node at one place, the record at another.
    pub(super) fn prefetch(self, node: Option<usize>, record: Option<usize>) {
        if let Some(node) = node.and_then(|at| self.pointer(at)) {
            node.prefetch();
        }
        if let Some(node) = record.and_then(|at| self.node(at)) {
            node.prefetch_newest();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use plinth_protocol::KeyspaceId;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::visible::Stamp;

    const STAMP: Stamp = Stamp { version: Version(1), order: 0 };

    fn node(keyspace: u32, key: &[u8]) -> NodePointer {
        let key = KeyRef::new(KeyspaceId(keyspace), key);
        NodePointer::allocate(key, STAMP, Some(&Bytes::from_static(b"value")))
    }

    fn keys(view: View<'_>) -> Vec<(u32, Vec<u8>)> {
        let key = |at| view.key(at);
        (0..view.len()).map(key).map(|key| (key.keyspace.0, key.key.to_vec())).collect()
    }

    /// Keys that share much or little, of one or two keyspaces.
    fn some_key() -> impl Strategy<Value = (u32, Vec<u8>)> {
        let tail = prop::collection::vec(0u8..4, 0..4);
        let long = tail
            .clone()
            .prop_map(|tail| [&b"a prefix longer than what is kept"[..], &tail].concat());
        (prop_oneof![9 => Just(0u32), 1 => Just(1)], prop_oneof![tail, long])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn leaves_hold_what_was_added_and_not_removed(
            steps in prop::collection::vec((some_key(), any::<bool>()), 1..200),
        ) {
            let guard = ReadGuard::pin();
            let mut leaf = Leaf::empty();
            let mut model = BTreeMap::new();
            let mut taken = Vec::new();
            let bounds: Vec<_> = steps.iter().take(12).map(|(key, _)| key.clone()).collect();
            for (key, is_removed) in steps {
                let before = keys(leaf.view(&guard));
                let seen = leaf.view(&guard);
                let borrowed = KeyRef::new(KeyspaceId(key.0), &key.1);
                let found = leaf.view(&guard).find(borrowed);
                prop_assert_eq!(found.is_ok(), model.contains_key(&key));
                if let Ok(at) = found {
                    if is_removed && model.len() > 1 {
                        leaf.remove(at, Version(9), &guard);
                        taken.extend(model.remove(&key));
                    }
                    prop_assert_eq!(keys(seen), before, "what was seen stays");
                } else {
                    let pointer = node(key.0, &key.1);
                    model.insert(key, pointer);
                    // SAFETY: just made.
                    let added = leaf.add(unsafe { pointer.get(&guard) }, &guard);
                    prop_assert_eq!(keys(seen), before, "what was seen stays");
                    match added {
                        Added::Here => {}
                        Added::Copy(copy) => leaf = copy,
                        Added::Halves(left, right) => {
                            prop_assert_eq!(left.view(&guard).len() + right.view(&guard).len(), LEAF_MAX + 1);
                            let first = keys(right.view(&guard)).swap_remove(0);
                            let beyond = model.split_off(&first);
                            prop_assert_eq!(keys(right.view(&guard)), beyond.keys().cloned().collect::<Vec<_>>());
                            taken.extend(beyond.into_values());
                            leaf = left;
                        }
                    }
                }
                let view = leaf.view(&guard);
                for (keyspace, key) in &bounds {
                    let bound = KeyRef::new(KeyspaceId(*keyspace), key);
                    let all = |holds: &dyn Fn(KeyRef<'_>) -> bool| (0..view.len()).all(|at| holds(view.key(at)));
                    prop_assert!(!view.is_below(bound) || all(&|key| key < bound));
                    prop_assert!(!view.is_above(bound) || all(&|key| bound < key));
                }
                prop_assert_eq!(keys(view), model.keys().cloned().collect::<Vec<_>>());
                for (at, (keyspace, key)) in model.keys().enumerate() {
                    prop_assert_eq!(view.find(KeyRef::new(KeyspaceId(*keyspace), key)), Ok(at));
                }
            }
            drop(leaf);
            for node in model.into_values().chain(taken) {
                // SAFETY: nothing leads to the nodes any more.
                unsafe { node.free() };
            }
        }
    }
}
