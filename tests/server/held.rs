//! Server-held transactions.

use std::{thread, time::Duration};

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, CommitResult, ErrorCode, KeyRange, KeySelector, KeyspaceId, Mutation, MutationOp,
    Version,
    request::{Opcode, RangeOptions, Request, TransactionId},
    response::Response,
};

use crate::harness::{Peer, TestServer, set_mutation};

const PLACE: KeyspaceId = KeyspaceId::DEFAULT;

fn begin_request(read_only: bool, timeout_ms: u32) -> Request {
    Request::TxnBegin { version: None, read_only, timeout_ms }
}

fn begin(peer: &mut Peer) -> TransactionId {
    match peer.ask(&begin_request(false, 0)) {
        Response::TxnBegin { transaction, .. } => transaction,
        other => panic!("{other:?}"),
    }
}

fn get(transaction: TransactionId, key: &str) -> Request {
    let keys = vec![Bytes::copy_from_slice(key.as_bytes())];
    Request::TxnGet { transaction, snapshot: false, keyspace: PLACE, keys }
}

fn read(peer: &mut Peer, transaction: TransactionId, key: &str) -> Option<Bytes> {
    match peer.ask(&get(transaction, key)) {
        Response::GetBatch { opcode: Opcode::TxnGet, mut values, .. } => values.remove(0),
        other => panic!("{other:?}"),
    }
}

fn write(peer: &mut Peer, transaction: TransactionId, mutations: Vec<Mutation>) {
    let response = peer.ask(&Request::TxnWrite { transaction, mutations });
    assert_eq!(response, Response::Done(Opcode::TxnWrite));
}

fn commit(peer: &mut Peer, transaction: TransactionId) -> CommitResult {
    match peer.ask(&Request::TxnCommit { transaction }) {
        Response::Commit { opcode: Opcode::TxnCommit, result } => result,
        other => panic!("{other:?}"),
    }
}

fn committed(result: &CommitResult) -> Version {
    match result {
        CommitResult::Committed { version, .. } => *version,
        CommitResult::Conflicted { .. } => panic!("a conflict"),
    }
}

/// The keys from a to z in reverse, however many pages they come in.
fn reversed_keys(peer: &mut Peer, transaction: TransactionId) -> Vec<Bytes> {
    let (mut keys, mut end) = (Vec::new(), Bytes::from_static(b"z"));
    loop {
        let request = Request::TxnGetRange {
            transaction,
            snapshot: false,
            keyspace: PLACE,
            begin: KeySelector::first_greater_or_equal("a"),
            end: KeySelector::first_greater_or_equal(end),
            options: RangeOptions { reverse: true, keys_only: true, ..<_>::default() },
        };
        let Response::GetRange { opcode: Opcode::TxnGetRange, rows, more, .. } = peer.ask(&request)
        else {
            panic!("no rows")
        };
        assert!(rows.iter().all(|row| row.value.is_empty()), "only keys were asked for");
        keys.extend(rows.into_iter().map(|row| row.key));
        match keys.last() {
            Some(last) if more => end = last.clone(),
            _ => return keys,
        }
    }
}

#[test]
fn a_transaction_reads_its_writes_and_commits_them_from_any_connection() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let transaction = begin(&mut peer);
    write(&mut peer, transaction, vec![set_mutation("a", b"1"), set_mutation("b", b"2")]);
    assert_eq!(read(&mut peer, transaction, "a").as_deref(), Some(&b"1"[..]));
    assert_eq!(peer.get("a"), None, "nobody else sees it before the commit");
    drop(peer);
    let mut other = server.greet();
    assert_eq!(reversed_keys(&mut other, transaction), ["b", "a"]);
    let selector = KeySelector::last_less_than("b");
    let request = Request::TxnGetKey { transaction, snapshot: true, keyspace: PLACE, selector };
    match other.ask(&request) {
        Response::GetKey { opcode: Opcode::TxnGetKey, key, .. } => assert_eq!(key, "a"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.statistic("active_transactions"), 1);
    let version = committed(&commit(&mut other, transaction));
    assert!(version > Version::ZERO);
    assert_eq!(other.get("b").as_deref(), Some(&b"2"[..]));
    assert_eq!(server.statistic("active_transactions"), 0);
    assert_eq!(server.statistic("transactions_held_bytes"), 0);
    let error = other.ask_error(&get(transaction, "a"));
    assert_eq!(error.code, ErrorCode::TRANSACTION_NOT_FOUND);
}

