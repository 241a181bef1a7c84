//! A server in this process on a port and a directory of its own, and a peer that speaks frames.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroUsize,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    Commit, CommitResult, Error, ErrorCode, KeyspaceId, Mutation, MutationOp, Version,
    codec::FrameCodec,
    frame::{Flags, Frame},
    hello::Hello,
    request::Request,
    response::{Response, ServerInfo},
};
use plinthdb::{
    engine::{Engine, EngineOptions},
    server::{Server, ServerConfig},
};
use tempfile::TempDir;
use tokio::{runtime::Builder, sync::oneshot};
use tokio_util::codec::Decoder;

/// How long anything that must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs until it is dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _directory: TempDir,
}

impl TestServer {
    /// A server with the default limits.
    pub(crate) fn start() -> Self {
        Self::start_with(|_, _| {})
    }

    /// A server whose set-up is changed first.
    pub(crate) fn start_with(change: impl FnOnce(&mut ServerConfig, &mut EngineOptions)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut options = EngineOptions::new(directory.path().join("data"));
        options.log.segment_bytes = 1 << 20;
        let mut config = ServerConfig {
            listen: "127.0.0.1:0".to_owned(),
            worker_threads: NonZeroUsize::new(2),
            ..ServerConfig::default()
        };
        change(&mut config, &mut options);
        let engine = Engine::open(options).expect("a new database opens");
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let own_engine = engine.clone();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let server = Server::bind(config, own_engine).await.expect("a free port");
                tell.send(server.local_addr()).expect("the test waits");
                let stopped = async {
                    let _ = stopped.await;
                };
                server.run(stopped).await;
            });
        });
        let address = told.recv_timeout(PATIENCE).expect("the server listens");
        Self { address, engine, stop: Some(stop), thread: Some(thread), _directory: directory }
    }

    /// Tells the server to stop, and doesn't wait for it.
    pub(crate) fn begin_stop(&mut self) {
        self.stop = None;
    }

    /// Waits until the server has stopped.
    pub(crate) fn join(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends without a panic");
        }
    }

    /// A connection that has said nothing yet.
    pub(crate) fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(self.address).expect("the server accepts"))
    }

    /// A connection that has said hello.
    pub(crate) fn greet(&self) -> Peer {
        let mut peer = self.connect();
        peer.greet(&[]);
        peer
    }

    /// What the server says of itself.
    pub(crate) fn info(&self) -> ServerInfo {
        match self.greet().ask(&Request::ServerInfo) {
            Response::ServerInfo(info) => info,
            other => panic!("no server info: {other:?}"),
        }
    }

    /// One of the server's statistics.
    pub(crate) fn statistic(&self, name: &str) -> u64 {
        statistic(&self.info(), name)
    }

    /// Waits until a statistic has a value.
    pub(crate) fn await_statistic(&self, name: &str, value: u64) {
        let mut peer = self.greet();
        let begun = Instant::now();
        loop {
            let Response::ServerInfo(info) = peer.ask(&Request::ServerInfo) else {
                panic!("no server info")
            };
            let now = statistic(&info, name);
            if now == value {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} stays {now} and not {value}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            // A panic there is the test's own failure already, or follows from it.
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server has panicked");
        }
        self.engine.close();
    }
}

pub(crate) fn statistic(info: &ServerInfo, name: &str) -> u64 {
    let found = info.statistics.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no statistic {name}")).1
}

/// One end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    input: BytesMut,
    codec: FrameCodec,
    pub(crate) flags: Flags,
    next_id: u32,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an option that exists");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option that exists");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option that exists");
        let input = BytesMut::new();
        Self { stream, input, codec: FrameCodec::default(), flags: Flags::NONE, next_id: 1 }
    }

    /// The same connection once more, for another thread; what has been read stays with the first.
    pub(crate) fn twin(other: &Self) -> Self {
        Self::new(other.stream.try_clone().expect("a second handle"))
    }

    /// Says hello, and wants it answered.
    pub(crate) fn greet(&mut self, features: &[&'static str]) -> Response {
        let reply = self.ask(&Request::Hello(Hello::new("test/1", features)));
        assert!(matches!(reply, Response::Hello(_)), "{reply:?}");
        reply
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Sends a request; its id.
    pub(crate) fn send(&mut self, request: &Request) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let bytes = self.encode(request, id);
        self.send_bytes(&bytes);
        id
    }

    /// A request as a frame.
    pub(crate) fn encode(&self, request: &Request, id: u32) -> Bytes {
        let mut buffer = BytesMut::new();
        request.write_frame(&mut buffer, self.flags, id);
        buffer.freeze()
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) fn receive_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.input).expect("frames") {
                return Some(frame);
            }
            let mut chunk = [0; 16 << 10];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    /// The next answer and the id of its request.
    pub(crate) fn receive(&mut self) -> (u32, Response) {
        let frame = self.receive_frame().expect("the connection goes on");
        (frame.request_id, Response::decode(frame).expect("a response"))
    }

    /// Sends a request and waits for its answer, which must be the next.
    pub(crate) fn ask(&mut self, request: &Request) -> Response {
        let id = self.send(request);
        let (answered, response) = self.receive();
        assert_eq!(answered, id, "{response:?}");
        response
    }

    /// Sends a request that must fail.
    pub(crate) fn ask_error(&mut self, request: &Request) -> Error {
        match self.ask(request) {
            Response::Error(error) => error,
            other => panic!("an error was due, and this came: {other:?}"),
        }
    }

    /// The next answer, which must be an error.
    pub(crate) fn receive_error(&mut self) -> (u32, Error) {
        match self.receive() {
            (id, Response::Error(error)) => (id, error),
            other => panic!("an error was due, and this came: {other:?}"),
        }
    }

    /// The next answer must be an error with this code, and the connection's end.
    pub(crate) fn expect_closed_with(&mut self, code: ErrorCode) -> Error {
        let (_, error) = self.receive_error();
        assert_eq!(error.code, code, "{error}");
        assert!(self.receive_frame().is_none(), "the connection must be closed after {error}");
        error
    }

    /// Commits one set.
    pub(crate) fn set(&mut self, key: &str, value: &[u8]) -> Version {
        match self.ask(&set(key, value)) {
            Response::Commit { result: CommitResult::Committed { version, .. }, .. } => version,
            other => panic!("not committed: {other:?}"),
        }
    }

    /// Reads the newest value of a key.
    pub(crate) fn get(&mut self, key: &str) -> Option<Bytes> {
        match self.ask(&get(key)) {
            Response::Get { value, .. } => value.map(|found| found.value),
            other => panic!("no answer to a get: {other:?}"),
        }
    }
}

/// A get of the newest value.
pub(crate) fn get(key: &str) -> Request {
    let key = Bytes::copy_from_slice(key.as_bytes());
    Request::Get { version: None, keyspace: KeyspaceId::DEFAULT, key }
}

/// A mutation that sets a key.
pub(crate) fn set_mutation(key: &str, value: &[u8]) -> Mutation {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let op = MutationOp::Set { key, value: Bytes::copy_from_slice(value) };
    Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op }
}

/// A commit that sets a key.
pub(crate) fn set(key: &str, value: &[u8]) -> Request {
    Request::Commit(Commit { mutations: vec![set_mutation(key, value)], ..<_>::default() })
}
