//! Peers that mean no good: the server's memory stays where it is, and others are served meanwhile.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    KeyspaceId, Version,
    frame::Flags,
    hello::Hello,
    limits::Limits,
    request::{RangeOptions, Request},
    response::Response,
};

use crate::support::{
    process::{PATIENCE, Plinth},
    random::Random,
    wire::{Wire, commit, set},
};

/// What a crowd of peers may cost the server together, in KiB.
const GROWTH_KIB_MAX: u64 = 100 << 10;

/// Another client gets its answer within this, whoever else is there.
const OTHERS_WAIT_MAX: Duration = Duration::from_secs(5);

fn is_served(address: SocketAddr) {
    let start = Instant::now();
    let mut wire = Wire::connect(address).expect("a connection");
    let payload = Bytes::from_static(b"anyone?");
    let answer = wire.call(&Request::Ping { payload: payload.clone() }).expect("an answer");
    assert_eq!(answer, Response::Ping { payload });
    assert!(start.elapsed() < OTHERS_WAIT_MAX, "a ping took {:?}", start.elapsed());
}

/// Runs a crowd against a server, and checks what it cost.
fn against_a_server(crowd: impl FnOnce(SocketAddr)) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Plinth::serve(directory.path(), &["--durability", "none"]);
    is_served(server.address);
    let before = server.peak_memory_kib();
    crowd(server.address);
    is_served(server.address);
    if let (Some(before), Some(after)) = (before, server.peak_memory_kib()) {
        let growth = after - before;
        assert!(growth < GROWTH_KIB_MAX, "the server grew by {growth} KiB from {before}");
    }
    server.stop();
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
    stream
}

fn hello(stream: &mut TcpStream) {
    let mut frame = BytesMut::new();
    Request::Hello(Hello::new("hostile/1", &[])).write_frame(&mut frame, Flags::NONE, 0);
    stream.write_all(&frame).expect("the server takes a hello");
    let mut head = [0; 4];
    stream.read_exact(&mut head).expect("an answer");
    let mut rest = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut rest).expect("an answer");
}

#[test]
fn lengths_that_are_promised_cost_nothing() {
    against_a_server(|address| {
        let mut crowd = Vec::new();
        for _ in 0..200 {
            let mut stream = connect(address);
            hello(&mut stream);
            let length = Limits::DEFAULT.frame_bytes_max as u32;
            stream.write_all(&length.to_be_bytes()).expect("the server takes a length");
            stream.write_all(&[0x20, 0, 0, 0, 0, 1]).expect("the server takes a header");
            crowd.push(stream);
        }
        is_served(address);
    });
}

#[test]
fn a_peer_that_never_reads_is_not_answered_without_end() {
    against_a_server(|address| {
        let mut wire = Wire::connect(address).expect("a connection");
        let rows = (0..50).map(|at| set(format!("{at:04}"), vec![7; 10_000])).collect();
        wire.call(&Request::Commit(commit(rows))).expect("an answer");
        let range = Request::GetRange {
            version: None,
            keyspace: KeyspaceId::DEFAULT,
            range: plinth_protocol::KeyRange::new("", "\u{7f}"),
            options: RangeOptions { streams: true, ..RangeOptions::default() },
        };
        let mut frames = BytesMut::new();
        for request_id in 1..2000 {
            range.write_frame(&mut frames, Flags::NONE, request_id);
        }
        let mut crowd = Vec::new();
        for _ in 0..10 {
            let mut stream = connect(address);
            hello(&mut stream);
            // Half a megabyte is asked for two thousand times; the write may come to a halt, since
            // the server stops reading from who doesn't read.
            stream.write_all(&frames).ok();
            crowd.push(stream);
        }
        is_served(address);
    });
}

#[test]
fn any_bytes_at_all_leave_the_server_standing() {
    let (mut random, seed) = Random::from_environment();
    println!("PLINTH_TEST_SEED={seed}");
    against_a_server(|address| {
        for _ in 0..300 {
            let mut stream = connect(address);
            let greets = random.below(2) == 0;
            if greets {
                hello(&mut stream);
            }
            let mut bytes: Vec<u8> =
                (0..random.below(400)).map(|_| (random.next() >> 56) as u8).collect();
            if let Some(first) = bytes.first_mut().filter(|_| greets || random.below(2) == 0) {
                *first = 0;
            }
            // The server may have hung up in the middle of it.
            stream.write_all(&bytes).ok();
        }
        is_served(address);
    });
}

#[test]
fn frames_that_are_no_requests_are_named_and_the_connection_goes_on() {
    against_a_server(|address| {
        let mut stream = connect(address);
        hello(&mut stream);
        let mut frames = BytesMut::new();
        plinth_protocol::codec::write_frame(&mut frames, 0x7E, Flags::NONE, 1, |_| {});
        plinth_protocol::codec::write_frame(&mut frames, 0x11, Flags::NONE, 2, |_| {});
        let get = Request::Get {
            version: Some(Version::MAX),
            keyspace: KeyspaceId::DEFAULT,
            key: Bytes::from(vec![b'k'; 20_000]),
        };
        get.write_frame(&mut frames, Flags::NONE, 3);
        let ping = Request::Ping { payload: Bytes::from_static(b"still there?") };
        ping.write_frame(&mut frames, Flags::NONE, 4);
        stream.write_all(&frames).expect("the server takes them");
        let mut wire = Wire::from(stream);
        let mut answers = Vec::new();
        while answers.len() < 4 {
            let (id, _, response) = wire.receive().expect("an answer");
            let text = match response {
                Response::Error(error) => error.code.name().to_owned(),
                other => format!("{:?}", other.opcode()),
            };
            answers.push((id, text));
        }
        answers.sort();
        let [(1, unknown), (2, malformed), (3, _), (4, last)] = &answers[..] else {
            panic!("{answers:?}");
        };
        assert_eq!((unknown.as_str(), malformed.as_str()), ("unknown_opcode", "malformed_payload"));
        assert_eq!(*last, format!("{:?}", 0x82_u8));
    });
}
