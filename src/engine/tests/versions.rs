//! Versions never repeat and never go back, whatever happens.

use super::*;
use crate::{
    engine::{
        Stage,
        wal::{Log, LogError, LogStart, RecordEncoder},
        write::CommittedTransaction,
    },
    vfs::sim::{Keep, KeepNames},
};

#[test]
fn versions_follow_the_clock_also_when_idle() {
    let bench = Bench::new();
    let engine = bench.open();
    let begin = engine.read_version();
    bench.idle(&engine, Duration::from_secs(2));
    assert_eq!(engine.read_version().0, begin.0 + 2_000_000);
    bench.clock.advance(Duration::from_secs(3));
    assert_eq!(blind().set("a", "1").version(&engine).0, begin.0 + 5_000_000);
    let next = blind().set("a", "1").version(&engine);
    assert_eq!(next.0, begin.0 + 5_000_001);
}

#[test]
fn a_new_database_has_a_version_that_can_be_read_at() {
    let bench = Bench::new();
    let engine = bench.open();
    let read_version = engine.read_version();
    assert!(read_version > Version::ZERO, "zero means none in a request");
    blind().set("a", "1").version(&engine);
    let late = at(read_version).reads_key("a").set("a", "2").commit(&engine);
    assert!(matches!(late, Ok(CommitResult::Conflicted { .. })), "{late:?}");
}

#[test]
fn the_read_version_does_not_move_past_a_commit_in_flight() {
    let bench = Bench::new();
    let engine = bench.open();
    let begin = engine.read_version();
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    assert!(engine.step_stage(Stage::Sequence));
    bench.clock.advance(Duration::from_secs(1));
    assert!(!engine.step_stage(Stage::Sequence));
    assert_eq!(engine.read_version(), begin);
    settle(&engine);
    bench.idle(&engine, Duration::from_micros(1));
    assert_eq!(engine.read_version().0, begin.0 + 1_000_001);
}

#[test]
fn a_restart_goes_on_above_everything_that_was_handed_out() {
    let mut bench = Bench::new();
    let mut newest = Version::ZERO;
    for round in 0..40_u64 {
        let engine = bench.open();
        assert!(engine.read_version() >= newest, "round {round}");
        newest = engine.read_version();
        if round % 3 == 0 {
            let version = blind().set("a", "1").version(&engine);
            assert!(version > newest, "round {round}");
        }
        // Without any commit too: ticks are handed out as read versions.
        bench.idle(&engine, Duration::from_millis(17 * round * round));
        bench.idle(&engine, Duration::from_secs(round));
        newest = newest.max(engine.read_version());
        let disk = bench.disk.after_cut(Keep::Nothing, KeepNames::Prefix, round);
        bench = Bench { disk, clock: Arc::new(ManualClock::new(1_000_000)) };
    }
}

#[test]
fn versions_stay_below_the_durable_ceiling_when_the_clock_leaps() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    for leap in 0..5 {
        bench.clock.advance(Duration::from_hours(1));
        outcomes.submit(&engine, leap, blind().set("a", "1"));
        assert!(engine.step_stage(Stage::Sequence));
        let ceiling = engine.stats().ceiling;
        assert!(engine.step_stage(Stage::Log));
        let version = version_of(outcomes.take().remove(0).1);
        assert!(version <= ceiling, "{version} is above {ceiling}");
    }
    bench.idle(&engine, Duration::from_secs(1));
    let stats = engine.stats();
    assert!(stats.published.0 >= 5 * 3_600_000_000, "the clock is caught up with");
    assert!(stats.published <= stats.ceiling);
}

#[test]
fn a_small_reserve_of_versions_is_renewed_without_end() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| {
        options.ceiling_ahead = Duration::ZERO;
        options.batch_items_max = 2;
    });
    let mut last = engine.read_version();
    for _ in 0..100 {
        let version = blind().set("a", "1").version(&engine);
        assert!(version > last && version <= engine.stats().ceiling);
        last = version;
    }
}

#[test]
fn transactions_that_share_a_version_in_the_log_are_refused_by_name() {
    let bench = Bench::new();
    let options = bench.options();
    let engine = bench.open();
    let last = engine.read_version();
    let database_id = engine.database_id().0;
    drop(engine);
    let log = LogOptions { database_id, ..options.log };
    let (mut log, _) =
        Log::recover(&options.vfs, Path::new("/data/log"), log, LogStart::default(), &mut |_| {
            Ok(())
        })
        .unwrap();
    let shared = |order| CommittedTransaction {
        version: Version(last.0 + (1 << 40)),
        order,
        idempotency_id: None,
        committed_at_ms: 0,
        writes: Vec::new(),
    };
    let mut records = RecordEncoder::new();
    records.batch(&[shared(0), shared(1)]).unwrap();
    log.append(&mut records).unwrap();
    log.sync().unwrap();
    drop(log);
    let error = Engine::open(bench.options()).unwrap_err();
    assert!(matches!(error, OpenError::Log(LogError::OutOfOrder { .. })), "{error}");
}
