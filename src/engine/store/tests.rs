//! The store against a model that keeps every version of every key in a plain map.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use plinth_protocol::{ConflictRange, KeyRange, KeySelector, KeyspaceId};
use proptest::prelude::*;

use super::*;
use crate::engine::{key::KeyBuf, layer::EntryStream, read_error::ReadError};

const SPACE: KeyspaceId = KeyspaceId::DEFAULT;
const END: &[u8] = &[0xFF];

fn set(key: &[u8], value: &[u8]) -> Write {
    Write::Set {
        keyspace: SPACE,
        key: Bytes::copy_from_slice(key),
        value: Bytes::copy_from_slice(value),
    }
}

fn clear(key: &[u8]) -> Write {
    Write::Clear { keyspace: SPACE, key: Bytes::copy_from_slice(key) }
}

fn clear_range(begin: &[u8], end: &[u8]) -> Write {
    Write::ClearRange {
        keyspace: SPACE,
        begin: Bytes::copy_from_slice(begin),
        end: Bytes::copy_from_slice(end),
    }
}

type Rows = Vec<(Vec<u8>, Vec<u8>, u64)>;

fn rows(
    reader: &Reader,
    keyspace: KeyspaceId,
    range: &KeyRange,
    version: u64,
    reverse: bool,
) -> Result<Rows, ReadError> {
    let mut rows = Vec::new();
    reader.scan(keyspace, range, Version(version), reverse, &mut |key, found| {
        rows.push((key.to_vec(), found.value.to_vec(), found.version.0));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

fn all_rows(reader: &Reader, version: u64) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let rows = rows(reader, SPACE, &KeyRange::new("", END), version, false).unwrap();
    rows.into_iter().map(|(key, value, _)| (text(key), text(value))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) fn finish(writer: &mut StoreWriter) {
    let mut turns = 0;
    while writer.maintain() {
        turns += 1;
        assert!(turns < 100_000, "collection comes to an end");
    }
}

type ModelVersion = (u64, Option<Vec<u8>>);

/// Every version that a key ever had, newest last.
#[derive(Default)]
pub(super) struct Model {
    keys: BTreeMap<(u32, Vec<u8>), Vec<ModelVersion>>,
    /// Everything that was written, and when.
    pub(super) history: Vec<(u64, Write)>,
}

impl Model {
    pub(super) fn apply(&mut self, version: u64, writes: &[Write]) {
        for write in writes {
            self.history.push((version, write.clone()));
            match write {
                Write::Set { keyspace, key, value } => {
                    let versions = self.keys.entry((keyspace.0, key.to_vec())).or_default();
                    versions.push((version, Some(value.to_vec())));
                }
                Write::Clear { keyspace, key } => {
                    let versions = self.keys.entry((keyspace.0, key.to_vec())).or_default();
                    versions.push((version, None));
                }
                Write::ClearRange { keyspace, begin, end } => {
                    for ((space, key), versions) in &mut self.keys {
                        if *space == keyspace.0 && begin.as_ref() <= &key[..] && &key[..] < end {
                            versions.push((version, None));
                        }
                    }
                }
            }
        }
    }

    fn rows(&self, keyspace: u32, range: &KeyRange, version: u64) -> Rows {
        let mut rows = Vec::new();
        for ((space, key), versions) in &self.keys {
            let newest = versions.iter().rev().find(|(written, _)| *written <= version);
            if let Some((written, Some(value))) = newest
                && *space == keyspace
                && range.contains(key)
            {
                rows.push((key.clone(), value.clone(), *written));
            }
        }
        rows
    }

    fn get_key(&self, keyspace: u32, selector: &KeySelector, end: &[u8], version: u64) -> Vec<u8> {
        let all = KeyRange::new("", Bytes::copy_from_slice(end));
        let keys: Vec<_> =
            self.rows(keyspace, &all, version).into_iter().map(|row| row.0).collect();
        let before = keys
            .iter()
            .filter(|key| {
                key[..] < selector.key[..] || selector.or_equal && key[..] == selector.key[..]
            })
            .count();
        let wanted = i64::try_from(before).unwrap() - 1 + i64::from(selector.offset);
        match usize::try_from(wanted) {
            Err(_) => Vec::new(),
            Ok(wanted) => keys.get(wanted).cloned().unwrap_or_else(|| end.to_vec()),
        }
    }

    /// Whether a row of the range differs, or was set to the same again, at some version after
    /// `since`.
    fn changed_since(&self, keyspace: u32, range: &KeyRange, since: u64) -> bool {
        self.keys.iter().any(|((space, key), versions)| {
            let by_version: BTreeMap<u64, bool> =
                versions.iter().map(|(written, value)| (*written, value.is_some())).collect();
            let mut is_set = by_version.range(..=since).next_back().is_some_and(|(_, set)| *set);
            *space == keyspace
                && range.contains(key)
                && by_version.range(since + 1..).any(|(_, &set)| {
                    let is_change = is_set || set;
                    is_set = set;
                    is_change
                })
        })
    }

    /// Whether anything at all was written to the range after `since`.
    fn touched_since(&self, space: u32, range: &KeyRange, since: u64) -> bool {
        let mut later = self.history.iter().filter(|(written, _)| *written > since);
        later.any(|(_, write)| match write {
            Write::Set { keyspace, key, .. } | Write::Clear { keyspace, key } => {
                keyspace.0 == space && range.contains(key)
            }
            Write::ClearRange { keyspace, begin, end } => {
                keyspace.0 == space && begin < end && *begin < range.end && range.begin < *end
            }
        })
    }
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Write>, u64),
    Horizon(u64),
    Maintain,
    Rotate,
    Check(Check),
}

/// What of a range is read, at a version that is so far back.
#[derive(Clone, Debug)]
pub(super) struct Check {
    keyspace: u32,
    ends: (Vec<u8>, Vec<u8>),
    selector: KeySelector,
    back: u64,
}

impl Check {
    /// Reads in every way, and compares with the model.
    pub(super) fn run(
        self,
        store: &Store,
        model: &Model,
        newest: u64,
    ) -> Result<(), TestCaseError> {
        let Self { keyspace, ends, selector, back } = self;
        let reader = store.reader();
        let (space, at) = (KeyspaceId(keyspace), newest.saturating_sub(back));
        let range = KeyRange::new(ends.0, ends.1);
        let found = rows(&reader, space, &range, at, false);
        if Version(at) < store.horizon() {
            let too_old = ReadError::TooOld { version: Version(at), horizon: store.horizon() };
            prop_assert_eq!(found, Err(too_old));
            return Ok(());
        }
        let mut expected = model.rows(keyspace, &range, at);
        prop_assert_eq!(found.unwrap(), expected.clone());
        for (key, value, written) in &expected {
            let found = reader.get(space, key, Version(at)).unwrap().unwrap();
            prop_assert_eq!((found.value, found.version.0), (&value[..], *written));
        }
        Self::run_together(&reader, space, model, &expected, newest, store.horizon())?;
        expected.reverse();
        prop_assert_eq!(rows(&reader, space, &range, at, true).unwrap(), expected);
        let point = reader.get(space, &range.begin, Version(at)).unwrap();
        let expected = model.rows(keyspace, &KeyRange::point(&range.begin), at);
        prop_assert_eq!(point.map(|found| found.value), expected.first().map(|row| &row.1[..]));
        let end = &range.end;
        let resolved = reader.get_key(space, &selector, end, Version(at)).unwrap();
        let expected = model.get_key(keyspace, &selector, end, at);
        prop_assert_eq!(&resolved[..], &expected[..]);
        for conflict in [ConflictRange::Key(range.begin.clone()), ConflictRange::Range(range)] {
            let written = reader.written_since(space, &conflict, Version(at)).unwrap();
            let range = conflict.to_range();
            if model.changed_since(keyspace, &range, at) {
                prop_assert!(written);
            }
            if written {
                prop_assert!(model.touched_since(keyspace, &range, at));
            }
        }
        Ok(())
    }

    /// Reads keys side by side, there and not there, each at the newest version and at the horizon
    /// and one below it, and compares with reads of one key.
    fn run_together(
        reader: &Reader,
        space: KeyspaceId,
        model: &Model,
        rows: &Rows,
        newest: u64,
        horizon: Version,
    ) -> Result<(), TestCaseError> {
        let written =
            model.keys.keys().map(|(_, key)| key.clone()).step_by(model.keys.len() / 9 + 1);
        let absent = rows.iter().take(4).map(|(key, ..)| [&key[..], b"?"].concat());
        let keys: Vec<Vec<u8>> = written.chain(absent).collect();
        let versions = [newest, horizon.0, horizon.0.saturating_sub(1)];
        let reads: Vec<PointRead<'_>> = keys
            .iter()
            .flat_map(|key| {
                versions.map(|at| PointRead { keyspace: space, key, version: Version(at) })
            })
            .collect();
        let mut found = Vec::new();
        let flow = reader.get_together(
            &reads,
            |read| *read,
            |read, value| {
                found.push((*read, value.map(|value| value.map(|value| value.value.to_vec()))));
                ControlFlow::Continue(())
            },
        );
        prop_assert_eq!(flow, ControlFlow::Continue(()));
        let alone = reads.iter().map(|read| {
            let value = reader.get(space, read.key, read.version);
            (*read, value.map(|value| value.map(|value| value.value.to_vec())))
        });
        prop_assert_eq!(found, alone.collect::<Vec<_>>());
        Ok(())
    }
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0u16..300).prop_map(|key| key.to_be_bytes().to_vec()),
        1 => prop::collection::vec(0u8..3, 0..3),
    ]
}

