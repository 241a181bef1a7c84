//! Requests: what a client asks.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{
    codec::write_frame,
    commit::{Commit, Durability, ReadConflict, WriteConflict},
    error::ErrorCode,
    field::{FieldError, FieldReader, FieldSink},
    frame::Flags,
    hello::Hello,
    keyspace::KeyspaceId,
    limits::IDEMPOTENCY_ID_BYTES,
    mutation::{AtomicOp, Mutation, MutationOp},
    range::{ConflictRange, KeyRange},
    selector::KeySelector,
    version::Version,
};

/// The number of a request on the wire. The answer's is the same with [`Opcode::RESPONSE`] set, or
/// [`Opcode::ERROR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is described at its request")]
pub enum Opcode {
    Hello = 0x01,
    Ping = 0x02,
    ServerInfo = 0x03,
    Cancel = 0x04,
    ReadVersion = 0x10,
    Get = 0x11,
    GetBatch = 0x12,
    GetKey = 0x13,
    GetRange = 0x14,
    EstimateSize = 0x15,
    SplitPoints = 0x16,
    Watch = 0x17,
    Pin = 0x18,
    Unpin = 0x19,
    Commit = 0x20,
    CommitStatus = 0x21,
    TxnBegin = 0x30,
    TxnGet = 0x31,
    TxnGetKey = 0x32,
    TxnGetRange = 0x33,
    TxnWrite = 0x34,
    TxnAddConflict = 0x35,
    TxnCommit = 0x36,
    TxnAbort = 0x37,
    JobStart = 0x40,
    Jobs = 0x41,
    JobCancel = 0x42,
}

impl Opcode {
    /// Set in the opcode of every answer.
    pub const RESPONSE: u8 = 0x80;
    /// The opcode of an answer that is an error.
    pub const ERROR: u8 = 0xFF;

    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::Hello,
        Self::Ping,
        Self::ServerInfo,
        Self::Cancel,
        Self::ReadVersion,
        Self::Get,
        Self::GetBatch,
        Self::GetKey,
        Self::GetRange,
        Self::EstimateSize,
        Self::SplitPoints,
        Self::Watch,
        Self::Pin,
        Self::Unpin,
        Self::Commit,
        Self::CommitStatus,
        Self::TxnBegin,
        Self::TxnGet,
        Self::TxnGetKey,
        Self::TxnGetRange,
        Self::TxnWrite,
        Self::TxnAddConflict,
        Self::TxnCommit,
        Self::TxnAbort,
        Self::JobStart,
        Self::Jobs,
        Self::JobCancel,
    ];

    /// The opcode with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        BY_CODE.get(usize::from(code)).copied().flatten()
    }

    /// The opcode of the answer.
    pub fn response(self) -> u8 {
        self as u8 | Self::RESPONSE
    }
}

/// The opcodes by their numbers, for one look a frame.
static BY_CODE: [Option<Opcode>; 128] = {
    let mut by_code = [None; 128];
    let mut at = 0;
    while at < Opcode::ALL.len() {
        by_code[Opcode::ALL[at] as usize] = Some(Opcode::ALL[at]);
        at += 1;
    }
    by_code
};

/// The id of a server-held transaction: random, so that it can't be guessed.
pub type TransactionId = [u8; 16];

/// How much of a range to read, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeOptions {
    /// The most rows; 0 for no limit.
    pub rows_max: u32,
    /// Enough bytes: no further row is read once keys and values come to this; at least one row is
    /// answered always. 0 leaves it to the server, which bounds every answer in any case.
    pub bytes_target: u32,
    /// From the end to the beginning.
    pub reverse: bool,
    /// Keys alone, their values empty.
    pub keys_only: bool,
    /// Whether the server goes on by itself: as many answers as it takes, all but the last with
    /// [`Flags::MORE`]. Without it there is one answer, and the client asks again for the rest.
    pub streams: bool,
}

