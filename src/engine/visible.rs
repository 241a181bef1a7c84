//! What a snapshot sees.
//!
//! Every write carries a stamp: the commit version, and the order of its transaction among those of
//! the version. A read at a version sees all transactions of that version and below. Of a key it
//! sees the newest write; a range tombstone hides the writes with lower stamps than its own.
//!
//! Within one transaction the writes happen one after the other, at one stamp.
//! [`last_writes`] keeps those that count when all are done, so that afterwards a write and a range
//! tombstone of one stamp never mean the same key, except where the write came later. Hence: at
//! equal stamps the write is seen.

use plinth_protocol::{KeyspaceId, Version};

use super::{
    key::{KeyBuf, KeyRef},
    write::WriteRef,
};

/// When something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    /// The commit version.
    pub(super) version: Version,
    /// The order among the transactions of the version.
    pub(super) order: u16,
}

/// A change of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct PointWrite<'a> {
    pub(super) key: KeyRef<'a>,
    /// The value from now on; none once the key is cleared.
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> PointWrite<'a> {
    /// The write, if it changes one key.
    pub(super) fn of(write: WriteRef<'a>) -> Option<Self> {
        let (keyspace, key, value) = match write {
            WriteRef::Set { keyspace, key, value } => (keyspace, key, Some(value)),
            WriteRef::Clear { keyspace, key } => (keyspace, key, None),
            WriteRef::ClearRange { .. } => return None,
        };
        Some(Self { key: KeyRef::new(keyspace, key), value })
    }
}

/// The ranges that a transaction clears, disjoint and in order.
#[derive(Debug, Default)]
pub(super) struct ClearedRanges {
    ranges: std::collections::BTreeMap<KeyBuf, KeyBuf>,
}

impl ClearedRanges {
    /// Adds `begin..end` of the keyspace.
    fn add(&mut self, keyspace: KeyspaceId, begin: &[u8], end: &[u8]) {
        if begin >= end {
            return;
        }
        let mut begin = KeyBuf::from(KeyRef::new(keyspace, begin));
        let mut end = KeyBuf::from(KeyRef::new(keyspace, end));
        while let Some((other_begin, other_end)) = self.ranges.range(..=&end).next_back() {
            if *other_end < begin {
                break;
            }
            let (other_begin, other_end) = (other_begin.clone(), other_end.clone());
            self.ranges.remove(&other_begin);
            begin = begin.min(other_begin);
            end = end.max(other_end);
        }
        self.ranges.insert(begin, end);
    }

    fn contains(&self, key: KeyRef<'_>) -> bool {
        let before = self.ranges.range(..=KeyBuf::from(key)).next_back();
        before.is_some_and(|(_, end)| key < end.as_ref())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Begin and end of each range.
    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyRef<'_>, KeyRef<'_>)> {
        self.ranges.iter().map(|(begin, end)| (begin.as_ref(), end.as_ref()))
    }
}

/// The ranges that the writes of one transaction clear, and its changes of single keys that no
/// later range clear undoes, in order. Range clears come first in effect.
pub(super) fn last_writes<'a>(
    writes: impl DoubleEndedIterator<Item = WriteRef<'a>> + ExactSizeIterator,
) -> (ClearedRanges, Vec<PointWrite<'a>>) {
    let mut cleared = ClearedRanges::default();
    let mut points = Vec::with_capacity(writes.len());
    for write in writes.rev() {
        if let WriteRef::ClearRange { keyspace, begin, end } = write {
            cleared.add(keyspace, begin, end);
        }
        if let Some(point) = PointWrite::of(write)
            && (cleared.is_empty() || !cleared.contains(point.key))
        {
            points.push(point);
        }
    }
    points.reverse();
    (cleared, points)
}