pub(super) fn any_write() -> impl Strategy<Value = Write> {
    let space = (0u32..2).prop_map(KeyspaceId);
    prop_oneof![
        6 => (space.clone(), any_key(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(
            |(keyspace, key, value)| Write::Set { keyspace, key: key.into(), value: value.into() }
        ),
        2 => (space.clone(), any_key())
            .prop_map(|(keyspace, key)| Write::Clear { keyspace, key: key.into() }),
        1 => (space, any_key(), any_key()).prop_map(|(keyspace, begin, end)| Write::ClearRange {
            keyspace,
            begin: begin.into(),
            end: end.into()
        }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let writes = prop_oneof![
        3 => prop::collection::vec(any_write(), 1..8),
        1 => prop::collection::vec(any_write(), 50..150),
    ];
    prop_oneof![
        4 => (writes, 0u64..3).prop_map(|(writes, step)| Step::Apply(writes, step)),
        1 => (0u64..20).prop_map(Step::Horizon),
        1 => Just(Step::Maintain),
        1 => Just(Step::Rotate),
        3 => any_check().prop_map(Step::Check),
    ]
}

pub(super) fn any_check() -> impl Strategy<Value = Check> {
    let check = (0u32..2, any_key(), any_key(), any_key(), any::<bool>(), -5i32..6, 0u64..60);
    check.prop_map(|(keyspace, begin, end, key, or_equal, offset, back)| Check {
        keyspace,
        ends: (begin, end),
        selector: KeySelector { key: key.into(), or_equal, offset },
        back,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100_000, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn the_store_is_its_model(steps in prop::collection::vec(any_step(), 1..60)) {
        let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
        let mut model = Model::default();
        let (mut version, mut order) = (1, 0);
        let mut is_rotated = false;
        for step in steps {
            match step {
                Step::Apply(writes, ahead) => {
                    order = if ahead == 0 { order + 1 } else { 0 };
                    version += ahead;
                    writer.apply(Version(version), order, &writes);
                    model.apply(version, &writes);
                }
                Step::Horizon(behind) => {
                    writer.set_horizon(Version(version.saturating_sub(behind)));
                }
                Step::Maintain => {
                    writer.maintain();
                }
                Step::Rotate => {
                    is_rotated |= writer.rotate();
                    version += 1;
                    order = 0;
                }
                Step::Check(check) => check.run(&store, &model, version)?,
            }
        }
        // In the end all is dropped that no read can see, and what is left is counted right.
        writer.set_horizon(Version(version));
        finish(&mut writer);
        let reader = store.reader();
        let mut expected = StoreStats::default();
        let everything = KeyRange::new("", END);
        for keyspace in 0..2 {
            let rows_left = model.rows(keyspace, &everything, version);
            let found = rows(&reader, KeyspaceId(keyspace), &everything, version, false).unwrap();
            prop_assert_eq!(&found, &rows_left);
            expected.keys += rows_left.len() as u64;
            expected.entries += rows_left.len() as u64;
        }
        let stats = store.stats();
        if !is_rotated {
            prop_assert_eq!(stats, StoreStats { bytes: stats.bytes, ..expected });
        }
    }
}

#[test]
fn every_version_at_or_above_the_horizon_sees_its_own_rows() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    writer.apply(Version(10), 0, &[set(b"a", b"1"), set(b"b", b"1")]);
    writer.apply(Version(20), 0, &[set(b"a", b"2"), clear_range(b"b", b"c")]);
    writer.apply(Version(30), 0, &[clear_range(b"a", b"z"), set(b"c", b"3")]);
    let reader = store.reader();
    assert_eq!(all_rows(&reader, 9), []);
    assert_eq!(all_rows(&reader, 10), pairs(&[("a", "1"), ("b", "1")]));
    assert_eq!(all_rows(&reader, 29), pairs(&[("a", "2")]));
    assert_eq!(all_rows(&reader, 30), pairs(&[("c", "3")]));
    writer.set_horizon(Version(20));
    finish(&mut writer);
    assert_eq!(
        reader.get(SPACE, b"a", Version(19)),
        Err(ReadError::TooOld { version: Version(19), horizon: Version(20) })
    );
    assert_eq!(all_rows(&reader, 20), pairs(&[("a", "2")]));
}

#[test]
fn the_last_write_of_a_transaction_wins() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    let filler: Vec<Write> = (0..100u8).map(|key| set(&[b'b', key], b"0")).collect();
    writer.apply(Version(5), 0, &filler);
    let wide = clear_range(b"a", b"c");
    writer.apply(Version(10), 0, &[set(b"a", b"1"), set(b"b", b"1"), wide, set(b"b", b"2")]);
    assert_eq!(all_rows(&store.reader(), 10), pairs(&[("b", "2")]));
    writer.apply(Version(10), 1, &[set(b"a", b"3"), set(b"a", b"4"), clear(b"b")]);
    assert_eq!(all_rows(&store.reader(), 10), pairs(&[("a", "4")]));
}

#[test]
fn overwriting_one_key_does_not_grow_memory() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    let mut bytes_most = 0;
    for version in 1..200_000u64 {
        writer.apply(Version(version), 0, &[set(b"key", &version.to_be_bytes())]);
        writer.set_horizon(Version(version.saturating_sub(100)));
        bytes_most = bytes_most.max(store.stats().bytes);
    }
    assert!(bytes_most < 8 << 10, "{bytes_most} bytes at the most");
    assert!(store.stats().entries < 110, "{:?}", store.stats());
}

#[test]
fn a_queue_does_not_grow_memory_nor_slow_down_who_looks_for_its_head() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    for at in 0..50_000u32 {
        let (version, tail) = (Version(u64::from(at) + 1), at.to_be_bytes());
        writer.apply(version, 0, &[set(&tail, b"item")]);
        if let Some(head) = at.checked_sub(10) {
            writer.apply(version, 1, &[clear(&head.to_be_bytes())]);
        }
        writer.set_horizon(version.saturating_sub(1000));
    }
    let stats = store.stats();
    assert!(stats.keys < 1100, "{stats:?}");
    assert_eq!(all_keys(&store.reader(), 50_000).len(), 10);
}

fn all_keys(reader: &Reader, version: u64) -> Vec<Vec<u8>> {
    let rows = rows(reader, SPACE, &KeyRange::new("", END), version, false).unwrap();
    rows.into_iter().map(|row| row.0).collect()
}

#[test]
fn what_a_wide_range_clear_covered_is_swept_out() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    let keys: Vec<Write> = (0..20_000u32).map(|key| set(&key.to_be_bytes(), b"value")).collect();
    writer.apply(Version(1), 0, &keys);
    for version in 2..50 {
        writer.apply(Version(version), 0, &[clear_range(b"", END)]);
    }
    writer.apply(Version(50), 0, &[set(&[0, 0, 9], b"kept")]);
    assert_eq!(store.stats().range_tombstones, 1);
    assert_eq!(all_keys(&store.reader(), 1).len(), 20_000);
    assert_eq!(all_keys(&store.reader(), 2).len(), 0);
    writer.set_horizon(Version(50));
    finish(&mut writer);
    let stats = store.stats();
    assert_eq!((stats.keys, stats.entries, stats.range_tombstones), (1, 1, 0));
    assert_eq!(all_keys(&store.reader(), 50), [[0, 0, 9]]);
}

#[test]
fn sizes_are_about_right_and_pieces_cover_the_range() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    let keys: Vec<Write> = (0..10_000u32).map(|key| set(&key.to_be_bytes(), &[7; 96])).collect();
    writer.apply(Version(1), 0, &keys);
    let reader = store.reader();
    let range = KeyRange::new(1000u32.to_be_bytes().to_vec(), 9000u32.to_be_bytes().to_vec());
    let size = reader.estimate_size(SPACE, &range).unwrap();
    assert!((760_000..840_000).contains(&size), "{size}");
    let points = reader.split_points(SPACE, &range, 100_000).unwrap();
    assert!((7..=10).contains(&points.len()), "{}", points.len());
    assert!(points.is_sorted());
    assert_eq!((points.first(), points.last()), (Some(&range.begin), Some(&range.end)));
    let all = KeyRange::new("", END);
    writer.apply(Version(2), 0, &[clear_range(b"", END)]);
    assert_eq!(store.reader().estimate_size(SPACE, &all), Ok(0));
}