/// What a client asks. Where a `version` is `None`, the newest is meant, and the answer tells which
/// one that was. On the wire `None` is 0, for versions as for times: nothing happened at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Opens the connection.
    Hello(Hello),
    /// Answered with the same bytes.
    Ping {
        /// Anything.
        payload: Bytes,
    },
    /// Asks for the server's version, features and statistics.
    ServerInfo,
    /// Ends a watch or a streamed range that is under way: it is answered `operation_cancelled`,
    /// this is answered empty.
    Cancel {
        /// The id of the request to end, on this connection.
        request_id: u32,
    },
    /// Asks for a read version: at least the newest commit version that anyone was told of.
    ReadVersion,
    /// Reads a key.
    Get {
        /// When.
        version: Option<Version>,
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        key: Bytes,
    },
    /// Reads several keys at one version.
    GetBatch {
        /// When.
        version: Option<Version>,
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        keys: Vec<Bytes>,
    },
    /// Resolves a key selector.
    GetKey {
        /// When.
        version: Option<Version>,
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        selector: KeySelector,
        /// The keyspace's end as this client sees it: a selector that runs off the end resolves to
        /// it, and keys from it on don't count.
        end: Bytes,
    },
    /// Reads a range.
    GetRange {
        /// When.
        version: Option<Version>,
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        range: KeyRange,
        /// How.
        options: RangeOptions,
    },
    /// Asks for about how many bytes of keys and values a range holds.
    EstimateSize {
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        range: KeyRange,
    },
    /// Asks for keys that cut a range into pieces of about equal size.
    SplitPoints {
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        range: KeyRange,
        /// How large a piece is to be.
        chunk_bytes: u64,
    },
    /// Answered when the key's value is another than the client knows.
    Watch {
        /// The version at which the client knows the value.
        version: Version,
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        key: Bytes,
        /// The value that the client knows; `None` for absent.
        value: Option<Bytes>,
    },
    /// Holds a snapshot readable beyond the window, until it is unpinned or the connection ends.
    Pin {
        /// Which.
        version: Option<Version>,
    },
    /// Lets a pinned snapshot go.
    Unpin {
        /// As answered to the pin.
        pin: u64,
    },
    /// Commits a transaction that the client has kept to itself.
    Commit(Commit),
    /// Asks what became of the commit with this idempotency id.
    CommitStatus {
        /// As sent with the commit.
        idempotency_id: Bytes,
    },
    /// Begins a transaction that the server holds, for clients that can't buffer.
    TxnBegin {
        /// Where to read; `None` for the newest.
        version: Option<Version>,
        /// Whether writes are refused.
        read_only: bool,
        /// How long it may live; 0 for the server's default.
        timeout_ms: u32,
    },
    /// Reads keys through a server-held transaction.
    TxnGet {
        /// Which.
        transaction: TransactionId,
        /// Whether the read is left out of the conflict check.
        snapshot: bool,
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        keys: Vec<Bytes>,
    },
    /// Resolves a key selector through a server-held transaction.
    TxnGetKey {
        /// Which.
        transaction: TransactionId,
        /// Whether the read is left out of the conflict check.
        snapshot: bool,
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        selector: KeySelector,
    },
    /// Reads a range through a server-held transaction.
    TxnGetRange {
        /// Which.
        transaction: TransactionId,
        /// Whether the read is left out of the conflict check.
        snapshot: bool,
        /// Where.
        keyspace: KeyspaceId,
        /// From where.
        begin: KeySelector,
        /// To where.
        end: KeySelector,
        /// How; `streams` is not available here.
        options: RangeOptions,
    },
    /// Writes through a server-held transaction.
    TxnWrite {
        /// Which.
        transaction: TransactionId,
        /// What, in order.
        mutations: Vec<Mutation>,
    },
    /// Adds conflict ranges to a server-held transaction.
    TxnAddConflict {
        /// Which.
        transaction: TransactionId,
        /// Whether it is a write conflict; else a read conflict.
        is_write: bool,
        /// Where.
        keyspace: KeyspaceId,
        /// What.
        range: KeyRange,
    },
    /// Commits a server-held transaction; its id is gone then, whatever the answer.
    TxnCommit {
        /// Which.
        transaction: TransactionId,
    },
    /// Ends a server-held transaction without a trace.
    TxnAbort {
        /// Which.
        transaction: TransactionId,
    },
    /// Has the server do long work in the background. Asked for what is under way already, the
    /// server answers that job.
    JobStart {
        /// What to do, by name: `backup`, …
        kind: Bytes,
        /// What to do it with: the backup's name, …
        argument: Bytes,
    },
    /// Asks how jobs stand.
    Jobs {
        /// Which one; 0 for all that the server remembers.
        job: u64,
    },
    /// Ends a job before it is done. One that has ended is left as it is.
    JobCancel {
        /// Which.
        job: u64,
    },
}

