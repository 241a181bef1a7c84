//! The memtable: every version of every key, in memory.
//!
//! ```text
//!   key ──hash──▶ index ──┐                 ┌─▶ record ─▶ record ─▶ …   versions, newest first
//!                         ├──▶ node of key ─┘
//!   order ──────▶ tree ───┘
//!                              tombstones: which range clear covers which key, by version
//! ```
//!
//! A point read takes the index: one look, no search. A scan takes the tree. Both come to the same
//! [`node`], whose chain of records the read follows to the newest that it sees; if a newer range
//! clear covers the key, that was its end.
//!
//! Older layers may lie beneath: memtables that are frozen, and tables. Then a clear is kept also
//! where there was nothing to clear, because it hides what is there. [`Memtable::lookup`] and
//! [`MemtableCursor`](cursor::MemtableCursor) tell a key that was cleared from one of which nothing is known;
//! [`Memtable::scan`], which passes over both, is for when there is nothing beneath.
//!
//! One writer, readers that never wait and never repeat. What may be freed when is one rule, stated
//! in [`reclaim`]. What the writer drops, and when, is [`writer`]'s matter.
//!
//! Why not a skip list: measured with a million keys on one core, `crossbeam-skiplist` inserts
//! about 0.4 M keys a second and scans 50,000 times 100 rows, each row a cache miss that must be
//! waited for before the next can be asked for; it searches from the top for every step back; and a
//! key can't be taken out and come back while its release has the bugs of 0.1.3.
//! `benches/memtable.rs` compares.

mod cursor;
mod fragments;
#[expect(unsafe_code, reason = "what is not written any more is read without an epoch")]
mod frozen;
#[expect(unsafe_code, reason = "lock-free slots hold pointers to nodes")]
mod index;
#[expect(unsafe_code, reason = "header and bytes in one block; readers follow the chain unlocked")]
mod node;
#[expect(unsafe_code, reason = "what readers still look at is freed through the epoch")]
mod reclaim;
mod sorted;
mod together;
mod tombstones;
#[expect(unsafe_code, reason = "pages are shared with readers, and hold pointers to nodes")]
mod tree;
#[expect(unsafe_code, reason = "the writer keeps pointers to what it will drop")]
mod writer;

pub(super) use frozen::FrozenMemtable;
pub(super) use reclaim::{Owned, ReadGuard};
pub(crate) use together::TOGETHER_MAX;
pub(super) use writer::{Beneath, MemtableWriter, Replaying};

use std::ops::ControlFlow;

use plinth_protocol::{KeyspaceId, Version};

use self::{
    index::PointIndex,
    node::{NodeRef, RecordRef},
    tombstones::{Cover, RangeTombstones},
    tree::Tree,
};
use super::{
    key::KeyRef,
    layer::{Lookup, Span},
    visible::Stamp,
};

/// How many keys a scan passes over, without one to show, before it stops and says where.
pub(super) const HIDDEN_MAX: usize = 10_000;

/// What readers share with the writer.
#[derive(Debug)]
pub(super) struct Memtable {
    // Dropped before the tree, which owns the nodes.
    index: PointIndex,
    tree: Tree,
    tombstones: RangeTombstones,
}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Reverse,
}

/// A key with its value and the version that wrote it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'g> {
    pub(super) key: &'g [u8],
    pub(super) value: &'g [u8],
    pub(super) version: Version,
}

impl<'g> Row<'g> {
    /// What `record` makes of its key, if a range clear at `cover` is the newest.
    fn of(key: &'g [u8], record: RecordRef<'g>, cover: Option<Stamp>) -> Option<Self> {
        if cover.is_some_and(|cover| record.stamp() < cover) {
            return None;
        }
        Some(Self { key, value: record.value()?, version: record.stamp().version })
    }
}

impl Memtable {
    fn new(seed: u64) -> Self {
        Self { index: PointIndex::new(seed), tree: Tree::new(), tombstones: RangeTombstones::new() }
    }

