//! The picker drives a small store of lists instead of files, under random writes, flushes and
//! horizons. After each choice the store must read as before and its levels must be in order.

use std::{collections::BTreeMap, sync::Arc};

use plinth_protocol::KeyspaceId;
use proptest::prelude::*;

use super::*;
use crate::engine::{
    compaction::{
        fragments,
        merge::Merge,
        retention::{self, KeyRetention},
        testing::{Listed, listed},
    },
    layer::RangeTombstone,
    visible::Stamp,
};

const SHAPE: Shape =
    Shape { level0_tables: 3, level1_bytes: 400, level_ratio: 4, table_bytes_max: 100 };
/// Bytes of an entry or a range tombstone in these tables.
const ITEM_BYTES: u64 = 10;

#[derive(Clone, Debug)]
struct Content {
    properties: TableProperties,
    entries: Vec<Listed>,
    tombstones: Arc<[RangeTombstone]>,
}

/// A store of lists.
#[derive(Debug, Default)]
struct World {
    levels: Vec<Vec<Content>>,
    next: u64,
    busy: std::collections::BTreeSet<TableNumber>,
    written: u64,
}

fn key(byte: u8) -> KeyBuf {
    KeyRef::new(KeyspaceId(0), &[byte]).into()
}

fn key_after(key: &KeyBuf) -> KeyBuf {
    let bytes = plinth_protocol::range::key_after(&key.key);
    KeyRef::new(key.keyspace, &bytes).into()
}

impl World {
    fn new() -> Self {
        Self { levels: vec![Vec::new(); LEVELS], next: 1, ..Self::default() }
    }

    fn table(&mut self, entries: Vec<Listed>, tombstones: Vec<RangeTombstone>) -> Content {
        let number = TableNumber(self.next);
        self.next += 1;
        let begins = entries.first().map(|entry| &entry.key).into_iter();
        let begin = begins.chain(tombstones.first().map(|first| &first.begin)).min().unwrap();
        let ends = entries.last().map(|entry| key_after(&entry.key)).into_iter();
        let end = ends.chain(tombstones.last().map(|last| last.end.clone())).max().unwrap();
        let versions = || {
            let entries = entries.iter().map(|entry| entry.stamp.version);
            entries
                .chain(tombstones.iter().flat_map(|list| &list.stamps).map(|stamp| stamp.version))
        };
        let is_older = |pair: &&[Listed]| pair[0].key == pair[1].key;
        let properties = TableProperties {
            number,
            bytes: ITEM_BYTES * (entries.len() + tombstones.len()) as u64,
            begin: begin.clone(),
            end,
            least_version: versions().min().unwrap(),
            greatest_version: versions().max().unwrap(),
            entries: entries.len() as u64,
            clears: entries.iter().filter(|entry| entry.value.is_none()).count() as u64,
            superseded: entries.windows(2).filter(is_older).count() as u64,
            range_tombstones: tombstones.len() as u64,
            key_bytes: 0,
            value_bytes: 0,
        };
        self.written += properties.bytes;
        Content { properties, entries, tombstones: tombstones.into() }
    }

