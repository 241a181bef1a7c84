//! When a commit is answered and visible, and what becomes of it when the disk fails.

use plinth_protocol::Durability;

use super::*;
use crate::{
    engine::{DurabilityMode, Stage},
    vfs::sim::{FaultPlan, Keep, KeepNames},
};

fn with_durability(mut draft: Draft, durability: Durability) -> Draft {
    draft.0.durability = Some(durability);
    draft
}

/// What a start finds when the power fails now and nothing survives that was not synced.
fn after_power_cut(bench: &Bench) -> Engine {
    let disk = bench.disk.after_cut(Keep::Nothing, KeepNames::Prefix, 1);
    let clock = Arc::clone(&bench.clock);
    Bench { disk, clock }.open()
}

#[test]
fn an_answer_before_the_sync_is_impossible() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    let before = engine.read_version();
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    assert!(engine.step_stage(Stage::Sequence));
    // Applied already, and invisible all the same.
    assert!(outcomes.take().is_empty());
    assert_eq!((engine.read_version(), value(&engine, "a")), (before, None));
    assert_eq!(value(&after_power_cut(&bench), "a"), None);
    assert!(engine.step_stage(Stage::Log));
    assert_eq!(version_of(outcomes.take().remove(0).1), engine.read_version());
    assert_eq!(value(&after_power_cut(&bench), "a").as_deref(), Some("1"));
}

#[test]
fn batches_that_were_sequenced_during_a_sync_share_the_next_one() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    let syncs = engine.stats().log_syncs;
    for token in 0..5 {
        outcomes.submit(&engine, token, blind().atomic(AtomicOp::AppendIfFits, "a", b"x"));
        assert!(engine.step_stage(Stage::Sequence));
    }
    assert!(engine.step_stage(Stage::Log));
    assert_eq!(outcomes.take().len(), 5);
    assert_eq!(engine.stats().log_syncs, syncs + 1);
    assert_eq!(value(&engine, "a").as_deref(), Some("xxxxx"));
    assert_eq!(value(&after_power_cut(&bench), "a").as_deref(), Some("xxxxx"));
}

#[test]
fn without_durability_a_commit_waits_for_nothing_and_a_close_keeps_it() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| options.durability = DurabilityMode::None);
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    assert!(engine.step_stage(Stage::Sequence));
    assert_eq!(version_of(outcomes.take().remove(0).1), engine.read_version());
    assert_eq!(value(&engine, "a").as_deref(), Some("1"));
    settle(&engine);
    assert_eq!(value(&after_power_cut(&bench), "a"), None);
    engine.close();
    assert_eq!(value(&after_power_cut(&bench), "a").as_deref(), Some("1"));
}

#[test]
fn with_an_interval_a_commit_waits_for_the_write_and_is_synced_in_time() {
    let bench = Bench::new();
    let interval = Duration::from_millis(50);
    let engine = bench.open_with(|options| options.durability = DurabilityMode::Interval(interval));
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    assert!(engine.step_stage(Stage::Sequence));
    assert!(outcomes.take().is_empty());
    assert!(engine.step_stage(Stage::Log));
    version_of(outcomes.take().remove(0).1);
    assert_eq!(value(&after_power_cut(&bench), "a"), None);
    bench.clock.advance(Duration::from_millis(49));
    assert!(!engine.step_stage(Stage::Log));
    bench.clock.advance(Duration::from_millis(1));
    assert!(engine.step_stage(Stage::Log));
    assert_eq!(value(&after_power_cut(&bench), "a").as_deref(), Some("1"));
}

#[test]
fn a_lowered_commit_never_overtakes_a_durable_one() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, with_durability(blind().set("a", "1"), Durability::None));
    assert!(engine.step_stage(Stage::Sequence));
    assert_eq!(outcomes.take().len(), 1, "alone it waits for nothing");
    outcomes.submit(&engine, 1, blind().set("b", "1"));
    assert!(engine.step_stage(Stage::Sequence));
    outcomes.submit(&engine, 2, with_durability(blind().set("c", "1"), Durability::None));
    assert!(engine.step_stage(Stage::Sequence));
    assert!(outcomes.take().is_empty(), "behind a durable one it waits for that");
    assert_eq!(value(&engine, "c"), None);
    assert!(engine.step_stage(Stage::Log));
    let told: Vec<u64> = outcomes.take().into_iter().map(|(token, _)| token).collect();
    assert_eq!(told, [1, 2]);
}

