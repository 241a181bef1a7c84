//! Memtables become tables, and nobody who reads notices.

use std::collections::BTreeMap;

use super::*;
use crate::{
    engine::{DurabilityMode, EngineStats, Stage},
    random::Random,
    vfs::sim::{Keep, KeepNames},
};

type Rows = BTreeMap<String, String>;

/// Some transactions of sets, clears and range clears, done to the engine and to the rows.
pub(super) fn churn(engine: &Engine, rows: &mut Rows, random: &mut Random, count: usize) {
    for _ in 0..count {
        let mut draft = blind();
        for _ in 0..=random.below(3) {
            let key = format!("key {:03}", random.below(300));
            match random.below(10) {
                0 => {
                    let other = format!("key {:03}", random.below(300));
                    let (key, end) = (key.clone().min(other.clone()), key.max(other));
                    draft = draft.clear_range(&key, &end);
                    rows.retain(|row, _| *row < key || *row >= end);
                }
                1 => {
                    draft = draft.op(MutationOp::Clear { key: key.clone().into() });
                    rows.remove(&key);
                }
                _ => {
                    let value =
                        "v".repeat(random.below(200) as usize) + &random.next_u64().to_string();
                    draft = draft.set(&key, &value);
                    rows.insert(key, value);
                }
            }
        }
        draft.version(engine);
    }
}

#[track_caller]
pub(super) fn check(engine: &Engine, rows: &Rows) {
    let found = rows_at(engine, engine.read_version()).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|(key, value)| {
            (std::str::from_utf8(key).unwrap(), std::str::from_utf8(value).unwrap())
        })
        .collect();
    let expected: Vec<_> = rows.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert!(found == expected, "{} rows, not {}", found.len(), expected.len());
}

fn tables(stats: &EngineStats) -> u64 {
    stats.levels.iter().map(|level| level.tables).sum()
}

#[test]
fn everything_is_read_as_before_through_many_flushes_and_starts() {
    let bench = Bench::new();
    let mut random = Random::new(11);
    let mut rows = Rows::new();
    for round in 0..6 {
        let engine = bench.open_small();
        check(&engine, &rows);
        for _ in 0..20 {
            churn(&engine, &mut rows, &mut random, 20);
            check(&engine, &rows);
            bench.clock.advance(Duration::from_millis(300));
        }
        settle(&engine);
        let stats = engine.stats();
        assert!(stats.flushes >= 4 && stats.flushed_bytes > 10_000, "round {round}: {stats:?}");
        assert!(tables(&stats) > 0);
        assert_eq!((stats.store.frozen, stats.background.errors), (0, 0));
        check(&engine, &rows);
    }
    // The log was given up on the way: a start reads a few segments and tables, not all.
    let engine = bench.open_small();
    let stats = engine.stats();
    check(&engine, &rows);
    assert!(stats.recovery.tables > 0 && stats.recovery.log_segments <= 6, "{:?}", stats.recovery);
    let names = bench.disk.list(Path::new("/data/log")).unwrap();
    assert!(*names[0] > *"0000000000000010.log", "{names:?}");
}

#[test]
fn what_a_pinned_snapshot_sees_is_flushed_and_read() {
    let bench = Bench::new();
    let engine = bench.open_small();
    let mut random = Random::new(5);
    let mut rows = Rows::new();
    churn(&engine, &mut rows, &mut random, 100);
    let pin = engine.pin(None).unwrap();
    let before = rows_at(&engine, pin.version()).unwrap();
    for _ in 0..20 {
        churn(&engine, &mut rows, &mut random, 50);
        bench.idle(&engine, Duration::from_secs(10));
        assert_eq!(rows_at(&engine, pin.version()).unwrap(), before);
    }
    assert!(engine.stats().flushes > 5);
    check(&engine, &rows);
}

#[test]
fn only_what_is_published_is_flushed() {
    let bench = Bench::new();
    let engine = Engine::open(bench.roomy()).unwrap();
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", &"v".repeat(20 << 10)));
    assert!(engine.step_stage(Stage::Sequence));
    assert_eq!(engine.stats().store.frozen, 1);
    assert!(!engine.step_stage(Stage::Flush), "it is not on the disk");
    // It never will be: the log fails.
    bench.disk.set_plan("log.write#1=eio".parse().unwrap());
    assert!(engine.step_stage(Stage::Log));
    assert!(engine.is_poisoned());
    assert!(!engine.step_stage(Stage::Flush));
    drop(engine);
    let engine = bench.open_small();
    assert_eq!((value(&engine, "a"), engine.stats().levels[0].tables), (None, 0));
}