/// Readers that check what they see, against a writer that keeps an invariant: at every version all
/// keys have the same value, or are all gone.
#[test]
fn readers_see_whole_versions_while_the_writer_writes_and_drops() {
    const KEYS: u16 = 300;
    const VERSIONS: u64 = 3000;
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    let published = AtomicU64::new(0);
    let is_done = AtomicBool::new(false);
    let key = |at: u16| (at % KEYS).to_be_bytes();
    std::thread::scope(|scope| {
        for reverse in [false, true] {
            let (store, published, is_done) = (store.clone(), &published, &is_done);
            scope.spawn(move || {
                let (mut checked, mut old) = (0, 0);
                while !is_done.load(Ordering::Acquire) || checked == 0 {
                    let reader = store.reader();
                    for back in [0, 1, 7, 19] {
                        let version = published.load(Ordering::Acquire).saturating_sub(back);
                        let all = KeyRange::new("", END);
                        let Ok(mut rows) = rows(&reader, SPACE, &all, version, reverse) else {
                            old += 1;
                            continue;
                        };
                        if reverse {
                            rows.reverse();
                        }
                        assert!(rows.is_sorted());
                        let expected = expected_value(version);
                        let len = expected.map_or(0, |_| usize::from(KEYS));
                        assert_eq!(rows.len(), len, "at {version}");
                        assert!(
                            rows.iter()
                                .all(|row| Some(&row.1[..]) == expected.as_ref().map(|v| &v[..]))
                        );
                        let Ok(found) = reader.get(SPACE, &key(checked), Version(version)) else {
                            continue;
                        };
                        assert_eq!(
                            found.map(|found| found.value.to_vec()),
                            expected.map(Into::into)
                        );
                        checked = checked.wrapping_add(1).max(1);
                    }
                }
                assert!(old < u64::MAX);
            });
        }
        for version in 1..=VERSIONS {
            let mut changes = Vec::new();
            match (version % 10, expected_value(version)) {
                (_, Some(value)) => changes.extend((0..KEYS).map(|at| set(&key(at), &value))),
                (5, None) => changes.push(clear_range(b"", END)),
                (_, None) => changes.extend((0..KEYS).map(|at| clear(&key(at)))),
            }
            writer.apply(Version(version), 0, &changes);
            published.store(version, Ordering::Release);
            writer.set_horizon(Version(version.saturating_sub(10)));
            writer.maintain();
        }
        is_done.store(true, Ordering::Release);
    });
}

