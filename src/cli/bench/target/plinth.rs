//! Plinth's frames: the generator's own end of a connection, without the native client, whose
//! conveniences cost more than a fast server.

use super::{
    fields::Fields,
    pipe::{Answer, Operation, Pipe},
    socket::Socket,
    template::Template,
};
use bytes::Bytes;
use plinth_protocol::{
    Commit, Error, ErrorCode, KeyRange, KeyspaceId, Mutation, MutationOp,
    frame::{Flags, Frame},
    hello::{Hello, HelloReply},
    limits::{FRAME_BYTES_CEILING, FRAME_HEADER_BYTES},
    request::{Opcode, RangeOptions, Request},
    response::Response,
};

/// Bytes of a frame before its payload.
const HEAD_BYTES: usize = 4 + FRAME_HEADER_BYTES;

/// Bytes of rows that a scan asks for at most; the server may have a smaller bound.
const SCAN_BYTES: u32 = 1 << 30;

/// One connection to the server.
pub(crate) struct Connection {
    socket: Socket,
    ping: Template<0>,
    get: Template<1>,
    set: Template<2>,
}

/// The error that an answer is, if it is one; else that it is of no kind that is known here.
fn failure(opcode: u8, payload: &[u8]) -> Error {
    let payload = Bytes::copy_from_slice(payload);
    match Response::decode(Frame { opcode, flags: Flags::NONE, request_id: 0, payload }) {
        Ok(Response::Error(error)) => error,
        Ok(_) => protocol_error("an answer of another kind than any request"),
        Err(error) => protocol_error(error.to_string()),
    }
}

/// A blind write of these keys: what the native client sends for a transaction that only sets.
fn blind_commit(rows: impl IntoIterator<Item = (Bytes, Bytes)>) -> Request {
    let mutations = rows
        .into_iter()
        .map(|(key, value)| Mutation {
            keyspace: KeyspaceId::DEFAULT,
            adds_conflict: true,
            op: MutationOp::Set { key, value },
        })
        .collect();
    Request::Commit(Commit { mutations, ..Commit::default() })
}

fn protocol_error(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PROTOCOL_VIOLATION, message)
}

impl Connection {
    /// Connects and says hello.
    pub(crate) async fn open(address: &str) -> Result<(Self, HelloReply), Error> {
        let mut connection = Self {
            socket: Socket::connect(address, &address).await?,
            ping: Template::new(|[]| Request::Ping { payload: Bytes::new() }),
            get: Template::new(|[key]| Request::Get {
                version: None,
                keyspace: KeyspaceId::DEFAULT,
                key,
            }),
            set: Template::new(|[key, value]| blind_commit([(key, value)])),
        };
        let client = concat!("plinth-bench/", env!("CARGO_PKG_VERSION"));
        let hello = Request::Hello(Hello::new(client, &[]));
        match connection.ask(&hello).await? {
            Response::Hello(reply) => Ok((connection, reply)),
            _ => Err(protocol_error("the hello was not answered by a hello")),
        }
    }

