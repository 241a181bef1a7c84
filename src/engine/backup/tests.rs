//! Backups on the simulated disk, of an engine that is driven step by step.

mod crash;
mod points;
mod tables;
mod writers;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use plinth_protocol::{Commit, CommitResult, KeyRange, KeyspaceId, Mutation, MutationOp, Version};

use super::*;
use crate::{
    clock::ManualClock,
    engine::{
        DurabilityMode, Engine, EngineOptions, Pipeline, StorageOptions,
        directory::DatabaseId,
        wal::{LogOptions, path_of_segment, segments_in},
    },
    vfs::{SimVfs, Vfs},
};

const SPACE: KeyspaceId = KeyspaceId::DEFAULT;
const NEW_ID: DatabaseId = DatabaseId(*b"the new database");

/// A disk, a clock, and what happens on them.
struct Bench {
    disk: SimVfs,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        Self { disk: SimVfs::new(), clock: Arc::new(ManualClock::new(1_000_000)) }
    }

    /// The same time on another disk.
    fn on(&self, disk: SimVfs) -> Self {
        Self { disk, clock: Arc::clone(&self.clock) }
    }

    fn vfs(&self) -> Arc<dyn Vfs> {
        Arc::new(self.disk.clone())
    }

    fn log_options() -> LogOptions {
        LogOptions { segment_bytes: 8 << 10, zero_fill_bytes: 4 << 10, ..LogOptions::default() }
    }

    fn options(&self, directory: &str) -> EngineOptions {
        EngineOptions {
            vfs: self.vfs(),
            clock: Arc::clone(&self.clock) as _,
            seed: 7,
            pipeline: Pipeline::Manual,
            log: Self::log_options(),
            new_database_id: DatabaseId(*b"the old database"),
            ..EngineOptions::new(directory)
        }
    }

    fn open(&self, directory: &str) -> Engine {
        Engine::open(self.options(directory)).unwrap()
    }

    /// The same with memtables that some dozen commits fill: they go to tables.
    fn open_small(&self, directory: &str) -> Engine {
        let storage = StorageOptions { memtable_bytes: 32 << 10, ..StorageOptions::default() };
        Engine::open(EngineOptions { storage, ..self.options(directory) }).unwrap()
    }

    fn restore_options(&self, to: RestoreTo) -> RestoreOptions {
        RestoreOptions {
            vfs: self.vfs(),
            clock: Arc::clone(&self.clock) as _,
            archives: vec![],
            to,
            new_database_id: NEW_ID,
            log: Self::log_options(),
        }
    }

    fn restore(&self, to: RestoreTo) -> Result<RestoreReport, BackupError> {
        restore(Path::new("/backup"), Path::new("/new"), &self.restore_options(to), &mut on())
    }

    fn restore_with(&self, to: RestoreTo, archives: &[&str]) -> Result<RestoreReport, BackupError> {
        let mut options = self.restore_options(to);
        options.archives = archives.iter().map(PathBuf::from).collect();
        restore(Path::new("/backup"), Path::new("/new"), &options, &mut on())
    }

    /// What the restored database has.
    fn restored(&self) -> Vec<(String, String)> {
        let engine = self.open("/new");
        let rows = rows(&engine);
        engine.close();
        rows
    }

    /// Copies the segments of the log that are closed, as an archive has them.
    fn archive(&self, to: &str) {
        let from = Path::new("/data/log");
        let numbers = segments_in(&self.disk, from).unwrap();
        for number in numbers.iter().rev().skip(1) {
            let bytes = self.disk.bytes(&path_of_segment(from, *number)).unwrap();
            self.disk.put(&path_of_segment(Path::new(to), *number), &bytes).unwrap();
        }
    }
}

/// Goes on whatever the progress.
fn on() -> impl FnMut(BackupProgress) -> ControlFlow<()> {
    let mut before = 0;
    move |progress| {
        assert!(progress.done_bytes >= before && progress.done_bytes <= progress.total_bytes);
        before = progress.done_bytes;
        ControlFlow::Continue(())
    }
}

fn checkpoint(engine: &Engine) -> Result<CheckpointReport, BackupError> {
    engine.checkpoint(Path::new("/backup"), &mut on())
}

fn set(engine: &Engine, rows: &[(&str, &str)]) -> Version {
    let copy = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let mutations = rows.iter().map(|(key, value)| Mutation {
        keyspace: SPACE,
        adds_conflict: true,
        op: MutationOp::Set { key: copy(key), value: copy(value) },
    });
    let commit = Commit { mutations: mutations.collect(), ..Commit::default() };
    match engine.commit_blocking(commit) {
        Ok(CommitResult::Committed { version, .. }) => version,
        other => panic!("not committed: {other:?}"),
    }
}

/// Every row of the newest version.
fn rows(engine: &Engine) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let all = KeyRange::new(Bytes::new(), Bytes::from_static(b"\xFF"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    engine
        .reader()
        .scan(SPACE, &all, engine.read_version(), false, &mut |key, found| {
            rows.push((text(key), text(found.value)));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn row(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Commits so many rows, each a second after the one before; their versions.
fn write(bench: &Bench, engine: &Engine, from: u64, count: u64) -> Vec<Version> {
    let value = "v".repeat(500);
    (from..from + count)
        .map(|number| {
            bench.clock.advance(Duration::from_secs(1));
            let row = (&*format!("key{number:04}"), &*value);
            let version = set(engine, &[row, ("newest", &number.to_string())]);
            // Whatever is due in the background is done.
            while engine.step() {}
            version
        })
        .collect()
}