/// Why a frame is not a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// No request has this opcode.
    UnknownOpcode(u8),
    /// The payload is not that of this request.
    Malformed(Opcode, FieldError),
}

impl RequestError {
    /// The code under which the peer is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownOpcode(_) => ErrorCode::UNKNOWN_OPCODE,
            Self::Malformed(..) => ErrorCode::MALFORMED_PAYLOAD,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOpcode(code) => write!(f, "no request has the opcode {code:#04x}"),
            Self::Malformed(opcode, error) => write!(f, "in the request {opcode:?}: {error}"),
        }
    }
}

impl std::error::Error for RequestError {}

impl Request {
    /// The request's number.
    pub fn opcode(&self) -> Opcode {
        match self {
            Self::Hello(_) => Opcode::Hello,
            Self::Ping { .. } => Opcode::Ping,
            Self::ServerInfo => Opcode::ServerInfo,
            Self::Cancel { .. } => Opcode::Cancel,
            Self::ReadVersion => Opcode::ReadVersion,
            Self::Get { .. } => Opcode::Get,
            Self::GetBatch { .. } => Opcode::GetBatch,
            Self::GetKey { .. } => Opcode::GetKey,
            Self::GetRange { .. } => Opcode::GetRange,
            Self::EstimateSize { .. } => Opcode::EstimateSize,
            Self::SplitPoints { .. } => Opcode::SplitPoints,
            Self::Watch { .. } => Opcode::Watch,
            Self::Pin { .. } => Opcode::Pin,
            Self::Unpin { .. } => Opcode::Unpin,
            Self::Commit(_) => Opcode::Commit,
            Self::CommitStatus { .. } => Opcode::CommitStatus,
            Self::TxnBegin { .. } => Opcode::TxnBegin,
            Self::TxnGet { .. } => Opcode::TxnGet,
            Self::TxnGetKey { .. } => Opcode::TxnGetKey,
            Self::TxnGetRange { .. } => Opcode::TxnGetRange,
            Self::TxnWrite { .. } => Opcode::TxnWrite,
            Self::TxnAddConflict { .. } => Opcode::TxnAddConflict,
            Self::TxnCommit { .. } => Opcode::TxnCommit,
            Self::TxnAbort { .. } => Opcode::TxnAbort,
            Self::JobStart { .. } => Opcode::JobStart,
            Self::Jobs { .. } => Opcode::Jobs,
            Self::JobCancel { .. } => Opcode::JobCancel,
        }
    }

    /// Appends the request as a frame and returns the length that the frame states; see
    /// [`write_frame`].
    pub fn write_frame(&self, buffer: &mut BytesMut, flags: Flags, request_id: u32) -> usize {
        write_frame(buffer, self.opcode() as u8, flags, request_id, |buffer| {
            self.write_fields(buffer);
        })
    }

