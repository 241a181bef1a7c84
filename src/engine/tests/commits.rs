//! What is decided, and in which order.

use plinth_protocol::{Durability, Versionstamp};

use super::*;

#[test]
fn a_commit_is_visible_at_its_version_and_not_before() {
    let bench = Bench::new();
    let engine = bench.open();
    let before = engine.read_version();
    let version = blind().set("a", "1").version(&engine);
    assert!(version > before && engine.read_version() >= version);
    assert_eq!(value_at(&engine, "a", before), Ok(None));
    assert_eq!(value_at(&engine, "a", version).unwrap().as_deref(), Some("1"));
    assert_eq!(value_at(&engine, "a", Version(version.0 + 1_000_000)), Err(1009));
}

#[test]
fn a_read_that_was_overwritten_is_a_conflict() {
    let bench = Bench::new();
    let engine = bench.open();
    let read_version = engine.read_version();
    blind().set("b", "1").version(&engine);
    assert!(at(read_version).reads_key("b").set("x", "").conflicts(&engine).is_empty());
    at(read_version).reads_key("a").reads_range("c", "z").set("x", "").version(&engine);
    let mut draft = at(read_version).reads_key("a").reads_key("b").reads_range("a", "c");
    draft.0.reports_conflicts = true;
    assert_eq!(draft.conflicts(&engine), [1, 2]);
    at(engine.read_version()).reads_range("a", "z").set("b", "2").version(&engine);
}

#[test]
fn a_part_can_be_read_at_a_version_of_its_own() {
    let bench = Bench::new();
    let engine = bench.open();
    let early = engine.read_version();
    let late = blind().set("a", "1").version(&engine);
    let mut draft = at(early).reads_key("a").set("x", "");
    draft.0.read_conflicts[0].since = Some(late);
    draft.clone().version(&engine);
    draft.0.read_version = Some(engine.read_version());
    draft.0.read_conflicts[0].since = Some(early);
    assert!(draft.conflicts(&engine).is_empty());
}

#[test]
fn commits_of_one_batch_are_decided_in_order_of_arrival() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    let read_version = engine.read_version();
    for token in 0..3 {
        let draft = at(read_version).reads_key("k").set("k", &token.to_string());
        outcomes.submit(&engine, token, draft);
    }
    outcomes.submit(&engine, 3, blind().atomic(AtomicOp::AppendIfFits, "k", b"+"));
    outcomes.submit(&engine, 4, blind().atomic(AtomicOp::AppendIfFits, "k", b"+"));
    assert!(outcomes.take().is_empty());
    settle(&engine);
    let told = outcomes.take();
    let versions = [0, 3, 4].map(|at: usize| version_of(told[at].1.clone()));
    assert!(versions.is_sorted_by(|a, b| a < b));
    let conflict = Ok(CommitResult::Conflicted { read_conflicts: vec![] });
    assert_eq!(told[1..3], [(1, conflict.clone()), (2, conflict)]);
    assert_eq!(value(&engine, "k").as_deref(), Some("0++"));
    assert_eq!(value_at(&engine, "k", versions[1]).unwrap().as_deref(), Some("0+"));
    assert_eq!(*outcomes.wakes.lock().unwrap(), 1);
}

#[test]
fn claims_conflict_like_writes_and_writes_may_go_without() {
    let bench = Bench::new();
    let engine = bench.open();
    let read_version = engine.read_version();
    blind().claims("lock").version(&engine);
    assert!(at(read_version).reads_key("lock").set("x", "").conflicts(&engine).is_empty());
    let mut quiet = blind().set("quiet", "1");
    quiet.0.mutations[0].adds_conflict = false;
    quiet.version(&engine);
    at(read_version).reads_key("quiet").set("x", "").version(&engine);
}

