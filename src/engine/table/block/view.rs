//! Reads a block where it lies. Whatever the bytes are, it doesn't panic; what makes no sense is
//! none.

use std::{cmp::Ordering, ops::Range};

use plinth_protocol::Version;

use super::{FLAG_BITS, FLAG_CLEARED, FLAG_MORE, FLAG_ORDER, HEAD_BYTES, HEADER_BYTES};
use crate::engine::{
    table::{
        coding::{Input, Nonsense},
        probe::Probe,
    },
    visible::Stamp,
};

/// So many heads are compared one by one rather than by halves.
const COMPARED_AT_ONCE: usize = 64;

/// Where things are in a block.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine::table) struct Layout {
    keys: usize,
    prefix: usize,
    width: usize,
    least: u64,
}

impl Layout {
    /// The layout of a block, none if it can't be one.
    #[inline]
    pub(in crate::engine::table) fn read(content: &[u8]) -> Option<Self> {
        let mut input = Input::new(content);
        let keys = usize::from(input.u16()?);
        let prefix = usize::from(input.u16()?);
        let width = usize::from(input.u8()?);
        let [0, 0, 0] = input.array()? else { return None };
        let layout = Self { keys, prefix, width, least: input.u64()? };
        (width <= 8 && layout.records() <= content.len()).then_some(layout)
    }

    /// How many keys there are.
    pub(in crate::engine::table) fn keys(&self) -> usize {
        self.keys
    }

    fn heads(&self) -> usize {
        HEADER_BYTES + self.prefix
    }

    fn places(&self) -> usize {
        self.heads() + HEAD_BYTES * self.keys
    }

    fn records(&self) -> usize {
        self.places() + 2 * self.keys
    }

    /// The block, seen through its layout.
    pub(in crate::engine::table) fn view<'a>(&self, content: &'a [u8]) -> BlockView<'a> {
        BlockView { layout: *self, content }
    }
}

/// A version of a key in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine::table) struct KeyVersion {
    pub(in crate::engine::table) stamp: Stamp,
    /// Where in the block the value is; none if the key was cleared.
    pub(in crate::engine::table) value: Option<Range<usize>>,
    /// Where the version before this one is, if the block has it.
    pub(in crate::engine::table) older: Option<usize>,
}

/// A block and where things are in it.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::table) struct BlockView<'a> {
    layout: Layout,
    content: &'a [u8],
}

impl<'a> BlockView<'a> {
    /// The block in these bytes, none if they can't be one.
    #[inline]
    pub(in crate::engine::table) fn read(content: &'a [u8]) -> Option<Self> {
        Some(Layout::read(content)?.view(content))
    }

    /// How many keys there are.
    pub(in crate::engine::table) fn keys(&self) -> usize {
        self.layout.keys
    }

