//! Every request, asked and answered.

use std::{thread, time::Duration};

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    Commit, CommitResult, ConflictRange, ErrorCode, KeyRange, KeySelector, KeyspaceId,
    ReadConflict, Version,
    frame::Flags,
    request::{Opcode, RangeOptions, Request},
    response::{KeyValue, Response},
};

use crate::harness::{Peer, TestServer, get, set, set_mutation, statistic};

const PLACE: KeyspaceId = KeyspaceId::DEFAULT;

fn range_request(begin: &str, end: &str, options: RangeOptions) -> Request {
    let range = KeyRange::new(begin.to_owned(), end.to_owned());
    Request::GetRange { version: None, keyspace: PLACE, range, options }
}

fn fill(peer: &mut Peer, count: usize, value: &[u8]) {
    let mutations = (0..count).map(|row| set_mutation(&format!("row{row:05}"), value)).collect();
    let response = peer.ask(&Request::Commit(Commit { mutations, ..<_>::default() }));
    assert!(
        matches!(response, Response::Commit { result: CommitResult::Committed { .. }, .. }),
        "{response:?}"
    );
}

#[test]
fn ping_and_server_info() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let payload = Bytes::from_static(b"are you there?");
    assert_eq!(peer.ask(&Request::Ping { payload: payload.clone() }), Response::Ping { payload });
    peer.set("k", b"v");
    peer.get("k");
    let Response::ServerInfo(info) = peer.ask(&Request::ServerInfo) else { panic!("no info") };
    assert_eq!(info.server_version, env!("CARGO_PKG_VERSION"));
    assert!(info.features.iter().any(|name| name == "checksum"));
    assert_eq!(statistic(&info, "committed_transactions"), 1);
    assert_eq!(statistic(&info, "total_transactions"), 1);
    assert_eq!(statistic(&info, "active_transactions"), 0);
    assert_eq!(statistic(&info, "aborted_transactions"), 0);
    assert_eq!(statistic(&info, "conflict_errors"), 0);
    assert_eq!(statistic(&info, "reads_total"), 1);
    assert_eq!(statistic(&info, "connections_open"), 1);
    assert!(statistic(&info, "average_commit_latency_us") > 0);
    assert!(statistic(&info, "storage_size_bytes") > 0);
}

#[test]
fn what_comes_at_once_costs_one_read_and_one_write_of_the_socket() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let mut count = |gets: u32, times: u64| {
        let mut counts = Vec::new();
        for times in [0, times] {
            for _ in 0..times {
                let frames: Vec<_> = (0..gets).map(|id| peer.encode(&get("k"), id)).collect();
                peer.send_bytes(&frames.concat());
                for _ in 0..gets {
                    peer.receive();
                }
            }
            let Response::ServerInfo(info) = peer.ask(&Request::ServerInfo) else {
                panic!("no info")
            };
            let names = ["socket_reads", "socket_writes", "connection_waits"];
            counts.push(names.map(|name| statistic(&info, name)));
        }
        let [reads, writes, waits] = [0, 1, 2].map(|at| counts[1][at] - counts[0][at]);
        // Once more for the question itself.
        assert_eq!((reads, writes), (times + 1, times + 1), "{gets} gets, {times} times");
        assert!(waits <= 2 * (times + 1), "{waits} waits for {gets} gets, {times} times");
    };
    count(1, 100);
    count(16, 50);
}