    /// What a read at `version` finds of a key.
    pub(super) fn lookup<'g>(
        &self,
        key: KeyRef<'_>,
        version: Version,
        guard: &'g ReadGuard,
    ) -> Lookup<'g> {
        // Before the node: a tombstone that is gone by now has taken the nodes below with it.
        let cover = self.tombstones.at(version, guard);
        let record = self.index.get(key, guard).and_then(|node| node.at(version));
        Self::decide(key, record, cover)
    }

    /// What a record is to its reader, if these range clears cover the keys.
    fn decide<'g>(key: KeyRef<'_>, record: Option<RecordRef<'g>>, cover: Cover<'_>) -> Lookup<'g> {
        let cover = cover.stamp(key);
        match record {
            Some(record) if cover.is_none_or(|cover| cover <= record.stamp()) => {
                match record.value() {
                    Some(value) => Lookup::Value(value, record.stamp().version),
                    None => Lookup::Cleared,
                }
            }
            _ if cover.is_some() => Lookup::Cleared,
            _ => Lookup::Unknown,
        }
    }

    /// Shows what a read at `version` sees of the keys from `begin` to before `end`, if nothing lies
    /// beneath, until `visit` breaks. After passing over many keys that it doesn't see it stops, and
    /// tells at which it did: that is still to be looked at.
    pub(super) fn scan<'g>(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        version: Version,
        direction: Direction,
        guard: &'g ReadGuard,
        mut visit: impl FnMut(Row<'g>) -> ControlFlow<()>,
    ) -> Option<KeyRef<'g>> {
        if begin >= end {
            return None;
        }
        // Before the nodes, as in `lookup`.
        let cover = self.tombstones.at(version, guard);
        let mut span = Span::ALL;
        if !cover.is_empty() {
            span = cover.span(if direction == Direction::Forward { begin } else { end });
        }
        let from = if direction == Direction::Forward { begin } else { end };
        let mut cursor = self.tree.seek(from, version, guard);
        cursor.prefetch_first(direction);
        let mut hidden_left = HIDDEN_MAX;
        // Whether the leaf that it is in lies before the end of the scan with all its keys, so that
        // they need not be compared.
        let (mut leaves, mut is_within) = (usize::MAX, false);
        loop {
            let node = match direction {
                Direction::Forward => cursor.next(),
                Direction::Reverse => cursor.previous(),
            }?;
            let key = node.key();
            if leaves != cursor.leaves() {
                leaves = cursor.leaves();
                is_within = match direction {
                    Direction::Forward => cursor.is_leaf_below(end),
                    Direction::Reverse => cursor.is_leaf_above(begin),
                };
            }
            if !is_within
                && match direction {
                    Direction::Forward => end <= key,
                    Direction::Reverse => key < begin,
                }
            {
                return None;
            }
            if !span.contains(key) {
                span = cover.span(key);
            }
            let record = node.at(version);
            if let Some(row) = record.and_then(|record| Row::of(key.key, record, span.stamp)) {
                if visit(row).is_break() {
                    return None;
                }
                continue;
            }
            if hidden_left == 0 {
                return Some(key);
            }
            hidden_left -= 1;
            if record.is_some()
                && let Some(stamp) = span.stamp
            {
                match direction {
                    Direction::Forward => cursor.skip_hidden_forward(stamp.version, span.end),
                    Direction::Reverse => cursor.skip_hidden_reverse(stamp.version, span.begin),
                }
            }
        }
    }

    /// Whether it holds a version of any key from `begin` to before `end`.
    pub(super) fn may_hold(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        guard: &ReadGuard,
    ) -> bool {
        let mut cursor = self.tree.seek(begin, Version::ZERO, guard);
        cursor.next().is_some_and(|node| node.key() < end)
    }

    /// Whether it holds a version of the key.
    pub(super) fn may_hold_key(&self, key: KeyRef<'_>, guard: &ReadGuard) -> bool {
        self.index.get(key, guard).is_some()
    }

    /// What a range clear covers at `key` and around it, for a read at `version`.
    pub(super) fn span<'g>(
        &self,
        key: KeyRef<'_>,
        version: Version,
        guard: &'g ReadGuard,
    ) -> Span<'g> {
        self.tombstones.at(version, guard).span(key)
    }

    /// Whether the key was set or cleared, or a range with it, after `since`.
    pub(super) fn key_written_since(
        &self,
        key: KeyRef<'_>,
        since: Version,
        guard: &ReadGuard,
    ) -> bool {
        let is_newer = |stamp: Stamp| stamp.version > since;
        self.index.get(key, guard).is_some_and(|node| is_newer(node.newest().stamp()))
            || self.newest_cover(guard).stamp(key).is_some_and(is_newer)
    }

    /// Whether any key from `begin` to before `end` was set or cleared, or a range that overlaps,
    /// after `since`.
    pub(super) fn range_written_since(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        since: Version,
        guard: &ReadGuard,
    ) -> bool {
        if begin >= end {
            return false;
        }
        let cover = self.newest_cover(guard);
        let mut next = Some(begin);
        while let Some(key) = next.filter(|&key| key < end) {
            let span = cover.span(key);
            if span.stamp.is_some_and(|stamp| stamp.version > since) {
                return true;
            }
            next = span.end;
        }
        let mut cursor = self.tree.seek(begin, Version::ZERO, guard);
        while let Some(node) = cursor.next().filter(|node| node.key() < end) {
            if node.newest().stamp().version > since {
                return true;
            }
        }
        false
    }

    fn newest_cover<'g>(&self, guard: &'g ReadGuard) -> Cover<'g> {
        self.tombstones.at(Version::MAX, guard)
    }

    /// Shows pieces of the range as keys with the number of bytes from there to the next, about:
    /// where a whole leaf is within, one of its rows stands for all.
    pub(super) fn measure<'g>(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        guard: &'g ReadGuard,
        visit: &mut dyn FnMut(&'g [u8], u64),
    ) {
        if begin >= end {
            return;
        }
        let cover = self.newest_cover(guard);
        let bytes_of = |node: NodeRef<'_>| {
            let key = node.key();
            let row = Row::of(key.key, node.newest(), cover.stamp(key));
            row.map_or(0, |row| (row.key.len() + row.value.len()) as u64)
        };
        let mut cursor = self.tree.seek(begin, Version::MAX, guard);
        while let Some((first, count)) = cursor.leaf_below(end) {
            visit(first.key().key, bytes_of(first) * count as u64);
        }
        while let Some(node) = cursor.next().filter(|node| node.key() < end) {
            visit(node.key().key, bytes_of(node));
        }
    }
}

/// The ends of a range of a keyspace.
pub(super) fn bounds<'a>(
    keyspace: KeyspaceId,
    begin: &'a [u8],
    end: &'a [u8],
) -> (KeyRef<'a>, KeyRef<'a>) {
    (KeyRef::new(keyspace, begin), KeyRef::new(keyspace, end))
}
