//! A table says what a sorted list says.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use plinth_protocol::{KeyspaceId, Version};
use proptest::prelude::*;

use crate::{
    engine::{
        key::{KeyBuf, KeyRef},
        layer::{Entry, EntryStream, LayerCursor, Lookup, RangeTombstone},
        memtable::Direction,
        table::{Compression, ReadIo, Table, TableNumber, TableOptions, TableWriter},
        visible::Stamp,
    },
    vfs::SimVfs,
};

pub(super) type Versions = BTreeMap<Reverse<Stamp>, Option<Vec<u8>>>;

/// What a table is to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) keys: BTreeMap<KeyBuf, Versions>,
    pub(super) tombstones: Vec<RangeTombstone>,
}

pub(super) const NUMBER: TableNumber = TableNumber(7);
pub(super) const PATH: &str = "/7.table";

pub(super) fn key(keyspace: u32, key: &[u8]) -> KeyBuf {
    KeyBuf::from(KeyRef::new(KeyspaceId(keyspace), key))
}

pub(super) fn stamp(version: u64, order: u16) -> Stamp {
    Stamp { version: Version(version), order }
}

impl Model {
    pub(super) fn set(&mut self, key: KeyBuf, stamp: Stamp, value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_vec);
        self.keys.entry(key).or_default().insert(Reverse(stamp), value);
    }

    /// All entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.keys.iter().flat_map(|(key, versions)| {
            versions.iter().map(|(stamp, value)| Entry {
                key: key.as_ref(),
                stamp: stamp.0,
                value: value.as_deref(),
            })
        })
    }

    pub(super) fn seen(&self, key: &KeyBuf, version: Version) -> Option<Entry<'_>> {
        let (key, versions) = self.keys.get_key_value(key)?;
        let (stamp, value) = versions.iter().find(|(stamp, _)| stamp.0.version <= version)?;
        Some(Entry { key: key.as_ref(), stamp: stamp.0, value: value.as_deref() })
    }

    fn cover(&self, key: &KeyBuf, version: Version) -> Option<Stamp> {
        let over = self.tombstones.iter().find(|over| over.begin <= *key && *key < over.end)?;
        over.stamps.iter().copied().find(|stamp| stamp.version <= version)
    }

    pub(super) fn get(&self, key: &KeyBuf, version: Version) -> Lookup<'_> {
        let (seen, cover) = (self.seen(key, version), self.cover(key, version));
        match seen {
            Some(entry) if cover.is_none_or(|cover| entry.stamp >= cover) => match entry.value {
                Some(value) => Lookup::Value(value, entry.stamp.version),
                None => Lookup::Cleared,
            },
            _ if cover.is_some() => Lookup::Cleared,
            _ => Lookup::Unknown,
        }
    }

    pub(super) fn write(&self, vfs: &SimVfs, options: &TableOptions) -> Table {
        let mut writer = TableWriter::create(vfs, Path::new(PATH), NUMBER, options).unwrap();
        self.tombstones.iter().for_each(|tombstone| writer.add_tombstone(tombstone).unwrap());
        self.entries().for_each(|entry| writer.add(entry).unwrap());
        let properties = writer.finish().unwrap();
        let table = Table::open(vfs, Path::new(PATH), NUMBER).unwrap();
        assert_eq!(*table.properties(), properties);
        table
    }

    /// Keys that are there, that aren't, and those next to both.
    pub(super) fn probes(&self) -> BTreeSet<KeyBuf> {
        let mut probes = BTreeSet::from([key(0, b""), key(1, b"zz"), key(9, b"")]);
        let bounds = self.tombstones.iter().flat_map(|over| [&over.begin, &over.end]);
        for known in self.keys.keys().chain(bounds) {
            probes.insert(known.clone());
            probes.insert(key(known.keyspace.0, &[&known.key[..], b"\0"].concat()));
            if let Some((_, before)) = known.key.split_last() {
                probes.insert(key(known.keyspace.0, before));
            }
        }
        probes
    }

    /// Some versions of those in it, and the end.
    pub(super) fn versions(&self) -> BTreeSet<Version> {
        let own = self.entries().map(|entry| entry.stamp.version);
        let over = self.tombstones.iter().flat_map(|over| &over.stamps).map(|over| over.version);
        let all: BTreeSet<_> = own.chain(over).collect();
        let some = all.len().div_ceil(12).max(1);
        all.into_iter().step_by(some).chain([Version::ZERO, Version::MAX]).collect()
    }
}