#[test]
fn gets_that_come_together_are_answered_like_gets_that_come_alone() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let Response::ReadVersion { version: before } = peer.ask(&Request::ReadVersion) else {
        panic!("no read version")
    };
    let mut written = before;
    for number in 0..50_usize {
        // Some are so long that not all answers fit into one round.
        let value = vec![number as u8; if number % 5 == 0 { 90_000 } else { number }];
        written = peer.set(&format!("k{number}"), &value);
    }
    let at = |version, key: String| Request::Get {
        version: Some(version),
        keyspace: PLACE,
        key: key.into(),
    };
    let mut requests: Vec<Request> = (0..80)
        .map(|number| {
            let version = if number % 7 == 3 { before } else { written };
            at(version, format!("k{number}"))
        })
        .collect();
    requests.insert(20, Request::Ping { payload: Bytes::from_static(b"between") });
    requests.insert(37, at(Version(written.0 + 1_000_000_000), "k1".to_owned()));
    requests.insert(38, at(Version(written.0 + 1_000_000_000), "k2".to_owned()));
    let alone: Vec<Response> = requests.iter().map(|request| peer.ask(request)).collect();
    assert!(
        matches!(&alone[37], Response::Error(error) if error.code == ErrorCode::FUTURE_VERSION)
    );
    let ids = 1000..1000 + requests.len() as u32;
    let frames: Vec<_> =
        requests.iter().zip(ids.clone()).map(|(request, id)| peer.encode(request, id)).collect();
    peer.send_bytes(&frames.concat());
    let mut together: Vec<(u32, Response)> = requests.iter().map(|_| peer.receive()).collect();
    together.sort_by_key(|(id, _)| *id);
    for ((id, alone), (answered, together)) in ids.zip(alone).zip(together) {
        assert_eq!(id, answered);
        let is_same = match (&alone, &together) {
            // What they say of the present differs.
            (Response::Error(alone), Response::Error(together)) => alone.code == together.code,
            _ => alone == together,
        };
        // Values are too long to be shown.
        assert!(is_same, "the answer to {:?}", requests[id as usize - 1000]);
    }
}

#[test]
fn a_committed_value_is_read_at_its_version_and_not_before() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let Response::ReadVersion { version: before } = peer.ask(&Request::ReadVersion) else {
        panic!("no read version")
    };
    let written = peer.set("k", b"v");
    assert!(written > before);
    let at = |version| Request::Get { version, keyspace: PLACE, key: Bytes::from_static(b"k") };
    let Response::Get { version, value } = peer.ask(&at(None)) else { panic!("no answer") };
    let value = value.expect("the value");
    assert!(version >= written && value.version == written && value.value == "v");
    let Response::Get { version, value } = peer.ask(&at(Some(before))) else { panic!("none") };
    assert_eq!((version, value), (before, None));
    assert_eq!(peer.get("other"), None);
}

#[test]
fn a_batch_of_gets_is_answered_in_order_however_large() {
    let server = TestServer::start();
    let mut peer = server.greet();
    fill(&mut peer, 3, b"v");
    for count in [3, 5000] {
        let keys = (0..count).map(|row| Bytes::from(format!("row{row:05}"))).collect();
        let request = Request::GetBatch { version: None, keyspace: PLACE, keys };
        let Response::GetBatch { opcode, values, .. } = peer.ask(&request) else {
            panic!("no values")
        };
        assert_eq!((opcode, values.len()), (Opcode::GetBatch, count));
        assert!(values.iter().take(3).all(|value| value.as_deref() == Some(b"v")));
        assert!(values.iter().skip(3).all(Option::is_none));
    }
}

#[test]
fn a_batch_whose_answer_exceeds_a_frame_is_refused_and_the_connection_goes_on() {
    let server = TestServer::start_with(|_, options| {
        options.limits.frame_bytes_max = 1 << 20;
        options.limits.transaction_bytes_max = 1 << 19;
    });
    let mut peer = server.greet();
    peer.set("big", &vec![7; 100_000]);
    for count in [11, 2000] {
        let keys = vec![Bytes::from_static(b"big"); count];
        let error = peer.ask_error(&Request::GetBatch { version: None, keyspace: PLACE, keys });
        assert_eq!(error.code, ErrorCode::TRANSACTION_TOO_LARGE, "{error}");
        assert!(error.message.contains("fewer keys"), "{error}");
    }
    let keys = vec![Bytes::from_static(b"big"); 10];
    let response = peer.ask(&Request::GetBatch { version: None, keyspace: PLACE, keys });
    assert!(matches!(response, Response::GetBatch { .. }), "{response:?}");
}

