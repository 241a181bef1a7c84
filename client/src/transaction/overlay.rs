//! The overlay: what a transaction's own writes make of the keys that it reads.
//!
//! The log of mutations is the truth; a commit sends it as it is. An overlay is an index of one
//! keyspace's part of it, built when a read first needs it, so that a transaction that only writes
//! never pays for it.
//!
//! Every key is in one of these states:
//!
//! - *untouched*: what the database has at the read version;
//! - *known*, set, cleared or computed from such: the database doesn't matter;
//! - *dependent*: atomic operations wait for the value that the database has;
//! - *unreadable*: a versionstamp will be part of it, which nobody knows before the commit. Only
//!   clearing the key ends this; setting it doesn't.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, KeyRange, KeyspaceId, Mutation, MutationOp, Version, Versionstamp, range::key_after,
    response::KeyValue,
};

use super::range_set::RangeSet;

/// The atomic operations that wait on a key, in order.
pub(super) type PendingOps = Vec<(AtomicOp, Bytes)>;

/// The state of one written key.
#[derive(Clone, Debug)]
enum Point {
    Known(Option<Bytes>),
    Dependent(PendingOps),
}

/// What the overlay says of one key.
#[derive(Clone, Debug)]
pub(super) enum Lookup {
    /// Ask the database.
    Untouched,
    /// This is the value, whatever the database has.
    Known(Option<Bytes>),
    /// Ask the database, then apply these.
    Dependent(PendingOps),
    /// Nobody knows before the commit.
    Unreadable,
}

/// A piece of a range after the overlay was laid over it.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The rows that are there, in the order of reading.
    pub(super) rows: Vec<KeyValue>,
    /// Whether an unreadable key comes right after them.
    pub(super) is_blocked: bool,
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
                self.points.insert(key.clone(), Point::Known(None));
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
            MutationOp::SetVersionstampedValue { key, value, .. } => {
                self.points.insert(key.clone(), Point::Known(Some(value.clone())));
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
            Some(Point::Known(value)) => Lookup::Known(value.clone()),
            Some(Point::Dependent(ops)) => Lookup::Dependent(ops.clone()),
            None if self.clears.contains(key) => Lookup::Known(None),
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

    /// Whether a key's presence can depend on its value in the database, so that reading keys
    /// alone won't do.
    pub(super) fn has_dependents_within(&self, range: &KeyRange) -> bool {
        !range.is_empty()
            && self
                .points
                .range::<Bytes, _>(&range.begin..&range.end)
                .any(|(_, point)| matches!(point, Point::Dependent(_)))
    }

    /// How far the database need not be asked when reading `range` from its beginning, or in
    /// reverse from its end: over a cleared range, or a key that is set.
    pub(super) fn known_until(&self, range: &KeyRange, reverse: bool) -> Option<Bytes> {
        if reverse {
            if let Some((begin, _)) = self.clears.covering_before(&range.end) {
                return Some(begin.clone());
            }
            let (key, _) = self.set_points(range).next_back()?;
            (is_key_after(&range.end, key)).then(|| key.clone())
        } else {
            if let Some((_, end)) = self.clears.covering(&range.begin) {
                return Some(end.clone());
            }
            self.set_points(range).next().filter(|(key, _)| **key == range.begin)?;
            Some(key_after(&range.begin))
        }
    }

    /// How far the database has to be asked from there: to the next cleared range or set key.
    /// Single cleared keys are read over.
    pub(super) fn unknown_until(&self, range: &KeyRange, reverse: bool) -> Bytes {
        let mut clears = self.clears.within(&range.begin, &range.end);
        if reverse {
            let clear = clears.next_back().map(|clear| clear.end);
            let point = self.set_points(range).next_back().map(|(key, _)| key_after(key));
            [clear, point].into_iter().flatten().max().unwrap_or_else(|| range.begin.clone())
        } else {
            let clear = clears.next().map(|clear| clear.begin);
            let point = self.set_points(range).next().map(|(key, _)| key.clone());
            [clear, point].into_iter().flatten().min().unwrap_or_else(|| range.end.clone())
        }
    }

    /// The keys of the range that are known to be there.
    fn set_points(&self, range: &KeyRange) -> impl DoubleEndedIterator<Item = (&Bytes, &Point)> {
        self.points
            .range::<Bytes, _>(&range.begin..&range.end)
            .filter(|(_, point)| matches!(point, Point::Known(Some(_))))
    }

    /// Lays the overlay over `rows`, which are all that the database has in `range`, in the order
    /// of reading.
    pub(super) fn merge(
        &self,
        range: &KeyRange,
        rows: Vec<KeyValue>,
        reverse: bool,
        bypass_unreadable: bool,
    ) -> Merged {
        if range.is_empty() {
            return Merged::default();
        }
        let readable =
            if bypass_unreadable { range.clone() } else { self.readable_part(range, reverse) };
        let is_blocked = readable != *range;
        if readable.is_empty() {
            return Merged { rows: Vec::new(), is_blocked };
        }
        let points = self.points.range::<Bytes, _>(&readable.begin..&readable.end);
        let rows = rows.into_iter().filter(|row| readable.contains(&row.key));
        let rows = if reverse {
            self.merge_ordered(points.rev(), rows, |a, b| a > b)
        } else {
            self.merge_ordered(points, rows, |a, b| a < b)
        };
        Merged { rows, is_blocked }
    }

    fn merge_ordered<'a>(
        &'a self,
        points: impl Iterator<Item = (&'a Bytes, &'a Point)>,
        rows: impl Iterator<Item = KeyValue>,
        comes_before: impl Fn(&Bytes, &Bytes) -> bool,
    ) -> Vec<KeyValue> {
        let mut rows = rows.peekable();
        let mut merged = Vec::with_capacity(rows.size_hint().1.unwrap_or_default());
        for (key, point) in points {
            while let Some(row) = rows.next_if(|row| comes_before(&row.key, key)) {
                self.push_untouched(&mut merged, row);
            }
            let base = rows.next_if(|row| row.key == *key).map(|row| row.value);
            let value = match point {
                Point::Known(value) => value.clone(),
                Point::Dependent(ops) => Self::fold(ops, base, self.value_bytes_max),
            };
            if let Some(value) = value {
                merged.push(KeyValue { key: key.clone(), value });
            }
        }
        for row in rows {
            self.push_untouched(&mut merged, row);
        }
        merged
    }

    fn push_untouched(&self, merged: &mut Vec<KeyValue>, row: KeyValue) {
        if self.clears.is_empty() || !self.clears.contains(&row.key) {
            merged.push(row);
        }
    }

    /// `range` up to the first unreadable key on the way.
    fn readable_part(&self, range: &KeyRange, reverse: bool) -> KeyRange {
        let mut unreadable = self.unreadable.within(&range.begin, &range.end);
        let (begin, end) = if reverse {
            let begin = unreadable.next_back().map_or(range.begin.clone(), |found| found.end);
            (begin, range.end.clone())
        } else {
            let end = unreadable.next().map_or(range.end.clone(), |found| found.begin);
            (range.begin.clone(), end)
        };
        KeyRange { begin, end }
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
        for (key, _) in points.filter(|(_, point)| matches!(point, Point::Known(_))) {
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

fn is_key_after(end: &[u8], key: &[u8]) -> bool {
    end.split_last() == Some((&0, key))
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
