//! Arbitrary bytes into a session: whatever comes, the server goes on serving.

use std::{
    cell::RefCell,
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    codec::write_frame,
    frame::Flags,
    hello::Hello,
    request::{Opcode, Request},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::harness::TestServer;

/// Bytes that are often nearly right: frames with known opcodes and short payloads of any content.
fn nearly_frames() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![
        4 => prop::sample::select(&Opcode::ALL[..]).prop_map(|opcode| opcode as u8),
        1 => any::<u8>(),
    ];
    let flags = prop_oneof![4 => Just(0_u8), 1 => any::<u8>()];
    let payload = prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..60);
    let frame = (opcode, flags, any::<u32>(), payload).prop_map(|(opcode, flags, id, payload)| {
        let mut bytes = BytesMut::new();
        write_frame(&mut bytes, opcode, Flags(flags), id, |buffer| {
            buffer.extend_from_slice(&payload);
        });
        bytes.to_vec()
    });
    prop::collection::vec(frame, 0..12).prop_map(|frames| frames.concat())
}

fn arbitrary_input() -> impl Strategy<Value = Vec<u8>> {
    let text = "[ -~]{0,40}\r?\n";
    prop_oneof![
        4 => nearly_frames(),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        2 => prop::collection::vec(text, 0..6).prop_map(|lines| lines.concat().into_bytes()),
        2 => prop::collection::vec("(get|set|begin|commit|del|getrange|add|watch|trace) [a-c\\\\x\"0-9 ]{0,12}\n", 0..8)
            .prop_map(|lines| lines.concat().into_bytes()),
    ]
}

#[test]
fn no_bytes_stop_the_server() {
    let server = TestServer::start_with(|config, _| {
        config.limits.frame_timeout = Duration::from_millis(100);
    });
    let good = RefCell::new(server.greet());
    let mut runner = TestRunner::new(Config { cases: 300, ..Config::default() });
    let outcome = runner.run(&(any::<bool>(), arbitrary_input()), |(greets, bytes)| {
        let mut peer = server.connect();
        if greets {
            let mut hello = BytesMut::new();
            Request::Hello(Hello::new("fuzz/1", &[])).write_frame(&mut hello, Flags::NONE, 0);
            peer.send_bytes(&hello);
        }
        // The server may close before all is sent.
        let _ = peer.stream.write_all(&bytes);
        let _ = peer.stream.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        let _ = peer.stream.read_to_end(&mut answers);
        let payload = Bytes::from_static(b"still there?");
        let pong = good.borrow_mut().ask(&Request::Ping { payload: payload.clone() });
        prop_assert_eq!(pong, plinth_protocol::response::Response::Ping { payload });
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    drop(good);
    server.await_statistic("connections_open", 1);
    server.await_statistic("watches_open", 0);
}
