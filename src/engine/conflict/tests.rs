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
        let mut index = ConflictIndex::new(Version::ZERO, 1);
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
        index.expire(Version(version));
        prop_assert_eq!(index.writes(), 0);
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
            let mut index = ConflictIndex::new(Version::ZERO, 1);
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
    const WINDOW: usize = 5_000;
    let mut index = ConflictIndex::new(Version::ZERO, 1);
    let mut most = 0;
    for version in 1..40_000u64 {
        // Scattered, and never the same again; wide ones now and then.
        let key = version.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().to_vec();
        let range = if version % 1000 == 0 {
            ConflictRange::Range(KeyRange::new(key, "\u{7f}"))
        } else {
            ConflictRange::Key(key.into())
        };
        index.insert(KeyspaceId::DEFAULT, &range, Version(version));
        index.expire(Version(version.saturating_sub(WINDOW as u64)));
        most = most.max(index.writes());
    }
    assert!((WINDOW..WINDOW + 60).contains(&most), "{most} writes");
}

#[test]
fn a_bucket_of_long_keys_ends_early() {
    let mut index = ConflictIndex::new(Version::ZERO, 1);
    for version in 1..=100u64 {
        // Twenty of these are a bucket's worth, of fifty short ones.
        let key = [vec![0; 200 << 10], vec![version as u8]].concat();
        let key = ConflictRange::Key(key.into());
        index.insert(KeyspaceId::DEFAULT, &key, Version(version));
    }
    index.expire(Version(90));
    assert!(index.writes() < 35, "{} writes", index.writes());
}