pub(super) fn options() -> impl Strategy<Value = TableOptions> {
    let block_bytes = prop_oneof![Just(64usize), 64usize..600, Just(8 << 10)];
    let filter = prop_oneof![Just(0u32), Just(10), 1u32..20];
    let compression = prop_oneof![Just(Compression::None), Just(Compression::Lz4)];
    (block_bytes, filter, compression).prop_map(|(block_bytes, bits, compression)| TableOptions {
        block_bytes,
        filter_bits_per_key: bits,
        compression,
    })
}

fn keys() -> impl Strategy<Value = KeyBuf> {
    let bytes = prop_oneof![
        6 => prop::collection::vec(0u8..4, 0..5),
        4 => prop::collection::vec(0u8..3, 0..4)
            .prop_map(|tail| [&b"a prefix in common "[..], &tail].concat()),
        1 => (0u8..3).prop_map(|last| { let mut long = vec![b'l'; 10_000]; long[9_999] = last; long }),
    ];
    (0u32..3, bytes).prop_map(|(keyspace, bytes)| key(keyspace, &bytes))
}

fn values() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        2 => Just(None),
        12 => prop::collection::vec(any::<u8>(), 0..30).prop_map(Some),
        2 => (0usize..300).prop_map(|len| Some(vec![b'v'; len])),
        1 => (0u8..2).prop_map(|byte| Some(vec![byte; 100_000])),
    ]
}

fn stamps() -> impl Strategy<Value = Stamp> {
    let version = prop_oneof![8 => 1u64..40, 1 => (1u64 << 50)..(1 << 50) + 5];
    (version, prop_oneof![9 => Just(0u16), 1 => 0u16..3]).prop_map(|(v, o)| stamp(v, o))
}

fn tombstones() -> impl Strategy<Value = Vec<RangeTombstone>> {
    let bounds = prop::collection::btree_set(keys(), 0..10);
    let stamps = prop::collection::btree_set(stamps().prop_map(Reverse), 1..4);
    (bounds, prop::collection::vec(prop::option::of(stamps), 10)).prop_map(|(bounds, stamps)| {
        let bounds: Vec<_> = bounds.into_iter().collect();
        let pairs = bounds.iter().zip(bounds.iter().skip(1)).zip(stamps);
        let over =
            |((begin, end), stamps): ((&KeyBuf, &KeyBuf), Option<BTreeSet<Reverse<Stamp>>>)| {
                let stamps = stamps?.into_iter().map(|stamp| stamp.0).collect();
                Some(RangeTombstone { begin: begin.clone(), end: end.clone(), stamps })
            };
        pairs.filter_map(over).collect()
    })
}

