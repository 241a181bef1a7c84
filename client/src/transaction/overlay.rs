//! The overlay: what a transaction's own writes make of the keys that it reads.
//!
//! The log of mutations is the truth; a commit sends it as it is. An overlay is an index of one
//! keyspace's part of it, built when a read first needs it, so that a transaction that only writes
//! never pays for it.
//!
//! Every key is in one of these states:
//!
//! - *untouched*: what the database has at the read version;
//! - *cleared*, or *known*, set or computed from such: the database doesn't matter;
//! - *dependent*: atomic operations wait for the value that the database has;
//! - *unreadable*: a versionstamp will be part of it, which nobody knows before the commit. Only
//!   clearing the key ends this; setting it doesn't.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, KeyRange, KeyspaceId, Mutation, MutationOp, Version, Versionstamp, range::key_after,
};

use super::{cache::last_boundary, range_set::RangeSet};

/// The atomic operations that wait on a key, in order.
pub(super) type PendingOps = Vec<(AtomicOp, Bytes)>;

/// The state of one written key.
#[derive(Clone, Debug)]
enum Point {
    Cleared,
    /// Without a value after a `compare_and_clear` that met its own.
    Known(Option<Bytes>),
    Dependent(PendingOps),
}

/// What the overlay says of one key.
#[derive(Clone, Debug)]
pub(super) enum Lookup {
    /// Ask the database.
    Untouched,
    /// There is nothing, whatever the database has.
    Cleared,
    /// This is what writes have made of the key, whatever the database has.
    Known(Option<Bytes>),
    /// Ask the database, then apply these.
    Dependent(PendingOps),
    /// Nobody knows before the commit.
    Unreadable,
}

/// The index of one keyspace's writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    points: BTreeMap<Bytes, Point>,
    clears: RangeSet,
    unreadable: RangeSet,
    value_bytes_max: usize,
}

impl Overlay {
    fn new(value_bytes_max: usize) -> Self {
        Self { value_bytes_max, ..Self::default() }
    }

    /// Adds one mutation. `floor` is the least version that its stamp can have.
    fn add(&mut self, op: &MutationOp, floor: Version) {
        match op {
            MutationOp::Set { key, value } => {
                self.points.insert(key.clone(), Point::Known(Some(value.clone())));
            }
            MutationOp::Clear { key } => {
                self.points.insert(key.clone(), Point::Cleared);
                if !self.unreadable.is_empty() {
                    self.unreadable.remove(key, &key_after(key));
                }
            }
            MutationOp::ClearRange { begin, end } => self.clear_range(begin, end),
            MutationOp::Atomic { op, key, operand } => self.add_atomic(*op, key, operand),
            MutationOp::SetVersionstampedKey { key, offset, .. } => {
                let range = possible_keys(key, *offset, floor);
                self.unreadable.insert(&range.begin, &range.end);
            }
            MutationOp::SetVersionstampedValue { key, value, offset } => {
                // What FoundationDB's clients are given: the offset comes after the value.
                let given = [value.as_ref(), &offset.to_le_bytes()].concat();
                self.points.insert(key.clone(), Point::Known(Some(given.into())));
                self.unreadable.insert(key, &key_after(key));
            }
        }
    }

    fn clear_range(&mut self, begin: &Bytes, end: &Bytes) {
        while let Some((key, _)) = self.points.range(begin.clone()..end.clone()).next() {
            let key = key.clone();
            self.points.remove(&key);
        }
        self.clears.insert(begin, end);
        self.unreadable.remove(begin, end);
    }

    fn add_atomic(&mut self, op: AtomicOp, key: &Bytes, operand: &Bytes) {
        match self.points.get_mut(key) {
            Some(Point::Known(value)) => {
                *value = op.apply(value.as_deref(), operand, self.value_bytes_max);
            }
            Some(Point::Dependent(ops)) => ops.push((op, operand.clone())),
            Some(point @ Point::Cleared) => {
                *point = Point::Known(op.apply(None, operand, self.value_bytes_max));
            }
            None => {
                let point = if self.clears.contains(key) {
                    Point::Known(op.apply(None, operand, self.value_bytes_max))
                } else {
                    Point::Dependent(vec![(op, operand.clone())])
                };
                self.points.insert(key.clone(), point);
            }
        }
    }

    /// What a read of `key` has to do.
    pub(super) fn lookup(&self, key: &[u8], bypass_unreadable: bool) -> Lookup {
        if !bypass_unreadable && self.unreadable.contains(key) {
            return Lookup::Unreadable;
        }
        match self.points.get(key) {
            Some(Point::Cleared) => Lookup::Cleared,
            Some(Point::Known(value)) => Lookup::Known(value.clone()),
            Some(Point::Dependent(ops)) => Lookup::Dependent(ops.clone()),
            None if self.clears.contains(key) => Lookup::Cleared,
            None => Lookup::Untouched,
        }
    }

    /// The value of a dependent key over what the database has.
    pub(super) fn fold(
        ops: &PendingOps,
        base: Option<Bytes>,
        value_bytes_max: usize,
    ) -> Option<Bytes> {
        ops.iter()
            .fold(base, |value, (op, operand)| op.apply(value.as_deref(), operand, value_bytes_max))
    }

