//! The index against a list of all writes ever made.

use bytes::Bytes;
use plinth_protocol::KeyRange;
use proptest::prelude::*;

use super::*;

/// Every write, newest last.
#[derive(Default)]
struct Twin {
    writes: Vec<(KeyspaceId, KeyRange, Version)>,
}

impl Twin {
    fn insert(&mut self, keyspace: KeyspaceId, range: &ConflictRange, version: Version) {
        self.writes.push((keyspace, range.to_range(), version));
    }

    fn check(&self, keyspace: KeyspaceId, range: &ConflictRange, since: Version) -> bool {
        let range = range.to_range();
        self.writes.iter().any(|(written_keyspace, written, version)| {
            *version > since
                && *written_keyspace == keyspace
                && written.begin.clone().max(range.begin.clone())
                    < written.end.clone().min(range.end.clone())
        })
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(KeyspaceId, ConflictRange, u64),
    Check(KeyspaceId, ConflictRange, u64),
    Expire(u64),
}

fn any_key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        3 => (0u16..400).prop_map(|key| key.to_be_bytes().to_vec()),
        1 => prop::collection::vec(0u8..2, 0..5),
    ]
    .prop_map(Bytes::from)
}

fn any_range() -> impl Strategy<Value = ConflictRange> {
    prop_oneof![
        3 => any_key().prop_map(ConflictRange::Key),
        1 => (any_key(), any_key())
            .prop_map(|(begin, end)| ConflictRange::Range(KeyRange { begin, end })),
        1 => any_key().prop_map(|key| ConflictRange::Range(KeyRange::point(&key))),
        1 => (0u16..400, 1u16..20).prop_map(|(begin, len)| ConflictRange::Range(KeyRange::new(
            begin.to_be_bytes().to_vec(),
            (begin + len).to_be_bytes().to_vec(),
        ))),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let keyspace = (0u32..2).prop_map(KeyspaceId);
    prop_oneof![
        6 => (keyspace.clone(), any_range(), 0u64..3)
            .prop_map(|(keyspace, range, step)| Operation::Insert(keyspace, range, step)),
        4 => (keyspace, any_range(), 0u64..300)
            .prop_map(|(keyspace, range, back)| Operation::Check(keyspace, range, back)),
        1 => (0u64..250).prop_map(Operation::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_index_knows_what_a_list_of_all_writes_knows(
        operations in prop::collection::vec(any_operation(), 1..1500),
    ) {
        let mut index = ConflictIndex::new(Version::ZERO);
        let mut twin = Twin::default();
        let mut version = 0;
        for operation in operations {
            match operation {
                Operation::Insert(keyspace, range, step) => {
                    version += step;
                    index.insert(keyspace, &range, Version(version));
                    twin.insert(keyspace, &range, Version(version));
                }
                Operation::Check(keyspace, range, back) => {
                    let since = Version(version.saturating_sub(back));
                    let expected = since < index.oldest() || twin.check(keyspace, &range, since);
                    prop_assert_eq!(index.check(keyspace, &range, since), expected);
                }
                Operation::Expire(back) => index.expire(Version(version.saturating_sub(back))),
            }
        }
        // However it came about, what is past is forgotten.
        let steps = index.stats().steps;
        index.oldest = Version(version);
        for _ in 0..10 + steps {
            index.expire(Version(version));
        }
        prop_assert_eq!(index.stats().steps, 0);
    }
}

/// Every history of two writes and every read, over the keys that fit into three letters' room.
#[test]
fn every_small_history_is_judged_right() {
    let keys = ["", "a", "a\0", "b", "b\0", "c"].map(Bytes::from);
    let mut ranges: Vec<ConflictRange> = keys.iter().cloned().map(ConflictRange::Key).collect();
    for (at, begin) in keys.iter().enumerate() {
        for end in keys.iter().skip(at) {
            ranges.push(ConflictRange::Range(KeyRange::new(begin.clone(), end.clone())));
        }
    }
    let space = KeyspaceId::DEFAULT;
    for first in &ranges {
        for second in &ranges {
            let mut index = ConflictIndex::new(Version::ZERO);
            let mut twin = Twin::default();
            for (range, version) in [(first, Version(1)), (second, Version(2))] {
                index.insert(space, range, version);
                twin.insert(space, range, version);
            }
            for oldest in [0, 1] {
                index.expire(Version(oldest));
                for read in &ranges {
                    for since in (oldest..=2).map(Version) {
                        assert_eq!(
                            index.check(space, read, since),
                            twin.check(space, read, since),
                            "{first:?}, then {second:?}, read {read:?} at {since}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn memory_is_bounded_by_the_writes_of_the_window() {
    const WINDOW: u64 = 5000;
    let mut index = ConflictIndex::new(Version::ZERO);
    let mut steps_most = 0;
    for version in 1..100_000u64 {
        // Scattered, and never the same again.
        let key = version.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().to_vec();
        index.insert(KeyspaceId::DEFAULT, &ConflictRange::Key(key.into()), Version(version));
        index.expire(Version(version.saturating_sub(WINDOW)));
        if version % 1000 == 0 {
            steps_most = steps_most.max(index.stats().steps as u64);
        }
    }
    assert!(steps_most < WINDOW * 3 / 2, "{steps_most} steps");
}

#[test]
fn a_wide_write_takes_the_place_of_all_within() {
    let mut index = ConflictIndex::new(Version::ZERO);
    for key in 0..10_000u32 {
        let key = ConflictRange::Key(key.to_be_bytes().to_vec().into());
        index.insert(KeyspaceId::DEFAULT, &key, Version(1));
    }
    let all = ConflictRange::Range(KeyRange::new("", "\u{7f}"));
    index.insert(KeyspaceId::DEFAULT, &all, Version(2));
    for _ in 0..300 {
        index.expire(Version(0));
    }
    assert_eq!(index.stats().steps, 2);
}
