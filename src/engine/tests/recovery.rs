//! Opening: from whatever a run has left behind to what it had.

use super::{
    flush::{check, churn},
    *,
};
use crate::{
    random::Random,
    vfs::sim::{Keep, KeepNames},
};

/// A database whose log has been replayed by nobody yet, and its rows.
fn long_log(transactions: usize) -> (Bench, std::collections::BTreeMap<String, String>) {
    let bench = Bench::new();
    // All of it in one memtable.
    let engine = bench.open();
    let mut rows = std::collections::BTreeMap::new();
    churn(&engine, &mut rows, &mut Random::new(31), transactions);
    engine.close();
    (bench, rows)
}

#[test]
fn a_log_of_any_length_is_replayed_in_bounded_memory() {
    let (bench, rows) = long_log(600);
    let engine = bench.open_small();
    check(&engine, &rows);
    let stats = engine.stats();
    assert!(stats.recovery.flushes >= 3, "{:?}", stats.recovery);
    assert_eq!(stats.recovery.transactions, 600);
    assert!(stats.store.bytes < 40 << 10, "{:?}", stats.store);
    assert_eq!(stats.levels[0].tables, stats.recovery.flushes);
    drop(engine);
    let engine = bench.open_small();
    check(&engine, &rows);
    let again = engine.stats().recovery;
    assert!(again.transactions < 300 && again.tables == stats.recovery.flushes, "{again:?}");
}

#[test]
fn a_power_cut_at_any_call_of_a_replay_loses_nothing() {
    let (bench, rows) = long_log(150);
    let whole = bench.disk.duplicate();
    let open = |disk: SimVfs| {
        let bench = Bench { disk, clock: Arc::clone(&bench.clock) };
        Engine::open(bench.small())
    };
    let before = whole.calls();
    drop(open(whole.clone()).unwrap());
    let calls = whole.calls() - before;
    assert!(calls > 40, "{calls} calls");
    for call in 1..=calls {
        let disk = bench.disk.duplicate();
        disk.set_plan(format!("{call}=cut-during").parse().unwrap());
        // The last calls are those of the close.
        let _ = open(disk.clone());
        let keep = [Keep::Nothing, Keep::Everything, Keep::Random][call as usize % 3];
        for seed in [call, 2 * call] {
            let cut = disk.after_cut(keep, KeepNames::Any, seed);
            let engine = open(cut).unwrap_or_else(|error| panic!("call {call} {keep}: {error}"));
            check(&engine, &rows);
        }
    }
}

#[test]
fn what_counts_for_nothing_is_removed_and_counted() {
    let (bench, rows) = long_log(600);
    drop(bench.open_small());
    let tables = bench.disk.list(Path::new("/data/tables")).unwrap();
    let known = bench.disk.bytes(&Path::new("/data/tables").join(&tables[0])).unwrap();
    for name in ["tables/0000000000000900.table", "manifest/0000000000000950.ids"] {
        bench.disk.put(&Path::new("/data").join(name), &known).unwrap();
    }
    bench.disk.put(Path::new("/data/tables/notes.txt"), b"mine").unwrap();
    let engine = bench.open_small();
    assert_eq!(engine.stats().recovery.orphans, 2);
    check(&engine, &rows);
    // Numbers go on above what was found.
    let mut rows = rows;
    churn(&engine, &mut rows, &mut Random::new(1), 200);
    settle(&engine);
    let mut after = bench.disk.list(Path::new("/data/tables")).unwrap();
    assert_eq!(after.pop().unwrap(), "notes.txt");
    assert!(*after.last().unwrap() > *"0000000000000950.table", "{after:?}");
}

#[test]
fn a_missing_manifest_or_table_is_refused_and_nothing_is_removed() {
    let (bench, _) = long_log(600);
    drop(bench.open_small());
    let list = |disk: &SimVfs, directory| disk.list(Path::new(directory)).unwrap();
    let tables = list(&bench.disk, "/data/tables");
    let without = bench.disk.duplicate();
    for name in list(&without, "/data/manifest") {
        without.remove(&Path::new("/data/manifest").join(name)).unwrap();
    }
    for _ in 0..2 {
        let bench = Bench { disk: without.clone(), clock: Arc::clone(&bench.clock) };
        let error = Engine::open(bench.small()).unwrap_err();
        assert!(error.to_string().contains("no manifest"), "{error}");
        assert_eq!(list(&without, "/data/tables"), tables);
    }
    let without = bench.disk.duplicate();
    without.remove(&Path::new("/data/tables").join(&tables[1])).unwrap();
    let bench = Bench { disk: without.clone(), clock: Arc::clone(&bench.clock) };
    let error = Engine::open(bench.small()).unwrap_err();
    assert!(matches!(error, OpenError::Table(_)), "{error}");
    assert_eq!(list(&without, "/data/tables").len(), tables.len() - 1);
}