#[test]
fn a_stronger_durability_than_the_engines_has_no_effect() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| options.durability = DurabilityMode::None);
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, with_durability(blind().set("a", "1"), Durability::Sync));
    assert!(engine.step_stage(Stage::Sequence));
    assert_eq!(outcomes.take().len(), 1);
}

fn poisoned_by(fault: &str) {
    let bench = Bench::new();
    let engine = bench.open();
    blind().set("a", "before").version(&engine);
    let outcomes = Arc::new(Outcomes::default());
    let published = engine.read_version();
    bench.disk.set_plan(fault.parse::<FaultPlan>().unwrap());
    outcomes.submit(&engine, 0, blind().set("a", "lost?"));
    outcomes.submit(&engine, 1, at(Version(published.0 - 1)).reads_key("a").set("b", "1"));
    assert!(engine.step_stage(Stage::Sequence));
    outcomes.submit(&engine, 2, blind().set("a", "queued"));
    assert!(engine.step_stage(Stage::Log));
    let told = outcomes.take();
    assert_eq!(told[0].1.as_ref().unwrap_err().code.0, 1021, "{fault}");
    assert!(matches!(told[1].1, Ok(CommitResult::Conflicted { .. })), "{fault}");
    assert!(engine.is_poisoned());
    // The disk is well again, and yet nothing is committed any more.
    bench.disk.set_plan(FaultPlan::default());
    settle(&engine);
    assert_eq!(outcomes.take()[0].1.as_ref().unwrap_err().code.0, 8040, "{fault}");
    assert_eq!(blind().set("a", "later").code(&engine), 8040);
    bench.idle(&engine, Duration::from_secs(1));
    assert_eq!(engine.read_version(), published);
    assert_eq!(value(&engine, "a").as_deref(), Some("before"));
    engine.close();
    let again = after_power_cut(&bench);
    let found = value(&again, "a").unwrap();
    assert!(found == "before" || found == "lost?", "{fault}: {found}");
    assert!(again.read_version() > published);
    blind().set("a", "after").version(&again);
}

#[test]
fn a_failed_write_or_sync_poisons_the_engine_for_good() {
    poisoned_by("log.sync_data#1=eio");
    poisoned_by("log.write#1=eio");
    poisoned_by("log.write#1=short");
    poisoned_by("log.write#1=enospc");
}

#[test]
fn a_failure_behind_an_answered_commit_stops_the_next_one() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| options.durability = DurabilityMode::None);
    bench.disk.set_plan("log.write#1+=eio".parse().unwrap());
    // It was promised nothing, and stays visible.
    blind().set("a", "1").version(&engine);
    settle(&engine);
    assert!(engine.is_poisoned());
    assert_eq!(value(&engine, "a").as_deref(), Some("1"));
    assert_eq!(blind().set("c", "1").code(&engine), 8040);
}

#[test]
fn a_mark_makes_durable_what_was_answered_in_whatever_durability() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| options.durability = DurabilityMode::None);
    for round in 0..3_u64 {
        let version = blind().set("a", &round.to_string()).version(&engine);
        let mark = engine.mark_log().unwrap();
        assert_eq!(mark.last_version, version);
        let after = after_power_cut(&bench);
        assert_eq!(value(&after, "a"), Some(round.to_string()));
    }
    engine.close();
    assert_eq!(engine.mark_log(), None, "a closed log can't be marked");
}

#[test]
fn a_mark_that_fails_to_sync_poisons_and_is_never_made() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| options.durability = DurabilityMode::None);
    blind().set("a", "1").version(&engine);
    bench.disk.set_plan("log.sync_data#1=eio".parse().unwrap());
    assert_eq!(engine.mark_log(), None);
    assert!(engine.is_poisoned());
    assert_eq!(engine.mark_log(), None);
}
