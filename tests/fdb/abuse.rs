//! The library in rough hands: futures used too early, too late, twice and for the wrong thing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::{
    ffi::{self, Code, Database, Future, Range, Selector, alone},
    support::Server,
};

/// No future takes longer than this unless something hangs.
const LIMIT: Duration = Duration::from_mins(1);

/// A server, and the library to speak to it with.
fn server() -> (Server, Database) {
    let server = Server::start();
    let database = ffi::open(&server.cluster_file());
    (server, database)
}

#[test]
fn a_program_reads_what_it_has_written() {
    let (_server, database) = server();
    let tx = database.transaction();
    tx.set("apple", "red");
    tx.set("", "");
    tx.commit().wait().unwrap();
    assert!(tx.get_committed_version().unwrap() > 0);
    let tx = database.transaction();
    assert_eq!(tx.get("apple", false).wait().unwrap().value(), Ok(Some(b"red".to_vec())));
    assert_eq!(tx.get("", true).wait().unwrap().value(), Ok(Some(Vec::new())));
    assert_eq!(tx.get("pear", false).wait().unwrap().value(), Ok(None));
    let tx = database.transaction();
    let (rows, more) = tx.get_range(&Range::between("", b"\xFF")).wait().unwrap().rows().unwrap();
    let all = [(Vec::new(), Vec::new()), (b"apple".to_vec(), b"red".to_vec())];
    assert_eq!((rows, more), (all.to_vec(), false));
}

