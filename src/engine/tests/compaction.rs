//! Compaction in an engine: what it costs nobody to leave lying goes, and what somebody may still
//! read stays.

use std::collections::BTreeMap;

use super::*;

/// Small tables, so that a little data has many of them on several levels.
fn open(bench: &Bench) -> Engine {
    bench.open_with(|options| {
        options.window = Duration::from_millis(100);
        let storage = &mut options.storage;
        storage.memtable_bytes = 32 << 10;
        storage.level0_tables = 3;
        storage.level1_bytes = 32 << 10;
        storage.level_ratio = 4;
        storage.table_bytes_max = 8 << 10;
        storage.table.block_bytes = 1 << 10;
    })
}

fn row(number: u32) -> String {
    format!("row/{number:06}")
}

fn table_bytes(engine: &Engine) -> u64 {
    engine.stats().levels.iter().map(|level| level.bytes).sum()
}

fn tables(engine: &Engine) -> u64 {
    engine.stats().levels.iter().map(|level| level.tables).sum()
}

/// Lets the window pass and everything become tables that has a reason to.
fn rest(bench: &Bench, engine: &Engine) {
    for _ in 0..20 {
        bench.idle(engine, Duration::from_millis(200));
    }
}

#[test]
fn a_queue_that_runs_for_ever_takes_bounded_space_and_its_head_stays_near() {
    let bench = Bench::new();
    let engine = open(&bench);
    let value = "v".repeat(100);
    let (mut head, mut most) = (0, 0);
    for tail in 0..400 {
        bench.clock.advance(Duration::from_millis(20));
        let mut push = blind();
        for item in 0..20 {
            push = push.set(&row(tail * 20 + item), &value);
        }
        push.version(&engine);
        // What was taken is cleared as a range, from the beginning of the queue.
        if tail >= 20 {
            head = (tail - 20) * 20;
            blind().clear_range("row/", &row(head)).version(&engine);
        }
        if tail >= 100 {
            most = most.max(table_bytes(&engine));
        }
        if tail % 50 == 49 {
            // Of the rows that are gone, none is passed by a scan more than a few times.
            let version = engine.read_version();
            let rows = rows_at(&engine, version).unwrap();
            assert_eq!(rows.first().unwrap().0, row(head).as_bytes());
            assert_eq!(rows.len() as u32, (tail + 1) * 20 - head);
        }
    }
    // 8,000 items of over 100 bytes went through; 400 were in the queue at a time.
    assert!(most < 300_000, "{most} bytes of tables at most");
    assert!(engine.stats().compaction.dropped_unread > 0);
    assert!(tables(&engine) < 60, "{} tables", tables(&engine));
}

#[test]
fn a_dropped_range_gives_its_space_back_without_another_write() {
    let bench = Bench::new();
    let engine = open(&bench);
    let value = "v".repeat(200);
    for batch in 0..100 {
        let mut draft = blind();
        for item in 0..20 {
            draft = draft.set(&row(batch * 20 + item), &value);
        }
        draft.version(&engine);
        bench.clock.advance(Duration::from_millis(20));
    }
    rest(&bench, &engine);
    let before = table_bytes(&engine);
    assert!(before > 300_000, "{before}");
    blind().clear_range("row/", "row0").version(&engine);
    // The clear is still in memory; a few other writes bring it to a table.
    for batch in 0..60 {
        let mut draft = blind();
        for item in 0..10 {
            draft = draft.set(&format!("other/{:06}", (batch * 10 + item) % 100), &value);
        }
        draft.version(&engine);
        bench.clock.advance(Duration::from_millis(20));
    }
    rest(&bench, &engine);
    let after = table_bytes(&engine);
    assert!(after < before / 4, "{after} of {before}, {:?}", engine.stats().compaction);
    assert!(engine.stats().compaction.dropped_unread > 0);
    assert_eq!(rows_at(&engine, engine.read_version()).unwrap().len(), 100);
}

#[test]
fn a_pinned_snapshot_is_exact_through_many_windows_of_churn_and_commits_as_it_should() {
    let bench = Bench::new();
    let engine = open(&bench);
    let mut model: BTreeMap<String, String> = BTreeMap::new();
    for number in 0..300 {
        let value = format!("first {number:080}");
        blind().set(&row(number), &value).version(&engine);
        model.insert(row(number), value);
    }
    let pin = engine.pin(None).unwrap();
    // Rows 0 to 199 are overwritten or cleared, again and again; the others aren't touched.
    for round in 0..600_u32 {
        let number = round * 7 % 200;
        let draft = match round % 10 {
            9 => blind().clear_range(&row(number), &row((number + 5).min(200))),
            _ => blind().set(&row(number), &format!("round {round:0100}")),
        };
        draft.version(&engine);
        bench.clock.advance(Duration::from_millis(20));
        if round % 100 == 99 {
            let rows = rows_at(&engine, pin.version()).unwrap();
            assert_eq!(rows.len(), model.len());
            for (key, value) in &rows {
                let key = std::str::from_utf8(key).unwrap();
                assert_eq!(model[key].as_bytes(), value, "{key} in round {round}");
            }
        }
    }
    rest(&bench, &engine);
    let stats = engine.stats();
    assert!(stats.compaction.compactions > 1 && stats.flushes > 3, "{stats:?}");
    assert!(value_at(&engine, &row(250), pin.version()).unwrap().is_some());
    // 12 seconds and more than a hundred windows later.
    let old = || at(pin.version()).set("result", "1");
    old().reads_key(&row(250)).reads_range(&row(200), &row(300)).version(&engine);
    assert!(old().reads_key(&row(7)).conflicts(&engine).is_empty());
    assert!(old().reads_range(&row(150), &row(250)).conflicts(&engine).is_empty());
    // Without the pin, all that only it could see goes.
    let held = table_bytes(&engine);
    drop(pin);
    rest(&bench, &engine);
    assert!(table_bytes(&engine) < held, "{} of {held}", table_bytes(&engine));
    assert!(tables(&engine) > 0);
}

#[test]
fn what_was_compacted_is_there_after_a_restart() {
    let bench = Bench::new();
    let engine = open(&bench);
    for round in 0..1500_u32 {
        blind().set(&row(round * 37 % 500), &format!("round {round:0100}")).version(&engine);
        bench.clock.advance(Duration::from_millis(5));
    }
    let before = rows_at(&engine, engine.read_version()).unwrap();
    assert!(engine.stats().compaction.compactions > 0);
    drop(engine);
    let engine = open(&bench);
    assert_eq!(rows_at(&engine, engine.read_version()).unwrap(), before);
    assert_eq!(engine.stats().recovery.orphans, 0);
}