    fn prefix(&self) -> Option<&'a [u8]> {
        self.content.get(HEADER_BYTES..self.layout.heads())
    }

    fn heads(&self) -> Option<&'a [[u8; HEAD_BYTES]]> {
        let bytes = self.content.get(self.layout.heads()..self.layout.places())?;
        Some(bytes.as_chunks().0)
    }

    fn places(&self) -> Option<&'a [[u8; 2]]> {
        let bytes = self.content.get(self.layout.places()..self.layout.records())?;
        Some(bytes.as_chunks().0)
    }

    /// The record of a key: what its suffix has beyond the head, the suffix' length, and where the
    /// newest version is.
    #[inline]
    fn record(&self, at: usize) -> Option<(&'a [u8], usize, usize)> {
        let place = usize::from(u16::from_le_bytes(*self.places()?.get(at)?));
        let record = self.content.get(self.layout.records() + place..)?;
        let mut input = Input::new(record);
        let suffix = input.length()?;
        let beyond = input.bytes(suffix.saturating_sub(HEAD_BYTES))?;
        Some((beyond, suffix, self.content.len() - input.rest().len()))
    }

    /// Where the newest version of a key is.
    pub(in crate::engine::table) fn newest(&self, at: usize) -> Option<usize> {
        self.record(at).map(|(_, _, newest)| newest)
    }

    /// Writes a key into the buffer, as it is stored, and says where its newest version is.
    #[inline]
    pub(in crate::engine::table) fn key(&self, at: usize, key: &mut Vec<u8>) -> Option<usize> {
        let (beyond, suffix, newest) = self.record(at)?;
        let head = u32::from_le_bytes(*self.heads()?.get(at)?).to_be_bytes();
        key.clear();
        key.extend_from_slice(self.prefix()?);
        key.extend_from_slice(head.get(..suffix).unwrap_or(&head));
        key.extend_from_slice(beyond);
        Some(newest)
    }

    /// The version that is at this place of the block.
    #[inline]
    pub(in crate::engine::table) fn version(&self, place: usize) -> Option<KeyVersion> {
        let mut input = Input::new(self.content.get(place..)?);
        let tag = input.varint()?;
        let delta = if let Some(bytes) = input.rest().first_chunk::<8>() {
            let unused = 64 - 8 * self.layout.width as u32;
            u64::from_le_bytes(*bytes) & u64::MAX.checked_shr(unused).unwrap_or(0)
        } else {
            let bytes = input.rest().get(..self.layout.width)?;
            bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
        };
        input.bytes(self.layout.width)?;
        let order = if tag & FLAG_ORDER == 0 { 0 } else { input.u16()? };
        let len = usize::try_from(tag >> FLAG_BITS).ok()?;
        let begin = self.content.len() - input.rest().len();
        input.bytes(len)?;
        let end = begin + len;
        let version = Version(self.layout.least.checked_add(delta)?);
        Some(KeyVersion {
            stamp: Stamp { version, order },
            value: (tag & FLAG_CLEARED == 0).then_some(begin..end),
            older: (tag & FLAG_MORE != 0).then_some(end),
        })
    }

    /// The newest version up to this one, from a place on.
    #[inline]
    pub(in crate::engine::table) fn version_at(
        &self,
        newest: usize,
        version: Version,
    ) -> Result<Option<KeyVersion>, Nonsense> {
        let mut place = Some(newest);
        while let Some(here) = place {
            let found = self.version(here).ok_or(Nonsense)?;
            if found.stamp.version <= version {
                return Ok(Some(found));
            }
            place = found.older;
        }
        Ok(None)
    }

    /// The number of the first key not below the one that is looked for, and where its newest
    /// version is if it is that key. None if the bytes make no sense.
    #[inline]
    pub(in crate::engine::table) fn find(
        &self,
        probe: Probe<'_>,
    ) -> Option<(usize, Option<usize>)> {
        let prefix = self.prefix()?;
        match probe.cmp_prefix(prefix) {
            Ordering::Less => return Some((0, None)),
            Ordering::Greater => return Some((self.keys(), None)),
            Ordering::Equal => {}
        }
        let head = u32::from_be_bytes(probe.load(prefix.len()));
        let heads = self.heads()?;
        let mut low = count_below(heads, head);
        let mut high = low
            + heads
                .get(low..)?
                .iter()
                .take_while(|other| u32::from_le_bytes(**other) == head)
                .count();
        let suffix = probe.len() - prefix.len();
        while low < high {
            let middle = low.midpoint(high);
            let (beyond, other, newest) = self.record(middle)?;
            let order = if suffix.min(other) <= HEAD_BYTES {
                suffix.cmp(&other)
            } else {
                probe.cmp_from(prefix.len() + HEAD_BYTES, beyond)
            };
            match order {
                Ordering::Less => high = middle,
                Ordering::Equal => return Some((middle, Some(newest))),
                Ordering::Greater => low = middle + 1,
            }
        }
        Some((low, None))
    }
}

impl BlockView<'_> {
    /// The numbers of the keys from `begin` to before `end`.
    pub(in crate::engine::table) fn slots(
        &self,
        begin: Probe<'_>,
        end: Probe<'_>,
    ) -> Option<Range<usize>> {
        Some(self.find(begin)?.0..self.find(end)?.0)
    }
}

/// How many of these ascending heads are below this one.
#[inline]
fn count_below(heads: &[[u8; HEAD_BYTES]], head: u32) -> usize {
    let is_below = |other: &[u8; HEAD_BYTES]| u32::from_le_bytes(*other) < head;
    let mut rest = heads;
    let mut below = 0;
    while rest.len() > COMPARED_AT_ONCE {
        let (left, right) = rest.split_at(rest.len() / 2);
        if left.last().is_some_and(is_below) {
            below += left.len();
            rest = right;
        } else {
            rest = left;
        }
    }
    // Compared all, a few cache lines are asked for at once rather than one after the other.
    below + rest.iter().filter(|other| is_below(other)).count()
}