#[test]
fn a_cancelled_watch_calls_back_once() {
    let (_server, database) = server();
    let tx = database.transaction();
    let watch = tx.watch("key");
    tx.commit().wait().unwrap();
    assert_eq!(watch.error(), Err(2015));
    let calls = watch.count_calls();
    let (tell, told) = mpsc::channel();
    watch.on_ready(move |future| tell.send(future.error()).unwrap());
    watch.cancel();
    watch.cancel();
    assert_eq!(told.recv(), Ok(Err(1101)));
    drop(watch);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_database_may_be_destroyed_twice() {
    let (server, database) = server();
    let tx = database.transaction();
    database.destroy_too_early();
    let others: Vec<_> = (0..10).map(|_| ffi::open(&server.cluster_file())).collect();
    drop(database);
    for tx in others.iter().map(Database::transaction).chain([tx]) {
        assert_eq!(tx.get("key", false).wait().unwrap().value(), Ok(None));
    }
}

#[test]
fn another_api_version_is_chosen_in_a_process_of_its_own() {
    alone(|| {
        let network = ffi::start(710);
        assert_eq!(ffi::select_api_version(710, 710), Err(2201));
        ffi::stop_network().unwrap();
        assert_eq!(network.join().unwrap(), Ok(()));
    });
}

/// What every getter answers.
fn getters(future: &Future) -> [Result<(), Code>; 9] {
    [
        future.boolean().map(drop),
        future.int64().map(drop),
        future.uint64().map(drop),
        future.double().map(drop),
        future.key().map(drop),
        future.value().map(drop),
        future.keys().map(drop),
        future.strings().map(drop),
        future.rows().map(drop),
    ]
}

/// A future that stays pending, and what keeps it so.
fn pending(database: &Database) -> (ffi::Transaction, Future) {
    let tx = database.transaction();
    let watch = tx.watch("never changed");
    tx.commit().wait().unwrap();
    (tx, watch)
}

#[test]
fn a_pending_future_has_nothing_to_get() {
    let (_server, database) = server();
    let (_tx, mut watch) = pending(&database);
    assert!(!watch.is_ready());
    assert_eq!(watch.error(), Err(2015));
    assert_eq!(getters(&watch), [Err(2015); 9]);
    watch.release_memory();
    assert_eq!(watch.error(), Err(2015));
}

#[test]
fn a_failed_future_has_nothing_but_its_error() {
    let (_server, database) = server();
    let mut failed = database.transaction().get(b"\xFF", false);
    failed.block_until_ready().unwrap();
    assert_eq!(failed.error(), Err(2004));
    assert_eq!(getters(&failed), [Err(2004); 9]);
    failed.release_memory();
    failed.cancel();
    assert_eq!(getters(&failed), [Err(2004); 9]);
}

#[test]
fn a_future_of_another_type_is_not_misread() {
    let (_server, database) = server();
    let tx = database.transaction();
    let value = tx.get("key", false).wait().unwrap();
    let answers = getters(&value);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let rows = tx.get_range(&Range::between("a", "b")).wait().unwrap();
    let answers = getters(&rows);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let done = tx.commit().wait().unwrap();
    assert!(getters(&done).iter().all(Result::is_err));
}

#[test]
fn a_released_future_says_so() {
    let (_server, database) = server();
    let tx = database.transaction();
    let mut rows = tx.get_range(&Range::between("a", "b")).wait().unwrap();
    rows.release_memory();
    assert_eq!(rows.rows(), Err(1102));
    rows.release_memory();
    rows.cancel();
    assert_eq!(rows.rows(), Err(1102));
    assert_eq!(rows.error(), Ok(()));
    assert!(rows.is_ready());
}

#[test]
fn bytes_may_be_null_where_they_are_none() {
    let (_server, database) = server();
    let tx = database.transaction();
    let key = tx.get_key(&Selector::first_greater_or_equal(""), false);
    assert_eq!(key.wait().unwrap().key(), Ok(b"\xFF".to_vec()));
    tx.set("", "");
    tx.atomic_op("", "", 2);
    assert_eq!(tx.get("", false).wait().unwrap().value(), Ok(Some(Vec::new())));
    tx.clear("");
    tx.clear_range("", "");
    tx.add_conflict_range("", "", 0).unwrap();
    tx.add_conflict_range("", "", 1).unwrap();
    tx.set_option(712, b"").unwrap();
    assert_eq!(tx.get("", false).wait().unwrap().value(), Ok(None));
    let size = tx.get_estimated_range_size_bytes("", "").wait().unwrap();
    assert!(size.int64().unwrap() >= 0);
    tx.commit().wait().unwrap();
    assert!(tx.watch("").wait().is_err(), "it is used up");
}

#[test]
fn error_predicates_take_any_number() {
    for (code, classes) in [
        (1020, [true, false, true]),
        (1021, [true, true, false]),
        (2000, [false; 3]),
        (0, [false; 3]),
        (-1, [false; 3]),
        (i32::MAX, [false; 3]),
    ] {
        let predicates = [50_000, 50_001, 50_002];
        assert_eq!(predicates.map(|predicate| ffi::error_predicate(predicate, code)), classes);
        assert!(!ffi::error_predicate(49_999, code));
    }
}

#[test]
fn split_points_begin_and_end_where_the_range_does() {
    let (_server, database) = server();
    let tx = database.transaction();
    for number in 0..200_u8 {
        tx.set([b'k', number], [number; 100]);
    }
    tx.commit().wait().unwrap();
    let tx = database.transaction();
    let points = tx.get_range_split_points("k", "l", 1000).wait().unwrap().keys().unwrap();
    assert_eq!(points.first(), Some(&b"k".to_vec()));
    assert_eq!(points.last(), Some(&b"l".to_vec()));
    assert!(points.is_sorted(), "{points:?}");
    let outside = tx.get_range_split_points("k", b"\xFF\xFF", 1000);
    assert_eq!(outside.wait().map(drop), Err(2004));
    // The smallest and the largest pieces that can be asked for.
    for chunk_bytes in [1, i64::MAX] {
        let points = tx.get_range_split_points("", "", chunk_bytes);
        points.block_until_ready().unwrap();
        assert!(points.keys().is_ok_and(|points| points.iter().all(Vec::is_empty)));
    }
}

#[test]
fn a_missing_callback_is_refused() {
    let (_server, database) = server();
    let tx = database.transaction();
    let read = tx.get("key", false);
    assert!(read.set_null_callback().is_err());
    read.wait().unwrap();
}

#[test]
fn each_callback_is_called_once_whatever_happens() {
    let (_server, database) = server();
    let (tx, watch) = pending(&database);
    let counts: Vec<_> = (0..5).map(|_| watch.count_calls()).collect();
    watch.cancel();
    assert!(watch.is_ready_within(LIMIT));
    assert_eq!(watch.error(), Err(1101));
    // Now it is ready: those that come late are called too.
    let late = watch.count_calls();
    watch.cancel();
    drop(watch);
    drop(tx);
    // What the network thread has taken on before this is done by then.
    database.transaction().get_read_version().wait().unwrap();
    for count in counts.iter().chain([&late]) {
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_future_may_be_destroyed_in_its_callback() {
    let (_server, database) = server();
    let tx = database.transaction();
    for _ in 0..100 {
        let (tell, told) = mpsc::channel();
        let read = tx.get_read_version();
        tx.reset();
        // Whether it is ready by now is up to the network thread: it is destroyed in a call from
        // there or in one from here.
        read.give_when_ready(move |read| {
            drop(read);
            tell.send(()).unwrap();
        });
        assert_eq!(told.recv_timeout(LIMIT), Ok(()));
    }
}

#[test]
fn callbacks_may_ask_for_more() {
    /// Reads the version again and again, each time from the callback of the last.
    fn again(database: &Arc<Database>, left: usize, done: mpsc::Sender<usize>) {
        let tx = database.transaction();
        let (database, version) = (Arc::clone(database), tx.get_read_version());
        let version = Arc::new(version);
        let kept = Arc::clone(&version);
        version.on_ready(move |future| {
            assert!(future.int64().unwrap() > 0);
            if left == 0 {
                done.send(left).unwrap();
            } else {
                again(&database, left - 1, done);
            }
            drop((tx, kept));
        });
    }
    let (_server, database) = server();
    let (done, is_done) = mpsc::channel();
    again(&Arc::new(database), 200, done);
    assert_eq!(is_done.recv_timeout(LIMIT), Ok(0));
}

#[test]
fn futures_outlive_what_they_came_from() {
    let (_server, database) = server();
    let tx = database.transaction();
    tx.set("key", "value");
    tx.commit().wait().unwrap();
    let tx = database.transaction();
    drop(database);
    let value = tx.get("key", false).wait().unwrap();
    let watch = tx.watch("key");
    let never = tx.get_versionstamp();
    drop(tx);
    assert_eq!(value.value(), Ok(Some(b"value".to_vec())));
    for future in [watch, never] {
        assert!(future.is_ready_within(LIMIT));
        assert_eq!(future.error(), Err(1025));
    }
}

#[test]
fn a_reset_ends_what_is_pending() {
    let (_server, database) = server();
    let tx = database.transaction();
    let (watch, stamp) = (tx.watch("key"), tx.get_versionstamp());
    let calls = watch.count_calls();
    tx.reset();
    for future in [&watch, &stamp] {
        assert!(future.is_ready_within(LIMIT));
        assert_eq!(future.error(), Err(1025));
    }
    tx.set("key", "value");
    tx.commit().wait().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn thousands_of_futures_are_ready_in_the_end() {
    const FUTURES: usize = 10_000;
    let (_server, database) = server();
    let called = Arc::new(AtomicUsize::new(0));
    let transactions: Vec<_> = (0..100).map(|_| database.transaction()).collect();
    let futures: Vec<_> = (0..FUTURES)
        .map(|number| {
            let tx = &transactions[number % transactions.len()];
            let future = tx.get(number.to_be_bytes(), number % 2 == 0);
            let called = Arc::clone(&called);
            future.on_ready(move |future| {
                assert_eq!(future.value(), Ok(None));
                called.fetch_add(1, Ordering::SeqCst);
            });
            future
        })
        .collect();
    for future in &futures {
        assert!(future.is_ready_within(LIMIT));
    }
    let deadline = Instant::now() + LIMIT;
    while called.load(Ordering::SeqCst) < FUTURES && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(called.load(Ordering::SeqCst), FUTURES);
}

#[test]
fn pending_futures_may_be_dropped_by_the_thousand() {
    let (_server, database) = server();
    let tx = database.transaction();
    tx.set("key", "value");
    for number in 0..5000_u32 {
        drop(tx.get(number.to_be_bytes(), false));
    }
    drop(tx.commit());
    // The commit was on its way, or was not: nothing else may be left of it.
    let value = database.transaction().get("key", false).wait().unwrap().value().unwrap();
    assert!(value.is_none_or(|value| value == b"value"));
}

#[test]
fn threads_share_a_transaction() {
    const THREADS: u8 = 8;
    const KEYS: u8 = 100;
    let (_server, database) = server();
    let tx = database.transaction();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let tx = &tx;
            scope.spawn(move || {
                for key in 0..KEYS {
                    tx.set([thread, key], [key]);
                    let value = tx.get([thread, key], false).wait().unwrap().value();
                    assert_eq!(value, Ok(Some(vec![key])));
                    let other = tx.get([thread.wrapping_add(1) % THREADS, key], true);
                    let other = other.wait().unwrap().value().unwrap();
                    assert!(other.is_none_or(|other| other == [key]));
                }
            });
        }
    });
    tx.commit().wait().unwrap();
    let tx = database.transaction();
    let range = Range { mode: 0, limit: 10_000, ..Range::between("", b"\xFF") };
    let (rows, _) = tx.get_range(&range).wait().unwrap().rows().unwrap();
    assert_eq!(rows.len(), usize::from(THREADS) * usize::from(KEYS));
}

#[test]
fn a_transaction_is_reset_and_cancelled_while_others_use_it() {
    let (_server, database) = server();
    let tx = database.transaction();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..300 {
                    tx.set("key", "value");
                    let read = tx.get("other", false);
                    read.block_until_ready().unwrap();
                    assert!(
                        matches!(read.error(), Ok(()) | Err(1025 | 2017)),
                        "{:?}",
                        read.error()
                    );
                    let commit = tx.commit();
                    commit.block_until_ready().unwrap();
                }
            });
        }
        for number in 0..300 {
            if number % 3 == 0 { tx.cancel() } else { tx.reset() }
        }
    });
    tx.reset();
    tx.set("key", "last");
    tx.commit().wait().unwrap();
}