#[test]
fn versionstamps_name_the_commit_and_its_final_key_conflicts() {
    let bench = Bench::new();
    let engine = bench.open();
    let read_version = engine.read_version();
    let version = blind()
        .op(MutationOp::SetVersionstampedKey {
            key: Bytes::from_static(b"log/0123456789"),
            offset: 4,
            value: Bytes::from_static(b"entry"),
        })
        .op(MutationOp::SetVersionstampedValue {
            key: Bytes::from_static(b"last"),
            value: Bytes::from_static(b"0123456789"),
            offset: 0,
        })
        .version(&engine);
    let stamp = Versionstamp::new(version, 0);
    let key = [&b"log/"[..], &stamp.0].concat();
    let rows = rows_at(&engine, version).unwrap();
    assert_eq!(rows[0], (Bytes::from_static(b"last"), Bytes::copy_from_slice(&stamp.0)));
    assert_eq!(rows[1], (Bytes::from(key.clone()), Bytes::from_static(b"entry")));
    let reads = |key: Vec<u8>| at(read_version).reads(ConflictRange::Key(key.into())).set("x", "");
    reads(b"log/0123456789".to_vec()).version(&engine);
    assert!(reads(key).conflicts(&engine).is_empty());
}

#[test]
fn a_commit_whose_time_is_over_conflicts() {
    let bench = Bench::new();
    let engine = bench.open();
    let mut draft = blind().set("a", "1");
    draft.0.not_after_ms = Some(1_000_000);
    draft.clone().version(&engine);
    bench.clock.advance(Duration::from_millis(1));
    assert!(draft.conflicts(&engine).is_empty());
}

#[test]
fn a_read_version_is_neither_too_old_nor_of_the_future() {
    let bench = Bench::new();
    let engine = bench.open();
    let old = engine.read_version();
    bench.idle(&engine, Duration::from_secs(6));
    assert_eq!(at(old).reads_key("a").set("a", "1").code(&engine), 1007);
    at(old).set("a", "1").version(&engine);
    let future = Version(engine.read_version().0 + 10);
    assert_eq!(at(future).reads_key("a").set("a", "1").code(&engine), 1009);
    assert_eq!(value_at(&engine, "a", old), Err(1007));
}

#[test]
fn illegal_commits_come_back_before_they_line_up() {
    let bench = Bench::new();
    let engine = bench.open();
    let long = "k".repeat(10_001);
    assert_eq!(blind().set(&long, "").code(&engine), 2102);
    assert_eq!(blind().clear_range("b", "a").code(&engine), 2005);
    assert_eq!(engine.stats().commits, 0);
}

#[test]
fn the_queue_refuses_what_is_too_much() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| options.queue_items_max = 2);
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    outcomes.submit(&engine, 1, blind().set("b", "1"));
    let third = blind().set("c", "1").0;
    let (back, error) = engine.submit(third.clone(), outcomes.clone(), 2).unwrap_err();
    assert_eq!((back, error.code.0), (third, 1042));
    settle(&engine);
    assert_eq!(outcomes.take().len(), 2);
    assert_eq!(engine.stats().overloads, 1);
}

#[test]
fn closing_carries_out_what_is_queued_and_refuses_the_rest() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    engine.close();
    version_of(outcomes.take().remove(0).1);
    assert_eq!(value(&engine, "a").as_deref(), Some("1"));
    assert_eq!(blind().set("b", "1").code(&engine), 8010);
    drop(engine);
    assert_eq!(value(&bench.open(), "a").as_deref(), Some("1"));
}

#[test]
fn statistics_count_what_happened() {
    let bench = Bench::new();
    let engine = bench.open();
    let old = engine.read_version();
    let mut draft = blind().set("a", "1");
    draft.0.durability = Some(Durability::Sync);
    draft.version(&engine);
    at(old).reads_key("a").set("a", "2").conflicts(&engine);
    bench.idle(&engine, Duration::from_secs(6));
    assert_eq!(at(old).reads_key("a").set("a", "2").code(&engine), 1007);
    let stats = engine.stats();
    assert_eq!((stats.commits, stats.conflicts, stats.too_old, stats.failures), (1, 1, 1, 0));
    assert_eq!((stats.batches, stats.commit_latency.count()), (3, 1));
    assert!(stats.log_bytes > 0 && stats.log_writes >= 1 && stats.log_syncs >= 1);
    assert!(stats.published >= stats.horizon && stats.ceiling > stats.published);
}