/// What all keys have at a version of the test above.
fn expected_value(version: u64) -> Option<[u8; 8]> {
    (version > 0 && !matches!(version % 10, 3 | 5 | 6)).then(|| version.to_be_bytes())
}

/// Everything that the oldest frozen memtable holds, as a read at `version` would see it alone.
fn rows_in_frozen(store: &Store, version: u64) -> Vec<(String, String)> {
    let frozen = store.oldest_frozen().unwrap();
    let contents = frozen.contents();
    let tombstones = contents.tombstones();
    let mut entries = contents.entries();
    let mut newest = BTreeMap::new();
    let mut before = None;
    while let Some(entry) = entries.head() {
        let place = (KeyBuf::from(entry.key), Reverse(entry.stamp));
        assert!(before < Some(place.clone()), "keys ascend, and versions of a key descend");
        let hidden = tombstones.iter().any(|tombstone| {
            let mut stamps = tombstone.stamps.iter().filter(|stamp| stamp.version.0 <= version);
            tombstone.begin <= place.0
                && place.0 < tombstone.end
                && stamps.any(|s| *s > entry.stamp)
        });
        if entry.stamp.version.0 <= version && !hidden {
            let key = String::from_utf8(entry.key.key.to_vec()).unwrap();
            let value = entry.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
            newest.entry(key).or_insert(value);
        }
        before = Some(place);
        entries.advance().unwrap();
    }
    newest.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

#[test]
fn what_is_frozen_can_be_read_as_a_whole_and_below_what_is_written_later() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    assert!(!writer.rotate(), "there is nothing to freeze");
    let filler: Vec<Write> = (0..100u8).map(|key| set(&[b'b', key / 2], b"0")).collect();
    writer.apply(Version(1), 0, &filler);
    writer.apply(Version(2), 0, &[clear_range(b"b", b"c"), set(b"a", b"1"), set(b"d", b"1")]);
    writer.apply(Version(3), 0, &[set(b"b", b"2"), clear(b"d")]);
    assert!(writer.rotate());
    assert_eq!((store.frozen_len(), store.oldest_frozen().unwrap().last()), (1, Version(3)));
    assert_eq!(store.oldest_frozen().unwrap().contents().tombstones().len(), 1);
    writer.apply(Version(4), 0, &[clear(b"a"), set(b"d", b"3"), clear_range(b"b", b"c")]);
    for (version, frozen, all) in [
        (2, &[("a", "1"), ("d", "1")][..], &[("a", "1"), ("d", "1")][..]),
        (3, &[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "2")]),
        (4, &[("a", "1"), ("b", "2")], &[("d", "3")]),
    ] {
        assert_eq!(rows_in_frozen(&store, version), pairs(frozen), "{version}");
        assert_eq!(all_rows(&store.reader(), version), pairs(all), "{version}");
    }
}

