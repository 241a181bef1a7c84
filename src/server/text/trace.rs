//! Traces: the binary protocol's frames, shown to people.
//!
//! [`Traced`] stands between a session and its backend and notes, while the trace is on, what the
//! session asks of the backend. So the trace shows the very requests that a client of the binary
//! protocol would have sent, and shows nothing where nothing is sent: a write within a transaction
//! stays with the client until the commit. While the trace is off it costs one load a request.

use std::{
    fmt::Write as _,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use plinth_client::{Backend, RangeChunk, Read, Snapshot};
use plinth_protocol::{
    Commit, CommitResult, Error, KeyRange, KeySelector, KeyspaceId, Version,
    field::{FieldTrace, TracedField},
    limits::{FRAME_HEADER_BYTES, Limits},
    request::{RangeOptions, Request},
    response::VersionedValue,
};

use super::escape::escape_into;

/// The most requests that are kept for one line; of more, only their number.
const REQUESTS_MAX: usize = 16;

/// The most bytes of a field that are shown.
const FIELD_BYTES_MAX: usize = 256;

/// Bytes of a field on one line.
const LINE_BYTES: usize = 16;

/// What a session has asked since it was last looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Recorder>);

#[derive(Debug, Default)]
struct Recorder {
    is_on: AtomicBool,
    recorded: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    requests: Vec<Request>,
    left_out: usize,
}

impl Trace {
    /// Begins or ends to take notes.
    pub(crate) fn switch(&self, on: bool) {
        self.0.is_on.store(on, Ordering::Relaxed);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Relaxed)
    }

    /// Notes a request, if the trace is on.
    pub(crate) fn record(&self, request: impl FnOnce() -> Request) {
        if !self.is_on() {
            return;
        }
        let mut recorded = self.0.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.requests.len() < REQUESTS_MAX {
            recorded.requests.push(request());
        } else {
            recorded.left_out += 1;
        }
    }

    /// What was noted since the last call, as lines that begin with `#`; requests are numbered on
    /// from `request_id`.
    pub(crate) fn take(&self, request_id: &mut u32) -> String {
        let recorded = {
            let mut recorded = self.0.recorded.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *recorded)
        };
        let mut text = String::new();
        for request in &recorded.requests {
            *request_id = request_id.wrapping_add(1);
            annotate(&mut text, request, *request_id);
        }
        if recorded.left_out > 0 {
            let _ = writeln!(text, "# and {} more requests", recorded.left_out);
        }
        text
    }
}

/// Appends a request's frame, a field a line: bytes in hex, name, value.
fn annotate(text: &mut String, request: &Request, request_id: u32) {
    let mut payload = FieldTrace::default();
    request.write_fields(&mut payload);
    let payload_bytes: usize = payload.fields.iter().map(|field| field.bytes.len()).sum();
    let length = (FRAME_HEADER_BYTES + payload_bytes) as u32;
    let opcode = request.opcode();
    let _ = writeln!(text, "# {opcode:?}: a frame of {} bytes", 4 + length);
    show(text, &length.to_be_bytes(), format_args!("length = {length}"));
    show(text, &[opcode as u8], format_args!("opcode = {opcode:?}"));
    show(text, &[0], format_args!("flags = 0"));
    show(text, &request_id.to_be_bytes(), format_args!("request_id = {request_id}"));
    for TracedField { name, bytes, number } in &payload.fields {
        if let Some(number) = number {
            show(text, bytes, format_args!("{name} = {number}"));
            continue;
        }
        let mut value = String::new();
        escape_into(&mut value, bytes.get(..FIELD_BYTES_MAX).unwrap_or(bytes));
        let end = if bytes.len() > FIELD_BYTES_MAX { "…" } else { "" };
        show(text, bytes, format_args!("{name} = \"{value}\"{end}"));
    }
}

fn show(text: &mut String, bytes: &[u8], meaning: std::fmt::Arguments<'_>) {
    let shown = bytes.get(..FIELD_BYTES_MAX).unwrap_or(bytes);
    let mut lines = shown.chunks(LINE_BYTES);
    let hex = |line: &[u8]| line.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let _ = writeln!(text, "#   {:<32}  {meaning}", hex(lines.next().unwrap_or_default()));
    for line in lines {
        let _ = writeln!(text, "#   {}", hex(line));
    }
    if shown.len() < bytes.len() {
        let _ = writeln!(text, "#   … and {} more bytes", bytes.len() - shown.len());
    }
}

/// A backend whose requests are noted in a [`Trace`].
#[derive(Clone, Debug)]
pub struct Traced<B> {
    inner: B,
    trace: Trace,
}

impl<B> Traced<B> {
    pub(crate) fn new(inner: B, trace: Trace) -> Self {
        Self { inner, trace }
    }
}

fn version_of<S: Snapshot>(at: Option<&S>) -> Option<Version> {
    at.map(Snapshot::version)
}

impl<B: Backend> Backend for Traced<B> {
    type Snapshot = B::Snapshot;

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn may_lose_answers(&self) -> bool {
        self.inner.may_lose_answers()
    }

    fn snapshot_at(&self, version: Version) -> Self::Snapshot {
        self.inner.snapshot_at(version)
    }

