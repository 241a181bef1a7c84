//! What a session does aside of its rounds: waits, and work that takes long.
//!
//! Each is a task of the session's own that ends in a letter to its mailbox; all of them end with
//! the session. They count as in flight, so there are no more of them than requests may be.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use plinth_protocol::{Error, Version, request::Request, response::Response};
use tokio::time::{Instant, sleep};

use super::Session;
use crate::{
    engine::Engine,
    server::mailbox::{Event, ReplyTo},
};

/// How long a read waits for a version that doesn't exist yet, and how often it looks.
const VERSION_WAIT: Duration = Duration::from_secs(1);
const VERSION_LOOK: Duration = Duration::from_millis(5);

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
        let (engine, mailbox) = (self.context.engine.clone(), Arc::clone(&self.mailbox));
        self.in_flight += 1;
        self.work.spawn_blocking(move || {
            let response = work(&engine).unwrap_or_else(Response::Error);
            mailbox.send(Event::Answered { to, response });
        });
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
