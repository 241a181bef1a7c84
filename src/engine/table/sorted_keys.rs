//! Ascending keys in a section of a table, searched where they lie.
//!
//! ```text
//!   keys (4) │ prefix (4) │ digest (8) … │ end (4) … │ key bytes
//! ```
//!
//! All keys begin with the same bytes, as many as *prefix* says. A digest is the eight bytes behind
//! them, as a number that compares as they do. So most steps of a search compare two integers, and
//! the keys themselves are looked at last. An *end* is where a key ends among the key bytes; the
//! next key begins there.

use std::{cmp::Ordering, ops::Range};

use super::{
    coding::Input,
    probe::{Probe, stored_key},
};
use crate::engine::{
    key::{KeyRef, common_prefix},
    prefetch::prefetch_lines,
};

/// Of so many digests one is in the outline: these are two lines of memory.
const STEP: usize = 16;

/// Keys that are collected to be written.
#[derive(Debug, Default)]
pub(super) struct SortedKeysBuilder {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl SortedKeysBuilder {
    /// Adds a key above all before.
    pub(super) fn push(&mut self, key: KeyRef<'_>) {
        super::probe::put_key(&mut self.bytes, key);
        self.ends.push(self.bytes.len() as u32);
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn first(&self) -> Option<KeyRef<'_>> {
        stored_key(self.key(0))
    }

    /// Bytes that the keys take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn key(&self, at: usize) -> &[u8] {
        let begin = at.checked_sub(1).and_then(|at| self.ends.get(at)).map_or(0, |end| *end);
        let end = self.ends.get(at).map_or(0, |end| *end);
        self.bytes.get(begin as usize..end as usize).unwrap_or_default()
    }

    /// Appends them as they are stored.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let prefix = match self.len() {
            0 => 0,
            len => common_prefix(self.key(0), self.key(len - 1)),
        };
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        out.extend_from_slice(&(prefix as u32).to_le_bytes());
        for at in 0..self.len() {
            out.extend_from_slice(&digest(self.key(at), prefix).to_le_bytes());
        }
        for end in &self.ends {
            out.extend_from_slice(&end.to_le_bytes());
        }
        out.extend_from_slice(&self.bytes);
    }
}

fn digest(key: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(key.get(at..).unwrap_or_default()) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

/// Keys as they are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct SortedKeys<'a> {
    prefix: &'a [u8],
    digests: &'a [[u8; 8]],
    ends: &'a [[u8; 4]],
    bytes: &'a [u8],
}

impl<'a> SortedKeys<'a> {
    /// The keys at the front of the input, if they can be that.
    pub(super) fn read(input: &mut Input<'a>) -> Option<Self> {
        let len = input.u32()? as usize;
        let prefix = input.u32()? as usize;
        let digests = input.arrays(len)?;
        let ends = input.arrays(len)?;
        let bytes = input.bytes(ends.last().map_or(0, |end| u32::from_le_bytes(*end) as usize))?;
        Some(Self { prefix: bytes.get(..prefix)?, digests, ends, bytes })
    }

    pub(super) fn len(&self) -> usize {
        self.digests.len()
    }