#[test]
fn key_selectors_resolve_near_and_far() {
    let server = TestServer::start();
    let mut peer = server.greet();
    fill(&mut peer, 5000, b"v");
    for (offset, expected) in [(1, "row00000"), (3, "row00002"), (4998, "row04997"), (6000, "end")]
    {
        let selector = KeySelector { key: Bytes::from_static(b"a"), or_equal: false, offset };
        let end = Bytes::from_static(b"\xFF");
        let request = Request::GetKey { version: None, keyspace: PLACE, selector, end };
        let Response::GetKey { opcode, key, .. } = peer.ask(&request) else { panic!("no key") };
        let expected = if expected == "end" { &b"\xFF"[..] } else { expected.as_bytes() };
        assert_eq!((opcode, &key[..]), (Opcode::GetKey, expected));
    }
}

#[test]
fn a_range_is_cut_by_rows_and_bytes_and_goes_both_ways() {
    let server = TestServer::start();
    let mut peer = server.greet();
    fill(&mut peer, 10, b"0123456789");
    let mut ask = |options| match peer.ask(&range_request("row", "rox", options)) {
        Response::GetRange { rows, more, .. } => (rows, more),
        other => panic!("no rows: {other:?}"),
    };
    let (rows, more) = ask(RangeOptions::default());
    assert!(rows.len() == 10 && !more);
    assert_eq!(rows[0], KeyValue { key: "row00000".into(), value: "0123456789".into() });
    let (rows, more) = ask(RangeOptions { rows_max: 3, reverse: true, ..<_>::default() });
    let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(keys, ["row00009", "row00008", "row00007"]);
    assert!(more);
    let (rows, more) = ask(RangeOptions { bytes_target: 30, ..<_>::default() });
    assert!(rows.len() == 2 && more, "{rows:?}");
    let (rows, more) = ask(RangeOptions { bytes_target: 1, ..<_>::default() });
    assert!(rows.len() == 1 && more, "at least one row is answered");
    let (rows, _) = ask(RangeOptions { keys_only: true, ..<_>::default() });
    assert!(rows.len() == 10 && rows.iter().all(|row| row.value.is_empty()));
}

#[test]
fn an_empty_or_inverted_range_has_no_rows() {
    let server = TestServer::start();
    let mut peer = server.greet();
    fill(&mut peer, 3, b"v");
    for (begin, end) in [("row", "row"), ("rox", "row"), ("a", "b")] {
        let response = peer.ask(&range_request(begin, end, RangeOptions::default()));
        match response {
            Response::GetRange { rows, more, .. } => assert!(rows.is_empty() && !more),
            other => panic!("{other:?}"),
        }
    }
}

/// The rows of a streamed range; every frame but the last must say that more follow.
fn receive_stream(peer: &mut Peer, id: u32) -> (Vec<KeyValue>, usize) {
    let (mut rows, mut frames) = (Vec::new(), 0);
    loop {
        let frame = peer.receive_frame().expect("the stream goes on");
        assert_eq!(frame.request_id, id);
        let is_last = !frame.flags.contains(Flags::MORE);
        match Response::decode(frame).expect("a response") {
            Response::GetRange { rows: chunk, .. } => rows.extend(chunk),
            other => panic!("{other:?}"),
        }
        frames += 1;
        if is_last {
            return (rows, frames);
        }
    }
}

#[test]
fn a_streamed_range_comes_in_chunks_until_it_is_exhausted() {
    let server = TestServer::start_with(|config, _| config.limits.output_bytes_max = 200_000);
    for flags in [Flags::NONE, Flags::CHECKSUM] {
        let mut peer = server.greet();
        peer.flags = flags;
        fill(&mut peer, 9000, &[b'x'; 100]);
        for reverse in [false, true] {
            let options = RangeOptions { streams: true, reverse, ..<_>::default() };
            let id = peer.send(&range_request("row", "rox", options));
            let (mut rows, frames) = receive_stream(&mut peer, id);
            assert!(frames > 3, "{frames} frames");
            if reverse {
                rows.reverse();
            }
            assert_eq!(rows.len(), 9000);
            assert!(rows.is_sorted_by(|a, b| a.key < b.key));
        }
        let options =
            RangeOptions { streams: true, rows_max: 2500, bytes_target: 5000, ..<_>::default() };
        let id = peer.send(&range_request("row", "rox", options));
        let (rows, frames) = receive_stream(&mut peer, id);
        assert_eq!(rows.len(), 2500);
        assert!(frames > 20, "{frames} frames");
    }
}

