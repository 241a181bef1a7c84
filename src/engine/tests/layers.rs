//! Transactions whose answers lie in tables.

use plinth_protocol::ErrorCode;

use super::*;

/// Commits until what was in the memtable is in tables, twice over.
fn fill_two_memtables(bench: &Bench, engine: &Engine) {
    let flushes = engine.stats().flushes;
    let value = "v".repeat(500);
    for at in 0..1000 {
        blind().set(&format!("other {at}"), &value).version(engine);
        bench.clock.advance(Duration::from_millis(300));
        settle(engine);
        if engine.stats().flushes > flushes + 1 {
            return;
        }
    }
    panic!("a thousand rows fill two memtables");
}

#[test]
fn a_pinned_transaction_commits_or_conflicts_by_what_tables_hold() {
    let bench = Bench::new();
    let engine = bench.open_small();
    blind().set("a", "1").set("dd", "1").set("m", "1").version(&engine);
    fill_two_memtables(&bench, &engine);
    let pin = engine.pin(None).unwrap();
    blind().set("b", "1").version(&engine);
    blind().clear_range("d", "e").version(&engine);
    fill_two_memtables(&bench, &engine);
    blind().set("m", "2").version(&engine);
    fill_two_memtables(&bench, &engine);
    assert_eq!(engine.stats().store.frozen, 0);
    let window = bench.options().window;
    let age = engine.read_version().0 - pin.version().0;
    assert!(u128::from(age) > 2 * window.as_micros(), "the window has passed");
    for (key, old, new) in
        [("a", Some("1"), Some("1")), ("b", None, Some("1")), ("dd", Some("1"), None)]
    {
        assert_eq!(value_at(&engine, key, pin.version()).unwrap().as_deref(), old);
        assert_eq!(value(&engine, key).as_deref(), new);
    }
    let old = || at(pin.version()).set("result", "1");
    old().reads_key("a").reads_key("c").reads_range("e", "m").version(&engine);
    for draft in [
        old().reads_key("b"),
        old().reads_key("dd"),
        old().reads_key("m"),
        old().reads_range("a", "c"),
        old().reads_range("a", "e"),
    ] {
        assert!(draft.conflicts(&engine).is_empty());
    }
}

#[test]
fn damage_in_a_table_refuses_the_commits_that_need_it_and_no_others() {
    let bench = Bench::new();
    let engine = bench.open_small();
    // The first key of all, hence in the first block of its table.
    blind().set("!", "1").version(&engine);
    let pin = engine.pin(None).unwrap();
    blind().set("#", "1").version(&engine);
    fill_two_memtables(&bench, &engine);
    engine.close();
    drop(engine);
    drop(pin);
    let mut damaged = 0;
    let tables = Path::new("/data/tables");
    for name in bench.disk.list(tables).unwrap() {
        bench.disk.flip_bit(&tables.join(name), 20, 3).unwrap();
        damaged += 1;
    }
    assert!(damaged > 0);
    let engine = bench.open_small();
    let add = || blind().atomic(AtomicOp::Add, "!", &[1]);
    let refused = add().commit(&engine).unwrap_err();
    assert_eq!(refused.code, ErrorCode::STORAGE_DAMAGED, "{refused}");
    assert!(refused.to_string().contains("offset"), "{refused}");
    assert_eq!(value_at(&engine, "!", engine.read_version()), Err(refused.code.0));
    assert!(!engine.is_poisoned());
    // What does not need it goes on, also on the same key.
    blind().atomic(AtomicOp::Add, "new", &[1]).version(&engine);
    blind().set("!", "2").version(&engine);
    assert_eq!(value(&engine, "!").as_deref(), Some("2"));
    add().version(&engine);
    assert_eq!(value(&engine, "!").as_deref(), Some("3"));
}
