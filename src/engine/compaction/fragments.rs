//! Lists of range tombstones, merged into one.

use plinth_protocol::Version;

use super::retention;
use crate::engine::{key::KeyBuf, layer::RangeTombstone, visible::Stamp};

/// Merges fragmented lists into one that is fragmented, without the tombstones that no version at
/// or above the horizon sees because of newer ones. Neighbours that have become alike are joined.
pub(super) fn merge(lists: Vec<Vec<RangeTombstone>>, horizon: Version) -> Vec<RangeTombstone> {
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    // Of each list the tombstone that the sweep is in, or comes to next.
    let mut heads: Vec<Option<RangeTombstone>> = lists.iter_mut().map(Iterator::next).collect();
    let mut merged: Vec<RangeTombstone> = Vec::new();
    loop {
        let Some(begin) = heads.iter().flatten().map(|head| &head.begin).min().cloned() else {
            return merged;
        };
        let end = heads
            .iter()
            .flatten()
            .map(|head| if head.begin == begin { &head.end } else { &head.begin })
            .min()
            .expect("there is a head, since one begins here")
            .clone();
        let mut stamps: Vec<Stamp> = Vec::new();
        for (head, list) in heads.iter_mut().zip(&mut lists) {
            let Some(tombstone) = head.as_mut().filter(|head| head.begin == begin) else {
                continue;
            };
            stamps.extend_from_slice(&tombstone.stamps);
            if tombstone.end == end {
                *head = list.next();
            } else {
                tombstone.begin = end.clone();
            }
        }
        stamps.sort_unstable_by(|a, b| b.cmp(a));
        // Of layers that repeat each other.
        stamps.dedup();
        retention::prune(&mut stamps, horizon);
        push(&mut merged, begin, end, stamps);
    }
}

fn push(merged: &mut Vec<RangeTombstone>, begin: KeyBuf, end: KeyBuf, stamps: Vec<Stamp>) {
    match merged.last_mut() {
        Some(last) if last.end == begin && last.stamps == stamps => last.end = end,
        _ => merged.push(RangeTombstone { begin, end, stamps }),
    }
}

#[cfg(test)]
mod tests {
    use plinth_protocol::KeyspaceId;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::key::KeyRef;

    fn key(byte: u8) -> KeyBuf {
        KeyRef::new(KeyspaceId(0), &[byte]).into()
    }

    /// Which stamps cover each byte.
    fn covered(list: &[RangeTombstone]) -> Vec<Vec<Stamp>> {
        let at = |byte| {
            let over = |tombstone: &&RangeTombstone| {
                tombstone.begin <= key(byte) && key(byte) < tombstone.end
            };
            list.iter().filter(over).flat_map(|over| over.stamps.clone()).collect()
        };
        (0..=20).map(at).collect()
    }

    fn list() -> impl Strategy<Value = Vec<RangeTombstone>> {
        let piece = (0u8..4, 1u8..5, prop::collection::btree_set((1u64..6, 0u16..3), 1..4));
        prop::collection::vec(piece, 0..5).prop_map(|pieces| {
            let mut at = 0;
            let one = |(gap, len, stamps): (u8, u8, std::collections::BTreeSet<(u64, u16)>)| {
                let begin = at + gap;
                at = begin + len;
                let stamps = stamps.into_iter().rev();
                let stamps =
                    stamps.map(|(version, order)| Stamp { version: Version(version), order });
                RangeTombstone { begin: key(begin), end: key(at), stamps: stamps.collect() }
            };
            pieces.into_iter().map(one).collect()
        })
    }

    proptest! {
        #[test]
        fn each_key_keeps_the_tombstones_that_some_version_sees(
            lists in prop::collection::vec(list(), 0..4),
            horizon in 0u64..7,
        ) {
            let horizon = Version(horizon);
            let merged = merge(lists.clone(), horizon);
            for pair in merged.windows(2) {
                prop_assert!(pair[0].end <= pair[1].begin);
                prop_assert!(pair[0].end < pair[1].begin || pair[0].stamps != pair[1].stamps);
            }
            let lists: Vec<_> = lists.iter().map(|list| covered(list)).collect();
            for (byte, kept) in covered(&merged).iter().enumerate() {
                let mut all: Vec<Stamp> = lists.iter().flat_map(|at| at[byte].clone()).collect();
                all.sort_unstable_by(|a, b| b.cmp(a));
                prop_assert!(kept.iter().all(|stamp| all.contains(stamp)));
                // The newest that a version sees is the same.
                for version in horizon.0..8 {
                    let seen = |stamps: &[Stamp]| {
                        stamps.iter().find(|stamp| stamp.version.0 <= version).copied()
                    };
                    prop_assert_eq!(seen(kept), seen(&all));
                }
                prop_assert!(kept.iter().filter(|stamp| stamp.version <= horizon).count() <= 1);
            }
        }
    }
}
