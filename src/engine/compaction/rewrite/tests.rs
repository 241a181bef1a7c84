//! Rewrites of random layers on the simulated disk, compared with a model of versions.

use std::sync::Arc;

use plinth_protocol::KeyspaceId;
use proptest::prelude::*;

use super::*;
use crate::{
    engine::{
        compaction::testing::Listed,
        layer::Lookup,
        table::{ReadIo, Table},
        visible::Stamp,
    },
    vfs::SimVfs,
};

const DIRECTORY: &str = "/tables";

fn key(byte: u8) -> KeyBuf {
    KeyRef::new(KeyspaceId(u32::from(byte / 8)), &[byte]).into()
}

/// What one layer knows.
#[derive(Clone, Debug, Default)]
struct Layer {
    entries: Vec<Listed>,
    tombstones: Vec<RangeTombstone>,
}

#[derive(Clone, Debug)]
enum Op {
    Set(u8, usize),
    Clear(u8),
    ClearRange(u8, u8),
}

const KEYS: u8 = 32;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..KEYS, 0usize..60).prop_map(|(key, len)| Op::Set(key, len)),
        2 => (0..KEYS).prop_map(Op::Clear),
        1 => (0..KEYS, 1..10u8)
            .prop_map(|(begin, len)| Op::ClearRange(begin, (begin + len).min(KEYS))),
    ]
}

/// The layers of these operations, one version each, newest layer first.
fn layers(ops: &[Vec<Op>]) -> (Vec<Layer>, u64) {
    let mut version = 0;
    let mut layers = Vec::new();
    for ops in ops {
        let mut layer = Layer::default();
        for op in ops {
            version += 1;
            let stamp = Stamp { version: Version(version), order: 0 };
            match op {
                Op::Set(byte, len) => {
                    let value = Some(vec![version as u8; *len]);
                    layer.entries.push(Listed { key: key(*byte), stamp, value });
                }
                Op::Clear(byte) => {
                    layer.entries.push(Listed { key: key(*byte), stamp, value: None });
                }
                Op::ClearRange(begin, end) => {
                    let (begin, end) = (key(*begin), key(*end));
                    let one = RangeTombstone { begin, end, stamps: vec![stamp] };
                    let before = std::mem::take(&mut layer.tombstones);
                    layer.tombstones = fragments::merge(vec![before, vec![one]], Version::ZERO);
                }
            }
        }
        layer.entries.sort_by(|a, b| a.key.cmp(&b.key).then(b.stamp.cmp(&a.stamp)));
        layers.insert(0, layer);
    }
    (layers, version)
}

/// What the layers know of a key at a version.
fn seen(layers: &[Layer], byte: u8, version: u64) -> Option<&[u8]> {
    let (key, version) = (key(byte), Version(version));
    let entries = layers.iter().flat_map(|layer| &layer.entries);
    let entry = entries
        .filter(|entry| entry.key == key && entry.stamp.version <= version)
        .max_by_key(|entry| entry.stamp)?;
    let tombstones = layers.iter().flat_map(|layer| &layer.tombstones);
    let over = tombstones.filter(|list| list.begin <= key && key < list.end);
    let mut stamps = over.flat_map(|list| &list.stamps);
    let is_hidden = stamps.any(|stamp| stamp.version <= version && *stamp > entry.stamp);
    entry.value.as_deref().filter(|_| !is_hidden)
}

fn input<'a>(
    layers: &'a [Layer],
    horizon: u64,
    is_last: &'a dyn Fn(KeyRef<'_>, KeyRef<'_>) -> bool,
    table_bytes_max: u64,
) -> RewriteInput<'a> {
    RewriteInput {
        streams: layers.iter().map(|layer| Listed::stream(&layer.entries)).collect(),
        tombstones: layers.iter().map(|layer| layer.tombstones.clone()).collect(),
        horizon: Version(horizon),
        is_last,
        table_bytes_max,
        neighbours: Neighbours::default(),
        options: TableOptions::default(),
    }
}