#[test]
fn a_queue_above_others_leaves_one_range_tombstone_and_no_keys() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    let old: Vec<Write> = (0..20_000u32).map(|at| set(&at.to_be_bytes(), b"old")).collect();
    writer.apply(Version(1), 0, &old);
    writer.rotate();
    for at in 0..20_000u32 {
        let version = Version(u64::from(at) + 2);
        writer.apply(version, 0, &[clear_range(&at.to_be_bytes(), &(at + 1).to_be_bytes())]);
        writer.set_horizon(version.saturating_sub(100));
    }
    assert_eq!(all_keys(&store.reader(), 20_000).len(), 1);
    writer.set_horizon(Version(20_001));
    finish(&mut writer);
    let stats = store.stats();
    assert_eq!((stats.keys, stats.range_tombstones), (0, 1), "{stats:?}");
    assert!(stats.bytes < 1 << 20, "{stats:?}");
    assert_eq!(all_keys(&store.reader(), 20_001).len(), 0);
}

#[test]
fn a_scan_over_much_that_is_gone_stops_in_between_and_can_go_on() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    let keys = || (0..30_000u32).map(u32::to_be_bytes);
    writer.apply(Version(1), 0, &keys().map(|key| set(&key, b"1")).collect::<Vec<_>>());
    for is_layered in [false, true] {
        if is_layered {
            writer.rotate();
        }
        let clears: Vec<Write> = keys().map(|key| clear(&key)).collect();
        writer.apply(Version(2 + u64::from(is_layered)), 0, &clears);
        for reverse in [false, true] {
            let reader = store.reader();
            let mut left = Some(KeyRange::new("", END));
            let mut turns = 0;
            while let Some(range) = left {
                let visit = &mut |_: &[u8], _: Found<'_>| panic!("nothing is there");
                let version = Version(2 + u64::from(is_layered));
                left = reader.scan_some(SPACE, &range, version, reverse, visit).unwrap();
                turns += 1;
            }
            assert!(is_layered == (turns > 1), "{turns} turns");
        }
    }
}

