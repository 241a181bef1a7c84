//! Peers that mean harm, or have bad luck.

use std::{
    io::{ErrorKind, Write},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use plinth_protocol::{
    ErrorCode, KeyRange,
    frame::Flags,
    request::{RangeOptions, Request},
};

use crate::harness::{PATIENCE, Peer, TestServer, get, set, statistic};

/// What the server and the test take together, in bytes.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = status.split(' ').nth(1).expect("a field").parse().expect("a number");
    pages * 4096
}

#[test]
fn the_largest_length_costs_nothing_until_its_bytes_come() {
    let server =
        TestServer::start_with(|_, options| options.limits.frame_bytes_max = (64 << 20) - 1);
    let before = resident_bytes();
    let peers: Vec<Peer> = (0..100)
        .map(|_| {
            let mut peer = server.greet();
            peer.send_bytes(&[0x03, 0xFF, 0xFF, 0xFF, 0x02]);
            peer
        })
        .collect();
    // All of them have been read once this is answered.
    server.await_statistic("connections_open", 101);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "a hundred promises of 64 MiB took {grown} bytes");
    drop(peers);
    server.await_statistic("connections_open", 1);
}

#[test]
fn a_frame_that_comes_too_slowly_is_cut_off_and_others_are_not_held_up() {
    let server = TestServer::start_with(|config, _| {
        config.limits.frame_timeout = Duration::from_millis(150);
    });
    let mut good = server.greet();
    let frame = good.encode(&get("k"), 7);
    let mut slow: Vec<Peer> = (0..50).map(|_| server.greet()).collect();
    let begun = Instant::now();
    // A byte now and then doesn't buy more time.
    for &byte in frame.iter().take(5) {
        for peer in &mut slow {
            let _ = peer.stream.write(&[byte]);
        }
        assert_eq!(good.get("k"), None);
        thread::sleep(Duration::from_millis(20));
    }
    for mut peer in slow {
        let error = peer.expect_closed_with(ErrorCode::TOO_SLOW);
        assert!(error.message.contains("frame"), "{error}");
    }
    assert!(begun.elapsed() >= Duration::from_millis(150), "they were cut off too early");
    assert_eq!(good.get("k"), None);
}

/// A peer that asks for more and more and reads nothing, until the server stops reading too.
fn ask_without_reading(peer: &mut Peer, request: &Request) -> usize {
    peer.stream.set_nonblocking(true).expect("an option that exists");
    let mut frames = BytesMut::new();
    for id in 0..100 {
        request.write_frame(&mut frames, Flags::NONE, id);
    }
    let (mut sent, mut blocked_since) = (0, None::<Instant>);
    loop {
        match peer.stream.write(&frames) {
            Ok(count) => {
                sent += count;
                blocked_since = None;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let since = *blocked_since.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_millis(100) {
                    return sent;
                }
                thread::sleep(Duration::from_millis(5));
            }
            // Closed by the server, at the latest by its deadline.
            Err(_) => return sent,
        }
        assert!(sent < 1 << 30, "the server reads without end");
    }
}

#[test]
fn a_peer_that_never_reads_takes_bounded_memory_and_is_given_up() {
    let server = TestServer::start_with(|config, _| {
        config.limits.output_bytes_max = 256 << 10;
        config.limits.write_timeout = Duration::from_millis(400);
    });
    let mut good = server.greet();
    good.set("big", &vec![7; 100_000]);
    let before = resident_bytes();
    let mut peers: Vec<Peer> = (0..8).map(|_| server.greet()).collect();
    for peer in &mut peers {
        ask_without_reading(peer, &get("big"));
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "eight peers that never read took {grown} bytes");
    assert!(good.get("big").is_some());
    // The connections end although the peers never do anything about it.
    server.await_statistic("connections_open", 2);
    drop(peers);
}