fn disk() -> Arc<SimVfs> {
    let vfs = Arc::new(SimVfs::new());
    vfs.create_directory(Path::new(DIRECTORY)).unwrap();
    vfs
}

/// Rewrites, and opens the tables.
fn rewritten(
    vfs: &SimVfs,
    input: RewriteInput<'_>,
) -> Result<Vec<(TableProperties, Table)>, RewriteError> {
    let mut number = 0;
    let mut next = || {
        number += 1;
        TableNumber(number)
    };
    let mut pace = |_| ControlFlow::Continue(());
    let tables = rewrite(vfs, Path::new(DIRECTORY), input, &mut next, &mut pace)?;
    let open = |properties: TableProperties| {
        let path = table_path(Path::new(DIRECTORY), properties.number);
        let table = Table::open(vfs, &path, properties.number).unwrap();
        assert_eq!(table.properties(), &properties);
        (properties, table)
    };
    Ok(tables.into_iter().map(open).collect())
}

fn get(tables: &[(TableProperties, Table)], byte: u8, version: u64) -> Option<Vec<u8>> {
    let key = key(byte);
    let io = ReadIo::waiting();
    let found: Vec<_> = tables
        .iter()
        .map(|(_, table)| table.get(key.as_ref(), Version(version), &io).unwrap())
        .filter(|lookup| *lookup != Lookup::Unknown)
        .collect();
    assert!(found.len() <= 1, "one table knows of a key: {found:?}");
    match found.first() {
        Some(Lookup::Value(value, _)) => Some(value.to_vec()),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_version_from_the_horizon_on_reads_the_same_from_the_tables(
        ops in prop::collection::vec(prop::collection::vec(op(), 1..60), 1..5),
        horizon_part in 0u64..=4,
        table_bytes_max in prop_oneof![Just(u64::MAX), Just(600u64), Just(1u64)],
        is_last in any::<bool>(),
    ) {
        let (layers, newest) = layers(&ops);
        let horizon = newest * horizon_part / 4;
        let vfs = disk();
        let is_last = |_: KeyRef<'_>, _: KeyRef<'_>| is_last;
        let tables = rewritten(&vfs, input(&layers, horizon, &is_last, table_bytes_max)).unwrap();
        for version in horizon..=newest {
            for byte in 0..KEYS {
                let expected = seen(&layers, byte, version).map(<[u8]>::to_vec);
                prop_assert_eq!(get(&tables, byte, version), expected, "{} at {}", byte, version);
            }
        }
        for pair in tables.windows(2) {
            prop_assert!(pair[0].0.end <= pair[1].0.begin);
        }
        if table_bytes_max == 1 {
            // Each key is alone, with all its versions.
            let keys: std::collections::BTreeSet<_> = layers
                .iter()
                .flat_map(|layer| &layer.entries)
                .map(|entry| &entry.key)
                .collect();
            let with_entries = tables.iter().filter(|(table, _)| table.entries > 0).count();
            prop_assert!(with_entries <= keys.len());
            for (properties, _) in &tables {
                prop_assert!(properties.entries - properties.superseded <= 1);
            }
        }
        if is_last(key(0).as_ref(), key(1).as_ref()) && horizon == newest {
            let live = (0..KEYS).filter(|byte| seen(&layers, *byte, newest).is_some()).count();
            let entries: u64 = tables.iter().map(|(table, _)| table.entries).sum();
            prop_assert_eq!(entries, live as u64);
            prop_assert!(tables.iter().all(|(table, _)| table.range_tombstones == 0));
        }
    }
}

fn many(count: u32) -> Layer {
    let entry = |at: u32| Listed {
        key: KeyRef::new(KeyspaceId(0), &at.to_be_bytes()).into(),
        stamp: Stamp { version: Version(1), order: 0 },
        value: Some(vec![7; 100]),
    };
    Layer { entries: (0..count).map(entry).collect(), tombstones: Vec::new() }
}

#[test]
fn tables_end_where_they_have_passed_enough_of_the_neighbours() {
    let layers = [many(1000)];
    let vfs = disk();
    let is_last = |_: KeyRef<'_>, _: KeyRef<'_>| false;
    let mut input = input(&layers, 0, &is_last, u64::MAX);
    let end = |at: u32| KeyBuf::from(KeyRef::new(KeyspaceId(0), &at.to_be_bytes()));
    input.neighbours.tables = (1..10).map(|at| (end(at * 100), 10)).collect();
    input.neighbours.bytes_max = 25;
    let tables = rewritten(&vfs, input).unwrap();
    let begins: Vec<_> = tables.iter().map(|(table, _)| table.begin.clone()).collect();
    assert_eq!(begins, [end(0), end(300), end(600), end(900)]);
}

#[test]
fn what_was_begun_is_removed_when_the_disk_fails_or_it_is_called_off() {
    let layers = [many(3000)];
    let is_last = |_: KeyRef<'_>, _: KeyRef<'_>| false;
    let vfs = disk();
    let mut number = 0;
    let mut next = || {
        number += 1;
        TableNumber(number)
    };
    let mut calls = 0;
    let mut pace = |_| {
        calls += 1;
        if calls < 8 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let directory = Path::new(DIRECTORY);
    let rewrite_input = input(&layers, 0, &is_last, 20_000);
    let result = rewrite(&*vfs, directory, rewrite_input, &mut next, &mut pace);
    assert_eq!(result, Err(RewriteError::Cancelled));
    assert!(number > 2, "{number}");
    assert_eq!(vfs.list(directory).unwrap(), Vec::<std::ffi::OsString>::new());
}

/// Each call to the disk fails once, in two ways.
#[test]
fn whichever_call_fails_nothing_is_left_behind() {
    let layers = [many(400)];
    let is_last = |_: KeyRef<'_>, _: KeyRef<'_>| false;
    let directory = Path::new(DIRECTORY);
    let attempt = |vfs: &SimVfs| rewritten(vfs, input(&layers, 0, &is_last, 20_000));
    let vfs = disk();
    let before = vfs.calls();
    assert!(attempt(&vfs).unwrap().len() > 1);
    let calls = vfs.calls() - before;
    for call in 1..=calls {
        for fault in ["eio", "enospc"] {
            let vfs = disk();
            vfs.set_plan(format!("{call}={fault}").parse().unwrap());
            let error = attempt(&vfs).map(|tables| tables.len()).unwrap_err();
            assert!(matches!(error, RewriteError::Write(_)), "{call} {fault}: {error}");
            let left = vfs.list(directory).unwrap();
            assert!(left.is_empty(), "{call} {fault}: {left:?}");
        }
    }
}

#[test]
fn a_key_and_its_versions_are_never_parted_and_bytes_are_told_as_they_are_written() {
    let mut layer = many(1);
    layer.entries = (0..2000)
        .rev()
        .map(|version| Listed {
            stamp: Stamp { version: Version(version), order: 0 },
            ..layer.entries[0].clone()
        })
        .collect();
    let mut told = 0;
    let mut pace = |bytes| {
        told += bytes;
        ControlFlow::Continue(())
    };
    let is_last = |_: KeyRef<'_>, _: KeyRef<'_>| true;
    let vfs = disk();
    let layers = [layer];
    let rewrite_input = input(&layers, 0, &is_last, 1000);
    let mut next = || TableNumber(1);
    let tables = rewrite(&*vfs, Path::new(DIRECTORY), rewrite_input, &mut next, &mut pace).unwrap();
    let [table] = &*tables else { panic!("{tables:?}") };
    assert_eq!((table.entries, table.superseded), (2000, 1999));
    assert_eq!(told, table.bytes);
}
