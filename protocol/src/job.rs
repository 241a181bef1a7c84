//! Jobs: long work that a server does in the background on somebody's request, such as a backup.

use bytes::Bytes;

use crate::{
    error::ErrorCode,
    field::{FieldError, FieldReader, FieldSink},
};

/// The least a job takes on the wire.
pub(crate) const JOB_BYTES_MIN: usize = 53;

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It is under way.
    Running,
    /// It has done what it was to do.
    Done,
    /// It has failed, with this code; the job's message has the particulars.
    Failed(ErrorCode),
    /// It was ended before it was done.
    Cancelled,
}

/// A job as its server tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number: greater than those of all jobs before, since the server's start.
    pub number: u64,
    /// What it does, such as `backup`.
    pub kind: Bytes,
    /// What it was started with, such as the backup's name.
    pub argument: Bytes,
    /// How it stands.
    pub state: JobState,
    /// Milliseconds since 1970 at which it was started.
    pub started_at_ms: u64,
    /// Milliseconds since 1970 at which it ended; 0 while it runs.
    pub ended_at_ms: u64,
    /// How many bytes it has worked through.
    pub done_bytes: u64,
    /// How many bytes there are to work through, as far as is known; 0 while it isn't.
    pub total_bytes: u64,
    /// What came of it, in UTF-8, for people; empty while it runs.
    pub message: Bytes,
}

impl Job {
    /// Writes its fields.
    pub(crate) fn write<S: FieldSink>(&self, sink: &mut S) {
        sink.u64("job", self.number);
        sink.bytes("kind", &self.kind);
        sink.bytes("argument", &self.argument);
        match self.state {
            JobState::Running => sink.u8("state", 0),
            JobState::Done => sink.u8("state", 1),
            JobState::Failed(code) => {
                sink.u8("state", 2);
                sink.u16("code", code.0);
            }
            JobState::Cancelled => sink.u8("state", 3),
        }
        sink.u64("started_at_ms", self.started_at_ms);
        sink.u64("ended_at_ms", self.ended_at_ms);
        sink.u64("done_bytes", self.done_bytes);
        sink.u64("total_bytes", self.total_bytes);
        sink.bytes("message", &self.message);
    }

    /// Reads its fields.
    pub(crate) fn read(fields: &mut FieldReader) -> Result<Self, FieldError> {
        Ok(Self {
            number: fields.u64("job")?,
            kind: fields.bytes("kind")?,
            argument: fields.bytes("argument")?,
            state: match fields.u8("state")? {
                0 => JobState::Running,
                1 => JobState::Done,
                2 => JobState::Failed(ErrorCode(fields.u16("code")?)),
                3 => JobState::Cancelled,
                value => return Err(FieldError::Invalid { field: "state", value: value.into() }),
            },
            started_at_ms: fields.u64("started_at_ms")?,
            ended_at_ms: fields.u64("ended_at_ms")?,
            done_bytes: fields.u64("done_bytes")?,
            total_bytes: fields.u64("total_bytes")?,
            message: fields.bytes("message")?,
        })
    }
}