    /// Sends one request and waits for its one answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        request.write_frame(self.socket.output(), Flags::NONE, 0);
        self.send().await?;
        let mut response = None;
        while response.is_none() {
            self.read(|request_id, opcode, payload| {
                let payload = Bytes::copy_from_slice(payload);
                let frame = Frame { opcode, flags: Flags::NONE, request_id, payload };
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

    /// Reads once and shows each whole frame to `visit`: its id, its opcode and its payload.
    async fn read(&mut self, mut visit: impl FnMut(u32, u8, &[u8])) -> Result<(), Error> {
        self.socket
            .receive(|input| {
                let rest = frames(input, &mut visit)?;
                Ok(input.len() - rest.len())
            })
            .await
    }
}

/// Shows each whole frame at the beginning of `input` to `visit`; what is left.
fn frames<'a>(input: &'a [u8], visit: &mut impl FnMut(u32, u8, &[u8])) -> Result<&'a [u8], Error> {
    let mut rest = input;
    while let Some((&head, after)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let [a, b, c, d, opcode, _flags, id @ ..] = head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(FRAME_HEADER_BYTES..FRAME_BYTES_CEILING).contains(&length) {
            return Err(protocol_error(format!("a frame's length is {length}")));
        }
        let Some((payload, next)) = after.split_at_checked(length - FRAME_HEADER_BYTES) else {
            break;
        };
        visit(u32::from_be_bytes(id), opcode, payload);
        rest = next;
    }
    Ok(rest)
}

impl Pipe for Connection {
    fn push(&mut self, id: u32, operation: &Operation<'_>) {
        let output = self.socket.output();
        let keyspace = KeyspaceId::DEFAULT;
        let copy = Bytes::copy_from_slice;
        let request = match *operation {
            Operation::Ping => return self.ping.write(output, id, []),
            Operation::Get { key } => return self.get.write(output, id, [key]),
            Operation::Set { key, value } => return self.set.write(output, id, [key, value]),
            Operation::GetMany { keys } => {
                Request::GetBatch { version: None, keyspace, keys: keys.iter().map(copy).collect() }
            }
            Operation::SetMany { keys, values } => {
                blind_commit(keys.iter().map(copy).zip(values.iter().map(|value| copy(value))))
            }
            Operation::Scan { begin, end, rows } => Request::GetRange {
                version: None,
                keyspace,
                range: KeyRange { begin: copy(begin), end: copy(end) },
                options: RangeOptions {
                    rows_max: rows,
                    bytes_target: SCAN_BYTES,
                    ..RangeOptions::default()
                },
            },
        };
        request.write_frame(output, Flags::NONE, id);
    }

    async fn send(&mut self) -> Result<(), Error> {
        self.socket.send().await
    }

    async fn receive(
        &mut self,
        mut visit: impl FnMut(u32, Answer<'_>) + Send,
    ) -> Result<(), Error> {
        self.read(|id, opcode, payload| {
            let answer = answer(opcode, payload).unwrap_or_else(|| {
                Answer::Failed(Error::new(
                    ErrorCode::MALFORMED_PAYLOAD,
                    "an answer is shorter than its fields",
                ))
            });
            visit(id, answer);
        })
        .await
    }
}

const PING: u8 = Opcode::Ping as u8 | Opcode::RESPONSE;
const GET: u8 = Opcode::Get as u8 | Opcode::RESPONSE;
const GET_BATCH: u8 = Opcode::GetBatch as u8 | Opcode::RESPONSE;
const GET_RANGE: u8 = Opcode::GetRange as u8 | Opcode::RESPONSE;
const COMMIT: u8 = Opcode::Commit as u8 | Opcode::RESPONSE;

/// What a frame answers; nothing if it ends too early.
fn answer<'a>(opcode: u8, payload: &'a [u8]) -> Option<Answer<'a>> {
    let mut fields = Fields(payload);
    Some(match opcode {
        GET => {
            let _read_version = fields.u64()?;
            if !fields.bool()? {
                return Some(Answer::Missing);
            }
            let _written_at = fields.u64()?;
            Answer::Value(fields.bytes()?)
        }
        COMMIT => match fields.u8()? {
            0 => Answer::Done,
            _ => Answer::Conflict,
        },
        PING => Answer::Done,
        GET_BATCH => {
            let _read_version = fields.u64()?;
            let value = |fields: &mut Fields<'a>| {
                if fields.bool()? { fields.bytes().map(Some) } else { Some(None) }
            };
            Answer::Values(fields.list(value)?)
        }
        GET_RANGE => {
            let (_read_version, _more) = (fields.u64()?, fields.bool()?);
            Answer::Rows(fields.list(|fields| Some((fields.bytes()?, fields.bytes()?)))?)
        }
        _ => Answer::Failed(failure(opcode, payload)),
    })
}
