//! The generator's own end of a connection: frames written from templates, answers counted.
//!
//! A load generator must not be what it measures. So requests are copied from a template with the
//! key patched in, a whole pipeline leaves in one write, and answers are looked at where they lie.

use bytes::{Buf, Bytes, BytesMut};
use plinth_protocol::{
    Error, ErrorCode,
    frame::{Flags, Frame},
    hello::{Hello, HelloReply},
    limits::{FRAME_BYTES_CEILING, FRAME_HEADER_BYTES},
    request::{Opcode, Request},
    response::Response,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::cli::bench::keys::{KEY_BYTES, key_bytes};

/// What a read of the socket asks for.
const READ_BYTES: usize = 64 << 10;

/// Bytes of a frame before its payload.
const HEAD_BYTES: usize = 4 + FRAME_HEADER_BYTES;

/// One connection to the server.
pub(crate) struct Connection {
    stream: TcpStream,
    input: BytesMut,
    /// What is to be sent next.
    pub(crate) output: BytesMut,
}

/// An answer, where it lies in the input.
pub(crate) struct Answer<'a> {
    /// As sent with the request.
    pub(crate) request_id: u32,
    opcode: u8,
    /// The message's fields.
    pub(crate) payload: &'a [u8],
}

impl Answer<'_> {
    /// The error that the answer is, if it is not the answer to `opcode`.
    pub(crate) fn expect(&self, opcode: Opcode) -> Result<(), Error> {
        if self.opcode == opcode.response() {
            return Ok(());
        }
        let frame = Frame {
            opcode: self.opcode,
            flags: Flags::NONE,
            request_id: self.request_id,
            payload: Bytes::copy_from_slice(self.payload),
        };
        Err(match Response::decode(frame) {
            Ok(Response::Error(error)) => error,
            Ok(_) => protocol_error("an answer of another kind than the request"),
            Err(error) => protocol_error(error.to_string()),
        })
    }
}

fn protocol_error(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PROTOCOL_VIOLATION, message)
}

fn io_error(what: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::CONNECTION_FAILED, format!("{what}: {error}"))
}

impl Connection {
    /// Connects and says hello.
    pub(crate) async fn open(address: &str) -> Result<(Self, HelloReply), Error> {
        let stream = TcpStream::connect(address).await.map_err(|error| {
            let message = format!("can't connect to {address}: {error}");
            Error::new(ErrorCode::SERVER_UNREACHABLE, message)
        })?;
        stream.set_nodelay(true).map_err(|error| io_error("TCP_NODELAY", &error))?;
        let mut connection = Self { stream, input: BytesMut::new(), output: BytesMut::new() };
        let client = concat!("plinth-bench/", env!("CARGO_PKG_VERSION"));
        let hello = Request::Hello(Hello::new(client, &[]));
        match connection.ask(&hello).await? {
            Response::Hello(reply) => Ok((connection, reply)),
            _ => Err(protocol_error("the hello was not answered by a hello")),
        }
    }