    /// Writes the payload's fields.
    pub fn write_fields<S: FieldSink>(&self, sink: &mut S) {
        match self {
            Self::Hello(hello) => hello.write(sink),
            Self::Ping { payload } => sink.bytes("payload", payload),
            Self::ServerInfo | Self::ReadVersion => {}
            Self::Cancel { request_id } => sink.u32("request_id", *request_id),
            Self::Get { version, keyspace, key } => {
                write_place(sink, *version, *keyspace);
                sink.bytes("key", key);
            }
            Self::GetBatch { version, keyspace, keys } => {
                write_place(sink, *version, *keyspace);
                sink.list("keys", keys, |sink, key| sink.bytes("key", key));
            }
            Self::GetKey { version, keyspace, selector, end } => {
                write_place(sink, *version, *keyspace);
                write_selector(sink, selector);
                sink.bytes("keyspace_end", end);
            }
            Self::GetRange { version, keyspace, range, options } => {
                write_place(sink, *version, *keyspace);
                write_range(sink, range);
                write_options(sink, options);
            }
            Self::EstimateSize { keyspace, range } => {
                sink.u32("keyspace", keyspace.0);
                write_range(sink, range);
            }
            Self::SplitPoints { keyspace, range, chunk_bytes } => {
                sink.u32("keyspace", keyspace.0);
                write_range(sink, range);
                sink.u64("chunk_bytes", *chunk_bytes);
            }
            Self::Watch { version, keyspace, key, value } => {
                write_place(sink, Some(*version), *keyspace);
                sink.bytes("key", key);
                sink.option("has_value", value.as_ref(), |sink, value| sink.bytes("value", value));
            }
            Self::Pin { version } => write_version(sink, *version),
            Self::Unpin { pin } => sink.u64("pin", *pin),
            Self::Commit(commit) => write_commit(sink, commit),
            Self::CommitStatus { idempotency_id } => sink.bytes("idempotency_id", idempotency_id),
            Self::TxnBegin { version, read_only, timeout_ms } => {
                write_version(sink, *version);
                sink.bool("read_only", *read_only);
                sink.u32("timeout_ms", *timeout_ms);
            }
            Self::TxnGet { transaction, snapshot, keyspace, keys } => {
                write_session(sink, transaction, *snapshot, *keyspace);
                sink.list("keys", keys, |sink, key| sink.bytes("key", key));
            }
            Self::TxnGetKey { transaction, snapshot, keyspace, selector } => {
                write_session(sink, transaction, *snapshot, *keyspace);
                write_selector(sink, selector);
            }
            Self::TxnGetRange { transaction, snapshot, keyspace, begin, end, options } => {
                write_session(sink, transaction, *snapshot, *keyspace);
                write_selector(sink, begin);
                write_selector(sink, end);
                write_options(sink, options);
            }
            Self::TxnWrite { transaction, mutations } => {
                sink.raw("transaction", transaction);
                sink.list("mutations", mutations, write_mutation);
            }
            Self::TxnAddConflict { transaction, is_write, keyspace, range } => {
                sink.raw("transaction", transaction);
                sink.bool("is_write", *is_write);
                sink.u32("keyspace", keyspace.0);
                write_range(sink, range);
            }
            Self::TxnCommit { transaction } | Self::TxnAbort { transaction } => {
                sink.raw("transaction", transaction);
            }
            Self::JobStart { kind, argument } => {
                sink.bytes("kind", kind);
                sink.bytes("argument", argument);
            }
            Self::Jobs { job } | Self::JobCancel { job } => sink.u64("job", *job),
        }
    }

    /// Reads a request from a frame's opcode and payload.
    pub fn decode(opcode: u8, payload: Bytes) -> Result<Self, RequestError> {
        let opcode = Opcode::from_code(opcode).ok_or(RequestError::UnknownOpcode(opcode))?;
        let mut fields = FieldReader::new(payload);
        Self::read(opcode, &mut fields)
            .and_then(|request| fields.finish().map(|()| request))
            .map_err(|error| RequestError::Malformed(opcode, error))
    }

