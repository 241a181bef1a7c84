//! The stop: what is under way is finished, nothing more is begun.

use std::{io::Read, net::TcpStream, time::Duration};

use bytes::BytesMut;
use plinth_protocol::{
    CommitResult, ErrorCode, KeyRange,
    frame::Flags,
    request::{RangeOptions, Request},
    response::Response,
};

use crate::harness::{TestServer, set};

#[test]
fn commits_that_were_received_are_answered_before_the_connection_ends() {
    let mut server = TestServer::start();
    let mut peer = server.greet();
    let mut bytes = BytesMut::new();
    for id in 0..300 {
        set(&format!("k{id}"), b"v").write_frame(&mut bytes, Flags::NONE, id);
    }
    peer.send_bytes(&bytes);
    // One answer says that the server has begun with them.
    assert!(matches!(peer.receive().1, Response::Commit { .. }));
    server.begin_stop();
    let mut committed = 1;
    while let Some(frame) = peer.receive_frame() {
        match Response::decode(frame).expect("a response") {
            Response::Commit { result: CommitResult::Committed { .. }, .. } => committed += 1,
            other => panic!("{other:?}"),
        }
    }
    server.join();
    assert_eq!(server.engine.stats().commits, committed, "each commit has its answer");
    assert!(TcpStream::connect(server.address).is_err(), "nobody listens any more");
}

#[test]
fn watches_and_idle_connections_are_ended() {
    let mut server = TestServer::start();
    let (mut peer, mut idle) = (server.greet(), server.greet());
    let version = peer.set("k", b"v");
    let watch = Request::Watch {
        version,
        keyspace: <_>::default(),
        key: "k".into(),
        value: Some("v".into()),
    };
    let id = peer.send(&watch);
    server.await_statistic("watches_open", 1);
    let mut text = server.connect();
    text.send_bytes(b"ping\n");
    let mut line = [0; 5];
    text.stream.read_exact(&mut line).expect("an answer");
    server.begin_stop();
    let (ended, error) = peer.receive_error();
    assert_eq!((ended, error.code), (id, ErrorCode::SHUTTING_DOWN));
    assert!(peer.receive_frame().is_none());
    assert!(idle.receive_frame().is_none());
    let mut last = String::new();
    text.stream.read_to_string(&mut last).expect("a line, then the end");
    assert!(last.starts_with("error 8010 shutting_down"), "{last}");
    server.join();
}

#[test]
fn a_peer_that_never_reads_does_not_hold_up_the_stop_for_ever() {
    let mut server = TestServer::start_with(|config, _| {
        config.shutdown_timeout = Duration::from_millis(200);
    });
    let mut peer = server.greet();
    for row in 0..100 {
        peer.set(&format!("row{row:03}"), &vec![7; 100_000]);
    }
    for _ in 0..20 {
        let range = KeyRange::new("row", "rox");
        let options = RangeOptions { bytes_target: 1 << 20, ..<_>::default() };
        peer.send(&Request::GetRange { version: None, keyspace: <_>::default(), range, options });
    }
    let begun = std::time::Instant::now();
    server.join();
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
}

#[test]
fn held_transactions_are_gone_after_the_stop() {
    let mut server = TestServer::start();
    let mut peer = server.greet();
    let begin = Request::TxnBegin { version: None, read_only: false, timeout_ms: 60_000 };
    assert!(matches!(peer.ask(&begin), Response::TxnBegin { .. }));
    assert_eq!(server.engine.stats().pins, 1);
    server.join();
    assert_eq!(server.engine.stats().pins, 0);
}