    /// The bytes of a key.
    pub(super) fn stored(&self, at: usize) -> Option<&'a [u8]> {
        let begin = match at.checked_sub(1) {
            Some(before) => u32::from_le_bytes(*self.ends.get(before)?),
            None => 0,
        };
        let end = u32::from_le_bytes(*self.ends.get(at)?);
        self.bytes.get(begin as usize..end as usize)
    }

    pub(super) fn key(&self, at: usize) -> Option<KeyRef<'a>> {
        stored_key(self.stored(at)?)
    }

    /// The first digest of every [`STEP`], to be kept where a search finds it in the caches.
    pub(super) fn outline(&self) -> Box<[u64]> {
        self.digests.iter().step_by(STEP).map(|digest| u64::from_le_bytes(*digest)).collect()
    }

    /// The places that a search for a key comes to, by the outline.
    #[inline]
    pub(super) fn near(&self, probe: Probe<'_>, outline: &[u64]) -> Range<usize> {
        let near = self.near_digest(u64::from_be_bytes(probe.load(self.prefix.len())), outline);
        near.start..self.len().min(near.end + 1)
    }

    /// Between which places a digest is, or would have to be.
    #[inline]
    fn near_digest(&self, digest: u64, outline: &[u64]) -> Range<usize> {
        let after = outline.partition_point(|&other| other < digest);
        let (begin, end) = (after.saturating_sub(1) * STEP, after * STEP);
        begin.min(self.len())..end.min(self.len())
    }

    /// Begins to fetch the digests of these places.
    #[inline]
    pub(super) fn prefetch(&self, near: &Range<usize>) {
        prefetch_lines(self.digests.get(near.clone()).unwrap_or_default());
    }

    /// How many keys are below the one that is looked for, or are that one where `counts` says so
    /// of their place. What `counts` says yes to comes first. The outline may be empty. None if the
    /// bytes make no sense.
    #[inline]
    pub(super) fn count(
        &self,
        probe: Probe<'_>,
        outline: &[u64],
        counts: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match probe.cmp_prefix(self.prefix) {
            Ordering::Less => return Some(0),
            Ordering::Greater => return Some(self.len()),
            Ordering::Equal => {}
        }
        let digest = u64::from_be_bytes(probe.load(self.prefix.len()));
        let near = match outline {
            [] => 0..self.len(),
            outline => self.near_digest(digest, outline),
        };
        let below = |other: &[u8; 8]| u64::from_le_bytes(*other) < digest;
        let mut low = near.start + self.digests.get(near)?.partition_point(below);
        let same = self.digests.get(low..)?;
        let mut high =
            low + same.iter().take_while(|other| u64::from_le_bytes(**other) == digest).count();
        while low < high {
            let middle = low.midpoint(high);
            let is_counted = match probe.cmp_from(0, self.stored(middle)?) {
                Ordering::Less => false,
                Ordering::Equal => counts(middle),
                Ordering::Greater => true,
            };
            if is_counted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use plinth_protocol::KeyspaceId;
    use proptest::prelude::*;

    use super::*;

    fn key_set() -> impl Strategy<Value = BTreeSet<(u32, Vec<u8>)>> {
        let key = prop_oneof![
            prop::collection::vec(0u8..3, 0..4),
            prop::collection::vec(0u8..2, 0..3).prop_map(|tail| [
                &b"a long prefix in common"[..],
                &tail
            ]
            .concat()),
        ];
        prop::collection::btree_set((0u32..2, key), 0..40)
    }

    fn borrow((keyspace, key): &(u32, Vec<u8>)) -> KeyRef<'_> {
        KeyRef::new(KeyspaceId(*keyspace), key)
    }

    proptest! {
        #[test]
        fn keys_are_found_where_they_lie(keys in key_set(), probes in key_set()) {
            let keys: Vec<_> = keys.into_iter().collect();
            let mut builder = SortedKeysBuilder::default();
            for key in &keys {
                builder.push(borrow(key));
            }
            let mut bytes = vec![];
            builder.write(&mut bytes);
            bytes.push(99);
            let mut input = Input::new(&bytes);
            let stored = SortedKeys::read(&mut input).unwrap();
            prop_assert_eq!(input.rest(), &[99]);
            prop_assert_eq!(stored.len(), keys.len());
            for (at, key) in keys.iter().enumerate() {
                prop_assert_eq!(stored.key(at), Some(borrow(key)));
            }
            let outline = stored.outline();
            for probe in keys.iter().chain(&probes) {
                let below = keys.partition_point(|key| key < probe);
                let up_to = keys.partition_point(|key| key <= probe);
                let probe = Probe::new(borrow(probe));
                for outline in [&[][..], &outline] {
                    prop_assert_eq!(stored.count(probe, outline, |_| false), Some(below));
                    prop_assert_eq!(stored.count(probe, outline, |_| true), Some(up_to));
                }
            }
            for end in 0..bytes.len() - 1 {
                prop_assert!(SortedKeys::read(&mut Input::new(&bytes[..end])).is_none());
            }
        }
    }
}
