//! Watches: requests that are answered when something changes.

use std::sync::Arc;

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, KeyspaceId, Version, response::Response};

use super::Session;
use crate::{
    engine::WatchHandle,
    server::mailbox::{Event, ReplyTo},
};

/// A watch that waits.
pub(super) struct Watching {
    pub(super) to: ReplyTo,
    serial: u64,
    /// Ends the watch when it is dropped.
    _handle: WatchHandle,
}

impl Session {
    /// Begins a watch.
    pub(super) fn begin_watch(
        &mut self,
        to: ReplyTo,
        version: Version,
        (keyspace, key): (KeyspaceId, &Bytes),
        value: Option<&Bytes>,
    ) {
        let watches_max = self.context.limits.watches_max;
        if self.watches.len() >= watches_max {
            let text = format!("the connection has {watches_max} watches, which is the limit");
            return self.answer_error(to, Error::new(ErrorCode::TOO_MANY_WATCHES, text));
        }
        if self.watches.contains_key(&to.request_id) {
            let text = format!("the request id {} is that of a watch that waits", to.request_id);
            return self.answer_error(to, Error::new(ErrorCode::CLIENT_INVALID_OPERATION, text));
        }
        self.watch_serial += 1;
        let (request_id, serial) = (to.request_id, self.watch_serial);
        let mailbox = Arc::clone(&self.mailbox);
        let notify = move |outcome| mailbox.send(Event::Watched { request_id, serial, outcome });
        let engine = &self.context.engine;
        let known = value.map(AsRef::as_ref);
        match engine.try_watch(version, keyspace, key, known, Box::new(notify)) {
            Ok((handle, unchecked)) => {
                self.watches.insert(request_id, Watching { to, serial, _handle: handle });
                if let Some(unchecked) = unchecked {
                    self.check_watch_aside(unchecked);
                }
            }
            Err(error) => self.answer_error(to, error),
        }
    }

    /// Answers a watch that fired or ended, unless it was cancelled meanwhile.
    pub(super) fn answer_watch(
        &mut self,
        request_id: u32,
        serial: u64,
        outcome: Result<Version, Error>,
    ) {
        let is_known =
            self.watches.get(&request_id).is_some_and(|watching| watching.serial == serial);
        if !is_known {
            return;
        }
        if let Some(to) = self.remove_watch(request_id) {
            match outcome {
                Ok(version) => self.answer(to, &Response::Watch { version }),
                Err(error) => self.answer_error(to, error),
            }
        }
    }

    /// Ends a watch, if it is still there.
    pub(super) fn cancel_watch(&mut self, request_id: u32) {
        if let Some(to) = self.remove_watch(request_id) {
            self.answer_error(to, ErrorCode::OPERATION_CANCELLED.into());
        }
    }

    fn remove_watch(&mut self, request_id: u32) -> Option<ReplyTo> {
        self.watches.remove(&request_id).map(|watching| watching.to)
    }
}
