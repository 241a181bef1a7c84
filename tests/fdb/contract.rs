//! The contract of transactions, through the library and a real server: what needs numbers, real
//! versions, or several threads. What the client alone decides is tested there.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    ffi::{self, Database, Range, Transaction},
    support::Server,
};

/// A server, and the library to speak to it with.
fn server() -> (Server, Database) {
    let server = Server::start();
    let database = ffi::open(&server.cluster_file());
    (server, database)
}

fn write(database: &Database, key: &str, value: &str) {
    let tx = database.transaction();
    tx.set(key, value);
    tx.commit().wait().unwrap();
}

fn special(rest: &str) -> Vec<u8> {
    [b"\xFF\xFF/", rest.as_bytes()].concat()
}

fn text(tx: &Transaction, rest: &str) -> String {
    let value = tx.get(special(rest), false).wait().unwrap().value().unwrap();
    String::from_utf8(value.unwrap()).unwrap()
}

#[test]
fn unknown_options_are_refused_at_once_and_wrong_values_later() {
    let (_server, database) = server();
    let tx = database.transaction();
    for unknown in [-1, 0, 1, 506, 99_999] {
        assert_eq!(tx.set_option(unknown, b""), Err(2007), "{unknown}");
    }
    tx.get("k", false).wait().unwrap();
    for (option, value) in [(500, &b"short"[..]), (503, &31_i64.to_le_bytes()), (10, b"value")] {
        let tx = database.transaction();
        assert_eq!(tx.set_option(option, value), Ok(()), "{option}");
        assert_eq!(tx.get("k", false).wait().err(), Some(2006), "{option}");
        assert_eq!(tx.commit().wait().err(), Some(2006), "{option}");
        tx.reset();
        tx.get("k", false).wait().unwrap();
    }
}

#[test]
fn a_blind_write_at_a_version_that_is_too_old_fails() {
    let (_server, database) = server();
    let write_at_first_version = |is_risky: bool| {
        let tx = database.transaction();
        if is_risky {
            tx.set_option(10, b"").unwrap();
        }
        tx.set_read_version(1);
        tx.set("k", "v");
        tx.commit().wait().err()
    };
    // A new server's first version grows too old in some seconds.
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match write_at_first_version(false) {
            Some(1007) => break,
            outcome => assert_eq!(outcome, None),
        }
        assert!(Instant::now() < deadline, "the first version is never too old");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(write_at_first_version(true), None);
}

#[test]
fn a_version_that_is_not_there_yet_is_waited_for() {
    let (_server, database) = server();
    let tx = database.transaction();
    tx.set_read_version(0x7FFF_FFFF_FFFF_FFF0);
    let began = Instant::now();
    assert_eq!(tx.get("k", false).wait().err(), Some(1009));
    assert!(began.elapsed() > Duration::from_millis(500));
}

#[test]
fn a_timeout_ends_everything_also_without_a_server() {
    let (server, database) = server();
    drop(database);
    let cluster_file = server.cluster_file();
    let directory = tempfile::TempDir::new().unwrap();
    let elsewhere = directory.path().join("fdb.cluster");
    // The port of a server that has ended: nobody listens there.
    std::fs::copy(cluster_file, &elsewhere).unwrap();
    drop(server);
    let database = ffi::open(&elsewhere);
    let tx = database.transaction();
    let (stamp, watch, read) = (tx.get_versionstamp(), tx.watch("k"), tx.get("k", false));
    let (version, range) = (tx.get_read_version(), tx.get_range(&Range::between("a", "b")));
    tx.set_option(500, &100_i64.to_le_bytes()).unwrap();
    tx.set("k", "v");
    let commit = tx.commit();
    for future in [stamp, watch, read, version, range, commit] {
        assert_eq!(future.wait().err(), Some(1031));
    }
    assert_eq!(tx.on_error(1020).wait().err(), Some(1031));
    tx.reset();
    tx.set_option(500, &50_i64.to_le_bytes()).unwrap();
    assert_eq!(tx.commit().wait().err(), None, "nothing to commit");
    let tx = database.transaction();
    let stamp = tx.get_versionstamp();
    tx.set_option(500, &50_i64.to_le_bytes()).unwrap();
    assert_eq!(stamp.wait().err(), Some(1031), "though nothing else happens");
}