    /// The first place after `key` where something else may begin.
    pub(super) fn boundary_after(&self, key: &Bytes) -> Option<Bytes> {
        if self.points.contains_key(key) {
            return Some(key_after(key));
        }
        let after = (Bound::Excluded(key), Bound::Unbounded);
        let point = self.points.range::<Bytes, _>(after).next().map(|(key, _)| key);
        let ranges = [self.clears.boundary_after(key), self.unreadable.boundary_after(key)];
        ranges.into_iter().chain([point]).flatten().min().cloned()
    }

    /// The last place before `key` where something else may begin.
    pub(super) fn boundary_before(&self, key: &Bytes) -> Option<Bytes> {
        let point = self.points.range(..key.clone()).next_back();
        let point = point.map(|(point, _)| last_boundary(point, key));
        let ranges = [self.clears.boundary_before(key), self.unreadable.boundary_before(key)];
        ranges.into_iter().flatten().max().cloned().max(point)
    }

    /// The parts of `range` whose values came from the database: everything that is not known.
    pub(super) fn each_unknown(&self, range: &KeyRange, mut visit: impl FnMut(KeyRange)) {
        let mut begin = range.begin.clone();
        let mut emit = |begin: &Bytes, end: &Bytes| {
            if begin < end {
                visit(KeyRange { begin: begin.clone(), end: end.clone() });
            }
        };
        let mut clears = self.clears.within(&range.begin, &range.end).peekable();
        let points = self.points.range::<Bytes, _>(&range.begin..&range.end);
        for (key, _) in points.filter(|(_, point)| !matches!(point, Point::Dependent(_))) {
            while let Some(clear) = clears.next_if(|clear| clear.begin <= *key) {
                emit(&begin, &clear.begin);
                begin = clear.end.max(begin);
            }
            if *key >= begin {
                emit(&begin, key);
                begin = key_after(key);
            }
        }
        for clear in clears {
            emit(&begin, &clear.begin);
            begin = clear.end.max(begin);
        }
        emit(&begin, &range.end);
    }
}

/// The keys that a versionstamped key can become, with a stamp of a version above `floor`.
pub(super) fn possible_keys(key: &Bytes, offset: u32, floor: Version) -> KeyRange {
    let stamped = |stamp: [u8; Versionstamp::LEN], extra: usize| {
        let mut bytes = Vec::with_capacity(key.len() + extra);
        bytes.extend_from_slice(key);
        let at = offset as usize;
        if let Some(room) = bytes.get_mut(at..at + Versionstamp::LEN) {
            room.copy_from_slice(&stamp);
        }
        bytes.resize(key.len() + extra, 0);
        Bytes::from(bytes)
    };
    KeyRange {
        begin: stamped(Versionstamp::new(floor, 0).0, 0),
        end: stamped([0xFF; Versionstamp::LEN], 1),
    }
}

/// A transaction's mutations in order, and their overlays.
#[derive(Debug, Default)]
pub(super) struct WriteLog {
    pub(super) mutations: Vec<Mutation>,
    /// How many of the mutations the overlays know.
    indexed: usize,
    /// A transaction writes few keyspaces.
    overlays: Vec<(KeyspaceId, Arc<Overlay>)>,
    /// Least versions of stamps, where they were known: the mutation's index and the version.
    stamp_floors: Vec<(usize, Version)>,
}

impl WriteLog {
    pub(super) fn push(&mut self, mutation: Mutation, read_version: Option<Version>) {
        if let (MutationOp::SetVersionstampedKey { .. }, Some(version)) =
            (&mutation.op, read_version)
        {
            self.stamp_floors.push((self.mutations.len(), version));
        }
        self.mutations.push(mutation);
    }

    /// The least version that the stamp of the mutation at `index` can have, as known when it was
    /// made.
    pub(super) fn stamp_floor(&self, index: usize) -> Version {
        self.stamp_floors
            .binary_search_by_key(&index, |(at, _)| *at)
            .ok()
            .and_then(|found| self.stamp_floors.get(found))
            .map_or(Version::ZERO, |(_, version)| *version)
    }

    /// The overlay of a keyspace, up to date; `None` if the transaction hasn't written there. A read
    /// that holds on to it sees the writes that came before it, and none that come after.
    pub(super) fn overlay(
        &mut self,
        keyspace: KeyspaceId,
        value_bytes_max: usize,
    ) -> Option<&Arc<Overlay>> {
        for index in self.indexed..self.mutations.len() {
            let floor = self.stamp_floor(index);
            let Some(mutation) = self.mutations.get(index) else { break };
            let at = self.overlays.iter().position(|(id, _)| *id == mutation.keyspace);
            let at = at.unwrap_or_else(|| {
                let overlay = Arc::new(Overlay::new(value_bytes_max));
                self.overlays.push((mutation.keyspace, overlay));
                self.overlays.len() - 1
            });
            if let Some((_, overlay)) = self.overlays.get_mut(at) {
                Arc::make_mut(overlay).add(&mutation.op, floor);
            }
        }
        self.indexed = self.mutations.len();
        self.overlays.iter().find(|(id, _)| *id == keyspace).map(|(_, overlay)| overlay)
    }

    /// Hands the mutations over for the commit; the overlays go.
    pub(super) fn take(&mut self) -> Vec<Mutation> {
        std::mem::take(self).mutations
    }
}
