//! The writing side of the memtable, and what it drops when.
//!
//! A version of a key is dropped when the horizon has reached the version that came after it: no
//! read sees it any more. The writer keeps the superseding records in the order of their versions
//! and looks at the front of that queue, so every dropped version costs the same small bit of
//! work, whether its key is ever written again or not. A key whose newest record is a clear that
//! the horizon has reached goes altogether.
//!
//! A range clear is one tombstone, whatever is below it. When the horizon has reached it, the keys
//! below are swept out, a few at a time, and then the tombstone is dropped. A narrow range, with
//! few keys in it, is cleared key by key instead: that is cheaper for everybody.
//!
//! Where something may lie [`Beneath`], a clear has more to do than to hide what is here, and stays
//! until the memtable is flushed: as a record also of a key that has none, as a tombstone also for
//! a narrow range, and after its sweep.
//!
//! All this happens in bounded steps: a few with every write, so that memory stays in proportion
//! even if nobody calls [`MemtableWriter::collect`], and more with that.
//!
//! While a log is replayed nobody reads, and much of this need not be: see [`replay`].

mod replay;

use std::{collections::VecDeque, fmt, sync::Arc};

pub(in crate::engine) use replay::Replaying;

use plinth_protocol::Version;

use super::{
    FrozenMemtable, Memtable,
    index::PointIndexWriter,
    node::{Freed, NodePointer, NodeRef, RecordPointer},
    reclaim::ReadGuard,
};
use crate::engine::{
    key::{KeyBuf, KeyRef},
    visible::{ClearedRanges, PointWrite, Stamp, last_writes},
    write::Write,
};

/// A range with at most as many keys is cleared key by key.
const NARROW_RANGE_KEYS: usize = 32;
/// Steps of collection that each write does, so that more is dropped than made.
const STEPS_PER_WRITE: usize = 2;
/// How far ahead of its drop a superseding record is fetched, and what it superseded half as far.
const FETCHED_AHEAD: usize = 8;
/// Room for superseding records that is kept in any case.
const QUEUE_KEPT: usize = 1024;
/// Writes done under one guard: a pinned writer keeps what it retires from being freed.
const WRITES_PER_PIN: usize = 32;
/// Things retired before the writer frees earlier ones. The epoch frees some hundreds at once, but
/// not of its own accord as fast as a batch of writes retires them.
const RETIRED_BEFORE_FREEING: usize = 64;

/// What lies beneath a memtable. It may come to hold less, but never more.
pub(in crate::engine) trait Beneath: Send + Sync {
    /// Whether it may hold a version of any key from `begin` to before `end`.
    fn may_hold(&self, begin: KeyRef<'_>, end: KeyRef<'_>, guard: &ReadGuard) -> bool;

    /// Whether it may hold a version of the key.
    fn may_hold_key(&self, key: KeyRef<'_>, guard: &ReadGuard) -> bool;
}

/// What a memtable holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct MemtableStats {
    /// Keys with at least one record.
    pub(in crate::engine) keys: u64,
    /// Records of keys.
    pub(in crate::engine) records: u64,
    /// Spans under a range tombstone.
    pub(in crate::engine) tombstones: u64,
    /// Bytes of nodes, records and the index.
    pub(in crate::engine) bytes: u64,
}

/// A record that made an older one of its key invisible, or the key itself.
#[derive(Debug)]
struct Superseding {
    record: RecordPointer,
    node: NodePointer,
}

/// A range tombstone whose keys are to be swept out.
#[derive(Debug)]
struct Sweep {
    stamp: Stamp,
    begin: KeyBuf,
    end: KeyBuf,
    /// Where to go on.
    next: KeyBuf,
}

/// The one writer of a memtable.
pub(in crate::engine) struct MemtableWriter {
    table: Arc<Memtable>,
    /// None if nothing does, and nothing will.
    beneath: Option<Arc<dyn Beneath>>,
    /// Below every other stamp in the memtable, and above all beneath: what a tombstone gets whose
    /// keys here are swept out.
    settled: Stamp,
    /// The newest version that was written.
    last: Version,
    /// The nodes are in the index alone, not in the tree; each has one record.
    is_unordered: bool,
    index: PointIndexWriter,
    superseding: VecDeque<Superseding>,
    sweeps: VecDeque<Sweep>,
    horizon: Version,
    /// Things retired since some were freed.
    retired: usize,
    keys: u64,
    records: u64,
    bytes: u64,
}

