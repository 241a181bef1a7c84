//! Writing while nobody reads: how a log is replayed.
//!
//! What only a read could want is left out. A version takes the place of the one before it, in the
//! same memory if it has the same length, and is not queued to be dropped one day; a cleared key is
//! taken out at once. Nodes go into the index alone, and into the tree all together, when somebody
//! is to read or a range is to be cleared: to sort them then is much less than to find the place of
//! each among the others, and what is overwritten never costs a place.

use std::sync::Arc;

use super::{MemtableWriter, STEPS_PER_WRITE, WRITES_PER_PIN};
use crate::engine::{
    memtable::{
        node::{NodePointer, NodeRef},
        reclaim::ReadGuard,
        sorted::sorted,
    },
    visible::{PointWrite, Stamp, last_writes},
    write::WriteRef,
};

/// Transactions on their way into a memtable.
#[derive(Debug)]
pub(in crate::engine) struct Replaying<'w, 'a> {
    writer: &'w mut MemtableWriter,
    points: Vec<(Stamp, PointWrite<'a>)>,
    steps: usize,
}

impl<'a> Replaying<'_, 'a> {
    /// Applies a transaction; stamps ascend. It may be done only at the [end](Self::end).
    pub(in crate::engine) fn apply(&mut self, stamp: Stamp, writes: &[WriteRef<'a>]) {
        debug_assert!(self.writer.settled <= stamp, "stamps ascend");
        debug_assert!(self.writer.last <= stamp.version, "stamps ascend");
        self.writer.last = stamp.version;
        self.steps += STEPS_PER_WRITE * (writes.len() + 1);
        let begin = self.points.len();
        self.points.extend(writes.iter().map_while(|&write| Some((stamp, PointWrite::of(write)?))));
        if self.points.len() - begin < writes.len() {
            self.points.truncate(begin);
            let (cleared, last) = last_writes(writes.iter().copied());
            if !cleared.is_empty() {
                self.write();
                self.writer.put_in_order();
                let guard = ReadGuard::pin();
                self.writer.clear_ranges(&cleared, stamp, &guard);
                self.writer.unpin(guard);
            }
            self.points.extend(last.into_iter().map(|point| (stamp, point)));
        }
        if self.points.len() >= WRITES_PER_PIN {
            self.write();
        }
    }

    /// Applies what is left.
    pub(in crate::engine) fn end(mut self) {
        self.write();
        if !self.writer.is_unordered {
            self.writer.collect(self.steps);
        }
    }

    fn write(&mut self) {
        self.writer.write_points(&self.points);
        self.points.clear();
    }
}

impl MemtableWriter {
    /// The same writer, whose memtable nobody reads before it is put in order.
    pub(in crate::engine) fn unordered(mut self) -> Self {
        debug_assert!(!self.is_written(), "all nodes of an unordered memtable are in no tree");
        self.is_unordered = true;
        self
    }

    /// Begins to apply transactions that lie elsewhere.
    pub(in crate::engine) fn replay<'a>(&mut self) -> Replaying<'_, 'a> {
        Replaying { writer: self, points: Vec::with_capacity(WRITES_PER_PIN), steps: 0 }
    }

    /// Makes the memtable one that can be read.
    pub(in crate::engine) fn put_in_order(&mut self) {
        if !std::mem::take(&mut self.is_unordered) {
            return;
        }
        debug_assert!(self.superseding.is_empty(), "versions took each other's places");
        let guard = ReadGuard::pin();
        let nodes = self.table.index.nodes(&self.index, &guard);
        // SAFETY: they are in the index, so the writer has not retired them.
        let nodes = nodes.into_iter().map(|node| unsafe { node.get(&guard) }).collect();
        self.table.tree.fill(&sorted(nodes), self.last, &guard);
        self.unpin(guard);
    }

    /// Writes single keys, in this order, to an unordered memtable.
    pub(super) fn replace_points(&mut self, points: &[(Stamp, PointWrite<'_>)]) {
        // This is what makes it sound to write where a reader might look.
        if Arc::get_mut(&mut self.table).is_none() {
            self.put_in_order();
            return self.write_points(points);
        }
        let (mut hashes, mut found) = ([0; WRITES_PER_PIN], [None; WRITES_PER_PIN]);
        for points in points.chunks(WRITES_PER_PIN) {
            let guard = ReadGuard::pin();
            self.find(points, &mut hashes, &mut found, &guard);
            let mut is_any_gone = false;
            for ((&(stamp, PointWrite { key, value }), &hash), &node) in
                points.iter().zip(&hashes).zip(&found)
            {
                // What was looked for before the first was written may be there now, or be gone.
                // SAFETY: it was found in the index, and nothing has been retired since.
                let node = node.filter(|_| !is_any_gone).map(|node| unsafe { node.get(&guard) });
                match (node.or_else(|| self.table.index.find(hash, key, &guard)), value) {
                    (Some(node), None) if !self.may_hide_key(key, &guard) => {
                        let freed = self.remove(node, &guard);
                        self.note(freed);
                        is_any_gone = true;
                    }
                    (Some(node), value) => self.replace(node, stamp, value),
                    // Nothing is there, and nothing will be.
                    (None, None) if !self.may_hide_key(key, &guard) => {}
                    (None, value) => self.insert(key, stamp, value, &guard),
                }
            }
            found = [None; WRITES_PER_PIN];
            self.unpin(guard);
        }
    }

    fn replace(&mut self, node: NodeRef<'_>, stamp: Stamp, value: Option<&[u8]>) {
        // SAFETY: nobody else has the memtable, as `replace_points` has made sure. While it is
        // unordered, the queue is empty, and each node has been given one record.
        let (before, after) = unsafe { node.replace(stamp, value) };
        self.bytes = self.bytes - before as u64 + after as u64;
    }

    /// Hashes keys and finds their nodes: the places of all are asked for before the first is waited
    /// for.
    fn find(
        &self,
        points: &[(Stamp, PointWrite<'_>)],
        hashes: &mut [u64; WRITES_PER_PIN],
        found: &mut [Option<NodePointer>; WRITES_PER_PIN],
        guard: &ReadGuard,
    ) {
        let index = &self.table.index;
        for ((_, point), hash) in points.iter().zip(&mut *hashes) {
            *hash = index.hash(point.key);
            index.prefetch_bucket(*hash, guard);
        }
        for (_, hash) in points.iter().zip(&*hashes) {
            index.prefetch_node(*hash, guard);
        }
        for (((_, point), hash), found) in points.iter().zip(&*hashes).zip(found) {
            if let Some(node) = index.find(*hash, point.key, guard) {
                node.prefetch_newest();
                *found = Some(node.pointer());
            }
        }
    }
}
