//! Commits wait for a disk that doesn't keep up, and always go on when it does.

use proptest::prelude::*;

use super::*;
use crate::engine::Stage;

/// Fills a memtable by itself.
fn large(key: &str) -> Draft {
    blind().set(key, &"v".repeat(20 << 10))
}

fn sequence(engine: &Engine) -> bool {
    engine.step_stage(Stage::Sequence)
}

#[test]
fn commits_stop_when_memory_is_full_and_go_on_when_it_is_not() {
    let bench = Bench::new();
    let engine = Engine::open(bench.roomy()).unwrap();
    let outcomes = Arc::new(Outcomes::default());
    for token in 0..4 {
        outcomes.submit(&engine, token, large(&token.to_string()));
        let is_sequenced = sequence(&engine);
        engine.step_stage(Stage::Log);
        assert_eq!(is_sequenced, token < 3, "two frozen, one full");
    }
    let stats = engine.stats();
    assert!(stats.is_stalled && stats.store.frozen == 2, "{stats:?}");
    assert_eq!((outcomes.take().len(), stats.queue_items), (3, 1));
    assert!(!sequence(&engine));
    assert!(engine.step_stage(Stage::Flush));
    assert!(sequence(&engine));
    assert!(!engine.stats().is_stalled);
    assert!(engine.step_stage(Stage::Log));
    version_of(outcomes.take().remove(0).1);
    for token in 0..4 {
        assert!(value(&engine, &token.to_string()).is_some());
    }
}

#[test]
fn commits_that_wait_for_what_fails_are_refused_and_may_be_tried_again() {
    let bench = Bench::new();
    let engine = Engine::open(bench.roomy()).unwrap();
    for key in ["a", "b", "c"] {
        let outcomes = Arc::new(Outcomes::default());
        outcomes.submit(&engine, 0, large(key));
        assert!(sequence(&engine) && engine.step_stage(Stage::Log));
    }
    bench.disk.set_plan("1+=eio".parse().unwrap());
    assert!(!engine.step_stage(Stage::Flush));
    assert_eq!(engine.stats().disk_full, None, "that is another trouble");
    assert_eq!(large("d").code(&engine), plinth_protocol::ErrorCode::COMMIT_OVERLOADED.0);
    assert!(!engine.is_poisoned());
    assert!(value(&engine, "a").is_some(), "reads go on");
    bench.disk.set_plan("".parse().unwrap());
    assert!(engine.step_stage(Stage::Flush));
    large("d").version(&engine);
    let stats = engine.stats();
    assert!(!stats.is_stalled && stats.background.errors > 0, "{stats:?}");
}

#[test]
fn a_close_carries_out_what_waits_for_the_disk() {
    let bench = Bench::new();
    let engine = Engine::open(bench.roomy()).unwrap();
    let outcomes = Arc::new(Outcomes::default());
    for token in 0..8 {
        outcomes.submit(&engine, token, large(&token.to_string()));
        sequence(&engine);
        engine.step_stage(Stage::Log);
    }
    assert!(engine.stats().queue_items > 0);
    engine.close();
    assert_eq!(outcomes.take().len(), 8);
    drop(engine);
    let engine = Engine::open(bench.roomy()).unwrap();
    assert!((0..8).all(|token| value(&engine, &token.to_string()).is_some()));
}

#[test]
fn much_log_freezes_a_memtable_that_stays_small() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| {
        *options = bench.small();
        options.window = Duration::from_millis(1);
        options.storage.memtable_bytes = 1 << 30;
        options.storage.log_bytes_max = 32 << 10;
    });
    for round in 0..200 {
        blind().set("a", &format!("{round:01000}")).version(&engine);
        bench.idle(&engine, Duration::from_millis(10));
    }
    let stats = engine.stats();
    assert!((8..=11).contains(&stats.flushes), "{stats:?}");
    assert!(stats.log_bytes < 64 << 10, "{stats:?}");
}

/// An engine that freezes its memtable after a little log, and never for its size.
fn open_with_short_log(bench: &Bench) -> Engine {
    bench.open_with(|options| {
        *options = bench.small();
        options.storage.memtable_bytes = 1 << 30;
        options.storage.log_bytes_max = 32 << 10;
    })
}

#[track_caller]
fn check_log_is_short(engine: &Engine) {
    let stats = engine.stats();
    assert!(stats.flushes >= 2 && stats.log_bytes < 64 << 10, "{stats:?}");
    assert!(stats.log_segments <= 8, "{stats:?}");
}

#[test]
fn commits_that_leave_nothing_in_memory_do_not_make_the_log_grow_without_end() {
    let bench = Bench::new();
    let engine = open_with_short_log(&bench);
    for round in 0..400 {
        blind().named(&format!("an id alone, number {round:03}")).version(&engine);
        bench.idle(&engine, Duration::from_millis(10));
    }
    check_log_is_short(&engine);
    for round in 0..400 {
        blind().op(MutationOp::Clear { key: format!("no key {round}").into() }).version(&engine);
        bench.idle(&engine, Duration::from_millis(10));
    }
    check_log_is_short(&engine);
    drop(engine);
    let again = open_with_short_log(&bench);
    let repeated = blind().named("an id alone, number 000").version(&again);
    assert!(repeated < again.read_version());
    assert_eq!(again.stats().repeats, 1);
}

#[test]
fn an_idle_database_does_not_make_the_log_grow_without_end() {
    let bench = Bench::new();
    let engine = open_with_short_log(&bench);
    for _ in 0..400 {
        // One ceiling each.
        bench.idle(&engine, Duration::from_mins(1));
    }
    assert!(engine.stats().log_syncs >= 300);
    check_log_is_short(&engine);
    let read_version = engine.read_version();
    drop(engine);
    assert!(open_with_short_log(&bench).read_version() > read_version);
}

#[test]
fn restarts_do_not_make_the_log_grow_without_end() {
    let bench = Bench::new();
    for _ in 0..20 {
        let engine = open_with_short_log(&bench);
        for round in 0..10 {
            blind().set("a", &format!("{round:01000}")).version(&engine);
            bench.idle(&engine, Duration::from_millis(10));
        }
        let stats = engine.stats();
        assert!(stats.log_bytes < 64 << 10, "{stats:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order of the steps, also while flushes fail: when they no longer do, everything
    /// that was submitted is answered.
    #[test]
    fn no_order_of_steps_leaves_a_commit_waiting(
        steps in proptest::collection::vec(0_u8..8, 1..80), frozen_max in 1_usize..3,
    ) {
        let bench = Bench::new();
        let engine = bench.open_with(|options| {
            *options = bench.roomy();
            options.storage.frozen_max = frozen_max;
        });
        let outcomes = Arc::new(Outcomes::default());
        let mut submitted = 0;
        for step in steps {
            match step {
                0 | 1 => {
                    outcomes.submit(&engine, submitted, large(&submitted.to_string()));
                    submitted += 1;
                }
                2 | 3 => { sequence(&engine); }
                4 | 5 => { engine.step_stage(Stage::Log); }
                6 => { engine.step_stage(Stage::Flush); }
                _ => {
                    // Only what a flush does can fail here.
                    bench.disk.set_plan("1=eio".parse().unwrap());
                    engine.step_stage(Stage::Flush);
                    bench.disk.set_plan("".parse().unwrap());
                }
            }
        }
        for _ in 0..4 * submitted + 8 {
            engine.step();
        }
        prop_assert_eq!(outcomes.take().len() as u64, submitted);
        prop_assert!(!engine.stats().is_stalled);
    }
}