impl MemtableWriter {
    /// An empty memtable for what comes after `last`. Everything until then lies beneath; if that is
    /// nothing, nor ever will be, it is none.
    pub(in crate::engine) fn above(
        seed: u64,
        beneath: Option<Arc<dyn Beneath>>,
        last: Version,
    ) -> Self {
        Self {
            table: Arc::new(Memtable::new(seed)),
            beneath,
            settled: Stamp { version: Version(last.0 + 1), order: 0 },
            last,
            is_unordered: false,
            index: PointIndexWriter::default(),
            superseding: VecDeque::new(),
            sweeps: VecDeque::new(),
            horizon: Version::ZERO,
            retired: 0,
            keys: 0,
            records: 0,
            bytes: 0,
        }
    }

    /// Says what lies beneath, before anything is written.
    pub(in crate::engine) fn put_above(&mut self, beneath: Arc<dyn Beneath>) {
        debug_assert!(!self.is_written(), "what was written before may have left out clears");
        self.beneath = Some(beneath);
    }

    /// What readers look at.
    pub(in crate::engine) fn table(&self) -> &Arc<Memtable> {
        &self.table
    }

    /// What is held now.
    pub(in crate::engine) fn stats(&self) -> MemtableStats {
        let guard = ReadGuard::pin();
        MemtableStats {
            keys: self.keys,
            records: self.records,
            tombstones: self.table.tombstones.len(&guard) as u64,
            bytes: self.bytes
                + self.table.index.bytes(&guard) as u64
                + self.table.tombstones.bytes(&guard) as u64,
        }
    }

    /// The newest version that was written, here or beneath.
    pub(in crate::engine) fn last(&self) -> Version {
        self.last
    }

    /// Whether anything was written.
    pub(in crate::engine) fn is_written(&self) -> bool {
        self.settled.version <= self.last
    }

    /// Ends the writing.
    pub(in crate::engine) fn freeze(mut self) -> FrozenMemtable {
        self.put_in_order();
        let bytes = self.stats().bytes;
        FrozenMemtable::new(Arc::clone(&self.table), self.last, bytes)
    }

    fn may_hide(&self, (begin, end): (KeyRef<'_>, KeyRef<'_>), guard: &ReadGuard) -> bool {
        self.beneath.as_ref().is_some_and(|beneath| beneath.may_hold(begin, end, guard))
    }

    fn may_hide_key(&self, key: KeyRef<'_>, guard: &ReadGuard) -> bool {
        self.beneath.as_ref().is_some_and(|beneath| beneath.may_hold_key(key, guard))
    }

    /// Applies transactions, whose stamps ascend, within a call and from call to call.
    pub(in crate::engine) fn apply<'a>(
        &mut self,
        transactions: impl IntoIterator<Item = (Stamp, &'a [Write])>,
    ) {
        let mut points = Vec::with_capacity(WRITES_PER_PIN);
        let mut steps = 0;
        for (stamp, writes) in transactions {
            debug_assert!(self.settled <= stamp && self.last <= stamp.version, "stamps ascend");
            self.last = stamp.version;
            steps += STEPS_PER_WRITE * (writes.len() + 1);
            if let [write] = writes
                && let Some(point) = PointWrite::of(write.as_ref())
            {
                points.push((stamp, point));
            } else {
                let (cleared, last) = last_writes(writes.iter().map(Write::as_ref));
                if !cleared.is_empty() {
                    self.write_points(&points);
                    points.clear();
                    self.put_in_order();
                    let guard = ReadGuard::pin();
                    self.clear_ranges(&cleared, stamp, &guard);
                    self.unpin(guard);
                }
                points.extend(last.into_iter().map(|point| (stamp, point)));
            }
            if points.len() >= WRITES_PER_PIN {
                self.write_points(&points);
                points.clear();
            }
        }
        self.write_points(&points);
        self.collect(steps);
    }