#[test]
fn a_commit_is_known_by_its_id_when_its_log_is_gone() {
    let bench = Bench::new();
    let engine = bench.open_small();
    let version = blind().set("first", "1").named("the id of the first").version(&engine);
    let mut rows = Rows::from([("first".to_owned(), "1".to_owned())]);
    churn(&engine, &mut rows, &mut Random::new(3), 300);
    settle(&engine);
    assert!(!bench.disk.exists(Path::new("/data/log/0000000000000001.log")).unwrap());
    drop(engine);
    for _ in 0..2 {
        let engine = bench.open_small();
        let again = blind().set("first", "2").named("the id of the first").version(&engine);
        assert_eq!(again, version);
        check(&engine, &rows);
        drop(engine);
    }
    let names = bench.disk.list(Path::new("/data/manifest")).unwrap();
    let ids = names.iter().filter(|name| name.to_string_lossy().ends_with(".ids")).count();
    assert_eq!(ids, 1, "{names:?}");
    // Later it is forgotten, and its file goes with the next flush.
    bench.clock.advance(Duration::from_mins(11));
    let engine = bench.open_small();
    churn(&engine, &mut rows, &mut Random::new(3), 100);
    settle(&engine);
    let names = bench.disk.list(Path::new("/data/manifest")).unwrap();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".ids")), "{names:?}");
}

#[test]
fn tables_may_reach_further_than_the_log() {
    let bench = Bench::new();
    let options = || EngineOptions { durability: DurabilityMode::None, ..bench.roomy() };
    let engine = Engine::open(options()).unwrap();
    let mut rows = Rows::new();
    let mut random = Random::new(9);
    churn(&engine, &mut rows, &mut random, 100);
    // Applied, and never written to the log; but frozen and flushed.
    let outcomes = Arc::new(Outcomes::default());
    let large = "v".repeat(20 << 10);
    outcomes.submit(&engine, 0, blind().set("last", &large));
    while engine.step_stage(Stage::Flush) {}
    assert!(engine.step_stage(Stage::Sequence));
    assert!(engine.step_stage(Stage::Flush));
    rows.insert("last".to_owned(), large);
    let last = version_of(outcomes.take().remove(0).1);
    // What follows in memory is lost, as it may be.
    blind().set("lost", "1").version(&engine);
    let disk = bench.disk.after_cut(Keep::Nothing, KeepNames::Prefix, 1);
    let bench = Bench { disk, clock: Arc::clone(&bench.clock) };
    let open = || Engine::open(EngineOptions { durability: DurabilityMode::None, ..bench.roomy() });
    for _ in 0..2 {
        let engine = open().unwrap();
        check(&engine, &rows);
        let version = blind().set("next", "1").version(&engine);
        assert!(version > last, "{version} is not above {last}");
        rows.insert("next".to_owned(), "1".to_owned());
        check(&engine, &rows);
    }
}

#[test]
fn an_error_at_any_call_of_a_flush_is_told_and_the_flush_is_done_again() {
    let prepare = || {
        let bench = Bench::new();
        let engine = bench.open_small();
        let mut rows = Rows::new();
        let mut random = Random::new(21);
        while engine.stats().store.frozen == 0 {
            let mut draft = blind();
            for _ in 0..10 {
                let key = format!("key {:03}", random.below(300));
                draft = draft.set(&key, "value");
                rows.insert(key, "value".to_owned());
            }
            let outcomes = Arc::new(Outcomes::default());
            outcomes.submit(&engine, 0, draft.named(&format!("a longer id {:04}", rows.len())));
            assert!(engine.step_stage(Stage::Sequence));
            assert!(engine.step_stage(Stage::Log));
        }
        (bench, engine, rows)
    };
    let (bench, engine, _) = prepare();
    let before = bench.disk.calls();
    assert!(engine.step_stage(Stage::Flush));
    let calls = bench.disk.calls() - before;
    assert!(calls > 10, "{calls} calls");
    for call in 1..=calls {
        for fault in ["eio", "enospc", "short"] {
            let (bench, engine, mut rows) = prepare();
            bench.disk.set_plan(format!("{call}={fault}").parse().unwrap());
            let is_flushed = engine.step_stage(Stage::Flush);
            let stats = engine.stats();
            assert!(!engine.is_poisoned());
            assert_eq!(stats.background.errors, u64::from(!is_flushed), "call {call} {fault}");
            assert_eq!(stats.background.last_error.is_some(), !is_flushed);
            check(&engine, &rows);
            // Crash now: nothing is lost, whatever the manifest has.
            for keep in [Keep::Nothing, Keep::Everything] {
                let disk = bench.disk.after_cut(keep, KeepNames::Any, 3);
                let bench = Bench { disk, clock: Arc::clone(&bench.clock) };
                check(&bench.open_small(), &rows);
            }
            if !is_flushed {
                assert!(engine.step_stage(Stage::Flush), "call {call} {fault}");
            }
            blind().set("after", "1").version(&engine);
            rows.insert("after".to_owned(), "1".to_owned());
            check(&engine, &rows);
            engine.close();
            drop(engine);
            let engine = bench.open_small();
            assert!(engine.stats().recovery.orphans <= 2, "{:?}", engine.stats().recovery);
            check(&engine, &rows);
        }
    }
}