#[test]
fn every_kind_of_mutation_is_applied_and_versionstamps_are_filled_in() {
    let server = TestServer::start();
    let mut peer = server.greet();
    peer.set("gone", b"x");
    peer.set("ranged", b"x");
    let transaction = begin(&mut peer);
    let mutation = |op| Mutation { keyspace: PLACE, adds_conflict: true, op };
    let stamped = Bytes::from_static(b"s----------");
    write(
        &mut peer,
        transaction,
        vec![
            mutation(MutationOp::Clear { key: "gone".into() }),
            mutation(MutationOp::ClearRange { begin: "ran".into(), end: "rao".into() }),
            mutation(MutationOp::Atomic {
                op: AtomicOp::Add,
                key: "sum".into(),
                operand: Bytes::from_static(&[5, 0]),
            }),
            mutation(MutationOp::SetVersionstampedKey {
                key: stamped.clone(),
                offset: 1,
                value: "v".into(),
            }),
            mutation(MutationOp::SetVersionstampedValue {
                key: "stamp".into(),
                value: stamped,
                offset: 1,
            }),
        ],
    );
    let CommitResult::Committed { version, order } = commit(&mut peer, transaction) else {
        panic!("a conflict")
    };
    assert_eq!((peer.get("gone"), peer.get("ranged")), (None, None));
    assert_eq!(peer.get("sum").as_deref(), Some(&[5, 0][..]));
    let expected = [&b"s"[..], &version.0.to_be_bytes(), &order.to_be_bytes()].concat();
    assert_eq!(peer.get("stamp").as_deref(), Some(&expected[..]));
}

#[test]
fn what_was_read_conflicts_unless_it_was_a_snapshot_read() {
    let server = TestServer::start();
    let mut peer = server.greet();
    for (is_snapshot, conflicts) in [(false, true), (true, false)] {
        let transaction = begin(&mut peer);
        let keys = vec![Bytes::from_static(b"k")];
        peer.ask(&Request::TxnGet { transaction, snapshot: is_snapshot, keyspace: PLACE, keys });
        write(&mut peer, transaction, vec![set_mutation("other", b"v")]);
        peer.set("k", b"meanwhile");
        let result = commit(&mut peer, transaction);
        assert_eq!(matches!(result, CommitResult::Conflicted { .. }), conflicts);
    }
}

#[test]
fn conflict_ranges_can_be_added() {
    let server = TestServer::start();
    let mut peer = server.greet();
    for (range, conflicts) in [(KeyRange::new("k", "l"), true), (KeyRange::new("l", "m"), false)] {
        let transaction = begin(&mut peer);
        let add = Request::TxnAddConflict { transaction, is_write: false, keyspace: PLACE, range };
        assert_eq!(peer.ask(&add), Response::Done(Opcode::TxnAddConflict));
        write(&mut peer, transaction, vec![set_mutation("other", b"v")]);
        peer.set("k", b"meanwhile");
        let result = commit(&mut peer, transaction);
        assert_eq!(matches!(result, CommitResult::Conflicted { .. }), conflicts);
    }
    // A write conflict of one transaction is a read conflict's undoing in another.
    let (first, second) = (begin(&mut peer), begin(&mut peer));
    read(&mut peer, second, "k");
    write(&mut peer, second, vec![set_mutation("other", b"v")]);
    let range = KeyRange::new("k", "l");
    peer.ask(&Request::TxnAddConflict {
        transaction: first,
        is_write: true,
        keyspace: PLACE,
        range,
    });
    committed(&commit(&mut peer, first));
    assert!(matches!(commit(&mut peer, second), CommitResult::Conflicted { .. }));
}

