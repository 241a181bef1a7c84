//! What the layers of the store have in common.
//!
//! The store is a stack: the memtable that is being written, memtables that are frozen, and tables,
//! newest first. Of a key, a newer layer holds only versions above all that an older one holds. So
//! a read at a version goes down the stack, and the first layer that knows anything of the key at
//! that version, a value, a clear or a range tombstone, has the answer.

use plinth_protocol::Version;

use super::{
    key::{KeyBuf, KeyRef},
    read_error::ReadError,
    visible::Stamp,
};

/// A version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Which key.
    pub(super) key: KeyRef<'a>,
    /// When it was written.
    pub(super) stamp: Stamp,
    /// The value from then on; none if it was cleared.
    pub(super) value: Option<&'a [u8]>,
}

/// What a layer knows of a key at a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup<'a> {
    /// It has a value, written at this version.
    Value(&'a [u8], Version),
    /// It was cleared, alone or with a range; older layers don't matter.
    Cleared,
    /// Nothing: older layers decide.
    Unknown,
}

/// Keys from `begin` to before `end` with the times at which all of them were cleared. A list of
/// these is *fragmented*: ascending and without overlaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RangeTombstone {
    /// The first key.
    pub(super) begin: KeyBuf,
    /// The first key after.
    pub(super) end: KeyBuf,
    /// When, newest first; at least one.
    pub(super) stamps: Vec<Stamp>,
}

/// Neighbouring keys under the same newest range tombstone, or under none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    /// The first key; none if the span has no beginning.
    pub(super) begin: Option<KeyRef<'a>>,
    /// The first key after; none if the span has no end.
    pub(super) end: Option<KeyRef<'a>>,
    /// The newest range clear.
    pub(super) stamp: Option<Stamp>,
}

impl Span<'_> {
    /// All keys, under nothing.
    pub(super) const ALL: Self = Self { begin: None, end: None, stamp: None };

    /// Whether the key is within.
    pub(super) fn contains(&self, key: KeyRef<'_>) -> bool {
        self.begin.is_none_or(|begin| begin <= key) && self.end.is_none_or(|end| key < end)
    }
}

/// Everything that a layer holds but its range tombstones, keys ascending, the versions of each
/// newest first. For flush and compaction.
pub(super) trait EntryStream {
    /// The entry that it stands at; none at the end.
    fn head(&self) -> Option<Entry<'_>>;

    /// Goes on to the next entry.
    fn advance(&mut self) -> Result<(), ReadError>;
}

/// What a read at one version finds in a layer, key by key in one direction: of each key the newest
/// entry not above the version, also where that is a clear, and also where a range tombstone of
/// the layer hides it.
pub(super) trait LayerCursor {
    /// The entry that it stands at; none at the end.
    fn head(&self) -> Option<Entry<'_>>;

    /// Goes on to the next key.
    fn advance(&mut self) -> Result<(), ReadError>;

    /// Goes on to the first key not below `key`; in reverse, to the last key below `key`. Stays
    /// where it is if it is there or beyond already.
    fn seek(&mut self, key: KeyRef<'_>) -> Result<(), ReadError>;

    /// What of the layer's range tombstones, seen at the version, holds at `key` and around it.
    fn span(&mut self, key: KeyRef<'_>) -> Result<Span<'_>, ReadError>;
}