#[test]
fn a_read_that_was_cancelled_still_counts() {
    let (_server, database) = server();
    let tx = database.transaction();
    tx.get_read_version().wait().unwrap();
    tx.get("k", false).cancel();
    drop(tx.get_range(&Range::between("r", "s")));
    write(&database, "r1", "by another");
    tx.set("mine", "v");
    assert_eq!(tx.commit().wait().err(), Some(1020));
}

#[test]
fn pending_futures_end_with_their_transaction() {
    let (_server, database) = server();
    let tx = database.transaction();
    let (stamp, watch) = (tx.get_versionstamp(), tx.watch("k"));
    tx.get("k", false).wait().unwrap();
    drop(tx);
    assert_eq!((stamp.wait().err(), watch.wait().err()), (Some(1025), Some(1025)));
    let tx = database.transaction();
    let stamp = tx.get_versionstamp();
    tx.reset();
    assert_eq!(stamp.wait().err(), Some(1025));
    let watch = tx.watch("k");
    tx.commit().wait().unwrap();
    drop(tx);
    write(&database, "k", "changed");
    assert_eq!(watch.wait().err(), None, "it outlives the transaction that set it");
}

#[test]
fn watches_are_limited_and_make_room_when_they_are_cancelled() {
    let (_server, database) = server();
    database.set_option(20, &1_i64.to_le_bytes()).unwrap();
    let tx = database.transaction();
    let first = tx.watch("a");
    tx.get("a", false).wait().unwrap();
    assert_eq!(tx.watch("b").wait().err(), Some(1032));
    first.cancel();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let tx = database.transaction();
        let watch = tx.watch("b");
        tx.commit().wait().unwrap();
        if watch.error() == Err(2015) {
            break;
        }
        assert!(Instant::now() < deadline, "the place of the cancelled watch is free");
    }
    let tx = database.transaction();
    tx.set_option(51, b"").unwrap();
    assert_eq!(tx.watch("k").wait().err(), Some(1034));
}

#[test]
fn errors_are_mended_or_end_the_transaction() {
    let (_server, database) = server();
    for (error, outcome) in [(0, 2000), (2101, 2101), (-1, 4000), (70_000, 4000)] {
        let tx = database.transaction();
        assert_eq!(tx.on_error(error).wait().err(), Some(outcome));
        assert_eq!(tx.get("k", false).wait().err(), Some(1025));
        tx.reset();
        tx.get("k", false).wait().unwrap();
    }
    let tx = database.transaction();
    for error in [1007, 1009, 1020, 1021, 1037, 1038, 1039, 1042, 1051, 1078, 1213, 1223] {
        tx.on_error(error).wait().unwrap();
    }
}

#[test]
fn conflict_ranges_are_checked_at_once() {
    let (_server, database) = server();
    let tx = database.transaction();
    assert_eq!(tx.add_conflict_range("b", "a", 0), Err(2005));
    assert_eq!(tx.add_conflict_range("b", "a", 7), Err(2005));
    assert_eq!(tx.add_conflict_range("a", "b", 2), Err(2000));
    assert_eq!(tx.add_conflict_range("a", "b", 1), Ok(()));
    tx.commit().wait().unwrap();
    assert!(tx.get_committed_version().unwrap() > 0, "a write conflict is a write");
}

#[test]
fn special_keys_tell_of_client_and_server() {
    let (server, database) = server();
    let tx = database.transaction();
    let line = std::fs::read_to_string(server.cluster_file()).unwrap();
    let line = line.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
    assert_eq!(text(&tx, "connection_string"), line);
    assert_eq!(text(&tx, "cluster_file_path"), server.cluster_file().to_str().unwrap());
    let status: serde_json::Value = serde_json::from_str(&text(&tx, "status/json")).unwrap();
    assert_eq!(status["cluster"]["processes"].as_object().unwrap().len(), 1);
    assert_eq!(status["client"]["database_status"]["available"], true);
    let address = line.split_once('@').unwrap().1;
    let workers = Range::between(special("worker_interfaces/"), special("worker_interfaces0"));
    let (rows, more) = tx.get_range(&workers).wait().unwrap().rows().unwrap();
    assert_eq!((rows.len(), more), (1, false));
    assert!(rows[0].0.ends_with(address.as_bytes()));
    let addresses = tx.get_addresses_for_key("k").wait().unwrap().strings().unwrap();
    assert_eq!(addresses, [address]);
    assert_eq!(tx.get(special("no/such/thing"), false).wait().err(), Some(2113));
    tx.set(special("management/excluded/1.2.3.4"), "");
    assert_eq!(tx.commit().wait().err(), Some(2114));
}

