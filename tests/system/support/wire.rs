//! A blocking client of the binary protocol: one connection, frames out, frames in.
//!
//! It is not the native client on purpose. What a test sends is what travels, nothing is tried
//! again, and an answer that never came is an error of the connection.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    Commit, Error, KeyRange, KeyspaceId, Mutation, MutationOp, Version,
    codec::FrameCodec,
    frame::Flags,
    hello::{Hello, HelloReply},
    limits::Limits,
    request::{RangeOptions, Request},
    response::{KeyValue, Response},
};
use tokio_util::codec::Decoder;

use super::process::PATIENCE;

/// A connection after its hello.
pub(crate) struct Wire {
    stream: TcpStream,
    codec: FrameCodec,
    input: BytesMut,
    next_id: u32,
    /// What the server said of itself.
    pub(crate) server: HelloReply,
}

fn violation(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

impl From<TcpStream> for Wire {
    /// Goes on with a connection as it is; what the server said of itself is not known.
    fn from(stream: TcpStream) -> Self {
        let server = HelloReply {
            version: 0,
            features: Vec::new(),
            server: Bytes::new(),
            database_id: [0; 16],
            limits: Limits::DEFAULT,
        };
        let (codec, input) = (FrameCodec::default(), BytesMut::new());
        Self { stream, codec, input, next_id: 0, server }
    }
}

impl Wire {
    /// Connects and says hello.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut wire = Self::from(stream);
        match wire.call(&Request::Hello(Hello::new("test/1", &[])))? {
            Response::Hello(reply) => wire.server = reply,
            other => return Err(violation(format!("a hello was answered {other:?}"))),
        }
        Ok(wire)
    }

    /// Sends requests in one write; their ids are answered in order.
    pub(crate) fn send(&mut self, requests: &[Request]) -> io::Result<Vec<u32>> {
        let mut output = BytesMut::new();
        let mut ids = Vec::new();
        for request in requests {
            request.write_frame(&mut output, Flags::NONE, self.next_id);
            ids.push(self.next_id);
            self.next_id += 1;
        }
        self.stream.write_all(&output)?;
        Ok(ids)
    }

    /// The next answer, whosever it is.
    pub(crate) fn receive(&mut self) -> io::Result<(u32, Flags, Response)> {
        loop {
            match self.codec.decode(&mut self.input) {
                Ok(Some(frame)) => {
                    let (id, flags) = (frame.request_id, frame.flags);
                    let response =
                        Response::decode(frame).map_err(|error| violation(error.to_string()))?;
                    return Ok((id, flags, response));
                }
                Ok(None) => {}
                Err(error) => return Err(violation(error.to_string())),
            }
            let mut piece = [0; 16 << 10];
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.input.extend_from_slice(piece.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn call(&mut self, request: &Request) -> io::Result<Response> {
        let ids = self.send(std::slice::from_ref(request))?;
        let (id, _, response) = self.receive()?;
        if ids != [id] {
            return Err(violation(format!("{ids:?} was answered as {id}")));
        }
        Ok(response)
    }

    /// All rows of a range of the default keyspace at one version, however many chunks it takes.
    pub(crate) fn rows(
        &mut self,
        begin: &[u8],
        end: &[u8],
    ) -> io::Result<(Version, Vec<KeyValue>)> {
        let (mut version, mut all) = (None, Vec::<KeyValue>::new());
        let mut begin = Bytes::copy_from_slice(begin);
        loop {
            let range = KeyRange { begin, end: Bytes::copy_from_slice(end) };
            let keyspace = KeyspaceId::DEFAULT;
            let options = RangeOptions::default();
            let request = Request::GetRange { version, keyspace, range, options };
            match self.call(&request)? {
                Response::GetRange { version: at, rows, more, .. } => {
                    version = Some(at);
                    all.extend(rows);
                    match all.last() {
                        Some(last) if more => begin = plinth_protocol::range::key_after(&last.key),
                        _ => return Ok((at, all)),
                    }
                }
                other => return Err(violation(format!("a range was answered {other:?}"))),
            }
        }
    }
}

/// A commit of mutations alone.
pub(crate) fn commit(mutations: Vec<MutationOp>) -> Commit {
    let mutation = |op| Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op };
    Commit { mutations: mutations.into_iter().map(mutation).collect(), ..Commit::default() }
}

/// A set of the default keyspace.
pub(crate) fn set(key: impl Into<Bytes>, value: impl Into<Bytes>) -> MutationOp {
    MutationOp::Set { key: key.into(), value: value.into() }
}

/// Whether this error says that the server is going, as opposed to that something is wrong.
pub(crate) fn is_farewell(error: &Error) -> bool {
    error.code == plinth_protocol::ErrorCode::SHUTTING_DOWN
}