#[test]
fn an_aborted_transaction_leaves_no_trace() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let transaction = begin(&mut peer);
    write(&mut peer, transaction, vec![set_mutation("k", b"v")]);
    assert_eq!(peer.ask(&Request::TxnAbort { transaction }), Response::Done(Opcode::TxnAbort));
    let error = peer.ask_error(&Request::TxnCommit { transaction });
    assert_eq!(error.code, ErrorCode::TRANSACTION_NOT_FOUND);
    assert_eq!(peer.get("k"), None);
    assert_eq!(server.statistic("aborted_transactions"), 1);
    assert_eq!(server.statistic("transactions_held_bytes"), 0);
}

#[test]
fn a_read_only_transaction_refuses_writes_and_commits_with_version_zero() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let Response::TxnBegin { transaction, .. } = peer.ask(&begin_request(true, 0)) else {
        panic!("not begun")
    };
    let mutations = vec![set_mutation("k", b"v")];
    let error = peer.ask_error(&Request::TxnWrite { transaction, mutations });
    assert_eq!(error.code, ErrorCode::TRANSACTION_READ_ONLY);
    assert_eq!(read(&mut peer, transaction, "k"), None);
    let result = commit(&mut peer, transaction);
    assert_eq!(result, CommitResult::Committed { version: Version::ZERO, order: 0 });
}

#[test]
fn a_transaction_reads_at_the_version_that_it_was_begun_at() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let old = peer.set("k", b"old");
    peer.set("k", b"new");
    let request = Request::TxnBegin { version: Some(old), read_only: true, timeout_ms: 0 };
    let Response::TxnBegin { transaction, version, .. } = peer.ask(&request) else {
        panic!("not begun")
    };
    assert_eq!(version, old);
    assert_eq!(read(&mut peer, transaction, "k").as_deref(), Some(&b"old"[..]));
}

#[test]
fn an_expired_transaction_is_ended_and_a_late_use_is_told() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let Response::TxnBegin { transaction, .. } = peer.ask(&begin_request(false, 30)) else {
        panic!("not begun")
    };
    let mutations = vec![set_mutation("k", b"v")];
    peer.ask(&Request::TxnWrite { transaction, mutations });
    // The reaper ends it without being asked.
    server.await_statistic("active_transactions", 0);
    assert_eq!(server.statistic("transactions_held_bytes"), 0);
    assert_eq!(server.statistic("transactions_expired"), 1);
    for request in [get(transaction, "k"), Request::TxnCommit { transaction }] {
        let error = peer.ask_error(&request);
        assert_eq!(error.code, ErrorCode::TRANSACTION_NOT_FOUND);
        assert!(error.message.contains("expired"), "{error}");
    }
    let error = peer.ask_error(&get([9; 16], "k"));
    assert!(!error.message.contains("the transaction has expired"), "{error}");
    assert_eq!(peer.get("k"), None);
}

#[test]
fn a_transaction_that_outlives_the_window_keeps_its_snapshot() {
    let server = TestServer::start_with(|config, options| {
        options.window = Duration::from_millis(50);
        config.limits.window = options.window;
    });
    let mut peer = server.greet();
    peer.set("k", b"old");
    let transaction = begin(&mut peer);
    peer.set("k", b"new");
    thread::sleep(Duration::from_millis(120));
    peer.set("other", b"x");
    assert_eq!(read(&mut peer, transaction, "k").as_deref(), Some(&b"old"[..]));
    assert_eq!(server.statistic("pins_open"), 1);
    peer.ask(&Request::TxnAbort { transaction });
    server.await_statistic("pins_open", 0);
}