#[test]
fn a_conflict_is_reported_before_the_next_try() {
    let (_server, database) = server();
    let tx = database.transaction();
    tx.set_option(712, b"").unwrap();
    tx.get("hit", false).wait().unwrap();
    tx.get_range(&Range::between("m", "n")).wait().unwrap();
    write(&database, "hit", "by another");
    tx.set("mine", "v");
    assert_eq!(tx.commit().wait().err(), Some(1020));
    let prefix = special("transaction/conflicting_keys/");
    let all = Range::between(&prefix, [&prefix[..], b"\xFF\xFF"].concat());
    let (rows, _) = tx.get_range(&all).wait().unwrap().rows().unwrap();
    let key = |rest: &[u8]| [&prefix[..], rest].concat();
    assert_eq!(rows, [(key(b"hit"), b"1".to_vec()), (key(b"hit\0"), b"0".to_vec())]);
}

#[test]
fn the_one_shard_begins_at_the_first_key() {
    let (_server, database) = server();
    let tx = database.transaction();
    tx.set_option(302, b"").unwrap();
    tx.set_option(700, b"").unwrap();
    let range =
        Range { snapshot: true, ..Range::between(b"\xFF/keyServers/", b"\xFF/keyServers/\xFF") };
    let (rows, more) = tx.get_range(&range).wait().unwrap().rows().unwrap();
    assert_eq!((rows.len(), more), (1, false));
    assert_eq!(rows[0].0, b"\xFF/keyServers/");
    assert!(tx.get(b"\xFF/coordinators", true).wait().unwrap().value().unwrap().is_some());
}

#[test]
fn stamps_have_their_offsets_behind_them() {
    let (_server, database) = server();
    let tx = database.transaction();
    let stamp = tx.get_versionstamp();
    tx.atomic_op([b"k/", &[0; 10][..], &[2, 0, 0, 0]].concat(), "value", 14);
    tx.atomic_op(b"\xFF/metadataVersion", [0; 14], 15);
    tx.commit().wait().unwrap();
    let stamp = stamp.wait().unwrap().key().unwrap();
    let tx = database.transaction();
    let key = [b"k/", &stamp[..]].concat();
    assert_eq!(tx.get(key, false).wait().unwrap().value(), Ok(Some(b"value".to_vec())));
    let metadata = tx.get(b"\xFF/metadataVersion", false).wait().unwrap();
    assert_eq!(metadata.value(), Ok(Some(stamp)));
}

#[test]
fn calls_take_effect_in_the_order_of_each_thread() {
    let (_server, database) = server();
    let tx = database.transaction();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let tx = &tx;
            scope.spawn(move || {
                let mut key = vec![thread, 0];
                for n in 0..200_u8 {
                    tx.set(&key, [n]);
                    let read = tx.get(&key, false);
                    let written = [n];
                    // The library has its own copies.
                    key[1] = key[1].wrapping_add(1);
                    assert_eq!(read.wait().unwrap().value(), Ok(Some(written.to_vec())));
                }
            });
        }
    });
    tx.commit().wait().unwrap();
    let (rows, _) =
        database.transaction().get_range(&Range::between("", "x")).wait().unwrap().rows().unwrap();
    assert_eq!(rows.len(), 8 * 200);
}

#[test]
fn a_transaction_may_be_ended_while_others_use_it() {
    let (_server, database) = server();
    let tx = database.transaction();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let outcome = tx.get("k", false).wait().err();
                    assert!([None, Some(1025)].contains(&outcome), "{outcome:?}");
                }
            });
        }
        for _ in 0..200 {
            tx.cancel();
            tx.reset();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(tx.get("k", false).wait().unwrap().value(), Ok(None));
}
