//! The engine on its own threads and a real disk.

use std::{sync::mpsc, thread, time::Instant};

use plinth_protocol::Durability;

use super::*;
use crate::engine::DurabilityMode;

fn options(directory: &Path) -> EngineOptions {
    EngineOptions::new(directory)
}

fn number_at(engine: &Engine, key: &str, version: Version) -> u64 {
    value_at(engine, key, version).unwrap().map_or(0, |text| text.parse().unwrap())
}

/// Adds one to a counter, as often as it takes.
fn increment(engine: &Engine) -> u64 {
    for attempt in 0.. {
        let version = engine.read_version();
        let next = number_at(engine, "counter", version) + 1;
        let draft = at(version).reads_key("counter").set("counter", &next.to_string());
        match draft.commit(engine) {
            Ok(CommitResult::Committed { version, .. }) => {
                assert!(engine.read_version() >= version, "told of what can't be seen");
                return attempt;
            }
            Ok(CommitResult::Conflicted { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    0
}

#[test]
fn no_increment_of_many_threads_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let modes = [
        DurabilityMode::Sync,
        DurabilityMode::Interval(Duration::from_millis(1)),
        DurabilityMode::None,
    ];
    for (round, mode) in (1..).zip(modes) {
        let engine =
            Engine::open(EngineOptions { durability: mode, ..options(directory.path()) }).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        increment(&engine);
                    }
                });
            }
        });
        assert_eq!(number_at(&engine, "counter", engine.read_version()), round * 200);
    }
    let engine = Engine::open(options(directory.path())).unwrap();
    assert_eq!(number_at(&engine, "counter", engine.read_version()), 600);
}

#[test]
fn what_threads_commit_goes_to_tables_and_is_there_after_a_close_in_the_middle() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let storage = StorageOptions { memtable_bytes: 128 << 10, ..StorageOptions::default() };
        Engine::open(EngineOptions {
            durability: DurabilityMode::None,
            storage,
            ..options(directory.path())
        })
        .unwrap()
    };
    let key = |thread: u64, number: u64| format!("{thread}/{number:06}");
    let value = "v".repeat(500);
    let mut rows = 0;
    for round in 0..3 {
        let engine = open();
        assert_eq!(rows_at(&engine, engine.read_version()).unwrap().len() as u64, rows);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (engine, value) = (&engine, &value);
                scope.spawn(move || {
                    for number in 0..400 {
                        blind().set(&key(thread, 1000 * round + number), value).version(engine);
                    }
                });
            }
        });
        rows += 4 * 400;
        // The close gives up the flush that is under way.
        engine.close();
        assert_eq!(rows_at(&engine, engine.read_version()).unwrap().len() as u64, rows);
    }
    let engine = open();
    assert_eq!(rows_at(&engine, engine.read_version()).unwrap().len() as u64, rows);
    assert!(engine.stats().recovery.tables > 0, "{:?}", engine.stats());
}

#[test]
fn the_read_version_of_an_idle_engine_moves_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(directory.path())).unwrap();
    let begin = engine.read_version();
    let limit = Instant::now() + Duration::from_secs(10);
    while engine.read_version().0 < begin.0 + 50_000 {
        assert!(Instant::now() < limit, "it stands still");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits for something that the engine's threads do.
fn await_that(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_has_lined_up_is_decided_when_it_is_driven_by_whoever_is_there() {
    let directory = tempfile::tempdir().unwrap();
    // Nobody comes by himself.
    let tick = Duration::from_hours(1);
    let engine = Engine::open(EngineOptions { tick, ..options(directory.path()) }).unwrap();
    let outcomes = Arc::new(Outcomes::default());
    let line_up = |count: usize| {
        for number in 0..count {
            let sink = Arc::clone(&outcomes) as Arc<dyn CommitSink>;
            engine.line_up(blind().set(&format!("{number}"), "v").0, sink, 0).unwrap();
        }
    };
    let all_are_told = |count| {
        await_that("not told", || outcomes.told.lock().unwrap().len() == count);
        for (_, outcome) in outcomes.take() {
            version_of(outcome);
        }
    };
    line_up(15);
    assert!(!engine.drive_early(), "too few for a sync of their own");
    // At first the engine's own thread may be quicker.
    let mut waiting = 15;
    let begun = Instant::now();
    loop {
        line_up(16);
        waiting += 16;
        if engine.drive_early() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the log is never idle");
        thread::sleep(Duration::from_millis(1));
    }
    all_are_told(waiting);
    line_up(1);
    engine.drive();
    all_are_told(1);
    // So many that the engine's own thread is woken.
    line_up(2000);
    engine.drive();
    all_are_told(2000);
}

#[test]
fn what_nobody_waits_for_is_written_soon_and_a_sync_is_not_held_up_by_it() {
    let directory = tempfile::tempdir().unwrap();
    let mode = DurabilityMode::None;
    let engine =
        Engine::open(EngineOptions { durability: mode, ..options(directory.path()) }).unwrap();
    let written = || engine.stats().log_writes;
    for number in 0..3 {
        let before = written();
        blind().set(&format!("{number}"), "v").version(&engine);
        await_that("not written", || written() > before);
    }
    engine.close();
    drop(engine);
    let engine = Engine::open(options(directory.path())).unwrap();
    assert_eq!(value(&engine, "2").as_deref(), Some("v"));
    let unsynced = Some(Durability::None);
    for number in 0..100 {
        let commit = blind().set("unsynced", &number.to_string()).0;
        engine.commit_blocking(Commit { durability: unsynced, ..commit }).unwrap();
        // Told only when it is on the disk.
        let synced = engine.stats().log_syncs;
        blind().set("synced", &number.to_string()).version(&engine);
        assert!(engine.stats().log_syncs > synced);
    }
}

#[test]
fn the_last_handle_may_be_dropped_by_the_engines_own_thread() {
    struct LastHandle(Mutex<Option<Engine>>, mpsc::Sender<()>);
    impl CommitSink for LastHandle {
        fn push(&self, _token: u64, outcome: Result<CommitResult, Error>) {
            version_of(outcome);
        }
        fn wake(&self) {
            drop(self.0.lock().unwrap().take());
            self.1.send(()).unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(directory.path())).unwrap();
    let (sender, dropped) = mpsc::channel();
    let sink = Arc::new(LastHandle(Mutex::new(None), sender));
    let mut held = sink.0.lock().unwrap();
    engine.submit(blind().set("a", "1").0, sink.clone(), 0).unwrap();
    *held = Some(engine);
    drop(held);
    dropped.recv_timeout(Duration::from_secs(10)).unwrap();
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        // The lock of the directory goes with the last thread.
        match Engine::open(options(directory.path())) {
            Ok(engine) => return assert_eq!(value(&engine, "a").as_deref(), Some("1")),
            Err(error) => assert!(Instant::now() < limit, "{error}"),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_directory_is_opened_once_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(directory.path())).unwrap();
    let again = Engine::open(options(directory.path()));
    assert!(matches!(again, Err(OpenError::Directory(_))), "{again:?}");
    let id = engine.database_id();
    drop(engine);
    assert_eq!(Engine::open(options(directory.path())).unwrap().database_id(), id);
}
