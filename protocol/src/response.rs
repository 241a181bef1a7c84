//! Responses: what a server answers.

use bytes::{Bytes, BytesMut};

use crate::{
    codec::write_frame,
    commit::CommitResult,
    error::{Error, ErrorCode},
    field::{FieldError, FieldReader, FieldSink},
    frame::{Flags, Frame},
    hello::HelloReply,
    job::{JOB_BYTES_MIN, Job},
    limits::ERROR_MESSAGE_BYTES_MAX,
    request::{Opcode, TransactionId},
    version::Version,
};

/// A value and the commit version that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedValue {
    /// The value.
    pub value: Bytes,
    /// The version of the commit that wrote it.
    pub version: Version,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value; empty if only keys were asked for.
    pub value: Bytes,
}

/// What a server says of itself. Counts are since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// The server's own version, `major.minor.patch`.
    pub server_version: Bytes,
    /// Seconds since its start.
    pub uptime_seconds: u64,
    /// What it can do, by name.
    pub features: Vec<Bytes>,
    /// Its statistics by name, in a fixed order; a reader skips names that it doesn't know. Times
    /// are in microseconds where the name ends with `_us`, sizes in bytes where with `_bytes`.
    pub statistics: Vec<(Bytes, u64)>,
}

/// What a server answers. `version` is the read version at which the answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To a hello.
    Hello(HelloReply),
    /// To a ping: its bytes.
    Ping {
        /// As sent.
        payload: Bytes,
    },
    /// To a server info.
    ServerInfo(ServerInfo),
    /// To what needs no answer but that it was done: `Opcode` tells which.
    Done(Opcode),
    /// To a read version.
    ReadVersion {
        /// The newest.
        version: Version,
    },
    /// To a get.
    Get {
        /// When.
        version: Version,
        /// The value, if there is one.
        value: Option<VersionedValue>,
    },
    /// To a batch of gets, through a server-held transaction or not.
    GetBatch {
        /// Which of the two.
        opcode: Opcode,
        /// When.
        version: Version,
        /// The values in the order of the keys.
        values: Vec<Option<Bytes>>,
    },
    /// To a key selector, through a server-held transaction or not.
    GetKey {
        /// Which of the two.
        opcode: Opcode,
        /// When.
        version: Version,
        /// The key that it resolves to.
        key: Bytes,
    },
    /// To a range, through a server-held transaction or not: a chunk of it.
    GetRange {
        /// Which of the two.
        opcode: Opcode,
        /// When.
        version: Version,
        /// The rows, in the order asked for.
        rows: Vec<KeyValue>,
        /// Whether there may be more rows after these.
        more: bool,
    },
    /// To a size estimate.
    EstimateSize {
        /// About how many.
        bytes: u64,
    },
    /// To split points.
    SplitPoints {
        /// The keys, the range's own ends included.
        keys: Vec<Bytes>,
    },
    /// To a watch: the value has changed.
    Watch {
        /// The newest version when that was seen.
        version: Version,
    },
    /// To a pin.
    Pin {
        /// To unpin it by.
        pin: u64,
        /// The version that is held.
        version: Version,
    },
    /// To a commit that was decided, through a server-held transaction or not. A read-only one that
    /// a server-held transaction commits is `Committed` with version 0.
    Commit {
        /// Which of the two.
        opcode: Opcode,
        /// What became of it.
        result: CommitResult,
    },
    /// To the question what became of a commit.
    CommitStatus {
        /// What became of it; `None` if no commit with this id is remembered.
        result: Option<CommitResult>,
    },
    /// To the beginning of a server-held transaction.
    TxnBegin {
        /// To use it by.
        transaction: TransactionId,
        /// Its read version.
        version: Version,
        /// Milliseconds since 1970 at which it expires.
        expires_at_ms: u64,
    },
    /// To the start of a job: it runs.
    JobStart {
        /// Its number.
        job: u64,
    },
    /// To the question how jobs stand.
    Jobs {
        /// The one asked for, or all that are remembered, oldest first.
        jobs: Vec<Job>,
    },
    /// To anything that failed.
    Error(Error),
}

/// Why a frame is not a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// No response has this opcode.
    UnknownOpcode(u8),
    /// The payload is not that of this response.
    Malformed(u8, FieldError),
}

impl std::fmt::Display for ResponseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownOpcode(code) => write!(f, "no response has the opcode {code:#04x}"),
            Self::Malformed(code, error) => write!(f, "in the response {code:#04x}: {error}"),
        }
    }
}

impl std::error::Error for ResponseError {}

