//! The range tombstones of a table, searched where they lie.
//!
//! ```text
//!   begins (sorted keys) │ ends (sorted keys) │ for each: number of its first stamp (4)
//!                        │ stamps (4) │ version (8), order (2) …
//! ```
//!
//! They are fragmented: ascending, without overlaps. The stamps of one are newest first, and end
//! where those of the next begin.

use plinth_protocol::Version;

use super::{
    coding::{Input, Nonsense},
    probe::Probe,
    sorted_keys::{SortedKeys, SortedKeysBuilder},
};
use crate::engine::{
    key::{KeyBuf, KeyRef},
    layer::{RangeTombstone, Span},
    visible::Stamp,
};

const STAMP_BYTES: usize = 10;

/// Range tombstones that are collected to be written.
#[derive(Debug, Default)]
pub(super) struct TombstonesBuilder {
    begins: SortedKeysBuilder,
    ends: SortedKeysBuilder,
    last_end: Option<KeyBuf>,
    firsts: Vec<u32>,
    stamps: Vec<u8>,
}

impl TombstonesBuilder {
    /// Adds one behind all before; false if it is not behind them, or no tombstone.
    pub(super) fn push(&mut self, tombstone: &RangeTombstone) -> bool {
        let is_behind = self.last_end.as_ref().is_none_or(|last| *last <= tombstone.begin);
        let is_newest_first = tombstone.stamps.is_sorted_by(|newer, older| newer > older);
        if !is_behind
            || !is_newest_first
            || tombstone.stamps.is_empty()
            || tombstone.begin >= tombstone.end
        {
            return false;
        }
        self.begins.push(tombstone.begin.as_ref());
        self.ends.push(tombstone.end.as_ref());
        self.last_end = Some(tombstone.end.clone());
        self.firsts.push(self.stamps() as u32);
        for stamp in &tombstone.stamps {
            self.stamps.extend_from_slice(&stamp.version.0.to_le_bytes());
            self.stamps.extend_from_slice(&stamp.order.to_le_bytes());
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.begins.len()
    }

    /// How many stamps there are, of all together.
    pub(super) fn stamps(&self) -> usize {
        self.stamps.len() / STAMP_BYTES
    }

    /// Where the first one begins.
    pub(super) fn first_begin(&self) -> Option<KeyRef<'_>> {
        self.begins.first()
    }

    /// Where the last one ends.
    pub(super) fn last_end(&self) -> Option<&KeyBuf> {
        self.last_end.as_ref()
    }

    /// Bytes that they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.begins.bytes() + self.ends.bytes() + self.stamps.len() + self.len() * 28
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.begins.write(out);
        self.ends.write(out);
        for first in &self.firsts {
            out.extend_from_slice(&first.to_le_bytes());
        }
        out.extend_from_slice(&(self.stamps() as u32).to_le_bytes());
        out.extend_from_slice(&self.stamps);
    }
}

/// Range tombstones as they are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tombstones<'a> {
    begins: SortedKeys<'a>,
    ends: SortedKeys<'a>,
    firsts: &'a [[u8; 4]],
    stamps: &'a [[u8; STAMP_BYTES]],
}

impl<'a> Tombstones<'a> {
    pub(super) fn read(content: &'a [u8]) -> Option<Self> {
        let mut input = Input::new(content);
        let begins = SortedKeys::read(&mut input)?;
        let ends = SortedKeys::read(&mut input)?;
        let firsts = input.arrays(begins.len())?;
        let stamps = input.u32()? as usize;
        let stamps = input.arrays(stamps)?;
        (begins.len() == ends.len()).then_some(Self { begins, ends, firsts, stamps })
    }

    pub(super) fn len(&self) -> usize {
        self.begins.len()
    }

    /// Begin and end of one.
    pub(super) fn bounds(&self, at: usize) -> Option<(KeyRef<'a>, KeyRef<'a>)> {
        Some((self.begins.key(at)?, self.ends.key(at)?))
    }

    /// The stamps of one, newest first.
    pub(super) fn stamps(
        &self,
        at: usize,
    ) -> Option<impl Iterator<Item = Stamp> + Clone + use<'a>> {
        let first = u32::from_le_bytes(*self.firsts.get(at)?) as usize;
        let end = self
            .firsts
            .get(at + 1)
            .map_or(self.stamps.len(), |&next| u32::from_le_bytes(next) as usize);
        let stamp = |bytes: &[u8; STAMP_BYTES]| {
            let (version, order) = bytes.split_at(8);
            let number = |bytes: &[u8]| {
                bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
            };
            Stamp { version: Version(number(version)), order: number(order) as u16 }
        };
        Some(self.stamps.get(first..end)?.iter().map(stamp))
    }

    /// The number of the first one that ends above the key.
    pub(super) fn first_above(&self, key: KeyRef<'_>) -> Option<usize> {
        self.ends.count(Probe::new(key), &[], |_| true)
    }

    /// The newest up to a version that covers a key.
    pub(super) fn stamp(
        &self,
        key: KeyRef<'_>,
        version: Version,
    ) -> Result<Option<Stamp>, Nonsense> {
        self.span(key, version).map(|span| span.stamp).ok_or(Nonsense)
    }

    /// What holds at a key and around it, for a read at a version. None if the bytes make no sense.
    pub(super) fn span(&self, key: KeyRef<'_>, version: Version) -> Option<Span<'a>> {
        let count = self.begins.count(Probe::new(key), &[], |_| true)?;
        let mut span = Span::ALL;
        if count < self.len() {
            span.end = Some(self.begins.key(count)?);
        }
        let Some(at) = count.checked_sub(1) else { return Some(span) };
        let (begin, end) = self.bounds(at)?;
        if end <= key {
            span.begin = Some(end);
        } else {
            span.begin = Some(begin);
            span.end = Some(end);
            span.stamp = self.stamps(at)?.find(|stamp| stamp.version <= version);
        }
        Some(span)
    }
}
