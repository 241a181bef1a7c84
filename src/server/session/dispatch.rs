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
    engine::{CommitSink, Engine},
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
                Ok(Response::EstimateSize { bytes: engine.estimate_size(keyspace, &range) })
            }),
            Request::SplitPoints { keyspace, range, chunk_bytes } => {
                self.work_aside(to, move |engine| {
                    let keys = engine.split_points(keyspace, &range, chunk_bytes);
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

    /// Answers a read whose version exists.
    fn read(&mut self, view: &mut View<'_>, to: ReplyTo, version: Version, request: &Request) {
        self.tally.reads += 1;
        let output = &mut self.wire.output;
        let frame_bytes_max = self.context.protocol.frame_bytes_max;
        let outcome = match request {
            Request::Get { keyspace, key, .. } => {
                read::answer_get(view, output, to, version, *keyspace, key)
            }
            Request::GetBatch { keyspace, keys, .. } if keys.len() <= KEYS_INLINE_MAX => {
                let place = (version, *keyspace);
                read::answer_get_batch(view, output, to, place, keys, frame_bytes_max)
            }
            Request::GetKey { keyspace, selector, end, .. }
                if selector.offset.unsigned_abs() <= SELECTOR_STEPS_INLINE_MAX =>
            {
                let reader = view.reader();
                let key = reader.get_key(*keyspace, selector, end, version);
                match key {
                    Ok(key) => {
                        let opcode = Opcode::GetKey;
                        self.answer(to, &Response::GetKey { opcode, version, key });
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Request::GetRange { keyspace, range, options, .. } => {
                let (keyspace, range, options) = (*keyspace, range.clone(), *options);
                self.begin_range(view, RangeStream { to, version, keyspace, range, options });
                Ok(())
            }
            long => {
                let request = long.clone();
                self.work_aside(to, move |engine| {
                    read_aside(engine, version, request, frame_bytes_max)
                });
                Ok(())
            }
        };
        if let Err(error) = outcome {
            self.answer_error(to, error);
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
        match self.context.engine.submit(commit, sink, to.token()) {
            Ok(()) => self.in_flight += 1,
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

/// Answers a read that takes long.
fn read_aside(
    engine: &Engine,
    version: Version,
    request: Request,
    frame_bytes_max: usize,
) -> Result<Response, Error> {
    let reader = engine.reader();
    match request {
        Request::GetBatch { keyspace, keys, .. } => {
            let (mut values, mut bytes) = (Vec::with_capacity(keys.len()), 64);
            for key in keys {
                let value = reader.get(keyspace, &key, version)?;
                bytes += 5 + value.map_or(0, |found| found.value.len());
                if bytes > frame_bytes_max {
                    return Err(read::too_large(frame_bytes_max));
                }
                values.push(value.map(|found| Bytes::copy_from_slice(found.value)));
            }
            Ok(Response::GetBatch { opcode: Opcode::GetBatch, version, values })
        }
        Request::GetKey { keyspace, selector, end, .. } => {
            let key = reader.get_key(keyspace, &selector, &end, version)?;
            Ok(Response::GetKey { opcode: Opcode::GetKey, version, key })
        }
        other => {
            let text = format!("the request {:?} is not one that takes long", other.opcode());
            Err(Error::new(ErrorCode::INTERNAL_ERROR, text))
        }
    }
}
