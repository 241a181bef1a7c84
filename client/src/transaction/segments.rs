//! Segments: a transaction's view of a keyspace, cut where it changes its nature.
//!
//! What the transaction has written lies over what it has read; under both lies what it doesn't
//! know. A segment is a key with a value, or a range without keys, or a range that is unknown, or
//! one that can't be read before the commit.

use bytes::Bytes;
use plinth_protocol::range::key_after;

use super::{
    cache::{Cache, Cached},
    overlay::{Lookup, Overlay},
};

/// Beyond every key.
pub(super) const BEYOND: &[u8] = b"\xFF\xFF\xFF";

/// What a segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unreadable,
    Unknown,
    Empty,
    /// The key at which the segment begins, with this value.
    Row(Bytes),
    /// The key at which the segment begins: a `compare_and_clear` has taken its value away.
    /// Selectors still count it as a key, as they do in FoundationDB.
    Ghost,
}

/// A range of one nature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) begin: Bytes,
    pub(super) end: Bytes,
    pub(super) kind: Kind,
}

impl Segment {
    /// Whether selectors count it as a key.
    pub(super) fn is_key(&self) -> bool {
        matches!(self.kind, Kind::Row(_) | Kind::Ghost)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kind == Kind::Empty
    }

    pub(super) fn is_unreadable(&self) -> bool {
        self.kind == Kind::Unreadable
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.kind == Kind::Unknown
    }

    /// Whether reading can pass through it without asking.
    pub(super) fn is_passable(&self) -> bool {
        matches!(self.kind, Kind::Empty | Kind::Row(_) | Kind::Ghost)
    }
}

/// The view: writes over reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments<'a> {
    pub(super) overlay: Option<&'a Overlay>,
    pub(super) cache: &'a Cache,
    pub(super) bypass_unreadable: bool,
    pub(super) value_bytes_max: usize,
}

impl Segments<'_> {
    /// The segment that holds `key`.
    pub(super) fn at(&self, key: &Bytes) -> Segment {
        let begin = self.begin_of(key);
        let after = [
            self.overlay.and_then(|overlay| overlay.boundary_after(key)),
            self.cache.boundary_after(key),
        ];
        let next = after.into_iter().flatten().min();
        let end = next.unwrap_or_else(|| Bytes::from_static(BEYOND));
        Segment { begin, end, kind: self.kind_at(key) }
    }

    /// The segment after.
    pub(super) fn next(&self, segment: &Segment) -> Segment {
        self.at(&segment.end)
    }

    /// The segment before; the first has none.
    pub(super) fn previous(&self, segment: &Segment) -> Option<Segment> {
        (!segment.begin.is_empty()).then(|| self.at(&self.last_boundary(&segment.begin)))
    }

    fn kind_at(&self, key: &Bytes) -> Kind {
        let lookup = match self.overlay {
            Some(overlay) => overlay.lookup(key, self.bypass_unreadable),
            None => Lookup::Untouched,
        };
        let ops = match lookup {
            Lookup::Unreadable => return Kind::Unreadable,
            Lookup::Cleared => return Kind::Empty,
            Lookup::Known(value) => return value.map_or(Kind::Ghost, Kind::Row),
            Lookup::Untouched => None,
            Lookup::Dependent(ops) => Some(ops),
        };
        let base = match self.cache.get(key) {
            Cached::Unknown => return Kind::Unknown,
            Cached::Absent => None,
            Cached::Row(value) => Some(value),
        };
        match ops {
            Some(ops) => {
                Overlay::fold(&ops, base, self.value_bytes_max).map_or(Kind::Ghost, Kind::Row)
            }
            None => base.map_or(Kind::Empty, Kind::Row),
        }
    }

    /// Where the segment that holds `key` begins.
    fn begin_of(&self, key: &Bytes) -> Bytes {
        if self.is_boundary(key) { key.clone() } else { self.last_boundary(key) }
    }

    /// Whether a segment begins at `key`.
    fn is_boundary(&self, key: &Bytes) -> bool {
        key.is_empty() || self.last_boundary(&key_after(key)) == *key
    }

    /// The last place before `key` where a segment begins.
    fn last_boundary(&self, key: &Bytes) -> Bytes {
        let before = [
            self.overlay.and_then(|overlay| overlay.boundary_before(key)),
            self.cache.boundary_before(key),
        ];
        before.into_iter().flatten().max().unwrap_or_default()
    }
}
