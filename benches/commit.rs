//! What a commit costs, alone and in company, beside the disk below it.
//!
//! `cargo bench --bench commit`. Compare `alone` at `sync` with `disk::write_and_sync`; the files
//! are in the target directory, lest they be in memory.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use divan::{Bencher, counter::ItemsCount};
use plinth_protocol::{
    AtomicOp, Commit, CommitResult, ConflictRange, Error, KeyspaceId, Mutation, MutationOp,
    ReadConflict,
};
use plinthdb::engine::{CommitSink, DurabilityMode, Engine, EngineOptions};
use tempfile::TempDir;

fn main() {
    divan::main();
}

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk")
}

fn open(directory: &Path, durability: DurabilityMode) -> Engine {
    Engine::open(EngineOptions { durability, ..EngineOptions::new(directory) })
        .expect("an empty directory")
}

/// Keys in no order, as a load generator's are.
fn key(number: u64) -> Bytes {
    format!("user/{:011}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000_000).into()
}

fn commit_of(op: MutationOp) -> Commit {
    let mutation = Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op };
    Commit { mutations: vec![mutation], ..Commit::default() }
}

fn set(number: u64) -> Commit {
    commit_of(MutationOp::Set { key: key(number), value: Bytes::from_static(&[b'v'; 100]) })
}

fn add(number: u64) -> Commit {
    let operand = Bytes::from_static(&[1, 0, 0, 0, 0, 0, 0, 0]);
    commit_of(MutationOp::Atomic { op: AtomicOp::Add, key: key(number), operand })
}

fn read_and_set(engine: &Engine, number: u64) -> Commit {
    let range = ConflictRange::Key(key(number));
    let keyspace = KeyspaceId::DEFAULT;
    Commit {
        read_version: Some(engine.read_version()),
        read_conflicts: vec![ReadConflict { keyspace, range, since: None }],
        ..set(number)
    }
}

/// Lets its owner have so many commits under way and no more.
struct Window {
    under_way: Mutex<u64>,
    changed: Condvar,
    answered: AtomicU64,
}

impl CommitSink for Window {
    fn push(&self, _token: u64, outcome: Result<CommitResult, Error>) {
        assert!(outcome.is_ok(), "{outcome:?}");
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn wake(&self) {
        let mut under_way = self.under_way.lock().expect("nobody panics with it");
        *under_way -= self.answered.swap(0, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

/// Commits `count` times with at most `depth` under way.
fn commit_many(engine: &Engine, count: u64, depth: u64, make: impl Fn(u64) -> Commit) {
    let window = Arc::new(Window {
        under_way: Mutex::new(0),
        changed: Condvar::new(),
        answered: AtomicU64::new(0),
    });
    let wait_below = |limit: u64| {
        let mut under_way = window.under_way.lock().expect("nobody panics with it");
        while *under_way >= limit {
            under_way = window.changed.wait(under_way).expect("nobody panics with it");
        }
        under_way
    };
    for number in 0..count {
        *wait_below(depth) += 1;
        let sink = Arc::clone(&window) as Arc<dyn CommitSink>;
        engine.submit(make(number), sink, number).expect("the queue has room");
    }
    drop(wait_below(1));
}

const MODES: [(&str, DurabilityMode); 2] =
    [("none", DurabilityMode::None), ("sync", DurabilityMode::Sync)];

fn mode_named(name: &str) -> DurabilityMode {
    MODES.iter().find(|(known, _)| *known == name).map_or(DurabilityMode::Sync, |(_, mode)| *mode)
}

#[divan::bench(args = ["none", "sync"], sample_count = 2_000)]
fn alone(bencher: Bencher<'_, '_>, mode: &str) {
    let directory = directory();
    let engine = open(directory.path(), mode_named(mode));
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        engine.commit_blocking(set(number)).expect("a commit")
    });
}

#[divan::bench(args = [16, 64, 1024], sample_count = 10)]
fn sets_under_way_sync(bencher: Bencher<'_, '_>, depth: u64) {
    let directory = directory();
    let engine = open(directory.path(), DurabilityMode::Sync);
    bencher.counter(ItemsCount::new(20_000_u64)).bench_local(|| {
        commit_many(&engine, 20_000, depth, set);
    });
}

#[divan::bench(args = [64, 1024], sample_count = 10)]
fn sets_under_way_none(bencher: Bencher<'_, '_>, depth: u64) {
    let directory = directory();
    let engine = open(directory.path(), DurabilityMode::None);
    bencher.counter(ItemsCount::new(100_000_u64)).bench_local(|| {
        commit_many(&engine, 100_000, depth, set);
    });
}

#[divan::bench(sample_count = 10)]
fn adds_under_way_none(bencher: Bencher<'_, '_>) {
    let directory = directory();
    let engine = open(directory.path(), DurabilityMode::None);
    bencher.counter(ItemsCount::new(100_000_u64)).bench_local(|| {
        commit_many(&engine, 100_000, 1024, add);
    });
}

#[divan::bench(sample_count = 10)]
fn reads_and_sets_under_way_none(bencher: Bencher<'_, '_>) {
    let directory = directory();
    let engine = open(directory.path(), DurabilityMode::None);
    bencher.counter(ItemsCount::new(100_000_u64)).bench_local(|| {
        commit_many(&engine, 100_000, 1024, |number| read_and_set(&engine, number));
    });
}

mod disk {
    use divan::Bencher;
    use plinthdb::vfs::{OsVfs, Vfs};

    use super::directory;

    /// A record's worth at a time into a file whose bytes are there already, as the log does.
    #[divan::bench(sample_count = 2_000)]
    fn write_and_sync(bencher: Bencher<'_, '_>) {
        let directory = directory();
        let file = OsVfs.create(&directory.path().join("file")).expect("a file");
        let blank = vec![0; 4 << 20];
        file.write_all_at(&blank, 0).and_then(|()| file.sync_all()).expect("room on the disk");
        let record = [b'r'; 512];
        let mut offset = 0;
        bencher.bench_local(|| {
            file.write_all_at(&record, offset % (4 << 20)).expect("room on the disk");
            file.sync_data().expect("a disk");
            offset += 512;
        });
    }
}
