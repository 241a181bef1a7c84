//! Snapshots beyond the window, and what the store keeps.

use super::*;

#[test]
fn a_pinned_snapshot_stays_readable_and_an_unpinned_one_does_not() {
    let bench = Bench::new();
    let engine = bench.open();
    blind().set("a", "1").version(&engine);
    let pin = engine.pin(None).unwrap();
    blind().set("a", "2").clear_range("b", "z").version(&engine);
    bench.idle(&engine, Duration::from_mins(10));
    assert_eq!(value_at(&engine, "a", pin.version()).unwrap().as_deref(), Some("1"));
    assert!(engine.pin(Some(pin.version())).is_ok());
    assert_eq!(engine.stats().oldest_pin, Some(pin.version()));
    let version = pin.version();
    drop(pin);
    bench.idle(&engine, Duration::from_secs(1));
    assert_eq!(value_at(&engine, "a", version), Err(1007));
    assert_eq!(engine.pin(Some(version)).unwrap_err().code.0, 1007);
}

#[test]
fn a_pinned_transaction_older_than_the_window_commits_unless_its_reads_were_written() {
    let bench = Bench::new();
    let engine = bench.open();
    blind().set("a", "1").set("dd", "1").set("m", "1").version(&engine);
    let pin = engine.pin(None).unwrap();
    blind().set("b", "1").version(&engine);
    blind().clear_range("d", "e").version(&engine);
    blind().claims("lock").version(&engine);
    bench.idle(&engine, Duration::from_mins(10));
    let old = || at(pin.version()).set("result", "1");
    old().reads_key("a").reads_range("m", "n").version(&engine);
    assert!(old().reads_range("a", "c").conflicts(&engine).is_empty());
    assert!(old().reads_key("dd").conflicts(&engine).is_empty());
    assert!(old().reads_key("lock").conflicts(&engine).is_empty());
    let mut draft = old().reads_key("a").reads_key("b").reads_key("c").reads_key("lock");
    draft.0.reports_conflicts = true;
    assert_eq!(draft.conflicts(&engine), [1, 3]);
}

#[test]
fn a_pinned_transaction_conflicts_with_those_before_it_in_its_batch() {
    let bench = Bench::new();
    let engine = bench.open();
    let pin = engine.pin(None).unwrap();
    bench.idle(&engine, Duration::from_mins(1));
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    outcomes.submit(&engine, 1, at(pin.version()).reads_key("a").set("b", "1"));
    settle(&engine);
    let told = outcomes.take();
    assert!(matches!(told[1].1, Ok(CommitResult::Conflicted { .. })), "{told:?}");
}

#[test]
fn a_commit_in_the_queue_stays_as_young_as_it_was() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    bench.idle(&engine, Duration::from_secs(10));
    let pin = engine.pin(None).unwrap();
    bench.idle(&engine, Duration::from_secs(10));
    outcomes.submit(&engine, 0, at(pin.version()).reads_key("a").set("a", "1"));
    drop(pin);
    settle(&engine);
    version_of(outcomes.take().remove(0).1);
    bench.idle(&engine, Duration::from_secs(1));
    assert_eq!(engine.stats().pins, 0);
}

#[test]
fn a_key_that_is_overwritten_for_ever_takes_bounded_memory() {
    let bench = Bench::new();
    let engine = bench.open_with(|options| options.window = Duration::from_millis(10));
    let mut most = 0;
    for round in 0..20_000_u32 {
        bench.clock.advance(Duration::from_micros(500));
        blind().set("a", &format!("{round:0100}")).version(&engine);
        if round >= 2_000 {
            most = most.max(engine.stats().store.bytes);
        } else if round == 1_999 {
            most = engine.stats().store.bytes;
        }
    }
    while engine.step() {}
    bench.idle(&engine, Duration::from_secs(1));
    let left = engine.stats().store.bytes;
    // 20 versions are in the window; 20,000 would take over 2,000,000 bytes.
    assert!(most < 1_000_000 && left < 200_000, "at most {most} bytes, {left} at rest");
}