    /// Sends one request and waits for its one answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        request.write_frame(&mut self.output, Flags::NONE, 0);
        self.send().await?;
        let mut response = None;
        while response.is_none() {
            self.receive(|answer| {
                let frame = Frame {
                    opcode: answer.opcode,
                    flags: Flags::NONE,
                    request_id: answer.request_id,
                    payload: Bytes::copy_from_slice(answer.payload),
                };
                response = Some(Response::decode(frame));
            })
            .await?;
        }
        match response {
            Some(Ok(Response::Error(error))) => Err(error),
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(protocol_error(error.to_string())),
            None => Err(protocol_error("no answer")),
        }
    }

    /// Sends what has been put into `output`, in as few writes as the socket takes.
    pub(crate) async fn send(&mut self) -> Result<(), Error> {
        let sent = self.stream.write_all(&self.output).await;
        self.output.clear();
        sent.map_err(|error| io_error("sending failed", &error))
    }

    /// Reads once and shows each whole answer to `visit`; there may be none.
    pub(crate) async fn receive(
        &mut self,
        mut visit: impl FnMut(&Answer<'_>),
    ) -> Result<(), Error> {
        self.input.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => {
                let message = "the server closed the connection";
                return Err(Error::new(ErrorCode::CONNECTION_FAILED, message));
            }
            Ok(_) => {}
            Err(error) => return Err(io_error("receiving failed", &error)),
        }
        let mut rest: &[u8] = &self.input;
        while let Some((&head, after)) = rest.split_first_chunk::<HEAD_BYTES>() {
            let [a, b, c, d, opcode, _flags, id @ ..] = head;
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if !(FRAME_HEADER_BYTES..FRAME_BYTES_CEILING).contains(&length) {
                return Err(protocol_error(format!("a frame's length is {length}")));
            }
            let Some((payload, next)) = after.split_at_checked(length - FRAME_HEADER_BYTES) else {
                break;
            };
            visit(&Answer { request_id: u32::from_be_bytes(id), opcode, payload });
            rest = next;
        }
        let taken = self.input.len() - rest.len();
        self.input.advance(taken);
        Ok(())
    }
}

/// A request's frame in which the key is to be filled in, wherever it occurs.
pub(crate) struct Template {
    frame: Bytes,
    key_offsets: Vec<usize>,
}

impl Template {
    /// The template of the request that `make` makes for a key and a value that begins with it.
    pub(crate) fn new(value: &[u8], make: impl Fn(Bytes, Bytes) -> Request) -> Self {
        let frame_of = |number| {
            let key = Bytes::copy_from_slice(&key_bytes(number));
            let mut value = BytesMut::from(value);
            patch(&mut value, 0, &key);
            let mut frame = BytesMut::new();
            make(key, value.freeze()).write_frame(&mut frame, Flags::NONE, 0);
            frame.freeze()
        };
        let frame = frame_of(0);
        let key = key_bytes(0);
        let key_offsets = (0..frame.len())
            .filter(|&at| frame.get(at..at + KEY_BYTES).is_some_and(|found| found == key))
            .collect();
        Self { frame, key_offsets }
    }

    /// Appends the request for `key`.
    pub(crate) fn write(&self, output: &mut BytesMut, request_id: u32, key: &[u8; KEY_BYTES]) {
        let begin = output.len();
        output.extend_from_slice(&self.frame);
        patch(output, begin + 6, &request_id.to_be_bytes());
        for &offset in &self.key_offsets {
            patch(output, begin + offset, key);
        }
    }
}

/// Overwrites what lies at `at`, as far as there is room.
pub(crate) fn patch(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    let room = buffer.get_mut(at..).unwrap_or_default();
    for (place, byte) in room.iter_mut().zip(bytes) {
        *place = *byte;
    }
}

#[cfg(test)]
mod tests {
    use plinth_protocol::{Commit, KeyspaceId, Mutation, MutationOp};

    use super::*;

    #[test]
    fn a_template_gives_the_frame_of_the_request() {
        let make = |key, value| {
            let op = MutationOp::Set { key, value };
            let mutation = Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op };
            Request::Commit(Commit { mutations: vec![mutation], ..Commit::default() })
        };
        for value_bytes in [0, 5, 16, 40] {
            let template = Template::new(&vec![b'.'; value_bytes], make);
            let mut frame = BytesMut::from(&b"before"[..]);
            template.write(&mut frame, 9, &key_bytes(123));
            let mut value = vec![b'.'; value_bytes];
            patch(&mut value, 0, &key_bytes(123));
            let mut expected = BytesMut::from(&b"before"[..]);
            let key = Bytes::copy_from_slice(&key_bytes(123));
            make(key, value.into()).write_frame(&mut expected, Flags::NONE, 9);
            // A value shorter than a key holds the key's beginning, which is the same for all.
            assert_eq!(frame, expected, "{value_bytes}");
        }
    }
}
