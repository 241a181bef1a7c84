//! What a frame costs: encoding and decoding of the requests and answers that matter most.
//!
//! `cargo bench --bench codec`. Each figure is one message; a point read through the server costs a
//! `decode get` and an `encode answer`.

use bytes::{Bytes, BytesMut};
use divan::{Bencher, black_box, counter::BytesCount};
use plinth_protocol::{
    Commit, ConflictRange, KeyspaceId, Mutation, MutationOp, ReadConflict, Version,
    codec::{FrameCodec, write_frame},
    frame::Flags,
    request::{Opcode, Request},
    response::{KeyValue, Response, write_get},
};
use tokio_util::codec::Decoder;

fn main() {
    divan::main();
}

const VERSION: Version = Version(7_812_500_000);

fn get() -> Request {
    let key = Bytes::from_static(b"user/00000012345");
    Request::Get { version: None, keyspace: KeyspaceId::DEFAULT, key }
}

/// A read-modify-write of ten keys with 100-byte values.
fn commit() -> Request {
    let keys: Vec<Bytes> = (0..10).map(|at| Bytes::from(format!("user/{at:011}"))).collect();
    let value = Bytes::from(vec![b'v'; 100]);
    let keyspace = KeyspaceId::DEFAULT;
    Request::Commit(Commit {
        read_version: Some(VERSION),
        read_conflicts: keys
            .iter()
            .map(|key| ReadConflict {
                keyspace,
                range: ConflictRange::Key(key.clone()),
                since: None,
            })
            .collect(),
        mutations: keys
            .iter()
            .map(|key| Mutation {
                keyspace,
                adds_conflict: true,
                op: MutationOp::Set { key: key.clone(), value: value.clone() },
            })
            .collect(),
        ..Commit::default()
    })
}

fn rows() -> Response {
    let row = |at: u32| KeyValue {
        key: Bytes::from(format!("user/{at:011}")),
        value: Bytes::from(vec![b'v'; 100]),
    };
    let rows = (0..100).map(row).collect();
    Response::GetRange { opcode: Opcode::GetRange, version: VERSION, rows, more: false }
}

fn framed(request: &Request) -> Bytes {
    let mut buffer = BytesMut::new();
    request.write_frame(&mut buffer, Flags::NONE, 1);
    buffer.freeze()
}

/// As a server does: sixteen frames arrive in one read and are decoded one after the other.
fn decode_sixteen(bencher: Bencher<'_, '_>, request: &Request) {
    let frames: BytesMut = std::iter::repeat_n(framed(request), 16).flatten().collect();
    bencher.counter(16_u32).with_inputs(|| frames.clone()).bench_values(|mut buffer| {
        let mut codec = FrameCodec::default();
        while let Ok(Some(frame)) = codec.decode(&mut buffer) {
            black_box(Request::decode(frame.opcode, frame.payload)).expect("a request");
        }
    });
}

#[divan::bench]
fn decode_16_gets(bencher: Bencher<'_, '_>) {
    decode_sixteen(bencher, &get());
}

#[divan::bench]
fn decode_16_commits_of_ten_keys(bencher: Bencher<'_, '_>) {
    decode_sixteen(bencher, &commit());
}

#[divan::bench]
fn encode_get(bencher: Bencher<'_, '_>) {
    let request = get();
    let mut buffer = BytesMut::with_capacity(1 << 10);
    bencher.bench_local(|| {
        buffer.clear();
        black_box(&request).write_frame(&mut buffer, Flags::NONE, 1)
    });
}

#[divan::bench]
fn encode_commit_of_ten_keys(bencher: Bencher<'_, '_>) {
    let request = commit();
    let mut buffer = BytesMut::with_capacity(8 << 10);
    bencher.bench_local(|| {
        buffer.clear();
        black_box(&request).write_frame(&mut buffer, Flags::NONE, 1)
    });
}

/// The answer to a get, from a borrowed value.
#[divan::bench]
fn encode_answer_of_100_bytes(bencher: Bencher<'_, '_>) {
    let value = [b'v'; 100];
    let mut buffer = BytesMut::with_capacity(1 << 10);
    bencher.bench_local(|| {
        buffer.clear();
        write_frame(&mut buffer, Opcode::Get.response(), Flags::NONE, 1, |buffer| {
            write_get(buffer, VERSION, Some((VERSION, black_box(&value))));
        })
    });
}

#[divan::bench(args = [false, true])]
fn encode_100_rows(bencher: Bencher<'_, '_>, checksum: bool) {
    let response = rows();
    let flags = if checksum { Flags::CHECKSUM } else { Flags::NONE };
    let mut buffer = BytesMut::with_capacity(64 << 10);
    let bytes = response.write_frame(&mut buffer, flags, 1);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        buffer.clear();
        black_box(&response).write_frame(&mut buffer, flags, 1)
    });
}
