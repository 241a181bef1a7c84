//! A commit that is sent again happens once.

use super::*;
use crate::engine::Stage;

const ID: &str = "0123456789abcdef";

fn once() -> Draft {
    blind().atomic(AtomicOp::AppendIfFits, "a", b"x").named(ID)
}

#[test]
fn a_twin_is_told_of_the_first_one() {
    let bench = Bench::new();
    let engine = bench.open();
    let version = once().version(&engine);
    assert_eq!(once().version(&engine), version);
    assert_eq!(value(&engine, "a").as_deref(), Some("x"));
    assert_eq!(engine.commit_status(ID.as_bytes()), once().commit(&engine).ok());
    assert_eq!(engine.commit_status(b"another id of 16"), None);
}

#[test]
fn a_twin_in_the_same_batch_or_in_flight_waits_for_the_first_one() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, once());
    outcomes.submit(&engine, 1, once());
    assert!(engine.step_stage(Stage::Sequence));
    outcomes.submit(&engine, 2, once());
    assert!(engine.step_stage(Stage::Sequence));
    assert!(outcomes.take().is_empty());
    assert_eq!(engine.commit_status(ID.as_bytes()), None, "not before it is durable");
    assert!(engine.step_stage(Stage::Log));
    let told = outcomes.take();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|(_, outcome)| *outcome == told[0].1));
    assert_eq!(value(&engine, "a").as_deref(), Some("x"));
}

#[test]
fn a_commit_that_conflicted_is_decided_again() {
    let bench = Bench::new();
    let engine = bench.open();
    let old = engine.read_version();
    blind().set("a", "1").version(&engine);
    let draft = |version| at(version).reads_key("a").set("a", "2").named(ID);
    draft(old).conflicts(&engine);
    draft(engine.read_version()).version(&engine);
}

#[test]
fn ids_survive_a_restart_and_are_forgotten_in_time() {
    let bench = Bench::new();
    let engine = bench.open();
    let version = once().version(&engine);
    let nothing = blind().named("an id and nothing else").version(&engine);
    drop(engine);
    bench.clock.advance(Duration::from_mins(9));
    let engine = bench.open();
    assert_eq!(once().version(&engine), version);
    assert_eq!(blind().named("an id and nothing else").version(&engine), nothing);
    bench.idle(&engine, Duration::from_mins(2));
    assert!(once().version(&engine) > version);
    assert_eq!(value(&engine, "a").as_deref(), Some("xx"));
}