#[test]
fn a_stream_to_a_peer_that_never_reads_waits_for_it() {
    let server = TestServer::start_with(|config, _| {
        config.limits.output_bytes_max = 256 << 10;
        config.limits.write_timeout = Duration::from_millis(400);
    });
    let mut good = server.greet();
    for row in 0..200 {
        good.set(&format!("row{row:03}"), &vec![7; 100_000]);
    }
    let before = resident_bytes();
    let mut peer = server.greet();
    let options = RangeOptions { streams: true, ..<_>::default() };
    let range = KeyRange::new("row", "rox");
    peer.send(&Request::GetRange { version: None, keyspace: <_>::default(), range, options });
    server.await_statistic("connections_open", 2);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 24 << 20, "a stream that nobody reads took {grown} bytes");
    assert!(good.get("row000").is_some());
}

#[test]
fn a_commit_is_finished_although_its_client_is_gone() {
    let server = TestServer::start();
    for round in 0..50 {
        let mut peer = server.greet();
        peer.send(&set(&format!("k{round}"), b"v"));
        if round % 2 == 0 {
            // A reset instead of an orderly end.
            peer.send_bytes(&[0, 0]);
        }
        drop(peer);
    }
    server.await_statistic("connections_open", 1);
    let mut peer = server.greet();
    for round in 0..50 {
        let begun = Instant::now();
        while peer.get(&format!("k{round}")).is_none() {
            assert!(begun.elapsed() < PATIENCE, "the commit of round {round} was lost");
        }
    }
}

#[test]
fn a_half_closed_connection_gets_its_answers() {
    let server = TestServer::start();
    let mut peer = server.greet();
    let id = peer.send(&set("k", b"v"));
    peer.stream.shutdown(Shutdown::Write).expect("an open socket");
    assert_eq!(peer.receive().0, id);
    assert!(peer.receive_frame().is_none());
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_told_so() {
    let server = TestServer::start();
    let mut peer = server.greet();
    peer.send_bytes(&[0, 0, 0, 9, 1]);
    peer.stream.shutdown(Shutdown::Write).expect("an open socket");
    let error = peer.expect_closed_with(ErrorCode::PROTOCOL_VIOLATION);
    assert!(error.message.contains("ends"), "{error}");
}

#[test]
fn everything_that_a_vanished_peer_held_is_let_go() {
    let server = TestServer::start();
    let version = server.greet().set("k", b"v");
    let peers: Vec<Peer> = (0..20)
        .map(|_| {
            let mut peer = server.greet();
            peer.send(&Request::Watch {
                version,
                keyspace: <_>::default(),
                key: "k".into(),
                value: Some("v".into()),
            });
            peer.ask(&Request::Pin { version: None });
            let version = Some(plinth_protocol::Version(version.0 + 1_000_000_000));
            peer.send(&Request::Get { version, keyspace: <_>::default(), key: "k".into() });
            peer
        })
        .collect();
    server.await_statistic("watches_open", 20);
    server.await_statistic("pins_open", 20);
    drop(peers);
    server.await_statistic("watches_open", 0);
    server.await_statistic("pins_open", 0);
    server.await_statistic("connections_open", 1);
}

#[test]
fn a_flood_of_connections_is_survived() {
    let server = TestServer::start_with(|config, _| config.limits.connections_max = 10);
    let mut good = server.greet();
    for _ in 0..5 {
        let flood: Vec<_> = (0..200).map(|_| server.connect()).collect();
        assert_eq!(good.get("k"), None);
        drop(flood);
    }
    let begun = Instant::now();
    loop {
        let plinth_protocol::response::Response::ServerInfo(info) = good.ask(&Request::ServerInfo)
        else {
            panic!("no info")
        };
        if statistic(&info, "connections_open") == 1 {
            assert!(statistic(&info, "connections_refused") > 0);
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the connections are not let go");
    }
    server.greet();
}

#[test]
fn one_busy_connection_leaves_others_their_turn() {
    let server = TestServer::start();
    let mut good = server.greet();
    good.set("big", &vec![7; 50_000]);
    let (mut busy, mut frames) = (server.greet(), BytesMut::new());
    for id in 0..2000 {
        get("big").write_frame(&mut frames, Flags::NONE, id);
    }
    let mut reading = Peer::twin(&busy);
    let reader = thread::spawn(move || {
        for _ in 0..2000 {
            reading.receive();
        }
    });
    busy.send_bytes(&frames);
    let begun = Instant::now();
    for _ in 0..20 {
        good.get("k");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "held up for {:?}", begun.elapsed());
    reader.join().expect("all answers came");
}