#[test]
fn a_stream_that_nobody_reads_can_be_cancelled() {
    let server = TestServer::start_with(|config, _| {
        config.limits.output_bytes_max = 64 << 10;
        config.limits.streams_max = 1;
    });
    let mut peer = server.greet();
    for part in 0..20 {
        let mutations = (0..100)
            .map(|row| set_mutation(&format!("row{part:02}{row:03}"), &vec![b'x'; 20_000]))
            .collect();
        peer.ask(&Request::Commit(Commit { mutations, ..<_>::default() }));
    }
    let options = RangeOptions { streams: true, ..<_>::default() };
    let id = peer.send(&range_request("row", "rox", options));
    let second = peer.send(&range_request("row", "rox", options));
    let cancel = peer.send(&Request::Cancel { request_id: id });
    let (mut chunks, mut ends) = (0, Vec::new());
    while ends.len() < 3 {
        let frame = peer.receive_frame().expect("answers");
        let from = frame.request_id;
        match Response::decode(frame).expect("a response") {
            Response::GetRange { .. } => chunks += 1,
            Response::Error(error) => ends.push((from, Some(error.code))),
            Response::Done(Opcode::Cancel) => ends.push((from, None)),
            other => panic!("{other:?}"),
        }
    }
    ends.sort_unstable();
    let expected = [
        (id, Some(ErrorCode::OPERATION_CANCELLED)),
        (second, Some(ErrorCode::TOO_MANY_REQUESTS)),
        (cancel, None),
    ];
    assert_eq!(ends, expected);
    assert!(chunks < 400, "{chunks} chunks were sent in spite of the cancel");
    assert_eq!(peer.get("row00000").map(|value| value.len()), Some(20_000));
}

#[test]
fn sizes_and_split_points_are_estimated() {
    let server = TestServer::start();
    let mut peer = server.greet();
    fill(&mut peer, 1000, &[b'x'; 100]);
    let range = KeyRange::new("row", "rox");
    let request = Request::EstimateSize { keyspace: PLACE, range: range.clone() };
    let Response::EstimateSize { bytes } = peer.ask(&request) else { panic!("no estimate") };
    assert!((50_000..300_000).contains(&bytes), "{bytes}");
    let request = Request::SplitPoints { keyspace: PLACE, range, chunk_bytes: 20_000 };
    let Response::SplitPoints { keys } = peer.ask(&request) else { panic!("no points") };
    assert!(keys.len() > 3 && keys.is_sorted(), "{keys:?}");
    assert_eq!((&keys[0][..], &keys[keys.len() - 1][..]), (&b"row"[..], &b"rox"[..]));
}

fn watch(version: Version, value: Option<&str>) -> Request {
    let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    Request::Watch { version, keyspace: PLACE, key: Bytes::from_static(b"k"), value }
}

#[test]
fn a_watch_is_answered_when_the_value_changes_and_not_before() {
    let server = TestServer::start();
    let (mut peer, mut other) = (server.greet(), server.greet());
    let version = peer.set("k", b"old");
    let id = peer.send(&watch(version, Some("old")));
    // Whatever is asked meanwhile is answered meanwhile.
    assert_eq!(peer.get("k").as_deref(), Some(&b"old"[..]));
    other.set("k", b"old");
    assert_eq!(server.statistic("watches_open"), 1);
    let changed = other.set("k", b"new");
    match peer.receive() {
        (from, Response::Watch { version }) => assert!(from == id && version >= changed),
        other => panic!("{other:?}"),
    }
    // One that differs already is answered at once.
    let response = peer.ask(&watch(version, None));
    assert!(matches!(response, Response::Watch { .. }), "{response:?}");
    server.await_statistic("watches_open", 0);
}