pub(super) fn models() -> impl Strategy<Value = Model> {
    let few = prop::collection::vec((keys(), stamps(), values()), 0..120);
    let many_versions = (keys(), prop::collection::btree_set(stamps(), 0..60), values()).prop_map(
        |(key, stamps, value)| {
            stamps.into_iter().map(|stamp| (key.clone(), stamp, value.clone())).collect::<Vec<_>>()
        },
    );
    let small = |value: &Option<Vec<u8>>| value.as_ref().is_none_or(|value| value.len() < 1000);
    let many = prop::collection::vec(many_versions, 0..3);
    (few, many, tombstones()).prop_map(move |(few, many, tombstones)| {
        let mut model = Model { tombstones, ..Model::default() };
        for (key, stamp, value) in few {
            model.set(key, stamp, value.as_deref());
        }
        for (key, stamp, value) in many.into_iter().flatten().filter(|row| small(&row.2)) {
            model.set(key, stamp, value.as_deref());
        }
        model
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn gets(model in models(), options in options()) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        for version in model.versions() {
            let io = ReadIo::waiting();
            for probe in model.probes() {
                let found = table.get(probe.as_ref(), version, &io).unwrap();
                prop_assert_eq!(found, model.get(&probe, version), "{:?} at {}", probe, version);
            }
        }
    }

    #[test]
    fn entries_and_tombstones_come_back(model in models(), options in options()) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let mut entries = table.entries().unwrap();
        for entry in model.entries() {
            prop_assert_eq!(entries.head(), Some(entry));
            entries.advance().unwrap();
        }
        prop_assert_eq!(entries.head(), None);
        entries.advance().unwrap();
        prop_assert_eq!(table.tombstones().unwrap(), model.tombstones);
    }

    #[test]
    fn cursors_go_through_what_a_version_sees(model in models(), options in options()) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let io = ReadIo::waiting();
        for version in model.versions() {
            let seen: Vec<_> =
                model.keys.keys().filter_map(|key| model.seen(key, version)).collect();
            let mut cursor = table.cursor(version, Direction::Forward, &io);
            prop_assert_eq!(cursor.head(), None, "it begins nowhere");
            cursor.seek(key(0, b"").as_ref()).unwrap();
            for entry in &seen {
                prop_assert_eq!(cursor.head(), Some(*entry));
                cursor.advance().unwrap();
            }
            prop_assert_eq!(cursor.head(), None);
            let mut cursor = table.cursor(version, Direction::Reverse, &io);
            cursor.seek(key(9, b"").as_ref()).unwrap();
            for entry in seen.iter().rev() {
                prop_assert_eq!(cursor.head(), Some(*entry));
                cursor.advance().unwrap();
            }
            prop_assert_eq!(cursor.head(), None);
            cursor.seek(key(0, b"").as_ref()).unwrap();
            prop_assert_eq!(cursor.head(), None, "stays at the end");
        }
    }

    #[test]
    fn cursors_seek(
        model in models(),
        options in options(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4), 1..40),
        version in any::<prop::sample::Index>(),
        direction in prop_oneof![Just(Direction::Forward), Just(Direction::Reverse)],
    ) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let io = ReadIo::waiting();
        let versions: Vec<_> = model.versions().into_iter().collect();
        let version = *version.get(&versions);
        let mut seen: Vec<_> =
            model.keys.keys().filter_map(|key| model.seen(key, version)).collect();
        let mut probes: Vec<_> = model.probes().into_iter().collect();
        if direction == Direction::Reverse {
            seen.reverse();
            probes.reverse();
        }
        let mut cursor = table.cursor(version, direction, &io);
        let (mut at, mut is_first) = (0, true);
        let mut from = 0;
        for (pick, advances) in picks {
            // Mostly onwards, and now and then back, where it stays.
            let onwards = &probes[from.min(probes.len() - 1)..];
            let probe = if advances == 3 { pick.get(&probes) } else { pick.get(onwards) };
            from = probes.iter().position(|other| other == probe).unwrap().max(from);
            cursor.seek(probe.as_ref()).unwrap();
            let reached = seen.iter().position(|entry| match direction {
                Direction::Forward => entry.key >= probe.as_ref(),
                Direction::Reverse => entry.key < probe.as_ref(),
            });
            let reached = reached.unwrap_or(seen.len());
            at = if is_first { reached } else { reached.max(at) };
            is_first = false;
            for _ in 0..advances {
                prop_assert_eq!(cursor.head(), seen.get(at).copied());
                cursor.advance().unwrap();
                at = (at + 1).min(seen.len());
            }
            prop_assert_eq!(cursor.head(), seen.get(at).copied(), "after {:?}", probe);
        }
    }

    #[test]
    fn spans_hold_around_a_key(model in models(), options in options()) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let io = ReadIo::waiting();
        let probes = model.probes();
        for version in model.versions() {
            let mut cursor = table.cursor(version, Direction::Forward, &io);
            for probe in &probes {
                let span = cursor.span(probe.as_ref()).unwrap();
                prop_assert!(span.contains(probe.as_ref()));
                for other in probes.iter().filter(|other| span.contains(other.as_ref())) {
                    prop_assert_eq!(span.stamp, model.cover(other, version), "{:?}", other);
                }
            }
        }
    }

    #[test]
    fn properties_are_counted(model in models(), options in options()) {
        let vfs = SimVfs::new();
        let table = model.write(&vfs, &options);
        let properties = table.properties();
        let count = |is_counted: &dyn Fn(&Entry<'_>) -> bool| {
            model.entries().filter(is_counted).count() as u64
        };
        prop_assert_eq!(properties.entries, count(&|_| true));
        prop_assert_eq!(properties.clears, count(&|entry| entry.value.is_none()));
        prop_assert_eq!(properties.superseded, properties.entries - model.keys.len() as u64);
        let over: usize = model.tombstones.iter().map(|over| over.stamps.len()).sum();
        prop_assert_eq!(properties.range_tombstones, over as u64);
        let key_bytes: usize = model.entries().map(|entry| entry.key.key.len()).sum();
        let value_bytes: usize = model.entries().map(|e| e.value.map_or(0, <[u8]>::len)).sum();
        prop_assert_eq!(properties.key_bytes, key_bytes as u64);
        prop_assert_eq!(properties.value_bytes, value_bytes as u64);
        prop_assert_eq!(properties.bytes, vfs.bytes(Path::new(PATH)).unwrap().len() as u64);
        let over = model.tombstones.iter();
        let own = model.entries().map(|entry| entry.stamp.version);
        let versions = own.chain(over.flat_map(|over| &over.stamps).map(|stamp| stamp.version));
        let versions: BTreeSet<_> = versions.collect();
        if let (Some(least), Some(greatest)) = (versions.first(), versions.last()) {
            prop_assert_eq!(properties.least_version, *least);
            prop_assert_eq!(properties.greatest_version, *greatest);
        }
        let first = model.keys.keys().chain(model.tombstones.first().map(|over| &over.begin)).min();
        prop_assert_eq!(first.cloned().unwrap_or(key(0, b"")), properties.begin.clone());
        for probe in model.keys.keys() {
            prop_assert!(properties.contains(probe.as_ref()));
        }
        if let Some(over) = model.tombstones.last() {
            prop_assert!(over.end <= properties.end);
        }
    }
}

