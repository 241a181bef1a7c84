//! Compactions of real tables on the simulated disk.

use std::{collections::BTreeMap, ffi::OsString};

use plinth_protocol::KeyspaceId;
use proptest::prelude::*;

use super::*;
use crate::{
    clock::ManualClock,
    engine::{
        compaction::{levels::LEVELS, stats::CompactionStats, testing::Listed},
        key::KeyBuf,
        layer::Lookup,
        table::{Compression, ReadIo, TableOptions},
        visible::Stamp,
    },
    random::Random,
    sync::Mutex,
    vfs::SimVfs,
};

/// Tables without an engine: a disk, a list, a horizon.
struct Host {
    vfs: Arc<SimVfs>,
    path: PathBuf,
    tables: Mutex<Vec<Vec<Arc<Table>>>>,
    next: Mutex<u64>,
    horizon: Mutex<Version>,
    is_stopping: Mutex<bool>,
}

impl CompactionHost for Host {
    fn vfs(&self) -> &dyn Vfs {
        &*self.vfs
    }

    fn tables_path(&self) -> &Path {
        &self.path
    }

    fn tables(&self) -> Vec<Vec<Arc<Table>>> {
        self.tables.lock().clone()
    }

    fn horizon(&self) -> Version {
        *self.horizon.lock()
    }

    fn is_flushing(&self) -> bool {
        false
    }

    fn take_number(&self) -> TableNumber {
        let mut next = self.next.lock();
        *next += 1;
        TableNumber(*next)
    }

    fn replace(
        &self,
        added: &[(u8, Arc<Table>)],
        removed: Vec<TableNumber>,
    ) -> Result<(), ManifestError> {
        let mut levels = self.tables.lock();
        for level in levels.iter_mut() {
            level.retain(|table| !removed.contains(&table.properties().number));
        }
        for (level, table) in added {
            levels[usize::from(*level)].push(Arc::clone(table));
        }
        levels[0].sort_by_key(|table| std::cmp::Reverse(table.properties().greatest_version));
        for level in levels.iter_mut().skip(1) {
            level.sort_by_key(|table| table.properties().begin.clone());
            for pair in level.windows(2) {
                assert!(pair[0].properties().end <= pair[1].properties().begin);
            }
        }
        let is_moved = |number: &TableNumber| {
            added.iter().any(|(_, table)| table.properties().number == *number)
        };
        for number in removed.iter().filter(|number| !is_moved(number)) {
            self.vfs.remove(&table_path(&self.path, *number)).unwrap();
        }
        Ok(())
    }

    fn remove_files(&self, files: Vec<PathBuf>) {
        for path in files {
            self.vfs.remove(&path).unwrap();
        }
    }