    fn read(opcode: Opcode, fields: &mut FieldReader) -> Result<Self, FieldError> {
        Ok(match opcode {
            Opcode::Hello => Self::Hello(Hello::read(fields)?),
            Opcode::Ping => Self::Ping { payload: fields.bytes("payload")? },
            Opcode::ServerInfo => Self::ServerInfo,
            Opcode::Cancel => Self::Cancel { request_id: fields.u32("request_id")? },
            Opcode::ReadVersion => Self::ReadVersion,
            Opcode::Get => Self::Get {
                version: read_version(fields, "version")?,
                keyspace: read_keyspace(fields)?,
                key: fields.bytes("key")?,
            },
            Opcode::GetBatch => Self::GetBatch {
                version: read_version(fields, "version")?,
                keyspace: read_keyspace(fields)?,
                keys: read_keys(fields)?,
            },
            Opcode::GetKey => Self::GetKey {
                version: read_version(fields, "version")?,
                keyspace: read_keyspace(fields)?,
                selector: read_selector(fields)?,
                end: fields.bytes("keyspace_end")?,
            },
            Opcode::GetRange => Self::GetRange {
                version: read_version(fields, "version")?,
                keyspace: read_keyspace(fields)?,
                range: read_range(fields)?,
                options: read_options(fields)?,
            },
            Opcode::EstimateSize => {
                Self::EstimateSize { keyspace: read_keyspace(fields)?, range: read_range(fields)? }
            }
            Opcode::SplitPoints => Self::SplitPoints {
                keyspace: read_keyspace(fields)?,
                range: read_range(fields)?,
                chunk_bytes: fields.u64("chunk_bytes")?,
            },
            Opcode::Watch => Self::Watch {
                version: read_version(fields, "version")?.unwrap_or_default(),
                keyspace: read_keyspace(fields)?,
                key: fields.bytes("key")?,
                value: fields.option("has_value", |fields| fields.bytes("value"))?,
            },
            Opcode::Pin => Self::Pin { version: read_version(fields, "version")? },
            Opcode::Unpin => Self::Unpin { pin: fields.u64("pin")? },
            Opcode::Commit => Self::Commit(read_commit(fields)?),
            Opcode::CommitStatus => {
                Self::CommitStatus { idempotency_id: read_idempotency_id(fields)? }
            }
            Opcode::TxnBegin => Self::TxnBegin {
                version: read_version(fields, "version")?,
                read_only: fields.bool("read_only")?,
                timeout_ms: fields.u32("timeout_ms")?,
            },
            Opcode::TxnGet => Self::TxnGet {
                transaction: read_transaction(fields)?,
                snapshot: fields.bool("snapshot")?,
                keyspace: read_keyspace(fields)?,
                keys: read_keys(fields)?,
            },
            Opcode::TxnGetKey => Self::TxnGetKey {
                transaction: read_transaction(fields)?,
                snapshot: fields.bool("snapshot")?,
                keyspace: read_keyspace(fields)?,
                selector: read_selector(fields)?,
            },
            Opcode::TxnGetRange => Self::TxnGetRange {
                transaction: read_transaction(fields)?,
                snapshot: fields.bool("snapshot")?,
                keyspace: read_keyspace(fields)?,
                begin: read_selector(fields)?,
                end: read_selector(fields)?,
                options: read_options(fields)?,
            },
            Opcode::TxnWrite => Self::TxnWrite {
                transaction: read_transaction(fields)?,
                mutations: fields.list("mutations", MUTATION_BYTES_MIN, read_mutation)?,
            },
            Opcode::TxnAddConflict => Self::TxnAddConflict {
                transaction: read_transaction(fields)?,
                is_write: fields.bool("is_write")?,
                keyspace: read_keyspace(fields)?,
                range: read_range(fields)?,
            },
            Opcode::TxnCommit => Self::TxnCommit { transaction: read_transaction(fields)? },
            Opcode::TxnAbort => Self::TxnAbort { transaction: read_transaction(fields)? },
            Opcode::JobStart => {
                Self::JobStart { kind: fields.bytes("kind")?, argument: fields.bytes("argument")? }
            }
            Opcode::Jobs => Self::Jobs { job: fields.u64("job")? },
            Opcode::JobCancel => Self::JobCancel { job: fields.u64("job")? },
        })
    }
}

fn write_version<S: FieldSink>(sink: &mut S, version: Option<Version>) {
    sink.u64("version", version.unwrap_or(Version::ZERO).0);
}

fn read_version(
    fields: &mut FieldReader,
    field: &'static str,
) -> Result<Option<Version>, FieldError> {
    match fields.u64(field)? {
        0 => Ok(None),
        value if value <= Version::MAX.0 => Ok(Some(Version(value))),
        value => Err(FieldError::Invalid { field, value }),
    }
}

fn write_place<S: FieldSink>(sink: &mut S, version: Option<Version>, keyspace: KeyspaceId) {
    write_version(sink, version);
    sink.u32("keyspace", keyspace.0);
}

fn read_keyspace(fields: &mut FieldReader) -> Result<KeyspaceId, FieldError> {
    fields.u32("keyspace").map(KeyspaceId)
}

fn write_session<S: FieldSink>(
    sink: &mut S,
    transaction: &TransactionId,
    snapshot: bool,
    keyspace: KeyspaceId,
) {
    sink.raw("transaction", transaction);
    sink.bool("snapshot", snapshot);
    sink.u32("keyspace", keyspace.0);
}

fn read_transaction(fields: &mut FieldReader) -> Result<TransactionId, FieldError> {
    fields.array("transaction")
}

fn read_keys(fields: &mut FieldReader) -> Result<Vec<Bytes>, FieldError> {
    fields.list("keys", 4, |fields| fields.bytes("key"))
}

fn write_range<S: FieldSink>(sink: &mut S, range: &KeyRange) {
    sink.bytes("begin", &range.begin);
    sink.bytes("end", &range.end);
}

fn read_range(fields: &mut FieldReader) -> Result<KeyRange, FieldError> {
    Ok(KeyRange { begin: fields.bytes("begin")?, end: fields.bytes("end")? })
}

