//! Requests to the rooms that answer them.

use std::sync::Arc;

use bytes::Bytes;
use plinth_protocol::{
    Commit, CommitResult, Error, ErrorCode, Version,
    frame::Frame,
    request::{Opcode, Request},
    response::Response,
};

use super::{Closing, Session, range::RangeStream, read, view::View};
use crate::{
    aside::Because,
    engine::{CommitSink, NotRead},
    server::mailbox::ReplyTo,
};

/// The most keys of a batch that are read on the spot; more are read aside.
const KEYS_INLINE_MAX: usize = 1024;

/// The longest way of a key selector that is gone on the spot; longer ones are gone aside.
const SELECTOR_STEPS_INLINE_MAX: u32 = 4096;

impl Session {
    /// Answers a frame, or begins to. Only what can't be trusted any more closes the connection.
    pub(super) fn take_request(
        &mut self,
        view: &mut View<'_>,
        to: ReplyTo,
        frame: Frame,
    ) -> Result<(), Closing> {
        let payload = if keeps_payload(frame.opcode) {
            Bytes::copy_from_slice(&frame.payload)
        } else {
            frame.payload
        };
        let request = match Request::decode(frame.opcode, payload) {
            Ok(request) => request,
            Err(error) => {
                self.answer_error(to, Error::new(error.code(), error.to_string()));
                return Ok(());
            }
        };
        match request {
            Request::Hello(_) => {
                let text = "a connection says hello once";
                return Err(Closing::With(to, Error::new(ErrorCode::PROTOCOL_VIOLATION, text)));
            }
            Request::Ping { payload } => self.answer(to, &Response::Ping { payload }),
            Request::ServerInfo => {
                let info = self.context.info();
                self.answer(to, &Response::ServerInfo(info));
            }
            Request::Cancel { request_id } => {
                self.cancel_watch(request_id);
                self.cancel_stream(request_id);
                self.answer(to, &Response::Done(Opcode::Cancel));
            }
            Request::ReadVersion => {
                let version = view.newest();
                self.answer(to, &Response::ReadVersion { version });
            }
            Request::Pin { version } => self.pin(to, version),
            Request::Unpin { pin } => self.unpin(to, pin),
            Request::Commit(commit) => self.begin_commit(to, commit),
            Request::CommitStatus { idempotency_id } => {
                let result = self.context.engine.commit_status(&idempotency_id);
                self.answer(to, &Response::CommitStatus { result });
            }
            Request::EstimateSize { keyspace, range } => self.work_aside(to, move |engine| {
                Ok(Response::EstimateSize { bytes: engine.estimate_size(keyspace, &range)? })
            }),
            Request::SplitPoints { keyspace, range, chunk_bytes } => {
                self.work_aside(to, move |engine| {
                    let keys = engine.split_points(keyspace, &range, chunk_bytes)?;
                    Ok(Response::SplitPoints { keys })
                });
            }
            Request::Get { version, .. }
            | Request::GetBatch { version, .. }
            | Request::GetKey { version, .. }
            | Request::GetRange { version, .. } => {
                let newest = view.newest();
                match version {
                    Some(version) if version > newest => {
                        self.wait_for_version(to, version, request);
                    }
                    version => self.read(view, to, version.unwrap_or(newest), &request),
                }
            }
            Request::Watch { version, .. } if version > view.newest() => {
                self.wait_for_version(to, version, request);
            }
            Request::Watch { version, keyspace, key, value } => {
                self.begin_watch(to, version, (keyspace, &key), value.as_ref());
            }
            Request::TxnBegin { .. }
            | Request::TxnGet { .. }
            | Request::TxnGetKey { .. }
            | Request::TxnGetRange { .. }
            | Request::TxnWrite { .. }
            | Request::TxnAddConflict { .. }
            | Request::TxnCommit { .. }
            | Request::TxnAbort { .. } => {
                let context = Arc::clone(&self.context);
                self.answer_later(to, async move { context.held.answer(request).await });
            }
            Request::JobStart { .. } | Request::Jobs { .. } | Request::JobCancel { .. } => {
                let context = Arc::clone(&self.context);
                self.work_aside(to, move |_| context.jobs.answer(&request));
            }
        }
        Ok(())
    }

