//! A peer over a real socket: answers from a backend in memory, and misbehaves as a test wants.

#![expect(clippy::panic, reason = "a test that can't go on has failed")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::{Bytes, BytesMut};
use plinth_client::{
    Backend, Error, Snapshot, Version,
    backend::Read,
    protocol::{
        codec::FrameCodec,
        frame::Flags,
        hello::{FEATURE_CHECKSUM, HelloReply},
        limits::Limits,
        request::{Opcode, Request},
        response::Response,
    },
    testing::MemoryBackend,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::mpsc,
};
use tokio_util::codec::Decoder;

/// What the peer does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Answer,
    /// Says nothing, ever.
    Ignore,
    /// Hangs up before doing anything.
    HangUp,
    /// Does what was asked, and hangs up instead of answering.
    HangUpAfter,
}

type Choose = dyn Fn(&Request, usize) -> Action + Send + Sync;

pub(crate) struct Peer {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

struct Shared {
    backend: MemoryBackend,
    /// What to do with a request, by it and the number of requests before it.
    choose: Box<Choose>,
    /// How many bytes are written at a time.
    write_bytes: usize,
    database_id: Mutex<[u8; 16]>,
    seen: Mutex<Vec<Request>>,
    count: AtomicUsize,
    connections: AtomicUsize,
    unanswered: AtomicUsize,
    unanswered_max: AtomicUsize,
}

impl Peer {
    pub(crate) async fn start(
        choose: impl Fn(&Request, usize) -> Action + Send + Sync + 'static,
        write_bytes: usize,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            backend: MemoryBackend::new(),
            choose: Box::new(choose),
            write_bytes,
            database_id: Mutex::new([7; 16]),
            seen: Mutex::default(),
            count: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            unanswered_max: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&accepting)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn unanswered_max(&self) -> usize {
        self.shared.unanswered_max.load(Ordering::SeqCst)
    }

    pub(crate) fn change_database(&self) {
        *self.shared.database_id.lock().unwrap() = [8; 16];
    }

    /// How many requests of this kind have come.
    pub(crate) fn seen(&self, opcode: Opcode) -> usize {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|request| request.opcode() == opcode).count()
    }

    /// Waits until as many requests of this kind have come.
    pub(crate) async fn wait_for(&self, opcode: Opcode, count: usize) {
        let limit = std::time::Duration::from_secs(10);
        let waiting = async {
            while self.seen(opcode) < count {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(limit, waiting).await.expect("the requests come");
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let (mut reader, writer) = stream.into_split();
    let (sender, receiver) = mpsc::channel(10_000);
    tokio::spawn(write(writer, receiver, shared.write_bytes));
    let mut codec = FrameCodec::default();
    let mut input = BytesMut::new();
    let mut flags = Flags::NONE;
    loop {
        let Some(frame) = codec.decode(&mut input).unwrap() else {
            match reader.read_buf(&mut input).await {
                Ok(count) if count > 0 => continue,
                _ => return,
            }
        };
        assert_eq!(frame.flags, flags, "the client adds checksums if it was agreed on");
        let id = frame.request_id;
        let request = Request::decode(frame.opcode, frame.payload).unwrap();
        let number = shared.count.fetch_add(1, Ordering::SeqCst);
        let action = (shared.choose)(&request, number);
        shared.seen.lock().unwrap().push(request.clone());
        if action == Action::HangUp {
            return;
        }
        if action == Action::Ignore {
            continue;
        }
        if let Request::Hello(hello) = &request {
            let reply = frame_of(&hello_reply(&hello.features, &shared), Flags::NONE, id);
            sender.try_send(reply).unwrap();
            if hello.features.iter().any(|name| name == FEATURE_CHECKSUM) {
                flags = Flags::CHECKSUM;
            }
            continue;
        }
        if action == Action::HangUpAfter {
            answer(&shared.backend, request).await;
            return;
        }
        let outstanding = shared.unanswered.fetch_add(1, Ordering::SeqCst) + 1;
        shared.unanswered_max.fetch_max(outstanding, Ordering::SeqCst);
        let (shared, sender) = (Arc::clone(&shared), sender.clone());
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            let response = answer(&shared.backend, request).await;
            shared.unanswered.fetch_sub(1, Ordering::SeqCst);
            // The client may have gone.
            let _ = sender.send(frame_of(&response, flags, id)).await;
        });
    }
}

async fn write(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Bytes>, at_once: usize) {
    while let Some(frame) = frames.recv().await {
        for piece in frame.chunks(at_once) {
            if writer.write_all(piece).await.is_err() {
                return;
            }
            if at_once < 100 {
                tokio::task::yield_now().await;
            }
        }
    }
}

fn frame_of(response: &Response, flags: Flags, id: u32) -> Bytes {
    let mut buffer = BytesMut::new();
    response.write_frame(&mut buffer, flags, id);
    buffer.freeze()
}

fn hello_reply(features: &[Bytes], shared: &Shared) -> Response {
    Response::Hello(HelloReply {
        version: 1,
        features: features.to_vec(),
        server: Bytes::from_static(b"peer"),
        database_id: *shared.database_id.lock().unwrap(),
        limits: Limits { key_bytes_max: 5000, ..Limits::DEFAULT },
    })
}

async fn answer(backend: &MemoryBackend, request: Request) -> Response {
    let at = |version: Option<Version>| version.map(|version| backend.snapshot_at(version));
    let result = match request {
        Request::Ping { payload } => Ok(Response::Ping { payload }),
        Request::ReadVersion => backend
            .read_version()
            .await
            .map(|snapshot| Response::ReadVersion { version: snapshot.version() }),
        Request::Get { version, keyspace, key } => backend
            .get(at(version).as_ref(), keyspace, key)
            .await
            .map(|read| with(read, |version, value| Response::Get { version, value })),
        Request::GetKey { version, keyspace, selector, end } => {
            backend.get_key(at(version).as_ref(), keyspace, selector, end).await.map(|read| {
                with(read, |version, key| Response::GetKey { opcode: Opcode::GetKey, version, key })
            })
        }
        Request::GetRange { version, keyspace, range, options } => {
            backend.get_range(at(version).as_ref(), keyspace, range, options).await.map(|read| {
                with(read, |version, chunk| Response::GetRange {
                    opcode: Opcode::GetRange,
                    version,
                    rows: chunk.rows,
                    more: chunk.more,
                })
            })
        }
        Request::Commit(commit) => backend
            .commit(None, commit)
            .await
            .map(|result| Response::Commit { opcode: Opcode::Commit, result }),
        Request::Watch { version, keyspace, key, value } => backend
            .watch(version, keyspace, key, value)
            .await
            .map(|version| Response::Watch { version }),
        Request::Pin { version } => backend
            .pin(version)
            .await
            .map(|snapshot| Response::Pin { pin: 1, version: snapshot.version() }),
        Request::Unpin { .. } => Ok(Response::Done(Opcode::Unpin)),
        Request::Cancel { .. } => Ok(Response::Done(Opcode::Cancel)),
        other => panic!("the peer can't do {other:?}"),
    };
    result.unwrap_or_else(|error: Error| Response::Error(error))
}

fn with<T, S: Snapshot>(
    read: Read<T, S>,
    respond: impl FnOnce(Version, T) -> Response,
) -> Response {
    respond(read.snapshot.version(), read.value)
}