#[test]
fn a_watch_can_be_cancelled_and_ends_with_its_connection() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let version = peer.set("k", b"v");
    let id = peer.send(&watch(version, Some("v")));
    let cancel = peer.send(&Request::Cancel { request_id: id });
    let (from, error) = peer.receive_error();
    assert_eq!((from, error.code), (id, ErrorCode::OPERATION_CANCELLED));
    assert_eq!(peer.receive(), (cancel, Response::Done(Opcode::Cancel)));
    // Cancelling what is over is no error.
    let response = peer.ask(&Request::Cancel { request_id: id });
    assert_eq!(response, Response::Done(Opcode::Cancel));
    peer.send(&watch(version, Some("v")));
    server.await_statistic("watches_open", 1);
    drop(peer);
    server.await_statistic("watches_open", 0);
}

#[test]
fn a_pin_keeps_its_snapshot_readable_beyond_the_window() {
    let server = TestServer::start_with(|_, options| options.window = Duration::from_millis(50));
    let mut peer = server.greet();
    peer.set("k", b"old");
    let Response::Pin { pin, version } = peer.ask(&Request::Pin { version: None }) else {
        panic!("no pin")
    };
    let at = |version| Request::Get {
        version: Some(version),
        keyspace: PLACE,
        key: Bytes::from_static(b"k"),
    };
    let unpinned = peer.set("k", b"new");
    peer.set("k", b"newer");
    // The window passes: something that nobody holds becomes unreadable, the pinned version not.
    let horizon = || server.statistic("oldest_readable_version");
    assert!(horizon() <= version.0);
    thread::sleep(Duration::from_millis(120));
    peer.set("other", b"x");
    let Response::Get { value, .. } = peer.ask(&at(version)) else { panic!("not readable") };
    assert_eq!(value.expect("a value").value, "old");
    assert_eq!(peer.ask(&Request::Unpin { pin }), Response::Done(Opcode::Unpin));
    let begun = std::time::Instant::now();
    while horizon() <= unpinned.0 {
        assert!(begun.elapsed() < crate::harness::PATIENCE, "the horizon stands still");
        peer.set("other", b"x");
    }
    let error = peer.ask_error(&at(version));
    assert_eq!(error.code, ErrorCode::TRANSACTION_TOO_OLD);
    let error = peer.ask_error(&Request::Unpin { pin });
    assert_eq!(error.code, ErrorCode::PIN_NOT_FOUND);
    assert_eq!(peer.ask_error(&Request::Pin { version: Some(version) }).code, error_too_old());
    peer.ask(&Request::Pin { version: None });
    assert_eq!(server.statistic("pins_open"), 1);
    drop(peer);
    server.await_statistic("pins_open", 0);
}

fn error_too_old() -> ErrorCode {
    ErrorCode::TRANSACTION_TOO_OLD
}

#[test]
fn a_commit_conflicts_with_what_was_written_after_its_read_version() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let Response::ReadVersion { version } = peer.ask(&Request::ReadVersion) else {
        panic!("no read version")
    };
    peer.set("k", b"first");
    let key = Bytes::from_static(b"k");
    let conflict =
        |key| ReadConflict { keyspace: PLACE, range: ConflictRange::Key(key), since: None };
    let commit = Commit {
        read_version: Some(version),
        read_conflicts: vec![conflict(Bytes::from_static(b"unread")), conflict(key)],
        mutations: vec![set_mutation("k", b"second")],
        reports_conflicts: true,
        ..<_>::default()
    };
    let response = peer.ask(&Request::Commit(commit));
    let result = CommitResult::Conflicted { read_conflicts: vec![1] };
    assert_eq!(response, Response::Commit { opcode: Opcode::Commit, result });
    assert_eq!(peer.get("k").as_deref(), Some(&b"first"[..]));
    assert_eq!(server.statistic("conflict_errors"), 1);
}

