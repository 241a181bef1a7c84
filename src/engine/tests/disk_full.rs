//! What becomes of commits when the disk is full.

use super::*;
use crate::{
    engine::Stage,
    vfs::sim::{Keep, KeepNames},
};

const DISK_FULL: u16 = 8042;
/// What a disk in these tests holds.
const SPACE: &str = "space=400000";

fn value_of(bytes: usize) -> String {
    "v".repeat(bytes)
}

/// Fills the disk with commits; answers how many were taken.
fn fill(bench: &Bench, engine: &Engine) -> usize {
    for count in 0..1000 {
        let committed = blind().set(&format!("key {count}"), &value_of(5000)).commit(engine);
        bench.clock.advance(Duration::from_millis(1));
        match committed {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.code.0, DISK_FULL);
                return count;
            }
        }
    }
    panic!("the disk takes everything");
}

#[test]
fn a_full_disk_refuses_commits_and_takes_them_again_when_there_is_room() {
    let bench = Bench::new();
    let engine = bench.open();
    bench.disk.set_plan(SPACE.parse().unwrap());
    let taken = fill(&bench, &engine);
    assert!(taken > 20, "{taken}");
    let full = engine.stats();
    assert!(full.disk_full.unwrap().contains("could not"));
    assert!(!engine.is_poisoned());
    // Reads go on, and so does the read version, for which a bit of room is kept.
    assert_eq!(value(&engine, "key 0"), Some(value_of(5000)));
    let before = engine.read_version();
    bench.idle(&engine, Duration::from_secs(1));
    assert!(engine.read_version() > before);
    assert_eq!(blind().set("refused", &value_of(5000)).code(&engine), DISK_FULL);
    // What only reads needs no room; what doesn't commit is told so.
    version_of(at(engine.read_version()).reads_key("key 0").commit(&engine));
    at(before).reads_key("key 1").claims("key 1").version(&engine);

    bench.disk.set_plan("".parse().unwrap());
    bench.idle(&engine, Duration::from_secs(20));
    assert_eq!(engine.stats().disk_full, None);
    blind().set("later", "1").version(&engine);
    drop(engine);
    let again = Bench { disk: bench.disk.restart(), clock: Arc::clone(&bench.clock) }.open();
    assert_eq!(rows_at(&again, again.read_version()).unwrap().len(), taken + 1);
    assert_eq!(value(&again, "refused"), None, "refused is refused");
}

#[test]
fn nothing_acknowledged_is_lost_by_a_cut_on_a_full_disk() {
    let bench = Bench::new();
    let engine = bench.open();
    bench.disk.set_plan(SPACE.parse().unwrap());
    let taken = fill(&bench, &engine);
    let disk = bench.disk.after_cut(Keep::Nothing, KeepNames::Prefix, 1);
    let again = Bench { disk, clock: Arc::clone(&bench.clock) }.open();
    assert_eq!(rows_at(&again, again.read_version()).unwrap().len(), taken);
}

#[test]
fn a_commit_larger_than_a_segment_gets_room_before_it_is_sequenced() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    let large =
        (0..30).fold(blind(), |draft, key| draft.set(&format!("{key:02}"), &value_of(9000)));
    outcomes.submit(&engine, 0, large.clone());
    outcomes.submit(&engine, 1, blind().set("small", "1"));
    // There is no room of that size yet: it waits, undecided.
    assert!(!engine.step_stage(Stage::Sequence));
    settle(&engine);
    assert_eq!(outcomes.take().len(), 2);
    assert_eq!(value(&engine, "29"), Some(value_of(9000)));

    // Where there can't be any, it is refused, and what is small is not.
    bench.disk.set_plan(SPACE.parse().unwrap());
    assert_eq!(large.code(&engine), DISK_FULL);
    blind().set("small", "2").version(&engine);
}

#[test]
fn a_disk_that_fails_to_make_room_does_not_poison() {
    let bench = Bench::new();
    let engine = bench.open();
    bench.disk.set_plan("spare.allocate#1+=eio".parse().unwrap());
    let taken = fill(&bench, &engine);
    assert!(taken > 5 && !engine.is_poisoned());
    bench.disk.set_plan("".parse().unwrap());
    bench.idle(&engine, Duration::from_secs(20));
    blind().set("later", "1").version(&engine);
}

/// The plan of a disk with no byte free.
fn no_space(disk: &SimVfs) -> String {
    let mut used = 0;
    for directory in ["/data", "/data/log", "/data/manifest", "/data/tables"] {
        for name in disk.list(Path::new(directory)).unwrap() {
            let file = disk.bytes(&Path::new(directory).join(name));
            used += file.map_or(0, |bytes| bytes.len() as u64);
        }
    }
    format!("space={used}")
}

/// The same disk after a restart, with no byte free.
fn full_again(disk: &SimVfs) -> SimVfs {
    let disk = disk.restart();
    disk.set_plan(no_space(&disk).parse().unwrap());
    disk
}

