//! The engine as a whole, on a simulated disk, driven step by step.

#[cfg(feature = "server")]
mod cold;
mod commits;
mod compaction;
mod disk_full;
mod durability;
mod flush;
mod idempotency;
mod inspect;
mod layers;
mod model;
mod pins;
mod planted;
mod pressure;
mod recovery;
mod repair;
mod threads;
mod verify;
mod versions;
mod watches;

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, Commit, CommitResult, ConflictRange, Error, KeyRange, KeyspaceId, Mutation,
    MutationOp, ReadConflict, Version, WriteConflict,
};

use super::{
    CommitSink, Engine, EngineOptions, OpenError, Pipeline, StorageOptions, wal::LogOptions,
};
use crate::{
    clock::ManualClock,
    vfs::{SimVfs, Vfs},
};

const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

/// A disk, a clock, and how to open engines on them.
struct Bench {
    disk: SimVfs,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        Self { disk: SimVfs::new(), clock: Arc::new(ManualClock::new(1_000_000)) }
    }

    fn options(&self) -> EngineOptions {
        EngineOptions {
            vfs: Arc::new(self.disk.clone()) as Arc<dyn Vfs>,
            clock: Arc::clone(&self.clock) as _,
            seed: 7,
            pipeline: Pipeline::Manual,
            log: LogOptions {
                segment_bytes: 64 << 10,
                zero_fill_bytes: 4 << 10,
                ..LogOptions::default()
            },
            storage: StorageOptions { manifest_bytes_max: 32 << 10, ..StorageOptions::default() },
            ..EngineOptions::new(Path::new("/data"))
        }
    }

    /// Options with which a few commits fill a memtable, and a few more a segment of the log.
    fn small(&self) -> EngineOptions {
        EngineOptions {
            storage: StorageOptions {
                memtable_bytes: 16 << 10,
                level0_slow: 1000,
                level0_stop: 2000,
                packed_from_bytes: 0,
                ..self.options().storage
            },
            log: LogOptions { segment_bytes: 8 << 10, ..self.options().log },
            ..self.options()
        }
    }

    /// The same with segments that have room for commits that fill a memtable.
    fn roomy(&self) -> EngineOptions {
        let log = LogOptions { segment_bytes: 256 << 10, ..self.options().log };
        EngineOptions { log, ..self.small() }
    }

    fn open_small(&self) -> Engine {
        Engine::open(self.small()).unwrap()
    }

    fn open(&self) -> Engine {
        Engine::open(self.options()).unwrap()
    }

    fn open_with(&self, change: impl FnOnce(&mut EngineOptions)) -> Engine {
        let mut options = self.options();
        change(&mut options);
        Engine::open(options).unwrap()
    }

    /// Lets time pass in an idle engine.
    fn idle(&self, engine: &Engine, time: Duration) {
        self.clock.advance(time);
        settle(engine);
        settle(engine);
    }
}

/// Steps until nothing moves.
fn settle(engine: &Engine) {
    while engine.step() {}
}

/// Outcomes, as they come.
#[derive(Default)]
struct Outcomes {
    told: Mutex<Vec<(u64, Result<CommitResult, Error>)>>,
    wakes: Mutex<u64>,
}

impl Outcomes {
    fn submit(self: &Arc<Self>, engine: &Engine, token: u64, draft: Draft) {
        engine.submit(draft.0, Arc::clone(self) as Arc<dyn CommitSink>, token).unwrap();
    }

    fn take(&self) -> Vec<(u64, Result<CommitResult, Error>)> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

impl CommitSink for Outcomes {
    fn push(&self, token: u64, outcome: Result<CommitResult, Error>) {
        self.told.lock().unwrap().push((token, outcome));
    }

    fn wake(&self) {
        *self.wakes.lock().unwrap() += 1;
    }
}

/// A commit in the making.
#[derive(Clone, Default)]
struct Draft(Commit);

fn at(version: Version) -> Draft {
    Draft(Commit { read_version: Some(version), ..Commit::default() })
}

fn blind() -> Draft {
    Draft::default()
}

impl Draft {
    fn op(mut self, op: MutationOp) -> Self {
        self.0.mutations.push(Mutation { keyspace: SPACE, adds_conflict: true, op });
        self
    }

    fn set(self, key: &str, value: &str) -> Self {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), value.to_owned().into());
        self.op(MutationOp::Set { key, value })
    }

    fn clear_range(self, begin: &str, end: &str) -> Self {
        self.op(MutationOp::ClearRange {
            begin: begin.to_owned().into(),
            end: end.to_owned().into(),
        })
    }

    fn atomic(self, op: AtomicOp, key: &str, operand: &[u8]) -> Self {
        let operand = Bytes::copy_from_slice(operand);
        self.op(MutationOp::Atomic { op, key: key.to_owned().into(), operand })
    }

    fn reads(mut self, range: ConflictRange) -> Self {
        self.0.read_conflicts.push(ReadConflict { keyspace: SPACE, range, since: None });
        self
    }

    fn reads_key(self, key: &str) -> Self {
        self.reads(ConflictRange::Key(key.to_owned().into()))
    }

    fn reads_range(self, begin: &str, end: &str) -> Self {
        self.reads(KeyRange::new(begin.to_owned(), end.to_owned()).into())
    }

    fn claims(mut self, key: &str) -> Self {
        let range = ConflictRange::Key(key.to_owned().into());
        self.0.write_conflicts.push(WriteConflict { keyspace: SPACE, range });
        self
    }

    fn named(mut self, id: &str) -> Self {
        self.0.idempotency_id = Some(id.to_owned().into());
        self
    }

    fn commit(self, engine: &Engine) -> Result<CommitResult, Error> {
        engine.commit_blocking(self.0)
    }

    /// Commits what must succeed.
    fn version(self, engine: &Engine) -> Version {
        version_of(self.commit(engine))
    }

    /// Commits what must conflict.
    fn conflicts(self, engine: &Engine) -> Vec<u32> {
        match self.commit(engine) {
            Ok(CommitResult::Conflicted { read_conflicts }) => read_conflicts,
            other => panic!("no conflict: {other:?}"),
        }
    }

    fn code(self, engine: &Engine) -> u16 {
        self.commit(engine).unwrap_err().code.0
    }
}

#[track_caller]
fn version_of(outcome: Result<CommitResult, Error>) -> Version {
    match outcome {
        Ok(CommitResult::Committed { version, order: 0 }) => version,
        other => panic!("not committed: {other:?}"),
    }
}

fn value_at(engine: &Engine, key: &str, version: Version) -> Result<Option<String>, u16> {
    let reader = engine.reader();
    let found = reader.get(SPACE, key.as_bytes(), version).map_err(|error| error.code.0)?;
    Ok(found.map(|found| String::from_utf8_lossy(found.value).into_owned()))
}

fn value(engine: &Engine, key: &str) -> Option<String> {
    value_at(engine, key, engine.read_version()).unwrap()
}

/// Every row at a version.
fn rows_at(engine: &Engine, version: Version) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let mut rows = Vec::new();
    let all = KeyRange::new(Bytes::new(), Bytes::from_static(b"\xFF"));
    engine.reader().scan(SPACE, &all, version, false, &mut |key, found| {
        rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(found.value)));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}