    fn read_version(&self) -> impl Future<Output = Result<Self::Snapshot, Error>> + Send {
        self.trace.record(|| Request::ReadVersion);
        self.inner.read_version()
    }

    fn pin(
        &self,
        version: Option<Version>,
    ) -> impl Future<Output = Result<Self::Snapshot, Error>> + Send {
        self.trace.record(|| Request::Pin { version });
        self.inner.pin(version)
    }

    fn get(
        &self,
        at: Option<&Self::Snapshot>,
        keyspace: KeyspaceId,
        key: Bytes,
    ) -> impl Future<Output = Result<Read<Option<VersionedValue>, Self::Snapshot>, Error>> + Send
    {
        let version = version_of(at);
        self.trace.record(|| Request::Get { version, keyspace, key: key.clone() });
        self.inner.get(at, keyspace, key)
    }

    fn get_key(
        &self,
        at: Option<&Self::Snapshot>,
        keyspace: KeyspaceId,
        selector: KeySelector,
        end: Bytes,
    ) -> impl Future<Output = Result<Read<Bytes, Self::Snapshot>, Error>> + Send {
        self.trace.record(|| Request::GetKey {
            version: version_of(at),
            keyspace,
            selector: selector.clone(),
            end: end.clone(),
        });
        self.inner.get_key(at, keyspace, selector, end)
    }

    fn get_range(
        &self,
        at: Option<&Self::Snapshot>,
        keyspace: KeyspaceId,
        range: KeyRange,
        options: RangeOptions,
    ) -> impl Future<Output = Result<Read<RangeChunk, Self::Snapshot>, Error>> + Send {
        self.trace.record(|| Request::GetRange {
            version: version_of(at),
            keyspace,
            range: range.clone(),
            options,
        });
        self.inner.get_range(at, keyspace, range, options)
    }

    fn commit(
        &self,
        at: Option<&Self::Snapshot>,
        commit: Commit,
    ) -> impl Future<Output = Result<CommitResult, Error>> + Send {
        self.trace.record(|| Request::Commit(commit.clone()));
        self.inner.commit(at, commit)
    }

    fn commit_status(
        &self,
        idempotency_id: Bytes,
    ) -> impl Future<Output = Result<Option<CommitResult>, Error>> + Send {
        self.trace.record(|| Request::CommitStatus { idempotency_id: idempotency_id.clone() });
        self.inner.commit_status(idempotency_id)
    }

    fn watch(
        &self,
        version: Version,
        keyspace: KeyspaceId,
        key: Bytes,
        value: Option<Bytes>,
    ) -> impl Future<Output = Result<Version, Error>> + Send {
        self.trace.record(|| Request::Watch {
            version,
            keyspace,
            key: key.clone(),
            value: value.clone(),
        });
        self.inner.watch(version, keyspace, key, value)
    }

    fn estimate_size(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
    ) -> impl Future<Output = Result<u64, Error>> + Send {
        self.trace.record(|| Request::EstimateSize { keyspace, range: range.clone() });
        self.inner.estimate_size(keyspace, range)
    }

    fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
        chunk_bytes: u64,
    ) -> impl Future<Output = Result<Vec<Bytes>, Error>> + Send {
        self.trace.record(|| Request::SplitPoints { keyspace, range: range.clone(), chunk_bytes });
        self.inner.split_points(keyspace, range, chunk_bytes)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use plinth_protocol::frame::Flags;

    use super::*;

    fn get(key: &'static [u8]) -> Request {
        Request::Get { version: None, keyspace: KeyspaceId::DEFAULT, key: Bytes::from_static(key) }
    }

    #[test]
    fn a_frame_is_shown_field_by_field() {
        let trace = Trace::default();
        trace.record(|| get(b"unseen"));
        trace.switch(true);
        trace.record(|| get(b"k\n"));
        let expected = r#"# Get: a frame of 28 bytes
#   00000018                          length = 24
#   11                                opcode = Get
#   00                                flags = 0
#   00000001                          request_id = 1
#   0000000000000000                  version = 0
#   00000000                          keyspace = 0
#   00000002                          length = 2
#   6b0a                              key = "k\n"
"#;
        assert_eq!(trace.take(&mut 0), expected);
        assert_eq!(trace.take(&mut 0), "");
    }

    #[test]
    fn the_hex_of_a_trace_is_the_frame() {
        let request = get(b"a key that is longer than a line of sixteen bytes");
        let mut text = String::new();
        annotate(&mut text, &request, 7);
        let shown: String = text
            .lines()
            .skip(1)
            .filter_map(|line| line.trim_start_matches('#').split_whitespace().next())
            .collect();
        let mut frame = BytesMut::new();
        request.write_frame(&mut frame, Flags::NONE, 7);
        let expected = frame.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_trace_is_bounded() {
        let trace = Trace::default();
        trace.switch(true);
        for _ in 0..REQUESTS_MAX + 3 {
            trace.record(|| get(&[b'x'; 10_000]));
        }
        let text = trace.take(&mut 0);
        assert!(text.ends_with("# and 3 more requests\n"));
        assert!(text.contains("… and 9744 more bytes"));
        assert!(text.len() < 32 << 10);
    }
}
