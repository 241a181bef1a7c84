//! The floor under a server's speed: the same frames, answered from a hash map.
//!
//! No versions, no conflicts, no log, no limits: what is left is the protocol, the sockets and the
//! runtime. `plinth bench` against this, beside `plinth bench` against `plinth serve`, tells how much
//! the database costs:
//!
//! ```text
//! cargo run --release --example floor -- 127.0.0.1:4600
//! plinth bench get --load --target plinth://127.0.0.1:4600
//! ```

use std::{
    collections::HashMap,
    error::Error,
    future::pending,
    io::{self, Write as _},
    sync::{Arc, PoisonError, RwLock},
    thread,
};

use bytes::{Buf, Bytes, BytesMut};
use plinth_protocol::{
    CommitResult, Error as WireError, ErrorCode, MutationOp, Version,
    codec::write_frame,
    frame::Flags,
    hello::{HelloReply, PROTOCOL_VERSION},
    limits::Limits,
    request::{Opcode, Request},
    response::{Response, write_get},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The bytes of a get's payload before the key: version, keyspace, length.
const GET_KEY_AT: usize = 8 + 4 + 4;

type Map = Arc<RwLock<HashMap<Bytes, Bytes, ahash::RandomState>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4600".to_owned());
    let listener = TcpListener::bind(&address).await?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let map =
        Map::new(RwLock::new(HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4))));
    let workers = workers()?;
    for worker in workers.iter().cycle() {
        let (stream, _) = listener.accept().await?;
        let (stream, map) = (stream.into_std()?, Arc::clone(&map));
        worker.spawn(async move {
            // A connection that fails is its client's business.
            let _ = serve(TcpStream::from_std(stream)?, &map).await;
            io::Result::Ok(())
        });
    }
    Ok(())
}

/// As many threads with a runtime each as Plinth has by default.
fn workers() -> io::Result<Vec<Handle>> {
    let count = thread::available_parallelism()?.get().saturating_sub(1).max(1);
    let start = || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let worker = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(pending::<()>()));
        Ok(worker)
    };
    (0..count).map(|_| start()).collect()
}

async fn serve(mut stream: TcpStream, map: &Map) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        input.reserve(64 << 10);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let mut rest: &[u8] = &input;
        while let Some((&[a, b, c, d, opcode, _flags, id @ ..], after)) =
            rest.split_first_chunk::<10>()
        {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            let payload_bytes = length.checked_sub(6).ok_or(io::ErrorKind::InvalidData)?;
            let Some((payload, next)) = after.split_at_checked(payload_bytes) else {
                break;
            };
            answer(map, opcode, u32::from_be_bytes(id), payload, &mut output);
            rest = next;
        }
        let taken = input.len() - rest.len();
        input.advance(taken);
        stream.write_all(&output).await?;
        output.clear();
    }
}

fn answer(map: &Map, opcode: u8, request_id: u32, payload: &[u8], output: &mut BytesMut) {
    if opcode == Opcode::Get as u8 {
        let map = map.read().unwrap_or_else(PoisonError::into_inner);
        let value = payload.get(GET_KEY_AT..).and_then(|key| map.get(key));
        write_frame(output, Opcode::Get.response(), Flags::NONE, request_id, |output| {
            write_get(output, Version(1), value.map(|value| (Version(1), value.as_ref())));
        });
        return;
    }
    let request = Request::decode(opcode, Bytes::copy_from_slice(payload));
    let response = match request {
        Ok(Request::Hello(_)) => Response::Hello(HelloReply {
            version: PROTOCOL_VERSION,
            features: Vec::new(),
            server: Bytes::from_static(b"floor"),
            database_id: [0; 16],
            limits: Limits::DEFAULT,
        }),
        Ok(Request::Ping { payload }) => Response::Ping { payload },
        Ok(Request::Commit(commit)) => {
            let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
            for mutation in commit.mutations {
                if let MutationOp::Set { key, value } = mutation.op {
                    map.insert(Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
                }
            }
            let result = CommitResult::Committed { version: Version(1), order: 0 };
            Response::Commit { opcode: Opcode::Commit, result }
        }
        _ => Response::Error(WireError::from(ErrorCode::UNSUPPORTED_OPERATION)),
    };
    response.write_frame(output, Flags::NONE, request_id);
}
