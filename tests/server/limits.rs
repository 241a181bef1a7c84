//! The limits of a connection, and of connections.

use std::{io::Read, time::Duration};

use bytes::BytesMut;
use plinth_protocol::{
    Commit, ErrorCode, Version, frame::Flags, request::Request, response::Response,
};

use crate::harness::{TestServer, set, set_mutation};

#[test]
fn a_connection_too_many_is_told_and_closed_in_its_own_language() {
    let server = TestServer::start_with(|config, _| config.limits.connections_max = 2);
    let (mut first, second) = (server.greet(), server.greet());
    let mut binary = server.connect();
    binary.send(&Request::Hello(plinth_protocol::hello::Hello::new("test/1", &[])));
    let error = binary.expect_closed_with(ErrorCode::TOO_MANY_CONNECTIONS);
    assert!(error.message.contains('2'), "{error}");
    let mut text = server.connect();
    text.send_bytes(b"ping\n");
    let mut line = String::new();
    text.stream.read_to_string(&mut line).expect("a line, then the end");
    assert!(line.starts_with("error 8011 too_many_connections"), "{line}");
    // Who says nothing is not waited for long.
    let mut silent = server.connect();
    line.clear();
    silent.stream.read_to_string(&mut line).expect("a line, then the end");
    assert!(line.starts_with("error 8011 "), "{line}");
    let Response::ServerInfo(info) = first.ask(&Request::ServerInfo) else { panic!("no info") };
    assert_eq!(crate::harness::statistic(&info, "connections_refused"), 3);
    // Once one leaves there is room again.
    drop(second);
    let begun = std::time::Instant::now();
    loop {
        let Response::ServerInfo(info) = first.ask(&Request::ServerInfo) else { panic!("none") };
        if crate::harness::statistic(&info, "connections_open") == 1 {
            break;
        }
        assert!(begun.elapsed() < crate::harness::PATIENCE, "the connection is not let go");
    }
    server.greet();
}

#[test]
fn a_frame_at_the_limit_is_taken_and_one_byte_more_refused_before_it_is_there() {
    let server = TestServer::start_with(|_, options| {
        options.limits.frame_bytes_max = 70_000;
        options.limits.transaction_bytes_max = 60_000;
    });
    let mut peer = server.greet();
    // Header 6, the payload's length 4.
    let payload = vec![b'x'; 70_000 - 10];
    let response = peer.ask(&Request::Ping { payload: payload.clone().into() });
    assert_eq!(response, Response::Ping { payload: payload.into() });
    peer.send_bytes(&70_001_u32.to_be_bytes());
    let error = peer.expect_closed_with(ErrorCode::FRAME_TOO_LARGE);
    assert!(error.message.contains("70001") && error.message.contains("70000"), "{error}");
}

#[test]
fn a_hello_has_a_limit_of_its_own() {
    let server = TestServer::start();
    let mut peer = server.connect();
    peer.send_bytes(&[0, 1, 0, 1]);
    peer.expect_closed_with(ErrorCode::FRAME_TOO_LARGE);
}

#[test]
fn requests_beyond_those_under_way_wait_their_turn() {
    let server = TestServer::start_with(|config, _| config.limits.requests_max = 2);
    let mut peer = server.greet();
    let mut bytes = BytesMut::new();
    for id in 0..500_u32 {
        set(&format!("k{id}"), b"v").write_frame(&mut bytes, Flags::NONE, id);
    }
    peer.send_bytes(&bytes);
    let mut ids: Vec<_> = (0..500).map(|_| peer.receive()).map(|(id, _)| id).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..500));
    assert_eq!(server.statistic("committed_transactions"), 500);
    // With two at a time no batch can have been larger.
    assert!(server.statistic("commit_batches") >= 250);
}

#[test]
fn watches_and_pins_are_counted_by_connection() {
    let server = TestServer::start_with(|config, _| {
        config.limits.watches_max = 1;
        config.limits.pins_max = 1;
    });
    let (mut peer, mut other) = (server.greet(), server.greet());
    let version = peer.set("k", b"v");
    let watch = Request::Watch {
        version,
        keyspace: <_>::default(),
        key: "k".into(),
        value: Some("v".into()),
    };
    let pin = Request::Pin { version: None };
    peer.send(&watch);
    assert_eq!(peer.ask_error(&watch).code, ErrorCode::TOO_MANY_WATCHES);
    assert!(matches!(peer.ask(&pin), Response::Pin { .. }));
    assert_eq!(peer.ask_error(&pin).code, ErrorCode::TOO_MANY_PINS);
    other.send(&watch);
    assert!(matches!(other.ask(&pin), Response::Pin { .. }));
}

#[test]
fn a_connection_may_be_silent_only_so_long_if_nothing_is_under_way() {
    let server = TestServer::start_with(|config, _| {
        config.limits.idle_timeout = Some(Duration::from_millis(60));
    });
    let (mut idle, mut watching) = (server.greet(), server.greet());
    let version = watching.set("k", b"v");
    let watch = Request::Watch {
        version,
        keyspace: <_>::default(),
        key: "k".into(),
        value: Some("v".into()),
    };
    let id = watching.send(&watch);
    let error = idle.expect_closed_with(ErrorCode::TOO_SLOW);
    assert!(error.message.contains("silent"), "{error}");
    // The other has been silent as long, but waits for something.
    server.greet().set("k", b"changed");
    let (answered, response) = watching.receive();
    assert!(answered == id && matches!(response, Response::Watch { .. }), "{response:?}");
}

#[test]
fn a_connection_that_says_nothing_at_first_is_closed() {
    let server = TestServer::start_with(|config, _| {
        config.limits.hello_timeout = Duration::from_millis(50);
    });
    let mut line = String::new();
    server.connect().stream.read_to_string(&mut line).expect("a line, then the end");
    assert!(line.starts_with("error 8012 too_slow"), "{line}");
    let mut half = server.connect();
    half.send_bytes(&[0, 0]);
    half.expect_closed_with(ErrorCode::TOO_SLOW);
}

#[test]
fn a_value_of_raised_limits_goes_through() {
    let server = TestServer::start_with(|_, options| {
        options.limits.value_bytes_max = 5 << 20;
        options.limits.transaction_bytes_max = 8 << 20;
    });
    let mut peer = server.greet();
    let value = vec![b'x'; 5 << 20];
    assert!(peer.set("big", &value) > Version::ZERO);
    assert_eq!(peer.get("big").map(|found| found.len()), Some(value.len()));
    let mutations = vec![set_mutation("a", &value), set_mutation("b", &value)];
    let error = peer.ask_error(&Request::Commit(Commit { mutations, ..<_>::default() }));
    assert_eq!(error.code, ErrorCode::TRANSACTION_TOO_LARGE);
    assert_eq!(peer.get("a"), None);
}