#[test]
fn a_stated_timeout_is_cut_to_the_limit() {
    let server = TestServer::start_with(|config, _| {
        config.limits.transaction_timeout_max = Duration::from_mins(1);
    });
    let mut peer = server.greet();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_millis() as u64;
    let Response::TxnBegin { expires_at_ms, .. } = peer.ask(&begin_request(false, u32::MAX)) else {
        panic!("not begun")
    };
    assert!((now + 59_000..now + 90_000).contains(&expires_at_ms));
}

#[test]
fn there_are_only_so_many_transactions() {
    let server = TestServer::start_with(|config, _| config.limits.transactions_max = 2);
    let mut peer = server.greet();
    let first = begin(&mut peer);
    begin(&mut peer);
    let error = peer.ask_error(&begin_request(false, 0));
    assert_eq!(error.code, ErrorCode::TOO_MANY_TRANSACTIONS);
    assert!(error.message.contains('2'), "{error}");
    peer.ask(&Request::TxnAbort { transaction: first });
    begin(&mut peer);
}

#[test]
fn they_take_only_so_much_memory_alone_and_together() {
    let server = TestServer::start_with(|config, options| {
        options.limits.transaction_bytes_max = 200_000;
        config.limits.transactions_bytes_max = 300_000;
    });
    let mut peer = server.greet();
    let (first, second) = (begin(&mut peer), begin(&mut peer));
    let large = |transaction, key: &str| Request::TxnWrite {
        transaction,
        mutations: vec![set_mutation(key, &vec![0; 90_000])],
    };
    for request in [large(first, "a"), large(first, "b"), large(second, "c")] {
        assert_eq!(peer.ask(&request), Response::Done(Opcode::TxnWrite));
    }
    let error = peer.ask_error(&large(first, "d"));
    assert_eq!(error.code, ErrorCode::TRANSACTION_TOO_LARGE);
    let error = peer.ask_error(&large(second, "d"));
    assert_eq!(error.code, ErrorCode::TOO_MANY_TRANSACTIONS);
    assert!(error.message.contains("300000"), "{error}");
    // What was refused was not carried out, and the rest still commits.
    committed(&commit(&mut peer, first));
    assert_eq!(peer.get("b").map(|value| value.len()), Some(90_000));
    assert_eq!(peer.get("d"), None);
    committed(&commit(&mut peer, second));
    assert_eq!(server.statistic("transactions_held_bytes"), 0);
}

#[test]
fn an_invalid_write_is_told_at_once() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let transaction = begin(&mut peer);
    let mutations = vec![set_mutation(&"k".repeat(10_001), b"v")];
    let error = peer.ask_error(&Request::TxnWrite { transaction, mutations });
    assert_eq!(error.code, ErrorCode::KEY_TOO_LARGE);
}

#[test]
fn a_streamed_range_is_refused() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let transaction = begin(&mut peer);
    let error = peer.ask_error(&Request::TxnGetRange {
        transaction,
        snapshot: false,
        keyspace: PLACE,
        begin: KeySelector::first_greater_or_equal("a"),
        end: KeySelector::first_greater_or_equal("z"),
        options: RangeOptions { streams: true, ..<_>::default() },
    });
    assert_eq!(error.code, ErrorCode::CLIENT_INVALID_OPERATION);
}

#[test]
fn what_is_pipelined_on_one_connection_happens_in_order() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let transaction = begin(&mut peer);
    peer.send(&Request::TxnWrite { transaction, mutations: vec![set_mutation("k", b"1")] });
    let read = peer.send(&get(transaction, "k"));
    peer.send(&Request::TxnCommit { transaction });
    let mut seen = None;
    for _ in 0..3 {
        if let (id, Response::GetBatch { values, .. }) = peer.receive() {
            assert_eq!(id, read);
            seen = values.into_iter().next().flatten();
        }
    }
    assert_eq!(seen.as_deref(), Some(&b"1"[..]));
    assert_eq!(peer.get("k").as_deref(), Some(&b"1"[..]));
}