#[test]
fn entries_out_of_order_are_refused() {
    let vfs = SimVfs::new();
    let mut writer =
        TableWriter::create(&vfs, Path::new(PATH), NUMBER, &TableOptions::default()).unwrap();
    let entry = |key: &'static [u8], version| Entry {
        key: KeyRef::new(KeyspaceId(0), key),
        stamp: stamp(version, 0),
        value: None,
    };
    writer.add(entry(b"b", 5)).unwrap();
    writer.add(entry(b"b", 5)).unwrap_err();
    writer.add(entry(b"b", 6)).unwrap_err();
    writer.add(entry(b"a", 4)).unwrap_err();
    writer.add(entry(b"b", 4)).unwrap();
    let over = |begin: &[u8], end: &[u8], stamps| RangeTombstone {
        begin: key(0, begin),
        end: key(0, end),
        stamps,
    };
    writer.add_tombstone(&over(b"b", b"c", vec![])).unwrap_err();
    writer.add_tombstone(&over(b"b", b"b", vec![stamp(1, 0)])).unwrap_err();
    writer.add_tombstone(&over(b"b", b"c", vec![stamp(1, 0), stamp(2, 0)])).unwrap_err();
    writer.add_tombstone(&over(b"b", b"c", vec![stamp(2, 0), stamp(1, 0)])).unwrap();
    writer.add_tombstone(&over(b"bb", b"d", vec![stamp(1, 0)])).unwrap_err();
    assert_eq!(writer.finish().unwrap().entries, 2);
}