    fn wait(&self, _: Duration) -> ControlFlow<()> {
        if *self.is_stopping.lock() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn key(number: u32) -> KeyBuf {
    KeyRef::new(KeyspaceId(0), &number.to_be_bytes()).into()
}

impl Host {
    fn new() -> Self {
        let vfs = Arc::new(SimVfs::new());
        let path = PathBuf::from("/tables");
        vfs.create_directory(&path).unwrap();
        Self {
            vfs,
            path,
            tables: Mutex::new(vec![Vec::new(); LEVELS]),
            next: Mutex::new(0),
            horizon: Mutex::new(Version::ZERO),
            is_stopping: Mutex::new(false),
        }
    }

    /// Writes a table of level 0.
    fn flush(&self, memory: &mut Memory) {
        let Memory { entries, tombstones, .. } = memory;
        entries.sort_by(|a, b| a.key.cmp(&b.key).then(b.stamp.cmp(&a.stamp)));
        let input = RewriteInput {
            streams: vec![Listed::stream(entries)],
            tombstones: std::mem::take(tombstones),
            horizon: self.horizon(),
            is_last: &|_, _| false,
            table_bytes_max: u64::MAX,
            neighbours: Neighbours::default(),
            options: TableOptions::default(),
        };
        let mut pace = |_| ControlFlow::Continue(());
        let mut next = || self.take_number();
        let written = rewrite(&*self.vfs, &self.path, input, &mut next, &mut pace).unwrap();
        entries.clear();
        for properties in written {
            let path = table_path(&self.path, properties.number);
            let table = Table::open(&*self.vfs, &path, properties.number).unwrap();
            self.replace(&[(0, Arc::new(table))], Vec::new()).unwrap();
        }
    }

    fn get(&self, number: u32, version: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let (key, io) = (key(number), ReadIo::waiting());
        for table in self.tables().iter().flatten() {
            match table.get(key.as_ref(), Version(version), &io)? {
                Lookup::Value(value, _) => return Ok(Some(value.to_vec())),
                Lookup::Cleared => return Ok(None),
                Lookup::Unknown => {}
            }
        }
        Ok(None)
    }

    fn bytes(&self) -> u64 {
        self.tables().iter().flatten().map(|table| table.properties().bytes).sum()
    }

    fn entries(&self) -> u64 {
        self.tables().iter().flatten().map(|table| table.properties().entries).sum()
    }

    /// Each table has a file, and each file a table.
    fn check_files(&self) {
        let tables = self.tables();
        let names = tables.iter().flatten().map(|table| table.path().file_name().unwrap());
        let mut names: Vec<OsString> = names.map(OsString::from).collect();
        names.sort();
        assert_eq!(self.vfs.list(&self.path).unwrap(), names);
    }
}

/// The version and the value; none if it was cleared.
type Write = (u64, Option<Vec<u8>>);

/// What isn't in tables yet, and all that was ever written.
#[derive(Default)]
struct Memory {
    version: u64,
    entries: Vec<Listed>,
    tombstones: Vec<Vec<RangeTombstone>>,
    history: BTreeMap<u32, Vec<Write>>,
    user_bytes: u64,
}

impl Memory {
    fn put(&mut self, number: u32, value: Option<Vec<u8>>) {
        self.version += 1;
        let stamp = Stamp { version: Version(self.version), order: 0 };
        self.user_bytes += 4 + value.as_ref().map_or(0, Vec::len) as u64;
        self.history.entry(number).or_default().push((self.version, value.clone()));
        self.entries.push(Listed { key: key(number), stamp, value });
    }

    fn clear_range(&mut self, begin: u32, end: u32) {
        self.version += 1;
        let stamps = vec![Stamp { version: Version(self.version), order: 0 }];
        let (first, after) = (key(begin), key(end));
        self.tombstones.push(vec![RangeTombstone { begin: first, end: after, stamps }]);
        for (_, writes) in self.history.range_mut(begin..end) {
            writes.push((self.version, None));
        }
    }

    fn seen(&self, number: u32, version: u64) -> Option<Vec<u8>> {
        let writes = self.history.get(&number)?;
        let (_, value) = writes.iter().rev().find(|(written, _)| *written <= version)?;
        value.clone()
    }
}

fn options() -> StorageOptions {
    StorageOptions {
        level0_tables: 3,
        level0_slow: 6,
        level1_bytes: 16 << 10,
        level_ratio: 4,
        table_bytes_max: 4 << 10,
        compression: [
            Compression::None,
            Compression::None,
            Compression::Lz4,
            Compression::Lz4,
            Compression::Lz4,
            Compression::Lz4,
            Compression::Lz4,
        ],
        packed_from_bytes: 0,
        table: TableOptions { block_bytes: 512, ..TableOptions::default() },
        ..StorageOptions::default()
    }
}

struct Setup {
    host: Host,
    memory: Memory,
    compactor: Compactor,
    counters: Arc<CompactionCounters>,
    clock: Arc<ManualClock>,
    random: Random,
}

impl Setup {
    fn new(options: &StorageOptions) -> Self {
        let (clock, counters) = (Arc::new(ManualClock::new(0)), Arc::default());
        let clock_of_all = Arc::clone(&clock) as Arc<dyn Clock>;
        let compactor = Compactor::new(options, clock_of_all, Arc::clone(&counters));
        let (host, memory) = (Host::new(), Memory::default());
        Self { host, memory, compactor, counters, clock, random: Random::new(7) }
    }

    /// A value that doesn't become smaller when it is packed.
    fn value(&mut self, len: usize) -> Vec<u8> {
        let mut value = vec![0; len];
        self.random.fill(&mut value);
        value
    }

    /// Writes random keys of so many, and compacts after each flush.
    fn overwrite(&mut self, keys: u32, flushes: u32, writes: u32) {
        for _ in 0..flushes {
            for _ in 0..writes {
                let (number, value) = (self.random.below(keys.into()) as u32, self.value(100));
                self.memory.put(number, Some(value));
            }
            self.flush();
            self.settle();
        }
    }

    fn flush(&mut self) {
        self.host.flush(&mut self.memory);
    }

    /// The horizon comes to the present.
    fn pass(&self) {
        *self.host.horizon.lock() = Version(self.memory.version);
    }

    /// Compacts until nothing is due.
    fn settle(&mut self) -> u32 {
        let mut steps = 0;
        while self.compactor.run_once(&self.host).unwrap() {
            self.host.check_files();
            steps += 1;
            assert!(steps < 10_000);
        }
        steps
    }

    fn stats(&self) -> CompactionStats {
        self.counters.stats()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Set(u32, usize),
    Clear(u32),
    ClearRange(u32, u32),
    Flush,
    Compact,
    /// The horizon moves to so far below the present.
    Horizon(u64),
}

const KEYS: u32 = 80;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        60 => (0..KEYS, 0usize..200).prop_map(|(key, len)| Op::Set(key, len)),
        10 => (0..KEYS).prop_map(Op::Clear),
        3 => (0..KEYS, 1..40u32).prop_map(|(begin, len)| Op::ClearRange(begin, begin + len)),
        5 => Just(Op::Flush),
        5 => Just(Op::Compact),
        2 => (0u64..60).prop_map(Op::Horizon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_version_from_the_horizon_on_reads_the_same_through_all_compactions(
        ops in prop::collection::vec(op(), 100..700),
    ) {
        let mut setup = Setup::new(&options());
        for op in ops.iter().chain(&[Op::Flush, Op::Compact]) {
            match op {
                Op::Set(number, len) => {
                    let value = setup.value(*len);
                    setup.memory.put(*number, Some(value));
                }
                Op::Clear(number) => setup.memory.put(*number, None),
                Op::ClearRange(begin, end) => setup.memory.clear_range(*begin, *end),
                Op::Flush => setup.flush(),
                Op::Horizon(back) => {
                    let mut horizon = setup.host.horizon.lock();
                    let to = setup.memory.version.saturating_sub(*back);
                    *horizon = (*horizon).max(Version(to));
                }
                Op::Compact => {
                    setup.settle();
                }
            }
        }
        let (horizon, newest) = (setup.host.horizon().0, setup.memory.version);
        let step = (newest - horizon) as usize / 10 + 1;
        for version in (horizon..=newest).step_by(step).chain([newest]) {
            for number in 0..KEYS {
                let expected = setup.memory.seen(number, version);
                let found = setup.host.get(number, version).unwrap();
                prop_assert_eq!(found, expected, "{} at {}", number, version);
            }
        }
    }
}

#[test]
fn overwriting_costs_a_bounded_amount_of_writes_and_of_space() {
    let mut setup = Setup::new(&options());
    // 400 KiB of rows, each written about three times, in tables of 4 KiB: three levels below level 0.
    for _ in 0..5 {
        setup.overwrite(4000, 10, 250);
        setup.pass();
    }
    setup.settle();
    // A fourth of the deepest level may be stale, a fourth of a fourth, and two tables of level 0.
    let space = setup.host.entries() * 100 / setup.memory.history.len() as u64;
    assert!(space < 170, "{space} % of the live rows, {:?}", setup.stats());
    let written = setup.stats().written_bytes * 100 / setup.memory.user_bytes;
    // Three levels, each four times as large as the one above it.
    assert!(written < 1000, "{written} % of what was written, {:?}", setup.stats());
}

#[test]
fn loading_in_order_moves_tables_and_rewrites_nothing() {
    let mut setup = Setup::new(&options());
    for flush in 0..40 {
        for number in 0..50 {
            let value = setup.value(100);
            setup.memory.put(flush * 50 + number, Some(value));
        }
        setup.flush();
        setup.settle();
    }
    let stats = setup.stats();
    assert!(stats.moves > 40, "{stats:?}");
    assert_eq!((stats.compactions, stats.written_bytes), (0, 0));
}

#[test]
fn what_a_range_tombstone_covers_goes_unread_once_all_see_it() {
    let mut setup = Setup::new(&options());
    setup.overwrite(2000, 10, 400);
    setup.pass();
    setup.settle();
    let before = setup.host.bytes();
    setup.memory.clear_range(0, 2000);
    setup.flush();
    setup.settle();
    assert_eq!(setup.stats().dropped_unread, 0, "the horizon still sees everything");
    assert!(setup.host.bytes() >= before);
    let read = setup.stats().read_bytes;
    setup.pass();
    setup.settle();
    assert!(setup.stats().dropped_unread > 10);
    assert!(setup.stats().read_bytes - read < before / 10);
    assert_eq!(setup.host.bytes(), 0, "without another write");
}

#[test]
fn tables_are_packed_only_when_all_together_are_much() {
    let bytes = |packed_from_bytes| {
        let mut setup = Setup::new(&StorageOptions { packed_from_bytes, ..options() });
        for _ in 0..10 {
            for number in 0..400 {
                setup.memory.put(number, Some(vec![b'v'; 100]));
            }
            setup.flush();
            setup.pass();
            setup.settle();
        }
        setup.host.bytes()
    };
    let (packed, unpacked) = (bytes(0), bytes(u64::MAX));
    assert!(packed < unpacked * 3 / 4, "{packed} and {unpacked}");
}

#[test]
fn garbage_goes_without_another_write_once_all_have_passed_it() {
    let mut setup = Setup::new(&options());
    setup.overwrite(1000, 10, 400);
    // All of this is held by a reader at version 0.
    let held = setup.host.bytes();
    setup.pass();
    assert!(setup.settle() > 0);
    let live = setup.memory.history.len() as u64;
    let (entries, bytes) = (setup.host.entries(), setup.host.bytes());
    assert!(entries < live * 17 / 10, "{entries} entries for {live} rows");
    assert!(bytes < held / 2, "{bytes} of {held}");
    for number in 0..1000 {
        setup.memory.put(number, None);
    }
    setup.flush();
    setup.pass();
    setup.settle();
    assert_eq!(setup.host.bytes(), 0);
}

#[test]
fn a_damaged_table_is_left_as_it_is_and_the_others_go_on() {
    let mut setup = Setup::new(&options());
    setup.overwrite(2000, 10, 400);
    let tables = setup.host.tables();
    let deepest = tables.iter().rev().find(|level| !level.is_empty()).unwrap();
    let damaged = Arc::clone(&deepest[deepest.len() / 2]);
    setup.host.vfs.flip_bit(damaged.path(), 100, 3).unwrap();
    let number = damaged.properties().number;
    // Opened again, as at a start: what was found whole before is not looked at again.
    for level in setup.host.tables.lock().iter_mut() {
        for table in level.iter_mut().filter(|table| table.properties().number == number) {
            *table = Arc::new(Table::open(&*setup.host.vfs, damaged.path(), number).unwrap());
        }
    }
    setup.overwrite(2000, 30, 400);
    setup.pass();
    setup.settle();
    assert_eq!(setup.stats().damaged_tables, 1);
    let is_there = |table: &Arc<Table>| table.properties().number == number;
    assert!(setup.host.tables().iter().flatten().any(is_there));
    assert!(setup.host.tables()[0].len() < 12, "level 0 stays short");
    let (mut whole, mut refused) = (0, 0);
    for key in 0..2000 {
        match setup.host.get(key, setup.memory.version) {
            Ok(found) => {
                assert_eq!(found, setup.memory.seen(key, setup.memory.version));
                whole += 1;
            }
            Err(ReadError::Table(TableError::Damaged { path, .. })) => {
                assert_eq!(path, damaged.path());
                refused += 1;
            }
            Err(error) => unreachable!("{error}"),
        }
    }
    assert!(whole > 1900, "{whole} read, {refused} refused");
}

#[test]
fn a_table_that_the_disk_did_not_read_is_tried_again_after_a_while() {
    let mut setup = Setup::new(&options());
    for _ in 0..3 {
        let value = setup.value(100);
        setup.memory.put(1, Some(value));
        setup.flush();
    }
    setup.host.vfs.set_plan("table.read~1=eio".parse().unwrap());
    setup.settle();
    assert!(setup.stats().damaged_tables >= 1);
    assert_eq!(setup.stats().compactions, 0);
    setup.host.vfs.set_plan("".parse().unwrap());
    setup.settle();
    assert_eq!(setup.stats().compactions, 0);
    setup.clock.advance(Duration::from_secs(61));
    setup.settle();
    assert_eq!(setup.stats().damaged_tables, 0);
    assert_eq!(setup.stats().compactions, 1);
    assert_eq!(setup.host.get(1, 3).unwrap(), setup.memory.seen(1, 3));
}

#[test]
fn a_full_disk_leaves_everything_as_it_was_and_room_lets_it_go_on() {
    let mut setup = Setup::new(&options());
    for _ in 0..3 {
        for number in 0..100 {
            let value = setup.value(100);
            setup.memory.put(number, Some(value));
        }
        setup.flush();
    }
    let before = setup.host.tables();
    setup.host.vfs.set_plan("table.write~1=enospc".parse().unwrap());
    let error = setup.compactor.run_once(&setup.host).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    setup.host.check_files();
    assert_eq!(setup.host.tables().len(), before.len());
    setup.host.vfs.set_plan("".parse().unwrap());
    assert!(setup.settle() > 0);
    assert!(setup.host.tables()[0].is_empty());
}

#[test]
fn a_stop_gives_up_what_is_under_way_and_leaves_nothing_behind() {
    let mut setup = Setup::new(&options());
    for _ in 0..3 {
        for number in 0..1000 {
            setup.memory.put(number, Some(vec![1; 10]));
        }
        setup.flush();
    }
    *setup.host.is_stopping.lock() = true;
    let error = setup.compactor.run_once(&setup.host).unwrap_err();
    assert!(matches!(error, CompactionError::Stopped));
    setup.host.check_files();
    *setup.host.is_stopping.lock() = false;
    assert!(setup.settle() > 0);
}
