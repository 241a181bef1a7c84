//! What a session does aside of its rounds: waits, reads from the disk, work that takes long.
//!
//! All of it ends in a letter to the session's mailbox, and ends with the session. Requests count as
//! in flight, so there are no more of them than requests may be. What needs a blocking thread lines
//! up here first: a session has few such threads at a time, and begins nothing while its output
//! is full, so that answers don't pile up which nobody reads.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use plinth_protocol::{Error, Version, request::Request, response::Response};
use tokio::time::{Instant, sleep};

use super::{Session, range::RangeStream, read};
use crate::{
    aside::Because,
    engine::{Engine, NotRead, UncheckedWatch},
    server::mailbox::{Event, ReplyTo},
};

/// How long a read waits for a version that doesn't exist yet, and how often it looks.
const VERSION_WAIT: Duration = Duration::from_secs(1);
const VERSION_LOOK: Duration = Duration::from_millis(5);

/// How much one session has done by blocking threads at a time.
const ASIDE_MAX: usize = 16;

type Work = Box<dyn FnOnce(&Engine) -> Result<Done, Error> + Send>;

/// Work that waits for a blocking thread.
pub(super) struct Queued {
    whose: Whose,
    because: Because,
    work: Work,
}

/// Whom an outcome is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Whose {
    /// A request's.
    Request(ReplyTo),
    /// A range stream's, by its serial number.
    Stream(u64),
    /// A watch's, which is told by itself.
    Watch,
}

/// What came of work aside.
#[derive(Debug)]
pub(in crate::server) enum Done {
    /// Answers, ready to be sent.
    Frames(BytesMut),
    /// An answer.
    Response(Response),
    /// A chunk of a stream, and how it goes on.
    Chunk(BytesMut, Option<RangeStream>),
    /// Nothing that belongs into the output.
    Nothing,
}

impl Session {
    /// Holds a read back until its version is there, or has taken too long.
    pub(super) fn wait_for_version(&mut self, to: ReplyTo, version: Version, request: Request) {
        let (engine, mailbox) = (self.context.engine.clone(), Arc::clone(&self.mailbox));
        self.in_flight += 1;
        self.work.spawn(async move {
            let due = Instant::now() + VERSION_WAIT;
            while engine.read_version() < version && Instant::now() < due {
                sleep(VERSION_LOOK).await;
            }
            mailbox.send(Event::Again { to, request });
        });
    }

    /// Has a blocking thread do what would keep other connections waiting.
    pub(super) fn work_aside(
        &mut self,
        to: ReplyTo,
        work: impl FnOnce(&Engine) -> Result<Response, Error> + Send + 'static,
    ) {
        let work = Box::new(|engine: &Engine| work(engine).map(Done::Response));
        self.line_up(Whose::Request(to), Because::Long, work);
    }

    /// Has a blocking thread answer a read.
    pub(super) fn read_aside(
        &mut self,
        because: Because,
        to: ReplyTo,
        version: Version,
        request: &Request,
    ) {
        let request = detached(request);
        let frame_bytes_max = self.context.protocol.frame_bytes_max;
        let work = move |engine: &Engine| {
            let (reader, mut output) = (engine.reader(), BytesMut::new());
            let reader = reader.as_try();
            read::answer(reader, &mut output, to, version, &request, frame_bytes_max)
                .map_err(NotRead::into_error)?;
            Ok(Done::Frames(output))
        };
        self.line_up(Whose::Request(to), because, Box::new(work));
    }

    /// Has a blocking thread read a stream's next chunk.
    pub(super) fn read_chunk_aside(&mut self, serial: u64, mut stream: RangeStream) {
        let work = move |engine: &Engine| {
            let (reader, mut output) = (engine.reader(), BytesMut::new());
            let goes_on =
                stream.answer_chunk(reader.as_try(), &mut output).map_err(NotRead::into_error)?;
            Ok(Done::Chunk(output, goes_on.then_some(stream)))
        };
        self.line_up(Whose::Stream(serial), Because::Cold, Box::new(work));
    }

    /// Has a blocking thread look at the key of a watch.
    pub(super) fn check_watch_aside(&mut self, unchecked: UncheckedWatch) {
        let work = |_: &Engine| {
            unchecked.check();
            Ok(Done::Nothing)
        };
        self.line_up(Whose::Watch, Because::Cold, Box::new(work));
    }

    fn line_up(&mut self, whose: Whose, because: Because, work: Work) {
        if let Whose::Request(_) = whose {
            self.in_flight += 1;
        }
        self.queued.push_back(Queued { whose, because, work });
    }

    /// Begins what is lined up, as far as it may be begun.
    pub(super) fn begin_queued(&mut self) {
        while self.aside_running < ASIDE_MAX
            && self.wire.output.len() < self.context.limits.output_bytes_max
            && let Some(Queued { whose, because, work }) = self.queued.pop_front()
        {
            self.aside_running += 1;
            let (aside, mailbox) = (Arc::clone(&self.context.aside), Arc::clone(&self.mailbox));
            self.work.spawn(async move {
                let outcome = aside.run(because, work).await;
                mailbox.send(Event::Aside { whose, outcome });
            });
        }
    }

    /// Takes what came of work aside.
    pub(super) fn take_aside(&mut self, whose: Whose, outcome: Result<Done, Error>) {
        self.aside_running -= 1;
        let to = match whose {
            Whose::Stream(serial) => return self.take_chunk(serial, outcome),
            Whose::Watch => return,
            Whose::Request(to) => to,
        };
        self.in_flight -= 1;
        match outcome {
            Ok(Done::Frames(frames) | Done::Chunk(frames, _)) => {
                self.wire.output.extend_from_slice(&frames);
            }
            Ok(Done::Response(response)) => self.answer(to, &response),
            Ok(Done::Nothing) => {}
            Err(error) => self.answer_error(to, error),
        }
    }

    /// Answers with what a future gives: at once if it doesn't have to wait, else when it is done.
    pub(super) fn answer_later<F>(&mut self, to: ReplyTo, future: F)
    where
        F: Future<Output = Result<Response, Error>> + Send + 'static,
    {
        let mut future: Pin<Box<F>> = Box::pin(future);
        // Whoever is polled again is woken by the waker of then.
        let first = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(outcome) = first {
            return self.answer(to, &outcome.unwrap_or_else(Response::Error));
        }
        let mailbox = Arc::clone(&self.mailbox);
        self.in_flight += 1;
        self.work.spawn(async move {
            let response = future.await.unwrap_or_else(Response::Error);
            mailbox.send(Event::Answered { to, response });
        });
    }
}

/// The request with a key of its own, so that it doesn't keep the whole buffer alive in which it
/// came. Batches are left as they are: the buffer is theirs, more or less.
fn detached(request: &Request) -> Request {
    let mut request = request.clone();
    match &mut request {
        Request::Get { key, .. } => *key = Bytes::copy_from_slice(key),
        Request::GetKey { selector, end, .. } => {
            selector.key = Bytes::copy_from_slice(&selector.key);
            *end = Bytes::copy_from_slice(end);
        }
        Request::GetRange { range, .. } => {
            range.begin = Bytes::copy_from_slice(&range.begin);
            range.end = Bytes::copy_from_slice(&range.end);
        }
        _ => {}
    }
    request
}
