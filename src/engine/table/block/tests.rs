//! A block gives back what was put in, and finds it.

use std::collections::BTreeMap;

use plinth_protocol::{KeyspaceId, Version};
use proptest::prelude::*;

use super::*;
use crate::engine::{
    key::KeyRef,
    layer::Entry,
    table::probe::{Probe, stored_key},
    visible::Stamp,
};

type Versions = BTreeMap<std::cmp::Reverse<(u64, u16)>, Option<Vec<u8>>>;
type Keys = BTreeMap<(u32, Vec<u8>), Versions>;

fn keys() -> impl Strategy<Value = Keys> {
    let key = prop_oneof![
        prop::collection::vec(0u8..3, 0..7),
        prop::collection::vec(0u8..2, 0..9).prop_map(|tail| [&b"in common"[..], &tail].concat()),
    ];
    let version = prop_oneof![0u64..4, 1u64 << 40..(1 << 40) + 3];
    let stamp = (version, prop_oneof![Just(0u16), 0u16..3]).prop_map(std::cmp::Reverse);
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let versions = prop::collection::btree_map(stamp, value, 1..5);
    prop::collection::btree_map((0u32..2, key), versions, 1..90)
}

fn borrow((keyspace, key): &(u32, Vec<u8>)) -> KeyRef<'_> {
    KeyRef::new(KeyspaceId(*keyspace), key)
}

fn stamp(stamp: &std::cmp::Reverse<(u64, u16)>) -> Stamp {
    Stamp { version: Version(stamp.0.0), order: stamp.0.1 }
}

/// A block of all keys.
fn block(keys: &Keys) -> Vec<u8> {
    let mut builder = BlockBuilder::new(usize::MAX);
    for (key, versions) in keys {
        for (at, (when, value)) in versions.iter().enumerate() {
            let entry = Entry { key: borrow(key), stamp: stamp(when), value: value.as_deref() };
            assert!(if at == 0 { builder.add_key(entry) } else { builder.add_version(entry) });
        }
    }
    let mut bytes = vec![];
    builder.write(&mut bytes);
    assert_eq!(builder.bytes(), 0, "the next block begins");
    bytes
}

proptest! {
    #[test]
    fn a_block_gives_back_what_was_put_in(keys in keys()) {
        let bytes = block(&keys);
        let view = BlockView::read(&bytes).unwrap();
        prop_assert_eq!(view.keys(), keys.len());
        let mut buffer = vec![];
        for (at, (key, versions)) in keys.iter().enumerate() {
            let mut place = view.key(at, &mut buffer);
            prop_assert_eq!(stored_key(&buffer), Some(borrow(key)));
            prop_assert_eq!(view.newest(at), place);
            for (when, value) in versions {
                let found = view.version(place.unwrap()).unwrap();
                prop_assert_eq!(found.stamp, stamp(when));
                prop_assert_eq!(found.value.map(|range| &bytes[range]), value.as_deref());
                place = found.older;
            }
            prop_assert_eq!(place, None);
        }
    }

    #[test]
    fn a_block_finds_keys_and_versions(
        keys in keys(),
        others in keys(),
        version in prop_oneof![0u64..4, 1u64 << 40..(1 << 40) + 3],
    ) {
        let bytes = block(&keys);
        let view = BlockView::read(&bytes).unwrap();
        for probe in keys.keys().chain(others.keys()) {
            let (at, newest) = view.find(Probe::new(borrow(probe))).unwrap();
            prop_assert_eq!(at, keys.range(..probe.clone()).count());
            let Some(versions) = keys.get(probe) else {
                prop_assert_eq!(newest, None);
                continue;
            };
            let seen = view.version_at(newest.unwrap(), Version(version)).unwrap();
            let expected = versions.iter().find(|(when, _)| when.0.0 <= version);
            prop_assert_eq!(
                seen.map(|seen| (seen.stamp, seen.value.map(|range| bytes[range].to_vec()))),
                expected.map(|(when, value)| (stamp(when), value.clone()))
            );
        }
    }

    #[test]
    fn a_block_of_any_bytes_does_not_panic(
        keys in keys(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = block(&keys);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let Some(view) = BlockView::read(&bytes) else { return Ok(()) };
        let mut buffer = vec![];
        for at in 0..view.keys() {
            if let Some(newest) = view.key(at, &mut buffer) {
                _ = view.version_at(newest, Version::ZERO);
            }
        }
        for probe in keys.keys() {
            view.find(Probe::new(borrow(probe)));
        }
    }
}

#[test]
fn a_full_block_takes_nothing_more() {
    let mut builder = BlockBuilder::new(100);
    let value = [7; 300];
    let entry = |key: &'static [u8], version| Entry {
        key: KeyRef::new(KeyspaceId(0), key),
        stamp: Stamp { version: Version(version), order: 0 },
        value: Some(&value),
    };
    assert!(builder.add_key(entry(b"a", 5)), "a block takes one entry, however large");
    assert!(!builder.add_version(entry(b"a", 4)));
    assert!(!builder.add_key(entry(b"b", 6)));
    let mut bytes = vec![];
    builder.write(&mut bytes);
    assert_eq!(BlockView::read(&bytes).unwrap().keys(), 1);
    let small = |key: &'static [u8]| Entry { value: Some(b"value"), ..entry(key, 5) };
    let keys: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
    let taken = keys.iter().take_while(|key| builder.add_key(small(key))).count();
    assert!(taken < keys.len() && taken > 1);
    bytes.clear();
    builder.write(&mut bytes);
    assert!(bytes.len() <= 100, "{}", bytes.len());
}
