//! The store with tables below, against the same model: memtables are flushed, tables compacted,
//! and the whole is dropped and opened again, in any order.
//!
//! `PLINTH_MODEL_CASES=100000 cargo test --release --lib layered` runs for long; a failure prints
//! what to do to see it again.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use bytes::Bytes;
use plinth_protocol::{ConflictRange, KeyRange, KeyspaceId};
use proptest::prelude::*;

use super::{
    tests::{Check, Model, any_check, any_write, finish},
    *,
};
use crate::{
    engine::{
        compaction::rewrite::{Neighbours, RewriteInput, rewrite, table_path},
        key::KeyRef,
        layer::{EntryStream, RangeTombstone},
        read_error::ReadError,
        table::{TableError, TableOptions},
    },
    vfs::{SimVfs, Vfs},
};

const TABLES: &str = "/tables";

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Write>, u64),
    Horizon(u64),
    Maintain,
    Rotate,
    Flush,
    Compact(usize, prop::sample::Index),
    /// If a number is given, as after a crash, and memory is full after so many versions.
    Reopen(Option<usize>),
    Check(Check),
}

fn any_step() -> impl Strategy<Value = Step> {
    let writes = prop_oneof![
        3 => prop::collection::vec(any_write(), 1..8),
        1 => prop::collection::vec(any_write(), 50..150),
    ];
    prop_oneof![
        6 => (writes, 1u64..3).prop_map(|(writes, step)| Step::Apply(writes, step)),
        1 => (0u64..20).prop_map(Step::Horizon),
        1 => Just(Step::Maintain),
        2 => Just(Step::Rotate),
        2 => Just(Step::Flush),
        1 => (0usize..3, any::<prop::sample::Index>())
            .prop_map(|(level, table)| Step::Compact(level, table)),
        1 => prop::option::of(1usize..50).prop_map(Step::Reopen),
        5 => any_check().prop_map(Step::Check),
    ]
}

/// A store on a disk, with somebody who writes its tables.
struct Storage {
    vfs: SimVfs,
    store: Store,
    writer: StoreWriter,
    model: Model,
    next_number: u64,
    version: u64,
    horizon: u64,
    /// What the tables hold, all of it, up to here.
    flushed: u64,
}