    /// Writes single keys, in this order.
    fn write_points(&mut self, points: &[(Stamp, PointWrite<'_>)]) {
        if self.is_unordered {
            return self.replace_points(points);
        }
        let mut hashes = [0; WRITES_PER_PIN];
        for points in points.chunks(WRITES_PER_PIN) {
            let guard = ReadGuard::pin();
            let is_covered = !self.table.newest_cover(&guard).is_empty();
            self.fetch(points, &mut hashes, &guard);
            for (&(stamp, PointWrite { key, value }), &hash) in points.iter().zip(&hashes) {
                match self.table.index.find(hash, key, &guard) {
                    Some(node) => self.overwrite(node, stamp, value, is_covered, &guard),
                    // Nothing is there, and nothing will be.
                    None if value.is_none() && !self.needs_clear(key, is_covered, &guard) => {}
                    None => self.insert(key, stamp, value, &guard),
                }
            }
            self.unpin(guard);
        }
    }

    /// Hashes keys, and begins to fetch what leads to them: the places of all are asked for before
    /// the first is waited for.
    fn fetch(
        &self,
        points: &[(Stamp, PointWrite<'_>)],
        hashes: &mut [u64; WRITES_PER_PIN],
        guard: &ReadGuard,
    ) {
        let index = &self.table.index;
        for ((_, point), hash) in points.iter().zip(&mut *hashes) {
            *hash = index.hash(point.key);
            index.prefetch_bucket(*hash, guard);
        }
        if points.len() == 1 {
            return;
        }
        for (_, hash) in points.iter().zip(&*hashes) {
            index.prefetch_node(*hash, guard);
        }
        let mut new = [KeyRef::FIRST; WRITES_PER_PIN];
        let mut places = new.iter_mut();
        for ((_, point), hash) in points.iter().zip(&*hashes) {
            if let Some(node) = index.find(*hash, point.key, guard) {
                node.prefetch_newest();
            } else if let Some(place) = places.next() {
                *place = point.key;
            }
        }
        let left = places.len();
        self.table.tree.fetch_leaves(new.get(..new.len() - left).unwrap_or_default(), guard);
    }

    /// Whether a key that isn't in the memtable has to be cleared all the same.
    fn needs_clear(&self, key: KeyRef<'_>, is_covered: bool, guard: &ReadGuard) -> bool {
        self.may_hide_key(key, guard)
            && !(is_covered && self.table.newest_cover(guard).stamp(key).is_some())
    }

    /// Ends work under a guard. Now and then it is time to free what was retired under earlier
    /// ones.
    fn unpin(&mut self, guard: ReadGuard) {
        self.retired += guard.retired();
        if self.retired >= RETIRED_BEFORE_FREEING {
            guard.flush();
            self.retired = 0;
        }
        drop(guard);
    }

    fn insert(&mut self, key: KeyRef<'_>, stamp: Stamp, value: Option<&[u8]>, guard: &ReadGuard) {
        let pointer = NodePointer::allocate(key, stamp, value);
        // SAFETY: just made.
        let node = unsafe { pointer.get(guard) };
        if !self.is_unordered {
            self.table.tree.insert(node, guard);
        }
        self.table.index.insert(&mut self.index, node, guard);
        self.keys += 1;
        self.records += 1;
        self.bytes += (node.bytes() + node.newest().bytes()) as u64;
    }

    fn overwrite(
        &mut self,
        node: NodeRef<'_>,
        stamp: Stamp,
        value: Option<&[u8]>,
        is_covered: bool,
        guard: &ReadGuard,
    ) {
        let before = node.newest();
        let is_hidden = || {
            let cover = self.table.newest_cover(guard).stamp(node.key());
            cover.is_some_and(|cover| before.stamp() < cover)
        };
        match value {
            Some(_) if !before.is_set() || is_covered && is_hidden() => {
                self.table.tree.note_birth(node.key(), stamp.version, before.is_set(), guard);
            }
            None if before.is_set() => {
                self.table.tree.note_clear(node.key(), stamp.version, guard);
            }
            Some(_) => {}
            // There is no value already.
            None => return,
        }
        let record = node.push(stamp, value);
        self.records += 1;
        self.bytes += record.bytes() as u64;
        let record = RecordPointer::of(record);
        self.superseding.push_back(Superseding { record, node: node.pointer() });
    }

    /// Clears ranges, the narrow ones key by key where nothing lies beneath.
    fn clear_ranges(&mut self, cleared: &ClearedRanges, stamp: Stamp, guard: &ReadGuard) {
        let mut wide = Vec::new();
        let mut narrow = Vec::with_capacity(NARROW_RANGE_KEYS + 1);
        for (begin, end) in cleared.iter() {
            narrow.clear();
            if self.may_hide((begin, end), guard) {
                wide.push((begin, end));
                continue;
            }
            let mut cursor = self.table.tree.seek(begin, Version::ZERO, guard);
            while let Some(node) = cursor.next().filter(|node| node.key() < end)
                && narrow.len() <= NARROW_RANGE_KEYS
            {
                narrow.push(node);
            }
            if narrow.len() > NARROW_RANGE_KEYS {
                wide.push((begin, end));
                continue;
            }
            for node in narrow.iter().filter(|node| node.newest().is_set()) {
                self.overwrite(*node, stamp, None, false, guard);
            }
        }
        for &(begin, end) in &wide {
            self.sweeps.push_back(Sweep {
                stamp,
                begin: begin.into(),
                end: end.into(),
                next: begin.into(),
            });
        }
        self.table.tombstones.add(wide.into_iter(), stamp, guard);
    }

    /// Lets go of what no read at or above `horizon` can see; [`collect`](Self::collect) does it.
    pub(in crate::engine) fn set_horizon(&mut self, horizon: Version) {
        self.horizon = self.horizon.max(horizon);
    }

    /// Does up to so many steps of collection; true if there is more to do.
    pub(in crate::engine) fn collect(&mut self, steps: usize) -> bool {
        let mut left = steps;
        loop {
            let guard = ReadGuard::pin();
            let mut turns = left.min(WRITES_PER_PIN);
            left -= turns;
            while turns > 0 && self.drop_superseded(&guard) {
                turns -= 1;
            }
            while turns > 0 && self.is_time_to_sweep(&guard) {
                turns = self.sweep(turns, &guard);
            }
            let is_more = self.is_time_to_drop(&guard) || self.is_time_to_sweep(&guard);
            self.unpin(guard);
            if left == 0 || !is_more {
                return is_more;
            }
        }
    }

    fn is_time_to_drop(&self, guard: &ReadGuard) -> bool {
        // SAFETY: records are retired by the superseding ones that come later in the queue.
        let is_due = |next: &Superseding| unsafe { next.record.get(guard) }.stamp().version;
        self.superseding.front().map(is_due).is_some_and(|version| version <= self.horizon)
    }

    /// Drops what the next due record has superseded; false if none is due.
    fn drop_superseded(&mut self, guard: &ReadGuard) -> bool {
        if !self.is_time_to_drop(guard) {
            return false;
        }
        self.fetch_superseded(guard);
        let Some(Superseding { record, node }) = self.superseding.pop_front() else { return false };
        // A burst doesn't leave its room behind.
        if self.superseding.len() < self.superseding.capacity() / 4 {
            self.superseding.shrink_to((self.superseding.capacity() / 2).max(QUEUE_KEPT));
        }
        // SAFETY: the record is retired with its node, below, or by one that superseded it in turn
        // and comes later in the queue, or by a sweep, for which the queue is emptied first.
        let record = unsafe { record.get(guard) };
        let mut freed = record.cut(guard);
        if !record.is_set() {
            // SAFETY: the node has this record, so it isn't retired either.
            let node = unsafe { node.get(guard) };
            if RecordPointer::of(node.newest()) == RecordPointer::of(record)
                && !self.may_hide_key(node.key(), guard)
            {
                freed.add(self.remove(node, guard));
            }
        }
        self.note(freed);
        true
    }

    /// Begins to fetch what will be dropped soon: it was written a window ago.
    fn fetch_superseded(&self, guard: &ReadGuard) {
        if let Some(next) = self.superseding.get(FETCHED_AHEAD) {
            next.record.prefetch();
        }
        if let Some(next) = self.superseding.get(FETCHED_AHEAD / 2) {
            // SAFETY: as in `is_time_to_drop`.
            unsafe { next.record.get(guard) }.prefetch_older();
        }
    }

    fn note(&mut self, freed: Freed) {
        self.records -= freed.records;
        self.bytes -= freed.bytes;
    }

    /// Takes out a key that no read can see.
    fn remove(&mut self, node: NodeRef<'_>, guard: &ReadGuard) -> Freed {
        if !self.is_unordered {
            self.table.tree.remove(node.key(), self.horizon, guard);
        }
        self.table.index.remove(&mut self.index, node.key(), guard);
        self.keys -= 1;
        // SAFETY: the tree and the index were all that led to the node; of the writer's own queue
        // nothing refers to it any more, as the callers know.
        unsafe { node.retire(guard) }
    }

    /// Whether the horizon has reached the next tombstone, and all records that superseded others
    /// until then are done with, so that the queue refers to nothing that a sweep frees.
    fn is_time_to_sweep(&self, guard: &ReadGuard) -> bool {
        self.sweeps.front().is_some_and(|sweep| sweep.stamp.version <= self.horizon)
            && !self.is_time_to_drop(guard)
    }

    /// Sweeps up to `steps` keys from under the next tombstone; tells how many steps are left.
    fn sweep(&mut self, mut steps: usize, guard: &ReadGuard) -> usize {
        let Some(mut sweep) = self.sweeps.pop_front() else { return steps };
        let table = Arc::clone(&self.table);
        // Where a newer tombstone covers the keys and all reads see that one, its sweep is enough.
        let cover = table.tombstones.at(self.horizon, guard);
        while sweep.next < sweep.end {
            let span = cover.span(sweep.next.as_ref());
            let end = span.end.map_or(sweep.end.as_ref(), |end| end.min(sweep.end.as_ref()));
            if span.stamp == Some(sweep.stamp) {
                let next =
                    self.sweep_span(sweep.next.as_ref(), end, sweep.stamp, &mut steps, guard);
                if let Some(next) = next {
                    sweep.next = next;
                    self.sweeps.push_front(sweep);
                    return 0;
                }
            }
            sweep.next = end.into();
            steps = steps.saturating_sub(1);
            if steps == 0 && sweep.next < sweep.end {
                self.sweeps.push_front(sweep);
                return 0;
            }
        }
        let ends = (sweep.begin.as_ref(), sweep.end.as_ref());
        let settled = self.may_hide(ends, guard).then_some(self.settled);
        table.tombstones.remove(ends, sweep.stamp, settled, guard);
        table.tombstones.expire(self.horizon, guard);
        steps
    }

    /// Sweeps keys from `begin` to before `end`, which a tombstone covers; tells where it stopped
    /// if it ran out of steps.
    fn sweep_span(
        &mut self,
        begin: KeyRef<'_>,
        end: KeyRef<'_>,
        stamp: Stamp,
        steps: &mut usize,
        guard: &ReadGuard,
    ) -> Option<KeyBuf> {
        let table = Arc::clone(&self.table);
        let mut cursor = table.tree.seek(begin, Version::ZERO, guard);
        while let Some(node) = cursor.next().filter(|node| node.key() < end) {
            if *steps == 0 {
                return Some(node.key().into());
            }
            *steps -= 1;
            let mut record = node.newest();
            if record.stamp() < stamp {
                let freed = self.remove(node, guard);
                self.note(freed);
                continue;
            }
            while let Some(older) = record.older() {
                if older.stamp() < stamp {
                    let freed = record.cut(guard);
                    self.note(freed);
                    break;
                }
                record = older;
            }
        }
        None
    }
}

impl Drop for MemtableWriter {
    fn drop(&mut self) {
        // The nodes belong to the tree, which frees them.
        self.put_in_order();
    }
}

impl fmt::Debug for MemtableWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemtableWriter")
            .field("last", &self.last)
            .field("horizon", &self.horizon)
            .finish_non_exhaustive()
    }
}