impl Response {
    /// The response's number on the wire.
    pub fn opcode(&self) -> u8 {
        match self {
            Self::Hello(_) => Opcode::Hello.response(),
            Self::Ping { .. } => Opcode::Ping.response(),
            Self::ServerInfo(_) => Opcode::ServerInfo.response(),
            Self::ReadVersion { .. } => Opcode::ReadVersion.response(),
            Self::Get { .. } => Opcode::Get.response(),
            Self::Done(opcode)
            | Self::GetBatch { opcode, .. }
            | Self::GetKey { opcode, .. }
            | Self::GetRange { opcode, .. }
            | Self::Commit { opcode, .. } => opcode.response(),
            Self::EstimateSize { .. } => Opcode::EstimateSize.response(),
            Self::SplitPoints { .. } => Opcode::SplitPoints.response(),
            Self::Watch { .. } => Opcode::Watch.response(),
            Self::Pin { .. } => Opcode::Pin.response(),
            Self::CommitStatus { .. } => Opcode::CommitStatus.response(),
            Self::TxnBegin { .. } => Opcode::TxnBegin.response(),
            Self::JobStart { .. } => Opcode::JobStart.response(),
            Self::Jobs { .. } => Opcode::Jobs.response(),
            Self::Error(_) => Opcode::ERROR,
        }
    }

    /// Appends the response as a frame and returns the length that the frame states; see
    /// [`write_frame`].
    pub fn write_frame(&self, buffer: &mut BytesMut, flags: Flags, request_id: u32) -> usize {
        write_frame(buffer, self.opcode(), flags, request_id, |buffer| self.write_fields(buffer))
    }

    /// Writes the payload's fields.
    pub fn write_fields<S: FieldSink>(&self, sink: &mut S) {
        match self {
            Self::Hello(reply) => reply.write(sink),
            Self::Ping { payload } => sink.bytes("payload", payload),
            Self::ServerInfo(info) => write_info(sink, info),
            Self::Done(_) => {}
            Self::ReadVersion { version } | Self::Watch { version } => {
                sink.u64("version", version.0);
            }
            Self::Get { version, value } => {
                let value = value.as_ref().map(|found| (found.version, found.value.as_ref()));
                write_get(sink, *version, value);
            }
            Self::GetBatch { version, values, .. } => {
                sink.u64("version", version.0);
                sink.list("values", values, |sink, value| {
                    sink.option("present", value.as_ref(), |sink, v| sink.bytes("value", v));
                });
            }
            Self::GetKey { version, key, .. } => {
                sink.u64("version", version.0);
                sink.bytes("key", key);
            }
            Self::GetRange { version, rows, more, .. } => {
                sink.u64("version", version.0);
                sink.bool("more", *more);
                sink.list("rows", rows, |sink, row| {
                    sink.bytes("key", &row.key);
                    sink.bytes("value", &row.value);
                });
            }
            Self::EstimateSize { bytes } => sink.u64("bytes", *bytes),
            Self::SplitPoints { keys } => {
                sink.list("keys", keys, |sink, key| sink.bytes("key", key));
            }
            Self::Pin { pin, version } => {
                sink.u64("pin", *pin);
                sink.u64("version", version.0);
            }
            Self::Commit { result, .. } => write_result(sink, result),
            Self::CommitStatus { result } => {
                sink.option("known", result.as_ref(), write_result);
            }
            Self::TxnBegin { transaction, version, expires_at_ms } => {
                sink.raw("transaction", transaction);
                sink.u64("version", version.0);
                sink.u64("expires_at_ms", *expires_at_ms);
            }
            Self::JobStart { job } => sink.u64("job", *job),
            Self::Jobs { jobs } => sink.list("jobs", jobs, |sink, job| job.write(sink)),
            Self::Error(error) => write_error(sink, error),
        }
    }

    /// Reads a response from a frame.
    pub fn decode(frame: Frame) -> Result<Self, ResponseError> {
        let code = frame.opcode;
        let mut fields = FieldReader::new(frame.payload);
        let response = if code == Opcode::ERROR {
            read_error(&mut fields).map(Self::Error)
        } else {
            let opcode = (code & Opcode::RESPONSE != 0)
                .then(|| Opcode::from_code(code & !Opcode::RESPONSE))
                .flatten()
                .ok_or(ResponseError::UnknownOpcode(code))?;
            Self::read(opcode, &mut fields)
        };
        response
            .and_then(|response| fields.finish().map(|()| response))
            .map_err(|error| ResponseError::Malformed(code, error))
    }