impl Storage {
    fn new() -> Self {
        let vfs = SimVfs::new();
        vfs.create_directory(Path::new(TABLES)).unwrap();
        let (store, writer) = Store::new(StoreOptions { seed: 1 });
        let model = Model::default();
        Self { vfs, store, writer, model, next_number: 1, version: 0, horizon: 0, flushed: 0 }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Apply(writes, ahead) => {
                self.version += ahead;
                self.writer.apply(Version(self.version), 0, &writes);
                self.model.apply(self.version, &writes);
            }
            Step::Horizon(behind) => {
                self.horizon = self.horizon.max(self.version.saturating_sub(behind));
                self.writer.set_horizon(Version(self.horizon));
            }
            Step::Maintain => {
                self.writer.maintain();
            }
            Step::Rotate => {
                self.writer.rotate();
            }
            Step::Flush => self.flush(),
            Step::Compact(level, table) => self.compact(level, |len| table.index(len)),
            Step::Reopen(full_after) => self.reopen(full_after),
            Step::Check(check) => check.run(&self.store, &self.model, self.version)?,
        }
        Ok(())
    }

    /// Rewrites layers, newest first, at the horizon, to small tables.
    fn rewrite(
        &mut self,
        streams: Vec<Box<dyn EntryStream + '_>>,
        tombstones: Vec<Vec<RangeTombstone>>,
        is_last: &dyn Fn(KeyRef<'_>, KeyRef<'_>) -> bool,
    ) -> Vec<Arc<Table>> {
        let input = RewriteInput {
            streams,
            tombstones,
            horizon: Version(self.horizon),
            is_last,
            table_bytes_max: 300,
            neighbours: Neighbours { tables: Vec::new(), bytes_max: u64::MAX },
            options: TableOptions { block_bytes: 256, ..TableOptions::default() },
        };
        let next_number = &mut || {
            self.next_number += 1;
            TableNumber(self.next_number)
        };
        let pace = &mut |_| ControlFlow::Continue(());
        let written = rewrite(&self.vfs, Path::new(TABLES), input, next_number, pace).unwrap();
        written.iter().map(|properties| Arc::new(self.open(properties.number))).collect()
    }

    fn open(&self, number: TableNumber) -> Table {
        Table::open(&self.vfs, &table_path(Path::new(TABLES), number), number).unwrap()
    }

    fn flush(&mut self) {
        let Some(frozen) = self.store.oldest_frozen() else { return };
        let contents = frozen.contents();
        let beneath = self.store.tables();
        let is_last = |begin: KeyRef<'_>, end: KeyRef<'_>| !beneath.may_hold(begin, end);
        let entries = Box::new(contents.entries());
        let tables = self.rewrite(vec![entries], vec![contents.tombstones()], &is_last);
        self.store.install_flushed(&frozen, tables);
        self.flushed = frozen.last().0;
    }

    /// Merges all of level 0, or one table of another, with what it overlaps of the next.
    fn compact(&mut self, level: usize, pick: impl FnOnce(usize) -> usize) {
        let tables = self.store.tables();
        let mut upper = tables.level(level).to_vec();
        if level > 0 && !upper.is_empty() {
            upper = vec![upper.swap_remove(pick(upper.len()))];
        }
        // Also what lies between two of them: a table that is written may reach from one to the other.
        let begin = upper.iter().map(|table| table.properties().begin.as_ref()).min();
        let end = upper.iter().map(|table| table.properties().end.as_ref()).max();
        let lower: Vec<_> = match begin.zip(end) {
            Some((begin, end)) => {
                let overlaps = |lower: &&Arc<Table>| lower.properties().overlaps(begin, end);
                tables.level(level + 1).iter().filter(overlaps).cloned().collect()
            }
            None => Vec::new(),
        };
        let inputs: Vec<_> = upper.iter().chain(&lower).collect();
        let mut streams: Vec<Box<dyn EntryStream + '_>> = Vec::new();
        for table in &inputs {
            streams.push(Box::new(table.entries().unwrap()));
        }
        let tombstones = inputs.iter().map(|table| table.tombstones().unwrap()).collect();
        let deeper: Vec<(u8, Arc<Table>)> = tables
            .iter()
            .filter(|(of, _)| usize::from(*of) > level + 1)
            .map(|(of, table)| (of, Arc::clone(table)))
            .collect();
        let deeper = TableSet::empty().with(&deeper, &[]);
        let is_last = |begin: KeyRef<'_>, end: KeyRef<'_>| !deeper.may_hold(begin, end);
        let gone: Vec<_> = inputs.iter().map(|table| table.properties().number).collect();
        let output = self.rewrite(streams, tombstones, &is_last);
        let added: Vec<_> = output.into_iter().map(|table| (level as u8 + 1, table)).collect();
        self.store.install(&added, &gone);
        for number in gone {
            self.vfs.remove(&table_path(Path::new(TABLES), number)).unwrap();
        }
        self.store.bury();
    }

    /// Opens the store again with the tables that it had; the rest comes from the log.
    fn reopen(&mut self, full_after: Option<usize>) {
        let mut tables = TableSet::empty();
        for (level, table) in self.store.tables().iter() {
            let table = self.open(table.properties().number);
            tables = tables.with(&[(level, Arc::new(table))], &[]);
        }
        let options = StoreOptions { seed: 1 };
        (self.store, self.writer) = Store::with_tables(options, tables, Version(self.flushed));
        let later = self.model.history.iter().filter(|(version, _)| *version > self.flushed);
        let later: Vec<_> = later.cloned().collect();
        let versions: Vec<_> = later.chunk_by(|one, other| one.0 == other.0).collect();
        if let Some(full_after) = full_after {
            self.writer.hide();
            let mut parts = versions.chunks(full_after).peekable();
            while let Some(versions) = parts.next() {
                self.replay(versions);
                if parts.peek().is_some() {
                    self.writer.rotate();
                    // On a full disk it stays in memory.
                    if full_after % 2 == 0 {
                        self.flush();
                    }
                }
            }
            self.horizon = self.version;
            self.writer.set_horizon(Version(self.horizon));
            self.writer.show();
            return;
        }
        for of_version in versions {
            let writes: Vec<Write> = of_version.iter().map(|(_, write)| write.clone()).collect();
            self.writer.apply(Version(of_version[0].0), 0, &writes);
        }
        self.writer.set_horizon(Version(self.horizon));
    }

    /// Replays some versions, two at a time.
    fn replay(&mut self, versions: &[&[(u64, Write)]]) {
        for versions in versions.chunks(2) {
            let mut replaying = self.writer.replay();
            for of_version in versions {
                let writes: Vec<_> = of_version.iter().map(|(_, write)| write.as_ref()).collect();
                replaying.apply(Stamp { version: Version(of_version[0].0), order: 0 }, &writes);
                self.horizon = self.horizon.max(of_version[0].0);
            }
            replaying.end();
            self.writer.set_horizon(Version(self.horizon));
            finish(&mut self.writer);
        }
    }
}