fn write_selector<S: FieldSink>(sink: &mut S, selector: &KeySelector) {
    sink.bytes("key", &selector.key);
    sink.bool("or_equal", selector.or_equal);
    sink.u32("offset", selector.offset.cast_unsigned());
}

fn read_selector(fields: &mut FieldReader) -> Result<KeySelector, FieldError> {
    Ok(KeySelector {
        key: fields.bytes("key")?,
        or_equal: fields.bool("or_equal")?,
        offset: fields.u32("offset")?.cast_signed(),
    })
}

fn write_options<S: FieldSink>(sink: &mut S, options: &RangeOptions) {
    sink.u32("rows_max", options.rows_max);
    sink.u32("bytes_target", options.bytes_target);
    sink.bool("reverse", options.reverse);
    sink.bool("keys_only", options.keys_only);
    sink.bool("streams", options.streams);
}

fn read_options(fields: &mut FieldReader) -> Result<RangeOptions, FieldError> {
    Ok(RangeOptions {
        rows_max: fields.u32("rows_max")?,
        bytes_target: fields.u32("bytes_target")?,
        reverse: fields.bool("reverse")?,
        keys_only: fields.bool("keys_only")?,
        streams: fields.bool("streams")?,
    })
}

fn write_commit<S: FieldSink>(sink: &mut S, commit: &Commit) {
    write_version(sink, commit.read_version);
    sink.list("read_conflicts", &commit.read_conflicts, |sink, conflict| {
        sink.u32("keyspace", conflict.keyspace.0);
        sink.u64("since", conflict.since.unwrap_or(Version::ZERO).0);
        write_conflict_range(sink, &conflict.range);
    });
    sink.list("write_conflicts", &commit.write_conflicts, |sink, conflict| {
        sink.u32("keyspace", conflict.keyspace.0);
        write_conflict_range(sink, &conflict.range);
    });
    sink.list("mutations", &commit.mutations, write_mutation);
    sink.option("has_idempotency_id", commit.idempotency_id.as_ref(), |sink, id| {
        sink.bytes("idempotency_id", id);
    });
    sink.u64("not_after_ms", commit.not_after_ms.unwrap_or(0));
    sink.u8(
        "durability",
        match commit.durability {
            None => 0,
            Some(Durability::None) => 1,
            Some(Durability::Interval) => 2,
            Some(Durability::Sync) => 3,
        },
    );
    sink.bool("reports_conflicts", commit.reports_conflicts);
}

fn read_commit(fields: &mut FieldReader) -> Result<Commit, FieldError> {
    Ok(Commit {
        read_version: read_version(fields, "version")?,
        read_conflicts: fields.list("read_conflicts", 17, |fields| {
            Ok(ReadConflict {
                keyspace: read_keyspace(fields)?,
                since: read_version(fields, "since")?,
                range: read_conflict_range(fields)?,
            })
        })?,
        write_conflicts: fields.list("write_conflicts", 9, |fields| {
            Ok(WriteConflict {
                keyspace: read_keyspace(fields)?,
                range: read_conflict_range(fields)?,
            })
        })?,
        mutations: fields.list("mutations", MUTATION_BYTES_MIN, read_mutation)?,
        idempotency_id: fields.option("has_idempotency_id", read_idempotency_id)?,
        not_after_ms: match fields.u64("not_after_ms")? {
            0 => None,
            ms => Some(ms),
        },
        durability: match fields.u8("durability")? {
            0 => None,
            1 => Some(Durability::None),
            2 => Some(Durability::Interval),
            3 => Some(Durability::Sync),
            value => {
                return Err(FieldError::Invalid { field: "durability", value: value.into() });
            }
        },
        reports_conflicts: fields.bool("reports_conflicts")?,
    })
}

fn read_idempotency_id(fields: &mut FieldReader) -> Result<Bytes, FieldError> {
    let id = fields.bytes("idempotency_id")?;
    if !IDEMPOTENCY_ID_BYTES.contains(&id.len()) {
        return Err(FieldError::Invalid { field: "idempotency_id", value: id.len() as u64 });
    }
    Ok(id)
}

fn write_conflict_range<S: FieldSink>(sink: &mut S, range: &ConflictRange) {
    match range {
        ConflictRange::Key(key) => {
            sink.u8("kind", 0);
            sink.bytes("key", key);
        }
        ConflictRange::Range(range) => {
            sink.u8("kind", 1);
            write_range(sink, range);
        }
    }
}