    /// Answers a read whose version exists: at once if it is short and the answer is in memory,
    /// else when a blocking thread has it.
    fn read(&mut self, view: &mut View<'_>, to: ReplyTo, version: Version, request: &Request) {
        self.wire.tally.reads += 1;
        if let Request::GetRange { keyspace, range, options, .. } = request
            && options.streams
        {
            let (keyspace, range, options) = (*keyspace, range.clone(), *options);
            return self.begin_stream(RangeStream { to, version, keyspace, range, options });
        }
        if is_long(request) {
            return self.read_aside(Because::Long, to, version, request);
        }
        let frame_bytes_max = self.context.protocol.frame_bytes_max;
        let output = &mut self.wire.output;
        match read::answer(view.reader(), output, to, version, request, frame_bytes_max) {
            Ok(()) => {}
            Err(NotRead::Cold) => self.read_aside(Because::Cold, to, version, request),
            Err(NotRead::Failed(error)) => self.answer_error(to, error),
        }
    }

    /// Answers a request that waited for its version: by now it is there, or never comes.
    pub(super) fn read_again(&mut self, view: &mut View<'_>, to: ReplyTo, request: &Request) {
        let version = match request {
            Request::Get { version, .. }
            | Request::GetBatch { version, .. }
            | Request::GetKey { version, .. }
            | Request::GetRange { version, .. } => *version,
            Request::Watch { version, .. } => Some(*version),
            _ => None,
        };
        let newest = view.newest();
        match (version, request) {
            (Some(version), _) if version > newest => {
                let text = format!(
                    "version {version} does not exist; the newest is {newest}: use a version \
                     that this server has handed out"
                );
                self.answer_error(to, Error::new(ErrorCode::FUTURE_VERSION, text));
            }
            (Some(version), Request::Watch { keyspace, key, value, .. }) => {
                self.begin_watch(to, version, (*keyspace, key), value.as_ref());
            }
            (version, request) => self.read(view, to, version.unwrap_or(newest), request),
        }
    }

    fn pin(&mut self, to: ReplyTo, version: Option<Version>) {
        let pins_max = self.context.limits.pins_max;
        if self.pins.len() >= pins_max {
            let text = format!("the connection has {pins_max} pinned snapshots, the limit");
            return self.answer_error(to, Error::new(ErrorCode::TOO_MANY_PINS, text));
        }
        match self.context.engine.pin(version) {
            Ok(pinned) => {
                self.pin_serial += 1;
                let (pin, version) = (self.pin_serial, pinned.version());
                self.pins.insert(pin, pinned);
                self.answer(to, &Response::Pin { pin, version });
            }
            Err(error) => self.answer_error(to, error),
        }
    }

    fn unpin(&mut self, to: ReplyTo, pin: u64) {
        if self.pins.remove(&pin).is_none() {
            let text = format!("this connection has no pinned snapshot {pin}");
            return self.answer_error(to, Error::new(ErrorCode::PIN_NOT_FOUND, text));
        }
        self.answer(to, &Response::Done(Opcode::Unpin));
    }

    fn begin_commit(&mut self, to: ReplyTo, commit: Commit) {
        let sink: Arc<dyn CommitSink> = Arc::<super::Mailbox>::clone(&self.mailbox);
        match self.context.engine.line_up(commit, sink, to.token()) {
            Ok(()) => {
                self.in_flight += 1;
                if !self.context.engine.drive_early() {
                    self.worker.drive.soon();
                }
            }
            Err((_, error)) => self.answer_error(to, error),
        }
    }

    pub(super) fn answer_commit(&mut self, to: ReplyTo, outcome: Result<CommitResult, Error>) {
        match outcome {
            Ok(result) => self.answer(to, &Response::Commit { opcode: Opcode::Commit, result }),
            Err(error) => self.answer_error(to, error),
        }
    }
}

/// Whether what the request brings outlives the round, so that it must not keep the whole buffer
/// alive in which it came.
fn keeps_payload(opcode: u8) -> bool {
    [Opcode::TxnWrite, Opcode::TxnAddConflict, Opcode::TxnGet, Opcode::TxnGetKey]
        .into_iter()
        .chain([Opcode::TxnGetRange])
        .any(|kept| kept as u8 == opcode)
}

/// Whether a read takes so long that it must not be done on the spot.
fn is_long(request: &Request) -> bool {
    match request {
        Request::GetBatch { keys, .. } => keys.len() > KEYS_INLINE_MAX,
        Request::GetKey { selector, .. } => {
            selector.offset.unsigned_abs() > SELECTOR_STEPS_INLINE_MAX
        }
        _ => false,
    }
}