/// How many sequences of steps are tried.
fn cases() -> u32 {
    let wanted = std::env::var("PLINTH_MODEL_CASES").ok();
    wanted.and_then(|cases| cases.parse().ok()).unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100_000, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn the_store_with_tables_is_its_model(steps in prop::collection::vec(any_step(), 1..100)) {
        let mut storage = Storage::new();
        for step in steps {
            storage.take(step)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases() / 4))]

    /// Without range clears, so that memtables are put in order at the end alone.
    #[test]
    fn what_is_replayed_is_read_as_what_was_applied(
        batches in prop::collection::vec(prop::collection::vec(any_write(), 1..100), 1..30),
        full_after in 1usize..50,
        steps in prop::collection::vec(any_step(), 1..30),
    ) {
        let mut storage = Storage::new();
        for mut writes in batches {
            writes.retain(|write| !matches!(write, Write::ClearRange { .. }));
            storage.take(Step::Apply(writes, 1))?;
        }
        storage.reopen(Some(full_after));
        for step in steps {
            storage.take(step)?;
        }
    }
}

fn set(key: &[u8], value: &[u8]) -> Write {
    let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    Write::Set { keyspace: KeyspaceId::DEFAULT, key, value }
}

#[test]
fn damage_fails_the_reads_that_need_it_and_no_others() {
    let mut storage = Storage::new();
    let keys: Vec<[u8; 2]> = (0..500u16).map(u16::to_be_bytes).collect();
    let writes: Vec<Write> = keys.iter().map(|key| set(key, b"in a table")).collect();
    storage.writer.apply(Version(1), 0, &writes);
    storage.writer.rotate();
    storage.flush();
    assert_eq!(storage.store.frozen_len(), 0);
    let first = KeyRef::new(KeyspaceId::DEFAULT, &keys[0]);
    let tables = storage.store.tables();
    let table = tables.level(0).iter().find(|table| table.properties().contains(first)).unwrap();
    // In the first block.
    storage.vfs.flip_bit(table.path(), 40, 3).unwrap();
    storage.flushed = 1;
    storage.reopen(None);
    let newest = Version(9);
    let get = |key: &[u8]| {
        let reader = storage.store.reader();
        let found = reader.get(KeyspaceId::DEFAULT, key, newest);
        found.map(|found| found.map(|found| found.value.to_vec()))
    };
    let is_damage = |error: &ReadError| match error {
        ReadError::Table(TableError::Damaged { path, offset, .. }) => {
            path == table.path() && *offset < 256
        }
        _ => false,
    };
    assert!(is_damage(&get(&keys[0]).unwrap_err()));
    assert_eq!(get(&keys[499]).unwrap().unwrap(), b"in a table");
    assert_eq!(get(b"beyond all"), Ok(None));
    let reader = storage.store.reader();
    let all = KeyRange::new("", "\u{7f}");
    let visit = &mut |_: &[u8], _: Found<'_>| ControlFlow::Continue(());
    for reverse in [false, true] {
        let scanned = reader.scan(KeyspaceId::DEFAULT, &all, newest, reverse, visit);
        assert!(is_damage(&scanned.unwrap_err()));
    }
    let first = ConflictRange::Key(Bytes::copy_from_slice(&keys[0]));
    let written = |since| reader.written_since(KeyspaceId::DEFAULT, &first, Version(since));
    assert!(is_damage(&written(0).unwrap_err()), "what can't be read may have been written");
    assert_eq!(written(1), Ok(false), "the table has nothing newer");
    // What is newer hides the damage.
    storage.writer.apply(Version(2), 0, &[set(&keys[0], b"in memory")]);
    assert_eq!(get(&keys[0]).unwrap().unwrap(), b"in memory");
}

#[test]
fn what_left_the_layers_stays_while_it_is_read_and_is_dropped_after() {
    let mut storage = Storage::new();
    storage.writer.apply(Version(1), 0, &[set(b"a", b"1")]);
    storage.writer.rotate();
    let reader = storage.store.reader();
    let found = reader.get(KeyspaceId::DEFAULT, b"a", Version(1)).unwrap().unwrap();
    storage.flush();
    assert!(storage.store.bury(), "it is being read");
    assert_eq!(found.value, b"1");
    let held = storage.store.tables();
    storage.compact(0, |_| 0);
    let again = reader.get(KeyspaceId::DEFAULT, b"a", Version(1)).unwrap().unwrap();
    assert_eq!((found.value, again.value), (&b"1"[..], &b"1"[..]));
    drop((reader, held));
    let mut turns = 0;
    while storage.store.bury() {
        // Other tests' readers hold things back too, for a moment.
        std::thread::yield_now();
        turns += 1;
        assert!(turns < 10_000_000, "what nobody reads is dropped");
    }
}