#[test]
fn the_outcome_of_a_commit_can_be_asked_for_by_its_id() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let id = Bytes::from_static(b"sixteen bytes id");
    let status = Request::CommitStatus { idempotency_id: id.clone() };
    assert_eq!(peer.ask(&status), Response::CommitStatus { result: None });
    let commit = Commit {
        mutations: vec![set_mutation("k", b"v")],
        idempotency_id: Some(id),
        ..<_>::default()
    };
    let Response::Commit { result, .. } = peer.ask(&Request::Commit(commit.clone())) else {
        panic!("no outcome")
    };
    assert_eq!(peer.ask(&status), Response::CommitStatus { result: Some(result.clone()) });
    let again = peer.ask(&Request::Commit(commit));
    assert_eq!(again, Response::Commit { opcode: Opcode::Commit, result });
}

#[test]
fn an_invalid_commit_is_refused_and_the_connection_goes_on() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let error = peer.ask_error(&set(&"k".repeat(10_001), b"v"));
    assert_eq!(error.code, ErrorCode::KEY_TOO_LARGE);
    let error = peer.ask_error(&set("k", &vec![0; 100_001]));
    assert_eq!(error.code, ErrorCode::VALUE_TOO_LARGE);
    assert_eq!(peer.get("k"), None);
}

#[test]
fn a_read_at_a_version_to_come_waits_for_it_and_holds_up_nothing() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let written = peer.set("k", b"v");
    let at = |version| Request::Get {
        version: Some(version),
        keyspace: PLACE,
        key: Bytes::from_static(b"k"),
    };
    // A tenth of a second ahead: it comes by itself.
    let soon = peer.send(&at(Version(written.0 + 100_000)));
    let never = peer.send(&at(Version(written.0 + 1_000_000_000)));
    assert_eq!(peer.get("k").as_deref(), Some(&b"v"[..]));
    let (first, response) = peer.receive();
    assert!(first == soon && matches!(response, Response::Get { .. }), "{response:?}");
    let (second, error) = peer.receive_error();
    assert_eq!((second, error.code), (never, ErrorCode::FUTURE_VERSION));
}

#[test]
fn an_unknown_opcode_and_a_malformed_payload_are_named_and_survived() {
    let server = TestServer::start();
    let mut peer = server.greet();
    peer.send_bytes(&[0, 0, 0, 6, 0x7F, 0, 0, 0, 0, 42]);
    let (id, error) = peer.receive_error();
    assert_eq!((id, error.code), (42, ErrorCode::UNKNOWN_OPCODE));
    assert!(error.message.contains("0x7f"), "{error}");
    // Cut short, then with a byte too many; both by requests of every kind.
    for request in every_request() {
        let whole = peer.encode(&request, 9);
        let payload = &whole[10..];
        let shorter = payload.len().checked_sub(1).map(|end| payload[..end].to_vec());
        for payload in shorter.into_iter().chain([[payload, &[0]].concat()]) {
            let mut frame = BytesMut::new();
            let opcode = request.opcode() as u8;
            plinth_protocol::codec::write_frame(&mut frame, opcode, Flags::NONE, 9, |buffer| {
                buffer.extend_from_slice(&payload);
            });
            peer.send_bytes(&frame);
            let (id, error) = peer.receive_error();
            assert_eq!((id, error.code), (9, ErrorCode::MALFORMED_PAYLOAD), "{request:?}");
            let name = format!("{:?}", request.opcode());
            assert!(error.message.contains(&name), "{error} should name {name}");
        }
    }
    assert_eq!(peer.get("k"), None);
}