    fn with_levels<T>(&self, look: impl FnOnce(&Levels<'_>) -> T) -> T {
        let all = self.levels.iter().flatten().filter(|table| !table.tombstones.is_empty());
        look(&Levels {
            tables: self
                .levels
                .iter()
                .map(|level| level.iter().map(|table| &table.properties).collect())
                .collect(),
            tombstones: all
                .map(|table| (table.properties.number, Arc::clone(&table.tombstones)))
                .collect(),
            busy: self.busy.clone(),
        })
    }

    fn take(&mut self, number: TableNumber) -> Content {
        for level in &mut self.levels {
            if let Some(at) = level.iter().position(|table| table.properties.number == number) {
                return level.remove(at);
            }
        }
        unreachable!("{number} is not there")
    }

    /// Merges these tables as a rewrite does, cut after so many items.
    fn merged(&mut self, inputs: &[Content], to: usize, horizon: Version) -> Vec<Content> {
        let lists = inputs.iter().map(|table| table.tombstones.to_vec()).collect();
        let tombstones = fragments::merge(lists, horizon);
        let streams = inputs.iter().map(|table| Listed::stream(&table.entries)).collect();
        let mut merge = Merge::new(streams);
        let mut kept: Vec<Listed> = Vec::new();
        let mut last: Option<(KeyBuf, KeyRetention<'_>)> = None;
        while let Some(entry) = merge.head() {
            if last.as_ref().is_none_or(|(key, _)| key.as_ref() != entry.key) {
                let over = tombstones
                    .iter()
                    .find(|list| list.begin.as_ref() <= entry.key && entry.key < list.end.as_ref());
                let stamps = over.map_or(&[][..], |over| &over.stamps);
                last = Some((entry.key.into(), KeyRetention::new(horizon, stamps)));
            }
            let (key, retention) = last.as_mut().unwrap();
            let end = key_after(key);
            let is_last =
                || self.with_levels(|levels| levels.is_last(to, key.as_ref(), end.as_ref()));
            if retention.keeps(entry.stamp, entry.value.is_none(), is_last) {
                let value = entry.value.map(<[u8]>::to_vec);
                kept.push(Listed { key: key.clone(), stamp: entry.stamp, value });
            }
            merge.advance().unwrap();
        }
        let mut tombstones: Vec<RangeTombstone> = tombstones.clone();
        for list in &mut tombstones {
            let (begin, end) = (list.begin.as_ref(), list.end.as_ref());
            if self.with_levels(|levels| levels.is_last(to, begin, end)) {
                let needed = retention::needed_at_last(&list.stamps, horizon).len();
                list.stamps.truncate(needed);
            }
        }
        tombstones.retain(|list| !list.stamps.is_empty());
        self.cut(kept, tombstones)
    }

    fn cut(&mut self, mut rest: Vec<Listed>, mut tombstones: Vec<RangeTombstone>) -> Vec<Content> {
        let mut tables = Vec::new();
        while !rest.is_empty() || !tombstones.is_empty() {
            let full = (SHAPE.table_bytes_max / ITEM_BYTES) as usize;
            let at = (full..rest.len()).find(|at| rest[*at].key != rest[at - 1].key);
            let after = rest.split_off(at.unwrap_or(rest.len()));
            let Some(first) = after.first() else {
                let tombstones = std::mem::take(&mut tombstones);
                tables.push(self.table(std::mem::take(&mut rest), tombstones));
                continue;
            };
            let mut below = Vec::new();
            for list in &mut tombstones {
                if list.begin < first.key {
                    let mut part = list.clone();
                    part.end = part.end.min(first.key.clone());
                    below.push(part);
                    list.begin = list.begin.clone().max(first.key.clone());
                }
            }
            tombstones.retain(|list| list.begin < list.end);
            tables.push(self.table(std::mem::replace(&mut rest, after), below));
        }
        tables
    }

    /// What a rewrite to one table of level 0 gives.
    fn flush(&mut self, entries: Vec<Listed>, tombstones: Vec<RangeTombstone>) {
        if !entries.is_empty() || !tombstones.is_empty() {
            let table = self.table(entries, tombstones);
            self.levels[0].insert(0, table);
        }
    }

    fn carry_out(&mut self, pick: &Pick, horizon: Version) {
        match pick {
            Pick::Drop(tables) => {
                for number in tables {
                    self.take(*number);
                }
            }
            Pick::Move { tables, to } => {
                let moved: Vec<_> = tables.iter().map(|number| self.take(*number)).collect();
                self.levels[*to].extend(moved);
            }
            Pick::Merge { inputs, to: 0 } => {
                // All from level 0; what they become stands where the newest stood.
                let is_newest =
                    |table: &Content| table.properties.number == inputs.first().unwrap().1;
                let at = self.levels[0].iter().position(is_newest).unwrap();
                let inputs: Vec<_> = inputs.iter().map(|(_, number)| self.take(*number)).collect();
                // Below is the rest of level 0 too: no clear may go.
                let lists = inputs.iter().map(|table| table.tombstones.to_vec()).collect();
                let tombstones = fragments::merge(lists, Version(0));
                let mut entries: Vec<_> =
                    inputs.into_iter().flat_map(|table| table.entries).collect();
                entries.sort_by(|a, b| a.key.cmp(&b.key).then(b.stamp.cmp(&a.stamp)));
                let table = self.table(entries, tombstones);
                self.levels[0].insert(at, table);
            }
            Pick::Merge { inputs, to } => {
                let inputs: Vec<_> = inputs.iter().map(|(_, number)| self.take(*number)).collect();
                let outputs = self.merged(&inputs, *to, horizon);
                self.levels[*to].extend(outputs);
            }
        }
        for level in self.levels.iter_mut().skip(1) {
            level.sort_by(|a, b| a.properties.begin.cmp(&b.properties.begin));
        }
    }

    fn check_levels(&self) {
        for level in self.levels.iter().skip(1) {
            for pair in level.windows(2) {
                assert!(pair[0].properties.end <= pair[1].properties.begin, "{level:?}");
            }
        }
        // Of each key, the layers from the newest to the oldest hold falling versions.
        let mut oldest: BTreeMap<&KeyBuf, Stamp> = BTreeMap::new();
        for table in self.levels.iter().flatten() {
            for entry in &table.entries {
                if let Some(newer) = oldest.insert(&entry.key, entry.stamp) {
                    assert!(newer > entry.stamp, "{newer:?} {entry:?}");
                }
            }
        }
    }

    /// What a read sees, layer by layer.
    fn get(&self, byte: u8, version: u64) -> Option<&[u8]> {
        let key = key(byte);
        for table in self.levels.iter().flatten() {
            let is_it = |entry: &&Listed| entry.key == key && entry.stamp.version.0 <= version;
            let entry = table.entries.iter().find(is_it);
            let over = table.tombstones.iter().find(|list| list.begin <= key && key < list.end);
            let hider = over
                .and_then(|list| list.stamps.iter().find(|stamp| stamp.version.0 <= version))
                .copied();
            match (entry, hider) {
                (Some(entry), hider) if hider.is_none_or(|hider| hider <= entry.stamp) => {
                    return entry.value.as_deref();
                }
                (_, Some(_)) => return None,
                _ => {}
            }
        }
        None
    }

    fn reads(&self, versions: std::ops::RangeInclusive<u64>) -> Vec<Option<Vec<u8>>> {
        let step = (versions.end() - versions.start()) as usize / 8 + 1;
        let versions = versions.clone().step_by(step).chain([*versions.end()]);
        let all = versions.flat_map(|version| (0..KEYS).map(move |byte| (byte, version)));
        all.map(|(byte, version)| self.get(byte, version).map(<[u8]>::to_vec)).collect()
    }

    /// Compacts until nothing is left to do.
    fn settle(&mut self, version: u64, horizon: u64) {
        let before = self.reads(horizon..=version);
        let mut steps = 0;
        while let Some(pick) = self.with_levels(|levels| pick(levels, &SHAPE, Version(horizon))) {
            steps += 1;
            assert!(steps < 2000, "it does not end: {pick:?}");
            let tables = pick.tables();
            assert!(!tables.is_empty());
            assert!(tables.iter().all(|table| !self.busy.contains(table)), "{pick:?}");
            self.carry_out(&pick, Version(horizon));
            self.check_levels();
        }
        assert_eq!(self.reads(horizon..=version), before);
    }
}

const KEYS: u8 = 60;

#[derive(Clone, Debug)]
enum Op {
    Set(u8),
    Clear(u8),
    ClearRange(u8, u8),
    Flush,
    /// The horizon moves to so far below the present.
    Horizon(u64),
    Settle,
    /// One of the tables is found to be damaged.
    Damage(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => (0..KEYS).prop_map(Op::Set),
        8 => (0..KEYS).prop_map(Op::Clear),
        2 => (0..KEYS, 1..30u8).prop_map(|(begin, len)| Op::ClearRange(begin, (begin + len).min(KEYS))),
        4 => Just(Op::Flush),
        2 => (0u64..40).prop_map(Op::Horizon),
        3 => Just(Op::Settle),
    ]
}

/// Runs the operations; the world, its version and its horizon afterwards.
fn run(ops: &[Op]) -> (World, u64, u64) {
    let mut world = World::new();
    let mut memory: Vec<Listed> = Vec::new();
    let mut tombstones: Vec<Vec<RangeTombstone>> = Vec::new();
    let (mut version, mut horizon) = (1u64, 0u64);
    let flush =
        |world: &mut World, memory: &mut Vec<Listed>, tombstones: &mut Vec<Vec<RangeTombstone>>| {
            memory.sort_by(|a, b| a.key.cmp(&b.key).then(b.stamp.cmp(&a.stamp)));
            let lists = std::mem::take(tombstones);
            world.flush(std::mem::take(memory), fragments::merge(lists, Version(0)));
        };
    for op in ops {
        match op {
            Op::Set(byte) => {
                version += 1;
                memory.push(listed(*byte, version, Some(&version.to_le_bytes())));
            }
            Op::Clear(byte) => {
                version += 1;
                memory.push(listed(*byte, version, None));
            }
            Op::ClearRange(begin, end) => {
                version += 1;
                let stamps = vec![Stamp { version: Version(version), order: 0 }];
                let (begin, end) = (key(*begin), key(*end));
                tombstones.push(vec![RangeTombstone { begin, end, stamps }]);
            }
            Op::Flush => flush(&mut world, &mut memory, &mut tombstones),
            Op::Horizon(back) => horizon = horizon.max(version.saturating_sub(*back)),
            Op::Settle => world.settle(version, horizon),
            Op::Damage(index) => {
                let all: Vec<_> = world.levels.iter().flatten().collect();
                if !all.is_empty() {
                    let number = index.get(&all).properties.number;
                    world.busy.insert(number);
                }
            }
        }
    }
    flush(&mut world, &mut memory, &mut tombstones);
    (world, version, horizon)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_picked_the_levels_stay_in_order_and_reads_stay_the_same(
        ops in prop::collection::vec(op(), 50..400),
    ) {
        let (mut world, version, horizon) = run(&ops);
        world.settle(version, horizon);
        let (count, targets, bytes) = world.with_levels(|levels| {
            let bytes: Vec<u64> = (0..LEVELS).map(|level| levels.bytes(level)).collect();
            (levels.level(0).len(), levels.targets(&SHAPE), bytes)
        });
        prop_assert!(count < SHAPE.level0_tables);
        for level in 1..LEVELS - 1 {
            prop_assert!(bytes[level] <= targets.bytes[level], "{:?} {:?}", bytes, targets);
        }
        // Once all may go that is hidden, what is left of it is bounded by the keys there can be,
        // however many writes there were.
        world.settle(version, version);
        let live = (0..KEYS).filter(|byte| world.get(*byte, version).is_some()).count() as u64;
        let items: u64 = world
            .levels
            .iter()
            .flatten()
            .map(|table| table.properties.bytes / ITEM_BYTES)
            .sum();
        prop_assert!(items <= 2 * live + u64::from(KEYS), "{} items for {} keys", items, live);
    }

    #[test]
    fn damaged_tables_are_left_alone_and_level_0_stays_short(
        ops in prop::collection::vec(
            prop_oneof![60 => op(), 1 => any::<prop::sample::Index>().prop_map(Op::Damage)],
            50..400,
        ),
    ) {
        let (mut world, version, horizon) = run(&ops);
        world.settle(version, horizon);
        let level0 = &world.levels[0];
        let busy = level0.iter().filter(|table| world.busy.contains(&table.properties.number));
        // Each bad table may part the others; what is between is merged but for large ones.
        let bound = (busy.count() + 1) * 3 * SHAPE.level0_tables;
        prop_assert!(level0.len() <= bound, "{} tables in level 0", level0.len());
    }
}
