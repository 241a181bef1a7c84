//! Requests to a server, through a socket and back.

use std::{future::pending, io::ErrorKind};

use bytes::BytesMut;
use plinth_protocol::{
    frame::Flags,
    hello::Hello,
    request::{Opcode, Request},
};
use plinthdb::{
    engine::Engine,
    server::{Server, ServerConfig},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::yield_now,
};

use crate::{SPACE, Work, blind, carry_out, keys};

/// How many requests a connection has had before its own are counted.
const WARM_UP: usize = 50;
/// Room for the longest answers.
const ANSWERS_BYTES: usize = 4 << 10;

/// Gets of one key each, one after the other.
pub(crate) fn get(engine: &Engine, count: usize) -> Work<'_> {
    let requests: Vec<_> = gets(count).collect();
    ask(engine, requests, 1, Drives::Nothing)
}

/// The same, sixteen at once: a sixteenth as many times, so that as many are asked for.
pub(crate) fn get_of_16(engine: &Engine, count: usize) -> Work<'_> {
    let gets: Vec<_> = gets(count).collect();
    let requests = gets.chunks_exact(16).map(<[_]>::concat).collect();
    ask(engine, requests, 16, Drives::Nothing)
}

/// Commits of one write each that have read nothing, one after the other.
pub(crate) fn set(engine: &Engine, count: usize) -> Work<'_> {
    let requests = keys(count).map(|key| frame(&Request::Commit(blind([key].into_iter()))));
    ask(engine, requests.collect(), 1, Drives::Pipeline)
}

fn gets(count: usize) -> impl Iterator<Item = Vec<u8>> {
    keys(count).map(|key| frame(&Request::Get { version: None, keyspace: SPACE, key }))
}

fn frame(request: &Request) -> Vec<u8> {
    let mut frame = BytesMut::new();
    request.write_frame(&mut frame, Flags::NONE, 1);
    frame.into()
}

/// Whether the engine has something to do before there is an answer.
#[derive(Clone, Copy, PartialEq)]
enum Drives {
    Nothing,
    Pipeline,
}

fn ask(engine: &Engine, requests: Vec<Vec<u8>>, answers: usize, drives: Drives) -> Work<'_> {
    let mut served = Served::new(engine);
    // The connection's buffers reach their size at first.
    served.exchange(requests.get(..WARM_UP).unwrap_or(&requests), answers, drives);
    Box::new(move || {
        served.exchange(&requests, answers, drives);
    })
}

/// A server, and a client of it on the same thread.
struct Served<'e> {
    engine: &'e Engine,
    runtime: Runtime,
    client: TcpStream,
}

impl<'e> Served<'e> {
    fn new(engine: &'e Engine) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let config = ServerConfig { listen: "127.0.0.1:0".to_owned(), ..ServerConfig::default() };
        let client = runtime.block_on(async {
            let server = Server::bind(config, engine.clone()).await.expect("a free port");
            let address = server.local_addr();
            tokio::spawn(server.run(pending()));
            let client = TcpStream::connect(address).await.expect("it listens");
            client.set_nodelay(true).expect("a socket");
            client
        });
        let mut served = Self { engine, runtime, client };
        let hello = frame(&Request::Hello(Hello::new("cost", &[])));
        served.exchange(&[hello], 1, Drives::Nothing);
        served
    }

    /// Sends one after the other, and waits for so many answers to each.
    fn exchange(&mut self, requests: &[Vec<u8>], answers: usize, drives: Drives) {
        let Self { engine, runtime, client } = self;
        runtime.block_on(async {
            let mut answer = [0; ANSWERS_BYTES];
            for request in requests {
                client.write_all(request).await.expect("the server reads");
                let mut length = 0;
                while count_frames(&answer[..length]) < answers {
                    // The server's turn, then the engine's.
                    yield_now().await;
                    while drives == Drives::Pipeline && carry_out(engine) {}
                    match client.try_read(&mut answer[length..]) {
                        Ok(0) => unreachable!("the server keeps the connection"),
                        Ok(count) => length += count,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
                    }
                }
            }
        });
    }
}

/// How many whole frames there are, none of them an error.
fn count_frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some((&[a, b, c, d, opcode], _)) = bytes.split_first_chunk() {
        let Some(rest) = bytes.get(4 + u32::from_be_bytes([a, b, c, d]) as usize..) else { break };
        assert_ne!(opcode, Opcode::ERROR, "the server refuses the request");
        (bytes, count) = (rest, count + 1);
    }
    count
}