fn every_request() -> Vec<Request> {
    let (key, range) = (Bytes::from_static(b"k"), KeyRange::new("a", "b"));
    let selector = KeySelector::first_greater_or_equal("k");
    let transaction = [7; 16];
    let options = RangeOptions::default();
    vec![
        Request::Ping { payload: key.clone() },
        Request::ServerInfo,
        Request::Cancel { request_id: 1 },
        Request::ReadVersion,
        get("k"),
        Request::GetBatch { version: None, keyspace: PLACE, keys: vec![key.clone()] },
        Request::GetKey {
            version: None,
            keyspace: PLACE,
            selector: selector.clone(),
            end: key.clone(),
        },
        range_request("a", "b", options),
        Request::EstimateSize { keyspace: PLACE, range: range.clone() },
        Request::SplitPoints { keyspace: PLACE, range: range.clone(), chunk_bytes: 1 },
        watch(Version(1), Some("v")),
        Request::Pin { version: None },
        Request::Unpin { pin: 1 },
        set("k", b"v"),
        Request::CommitStatus { idempotency_id: Bytes::from_static(&[1; 16]) },
        Request::TxnBegin { version: None, read_only: false, timeout_ms: 0 },
        Request::TxnGet { transaction, snapshot: false, keyspace: PLACE, keys: vec![key] },
        Request::TxnGetKey {
            transaction,
            snapshot: false,
            keyspace: PLACE,
            selector: selector.clone(),
        },
        Request::TxnGetRange {
            transaction,
            snapshot: false,
            keyspace: PLACE,
            begin: selector.clone(),
            end: selector,
            options,
        },
        Request::TxnWrite { transaction, mutations: vec![set_mutation("k", b"v")] },
        Request::TxnAddConflict { transaction, is_write: false, keyspace: PLACE, range },
        Request::TxnCommit { transaction },
        Request::TxnAbort { transaction },
        Request::JobStart { kind: Bytes::from_static(b"verify"), argument: Bytes::new() },
        Request::Jobs { job: 0 },
        Request::JobCancel { job: 1 },
    ]
}

#[test]
fn the_list_of_every_request_is_complete() {
    let mut listed: Vec<_> = every_request().iter().map(Request::opcode).collect();
    listed.push(Opcode::Hello);
    listed.sort_unstable();
    assert_eq!(listed, Opcode::ALL);
}

#[test]
fn every_request_may_come_cut_at_any_byte() {
    let server = TestServer::start();
    let mut peer = server.greet();
    for request in every_request() {
        let whole = peer.encode(&request, 77);
        // Watches and commits change the answer to the next, so only the kind is compared.
        for cut in 1..whole.len() {
            let (head, tail) = whole.split_at(cut);
            peer.send_bytes(head);
            if cut % 7 == 0 {
                thread::yield_now();
            }
            peer.send_bytes(tail);
            let frame = peer.receive_frame().expect("an answer");
            assert_eq!(frame.request_id, 77, "{request:?} cut at {cut}");
            if let Response::Pin { pin, .. } = Response::decode(frame).expect("a response") {
                peer.ask(&Request::Unpin { pin });
            }
        }
    }
}

#[test]
fn frames_that_come_together_are_all_answered_by_their_ids() {
    let server = TestServer::start();
    let mut peer = server.greet();
    peer.set("k", b"v");
    for depth in [2_u32, 16, 1000] {
        let mut bytes = BytesMut::new();
        for id in 0..depth {
            let request = match id % 4 {
                0 => set(&format!("k{id}"), b"v"),
                1 => Request::Ping { payload: Bytes::from(id.to_string()) },
                _ => get("k"),
            };
            request.write_frame(&mut bytes, Flags::NONE, 10_000 + id);
        }
        peer.send_bytes(&bytes);
        let mut answered = vec![false; depth as usize];
        for _ in 0..depth {
            let (id, response) = peer.receive();
            let id = id - 10_000;
            match response {
                Response::Commit { .. } => assert_eq!(id % 4, 0),
                Response::Ping { payload } => assert_eq!(payload, id.to_string()),
                Response::Get { value, .. } => assert_eq!(value.expect("a value").value, "v"),
                other => panic!("{other:?}"),
            }
            assert!(!std::mem::replace(&mut answered[id as usize], true), "answered twice");
        }
    }
}

#[test]
fn an_answer_on_one_connection_is_seen_by_the_next_read_on_any_other() {
    let server = TestServer::start();
    let (mut writer, mut reader) = (server.greet(), server.greet());
    for round in 0..200_u32 {
        writer.set("k", &round.to_be_bytes());
        assert_eq!(reader.get("k").as_deref(), Some(&round.to_be_bytes()[..]));
    }
}