/// Readers that check what they see, while memtables are frozen, flushed and compacted below them:
/// at every version all keys have the same value, or are all gone.
#[test]
fn readers_see_whole_versions_while_layers_change_below_them() {
    const KEYS: u16 = 50;
    const VERSIONS: u64 = 1000;
    let value_at =
        |version: u64| (version > 0 && version % 7 != 3).then(|| version.to_be_bytes().to_vec());
    let mut storage = Storage::new();
    let published = AtomicU64::new(0);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reverse in [false, true] {
            let (store, published, is_done) = (storage.store.clone(), &published, &is_done);
            scope.spawn(move || {
                let mut checked: u64 = 0;
                while !is_done.load(Ordering::Acquire) || checked == 0 {
                    let version = published.load(Ordering::Acquire).saturating_sub(checked % 20);
                    let reader = store.reader();
                    let expected = value_at(version);
                    let mut rows = Vec::new();
                    let all = KeyRange::new("", "\u{7f}");
                    let visit = &mut |_: &[u8], found: Found<'_>| {
                        rows.push(found.value.to_vec());
                        ControlFlow::Continue(())
                    };
                    let at = Version(version);
                    let scanned = reader.scan(KeyspaceId::DEFAULT, &all, at, reverse, visit);
                    let key = (checked as u16 % KEYS).to_be_bytes();
                    let found = reader.get(KeyspaceId::DEFAULT, &key, at);
                    checked += 1;
                    if scanned.is_ok() {
                        let count = expected.as_ref().map_or(0, |_| usize::from(KEYS));
                        assert_eq!(rows.len(), count, "at {version}");
                        assert!(rows.iter().all(|row| Some(row) == expected.as_ref()));
                    }
                    if let Ok(found) = found {
                        assert_eq!(found.map(|found| found.value.to_vec()), expected);
                    }
                }
            });
        }
        for version in 1..=VERSIONS {
            let writes: Vec<Write> = match value_at(version) {
                Some(value) => (0..KEYS).map(|at| set(&at.to_be_bytes(), &value)).collect(),
                None => vec![Write::ClearRange {
                    keyspace: KeyspaceId::DEFAULT,
                    begin: "".into(),
                    end: "\u{7f}".into(),
                }],
            };
            storage.writer.apply(Version(version), 0, &writes);
            published.store(version, Ordering::Release);
            storage.horizon = version.saturating_sub(10);
            storage.writer.set_horizon(Version(storage.horizon));
            storage.writer.maintain();
            match version % 40 {
                0 | 20 => assert!(storage.writer.rotate()),
                30 | 35 => storage.flush(),
                39 => storage.compact((version / 40) as usize % 3, |_| 0),
                _ => {}
            }
        }
        is_done.store(true, Ordering::Release);
    });
}

#[test]
fn a_level_passes_over_tables_in_which_a_version_sees_nothing() {
    let mut storage = Storage::new();
    let clear =
        Write::ClearRange { keyspace: KeyspaceId::DEFAULT, begin: "b".into(), end: "c".into() };
    let (beneath, newest) = (set(b"b", b""), set(b"e", b""));
    let writes = [beneath, set(b"a", b""), clear, set(b"d", b""), set(b"f", b""), newest];
    for (version, write) in (1..).zip(writes) {
        storage.writer.apply(Version(version), 0, &[write]);
        storage.writer.rotate();
        storage.flush();
    }
    // The first table goes to level 2, the others to level 1.
    let tables = storage.store.tables();
    let numbers: Vec<_> = tables.iter().map(|(_, table)| table.properties().number).collect();
    let level = |table: &Table| 1 + u8::from(table.properties().least_version == Version(1));
    let moved: Vec<_> = tables.iter().map(|(_, table)| (level(table), Arc::clone(table))).collect();
    storage.store.install(&moved, &numbers);
    assert_eq!(storage.store.tables().level(1).len(), 5);
    let reader = storage.store.reader();
    for (version, expected) in [(1, "b"), (2, "ab"), (3, "a"), (4, "ad"), (5, "adf"), (6, "adef")] {
        for reverse in [false, true] {
            let mut found = String::new();
            let all = KeyRange::new("", "\u{7f}");
            let visit = &mut |key: &[u8], _: Found<'_>| {
                found.push_str(str::from_utf8(key).unwrap());
                ControlFlow::Continue(())
            };
            reader.scan(KeyspaceId::DEFAULT, &all, Version(version), reverse, visit).unwrap();
            if reverse {
                found = found.chars().rev().collect();
            }
            assert_eq!(found, expected, "at {version}");
        }
    }
}