fn open_full(bench: &mut Bench, options: &EngineOptions) -> Engine {
    bench.disk = full_again(&bench.disk);
    let engine =
        Engine::open(EngineOptions { vfs: Arc::new(bench.disk.clone()), ..options.clone() });
    let engine = engine.unwrap();
    settle(&engine);
    engine
}

/// Opens on a full disk again and again. Everything is read; commits are refused in the end, and
/// taken when there is room.
#[track_caller]
fn check_starts(bench: &mut Bench, options: &EngineOptions, starts: usize) {
    let engine = Engine::open(options.clone()).unwrap();
    settle(&engine);
    bench.disk.set_plan(SPACE.parse().unwrap());
    let mut taken = fill(bench, &engine);
    drop(engine);
    let mut read_version = Version::ZERO;
    for start in 0..starts {
        let engine = open_full(bench, options);
        assert_eq!(rows_at(&engine, engine.read_version()).unwrap().len(), taken, "{start}");
        assert!(engine.read_version() >= read_version, "start {start}");
        read_version = engine.read_version();
        // The room that the log has left.
        for _ in 0..600 {
            match blind().set(&format!("more {taken}"), "1").commit(&engine) {
                Ok(_) => taken += 1,
                Err(error) => {
                    assert_eq!(error.code.0, DISK_FULL);
                    break;
                }
            }
        }
        assert_eq!(blind().set("refused", "1").code(&engine), DISK_FULL);
        assert!(engine.stats().disk_full.is_some() && !engine.is_poisoned());
    }
    let engine = open_full(bench, options);
    bench.disk.set_plan("".parse().unwrap());
    bench.idle(&engine, Duration::from_secs(3));
    blind().set("later", "1").version(&engine);
    bench.idle(&engine, Duration::from_secs(3));
    assert_eq!(engine.stats().disk_full, None);
    drop(engine);
    let engine = open_full(bench, options);
    assert_eq!(rows_at(&engine, engine.read_version()).unwrap().len(), taken + 1);
    assert_eq!(value(&engine, "refused"), None);
}

#[test]
fn a_database_opens_on_a_full_disk_again_and_again() {
    let mut bench = Bench::new();
    let options = bench.options();
    // More starts than the log has room for ceilings.
    check_starts(&mut bench, &options, 20);
}

#[test]
fn a_database_that_can_not_flush_opens_on_a_full_disk() {
    let mut bench = Bench::new();
    let options = bench.small();
    check_starts(&mut bench, &options, 5);
    let mut bench = Bench::new();
    let options = bench.roomy();
    check_starts(&mut bench, &options, 5);
}

#[test]
fn a_log_without_room_for_a_ceiling_refuses_commits_and_goes_on() {
    let bench = Bench::new();
    let engine = bench.open();
    blind().set("a", "1").version(&engine);
    bench.disk.set_plan(SPACE.parse().unwrap());
    fill(&bench, &engine);
    // Longer than there are ceilings.
    for _ in 0..200 {
        bench.idle(&engine, Duration::from_mins(1));
    }
    let read_version = engine.read_version();
    bench.idle(&engine, Duration::from_mins(1));
    assert_eq!(engine.read_version(), read_version, "no versions are left");
    assert_eq!(blind().set("refused", "1").code(&engine), DISK_FULL);
    assert_eq!(value(&engine, "a").as_deref(), Some("1"));
    bench.disk.set_plan("".parse().unwrap());
    bench.idle(&engine, Duration::from_secs(3));
    bench.idle(&engine, Duration::from_millis(10));
    blind().set("later", "1").version(&engine);
    assert!(engine.read_version() > read_version);
}

#[test]
fn a_power_cut_while_a_database_opens_on_a_full_disk_loses_nothing() {
    let bench = Bench::new();
    let options = bench.small();
    let engine = Engine::open(options.clone()).unwrap();
    settle(&engine);
    bench.disk.set_plan(SPACE.parse().unwrap());
    let taken = fill(&bench, &engine);
    drop(engine);
    let whole = full_again(&bench.disk);
    let space = no_space(&whole);
    let open = |disk: &SimVfs| {
        Engine::open(EngineOptions { vfs: Arc::new(disk.clone()), ..options.clone() })
    };
    let calls = {
        let disk = full_again(&whole);
        drop(open(&disk).unwrap());
        disk.calls()
    };
    assert!(calls > 5, "{calls}");
    for call in 1..=calls {
        for seed in 0..3 {
            let disk = whole.restart();
            disk.set_plan(format!("{space} {call}=cut-during").parse().unwrap());
            drop(open(&disk));
            let disk = disk.after_cut(Keep::Random, KeepNames::Prefix, seed);
            disk.set_plan(space.parse().unwrap());
            let engine = open(&disk).unwrap_or_else(|error| panic!("call {call}: {error}"));
            let rows = rows_at(&engine, engine.read_version()).unwrap();
            assert_eq!(rows.len(), taken, "call {call}, seed {seed}");
        }
    }
}