    fn read(opcode: Opcode, fields: &mut FieldReader) -> Result<Self, FieldError> {
        Ok(match opcode {
            Opcode::Hello => Self::Hello(HelloReply::read(fields)?),
            Opcode::Ping => Self::Ping { payload: fields.bytes("payload")? },
            Opcode::ServerInfo => Self::ServerInfo(read_info(fields)?),
            Opcode::Cancel
            | Opcode::Unpin
            | Opcode::TxnWrite
            | Opcode::TxnAddConflict
            | Opcode::TxnAbort
            | Opcode::JobCancel => Self::Done(opcode),
            Opcode::ReadVersion => Self::ReadVersion { version: read_version(fields, "version")? },
            Opcode::Get => Self::Get {
                version: read_version(fields, "version")?,
                value: fields.option("present", |fields| {
                    Ok(VersionedValue {
                        version: read_version(fields, "written_at")?,
                        value: fields.bytes("value")?,
                    })
                })?,
            },
            Opcode::GetBatch | Opcode::TxnGet => Self::GetBatch {
                opcode,
                version: read_version(fields, "version")?,
                values: fields.list("values", 1, |fields| {
                    fields.option("present", |fields| fields.bytes("value"))
                })?,
            },
            Opcode::GetKey | Opcode::TxnGetKey => Self::GetKey {
                opcode,
                version: read_version(fields, "version")?,
                key: fields.bytes("key")?,
            },
            Opcode::GetRange | Opcode::TxnGetRange => Self::GetRange {
                opcode,
                version: read_version(fields, "version")?,
                more: fields.bool("more")?,
                rows: fields.list("rows", 8, |fields| {
                    Ok(KeyValue { key: fields.bytes("key")?, value: fields.bytes("value")? })
                })?,
            },
            Opcode::EstimateSize => Self::EstimateSize { bytes: fields.u64("bytes")? },
            Opcode::SplitPoints => {
                Self::SplitPoints { keys: fields.list("keys", 4, |fields| fields.bytes("key"))? }
            }
            Opcode::Watch => Self::Watch { version: read_version(fields, "version")? },
            Opcode::Pin => {
                Self::Pin { pin: fields.u64("pin")?, version: read_version(fields, "version")? }
            }
            Opcode::Commit | Opcode::TxnCommit => {
                Self::Commit { opcode, result: read_result(fields)? }
            }
            Opcode::CommitStatus => {
                Self::CommitStatus { result: fields.option("known", read_result)? }
            }
            Opcode::TxnBegin => Self::TxnBegin {
                transaction: fields.array("transaction")?,
                version: read_version(fields, "version")?,
                expires_at_ms: fields.u64("expires_at_ms")?,
            },
            Opcode::JobStart => Self::JobStart { job: fields.u64("job")? },
            Opcode::Jobs => Self::Jobs { jobs: fields.list("jobs", JOB_BYTES_MIN, Job::read)? },
        })
    }
}

/// Writes the fields of a get's answer from a borrowed value, so that a server need not own it.
pub fn write_get<S: FieldSink>(sink: &mut S, version: Version, value: Option<(Version, &[u8])>) {
    sink.u64("version", version.0);
    sink.option("present", value.as_ref(), |sink, (written_at, value)| {
        sink.u64("written_at", written_at.0);
        sink.bytes("value", value);
    });
}

fn read_version(fields: &mut FieldReader, field: &'static str) -> Result<Version, FieldError> {
    match fields.u64(field)? {
        value if value <= Version::MAX.0 => Ok(Version(value)),
        value => Err(FieldError::Invalid { field, value }),
    }
}

fn write_info<S: FieldSink>(sink: &mut S, info: &ServerInfo) {
    sink.bytes("server_version", &info.server_version);
    sink.u64("uptime_seconds", info.uptime_seconds);
    sink.list("features", &info.features, |sink, name| sink.bytes("feature", name));
    sink.list("statistics", &info.statistics, |sink, (name, value)| {
        sink.bytes("name", name);
        sink.u64("value", *value);
    });
}

fn read_info(fields: &mut FieldReader) -> Result<ServerInfo, FieldError> {
    Ok(ServerInfo {
        server_version: fields.bytes("server_version")?,
        uptime_seconds: fields.u64("uptime_seconds")?,
        features: fields.list("features", 4, |fields| fields.bytes("feature"))?,
        statistics: fields
            .list("statistics", 12, |fields| Ok((fields.bytes("name")?, fields.u64("value")?)))?,
    })
}

fn write_result<S: FieldSink>(sink: &mut S, result: &CommitResult) {
    match result {
        CommitResult::Committed { version, order } => {
            sink.u8("result", 0);
            sink.u64("version", version.0);
            sink.u16("order", *order);
        }
        CommitResult::Conflicted { read_conflicts } => {
            sink.u8("result", 1);
            sink.list("read_conflicts", read_conflicts, |sink, index| sink.u32("index", *index));
        }
    }
}

fn read_result(fields: &mut FieldReader) -> Result<CommitResult, FieldError> {
    match fields.u8("result")? {
        0 => Ok(CommitResult::Committed {
            version: read_version(fields, "version")?,
            order: fields.u16("order")?,
        }),
        1 => Ok(CommitResult::Conflicted {
            read_conflicts: fields.list("read_conflicts", 4, |fields| fields.u32("index"))?,
        }),
        value => Err(FieldError::Invalid { field: "result", value: value.into() }),
    }
}

fn write_error<S: FieldSink>(sink: &mut S, error: &Error) {
    let mut end = error.message.len().min(ERROR_MESSAGE_BYTES_MAX);
    while !error.message.is_char_boundary(end) {
        end -= 1;
    }
    sink.u16("code", error.code.0);
    sink.bool("is_retryable", error.code.is_retryable());
    sink.bool("is_maybe_committed", error.code.is_maybe_committed());
    sink.bytes("message", error.message.get(..end).unwrap_or_default().as_bytes());
}

fn read_error(fields: &mut FieldReader) -> Result<Error, FieldError> {
    let code = ErrorCode(fields.u16("code")?);
    fields.bool("is_retryable")?;
    fields.bool("is_maybe_committed")?;
    let message = fields.bytes("message")?;
    Ok(Error::new(code, String::from_utf8_lossy(&message).into_owned()))
}