fn read_conflict_range(fields: &mut FieldReader) -> Result<ConflictRange, FieldError> {
    match fields.u8("kind")? {
        0 => Ok(ConflictRange::Key(fields.bytes("key")?)),
        1 => Ok(ConflictRange::Range(read_range(fields)?)),
        value => Err(FieldError::Invalid { field: "kind", value: value.into() }),
    }
}

/// The least a mutation takes on the wire: kind, flag, keyspace, the length of one byte string.
const MUTATION_BYTES_MIN: usize = 10;

/// The kinds of mutation that are not an [`AtomicOp`], whose numbers serve as kinds too.
mod kind {
    pub(super) const SET: u8 = 0;
    pub(super) const CLEAR_RANGE: u8 = 1;
    pub(super) const SET_VERSIONSTAMPED_KEY: u8 = 14;
    pub(super) const SET_VERSIONSTAMPED_VALUE: u8 = 15;
    pub(super) const CLEAR: u8 = 32;
}

fn write_mutation<S: FieldSink>(sink: &mut S, mutation: &Mutation) {
    let code = match &mutation.op {
        MutationOp::Set { .. } => kind::SET,
        MutationOp::Clear { .. } => kind::CLEAR,
        MutationOp::ClearRange { .. } => kind::CLEAR_RANGE,
        MutationOp::Atomic { op, .. } => *op as u8,
        MutationOp::SetVersionstampedKey { .. } => kind::SET_VERSIONSTAMPED_KEY,
        MutationOp::SetVersionstampedValue { .. } => kind::SET_VERSIONSTAMPED_VALUE,
    };
    sink.u8("kind", code);
    sink.bool("adds_conflict", mutation.adds_conflict);
    sink.u32("keyspace", mutation.keyspace.0);
    match &mutation.op {
        MutationOp::Set { key, value } => {
            sink.bytes("key", key);
            sink.bytes("value", value);
        }
        MutationOp::Clear { key } => sink.bytes("key", key),
        MutationOp::ClearRange { begin, end } => {
            sink.bytes("begin", begin);
            sink.bytes("end", end);
        }
        MutationOp::Atomic { key, operand, .. } => {
            sink.bytes("key", key);
            sink.bytes("operand", operand);
        }
        MutationOp::SetVersionstampedKey { key, offset, value }
        | MutationOp::SetVersionstampedValue { key, offset, value } => {
            sink.bytes("key", key);
            sink.bytes("value", value);
            sink.u32("offset", *offset);
        }
    }
}

fn read_mutation(fields: &mut FieldReader) -> Result<Mutation, FieldError> {
    let code = fields.u8("kind")?;
    let adds_conflict = fields.bool("adds_conflict")?;
    let keyspace = read_keyspace(fields)?;
    let op = match code {
        kind::SET => MutationOp::Set { key: fields.bytes("key")?, value: fields.bytes("value")? },
        kind::CLEAR => MutationOp::Clear { key: fields.bytes("key")? },
        kind::CLEAR_RANGE => {
            MutationOp::ClearRange { begin: fields.bytes("begin")?, end: fields.bytes("end")? }
        }
        kind::SET_VERSIONSTAMPED_KEY => {
            let (key, value) = (fields.bytes("key")?, fields.bytes("value")?);
            let offset = read_stamp_offset(fields, key.len())?;
            MutationOp::SetVersionstampedKey { key, offset, value }
        }
        kind::SET_VERSIONSTAMPED_VALUE => {
            let (key, value) = (fields.bytes("key")?, fields.bytes("value")?);
            let offset = read_stamp_offset(fields, value.len())?;
            MutationOp::SetVersionstampedValue { key, value, offset }
        }
        code => match AtomicOp::from_code(code) {
            Some(op) => MutationOp::Atomic {
                op,
                key: fields.bytes("key")?,
                operand: fields.bytes("operand")?,
            },
            None => return Err(FieldError::Invalid { field: "kind", value: code.into() }),
        },
    };
    Ok(Mutation { keyspace, adds_conflict, op })
}

/// An offset at which a versionstamp fits into `room` bytes.
fn read_stamp_offset(fields: &mut FieldReader, room: usize) -> Result<u32, FieldError> {
    let offset = fields.u32("offset")?;
    if offset as usize + crate::version::Versionstamp::LEN > room {
        return Err(FieldError::Invalid { field: "offset", value: offset.into() });
    }
    Ok(offset)
}
