//! From range clears that overlap to a list of range tombstones that don't.

use std::{collections::BTreeMap, sync::Arc};

use crate::engine::{key::KeyBuf, layer::RangeTombstone, visible::Stamp};

/// Whether a range clear begins or ends at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Begin,
    End,
}

/// The fragmented list of these range clears, given as begin, end and stamp.
pub(super) fn fragmented(
    clears: impl IntoIterator<Item = (Arc<KeyBuf>, Arc<KeyBuf>, Stamp)>,
) -> Vec<RangeTombstone> {
    let mut ends = Vec::new();
    for (begin, end, stamp) in clears {
        if begin < end {
            ends.push((begin, End::Begin, stamp));
            ends.push((end, End::End, stamp));
        }
    }
    ends.sort_by(|one, other| one.0.cmp(&other.0));
    let mut fragments: Vec<RangeTombstone> = Vec::new();
    // How many clears of each stamp the present key is in.
    let mut open: BTreeMap<Stamp, usize> = BTreeMap::new();
    let mut groups = ends.chunk_by(|one, other| one.0 == other.0).peekable();
    while let Some(group) = groups.next() {
        for &(_, which, stamp) in group {
            let count = open.entry(stamp).or_default();
            match which {
                End::Begin => *count += 1,
                // Its beginning was in an earlier group.
                End::End => *count -= 1,
            }
        }
        open.retain(|_, count| *count > 0);
        let (Some((begin, ..)), Some(next)) = (group.first(), groups.peek()) else { break };
        let Some((end, ..)) = next.first() else { break };
        if open.is_empty() {
            continue;
        }
        let stamps: Vec<Stamp> = open.keys().rev().copied().collect();
        match fragments.last_mut() {
            Some(last) if last.end == **begin && last.stamps == stamps => {
                last.end = KeyBuf::clone(end);
            }
            _ => fragments.push(RangeTombstone {
                begin: KeyBuf::clone(begin),
                end: KeyBuf::clone(end),
                stamps,
            }),
        }
    }
    fragments
}

#[cfg(test)]
mod tests {
    use plinth_protocol::{KeyspaceId, Version};
    use proptest::prelude::*;

    use super::*;
    use crate::engine::key::KeyRef;

    fn key(byte: u8) -> KeyBuf {
        KeyBuf::from(KeyRef::new(KeyspaceId(0), &[byte]))
    }

    proptest! {
        #[test]
        fn each_key_is_in_one_fragment_with_all_its_clears(
            clears in prop::collection::vec((0u8..60, 0u8..60, 1u64..6), 0..40),
        ) {
            let stamp = |version| Stamp { version: Version(version), order: 0 };
            let fragments = fragmented(clears.iter().map(|&(begin, end, version)| {
                (Arc::new(key(begin)), Arc::new(key(end)), stamp(version))
            }));
            for pair in fragments.windows(2) {
                prop_assert!(pair[0].end <= pair[1].begin);
            }
            for byte in 0..60 {
                let mut expected: Vec<Stamp> = clears
                    .iter()
                    .filter(|(begin, end, _)| (*begin..*end).contains(&byte))
                    .map(|&(_, _, version)| stamp(version))
                    .collect();
                expected.sort_unstable_by(|one, other| other.cmp(one));
                expected.dedup();
                let here: Vec<_> = fragments
                    .iter()
                    .filter(|fragment| fragment.begin <= key(byte) && key(byte) < fragment.end)
                    .collect();
                prop_assert!(here.len() <= 1);
                let found = here.first().map(|fragment| fragment.stamps.clone());
                prop_assert_eq!(found.unwrap_or_default(), expected);
            }
        }
    }
}
