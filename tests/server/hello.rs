//! The first frame, and what both sides agree on by it.

use bytes::Bytes;
use plinth_protocol::{
    ErrorCode,
    frame::Flags,
    hello::{FEATURE_CHECKSUM, Hello},
    limits::Limits,
    request::Request,
    response::Response,
};

use crate::harness::{TestServer, get};

#[test]
fn the_answer_tells_version_limits_and_database() {
    let server = TestServer::start();
    let Response::Hello(reply) = server.connect().greet(&[]) else { panic!("no hello") };
    assert_eq!(reply.version, 1);
    assert_eq!(reply.limits, Limits::DEFAULT);
    assert_eq!(reply.database_id, server.engine.database_id().0);
    assert!(reply.server.starts_with(b"plinth/"));
    assert!(reply.features.is_empty());
}

#[test]
fn anything_but_a_hello_first_is_refused() {
    let server = TestServer::start();
    let mut peer = server.connect();
    peer.send(&get("k"));
    peer.expect_closed_with(ErrorCode::HELLO_EXPECTED);
}

#[test]
fn a_second_hello_is_refused() {
    let server = TestServer::start();
    let mut peer = server.greet();
    peer.send(&Request::Hello(Hello::new("test/1", &[])));
    peer.expect_closed_with(ErrorCode::PROTOCOL_VIOLATION);
}

#[test]
fn an_unknown_feature_is_refused_by_name() {
    let server = TestServer::start();
    let mut peer = server.connect();
    peer.send(&Request::Hello(Hello::new("test/1", &["checksum", "telepathy"])));
    let error = peer.expect_closed_with(ErrorCode::UNKNOWN_FEATURE);
    assert!(error.message.contains("telepathy"), "{error}");
}

#[test]
fn versions_without_overlap_are_refused_and_newer_clients_are_met_half_way() {
    let server = TestServer::start();
    let hello = |version_min| Hello { version: 99, version_min, ..Hello::new("test/1", &[]) };
    let mut peer = server.connect();
    peer.send(&Request::Hello(hello(98)));
    peer.expect_closed_with(ErrorCode::PROTOCOL_VERSION_UNSUPPORTED);
    match server.connect().ask(&Request::Hello(hello(1))) {
        Response::Hello(reply) => assert_eq!(reply.version, 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_checksums_every_frame_has_one_both_ways() {
    let server = TestServer::start();
    let mut peer = server.connect();
    let reply = peer.greet(&[FEATURE_CHECKSUM]);
    let Response::Hello(reply) = reply else { panic!("no hello") };
    assert_eq!(reply.features, [Bytes::from_static(b"checksum")]);
    peer.flags = Flags::CHECKSUM;
    peer.set("k", b"v");
    peer.send(&get("k"));
    let frame = peer.receive_frame().expect("an answer");
    assert!(frame.flags.contains(Flags::CHECKSUM));
    // One without is the end.
    peer.flags = Flags::NONE;
    peer.send(&get("k"));
    peer.expect_closed_with(ErrorCode::BAD_CHECKSUM);
}

#[test]
fn without_the_feature_a_request_with_a_checksum_is_answered_with_one() {
    let server = TestServer::start();
    let mut peer = server.greet();
    for flags in [Flags::CHECKSUM, Flags::NONE, Flags::CHECKSUM] {
        peer.flags = flags;
        peer.send(&get("k"));
        assert_eq!(peer.receive_frame().expect("an answer").flags, flags);
        peer.send(&crate::harness::set("k", b"v"));
        assert_eq!(peer.receive_frame().expect("an answer").flags, flags);
    }
}

#[test]
fn a_damaged_checksum_closes() {
    let server = TestServer::start();
    let mut peer = server.greet();
    peer.flags = Flags::CHECKSUM;
    let mut frame = peer.encode(&get("k"), 7).to_vec();
    *frame.last_mut().expect("bytes") ^= 1;
    peer.send_bytes(&frame);
    peer.expect_closed_with(ErrorCode::BAD_CHECKSUM);
}

#[test]
fn the_first_byte_turns_others_away_with_a_line() {
    use std::io::Read;
    let server = TestServer::start();
    for (bytes, expected) in [
        (&b"\x16\x03\x01\x02\x00"[..], "TLS"),
        (b"*1\r\n$4\r\nPING\r\n", "0x2a"),
        (b"\x04", "0x04"),
    ] {
        let mut peer = server.connect();
        peer.send_bytes(bytes);
        let mut line = String::new();
        peer.stream.read_to_string(&mut line).expect("text, then the end");
        assert!(line.starts_with("error 8000 ") && line.contains(expected), "{line}");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }
}