#[test]
fn what_takes_long_is_cold_for_who_does_not_wait() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    let keys: Vec<_> = (0..30_000u32).map(u32::to_be_bytes).collect();
    let rows: Vec<Write> = keys.iter().map(|key| set(key, b"1")).collect();
    writer.apply(Version(1), 0, &rows);
    let far = |offset| KeySelector { key: Bytes::new(), or_equal: false, offset };
    let get_key = |patience, offset| {
        store.reader_with(patience).get_key(SPACE, &far(offset), END, Version(1))
    };
    assert_eq!(get_key(Patience::DontWait, 100).unwrap(), keys[99][..]);
    assert_eq!(get_key(Patience::DontWait, 25_000), Err(ReadError::Cold));
    assert_eq!(get_key(Patience::Wait, 25_000).unwrap(), keys[24_999][..]);
    writer.rotate();
    let clears: Vec<Write> = keys.iter().take(29_999).map(|key| clear(key)).collect();
    writer.apply(Version(2), 0, &clears);
    let first = |patience| {
        let reader = store.reader_with(patience);
        let mut first = None;
        let all = KeyRange::new("", END);
        reader.scan(SPACE, &all, Version(2), false, &mut |key, _| {
            first = Some(key.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(first)
    };
    assert_eq!(first(Patience::DontWait), Err(ReadError::Cold));
    assert_eq!(first(Patience::Wait), Ok(Some(keys[29_999].to_vec())));
}
