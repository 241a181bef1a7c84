//! What comes to a connection's task from elsewhere: outcomes of commits, fired watches, finished
//! work, the order to stop.
//!
//! One small locked vector and one waker. The commit pipeline pushes every outcome of a batch and
//! wakes once, by way of the [`Relay`]; the task swaps the whole vector out under the lock, so nothing is allocated or
//! signalled for a single commit. What can lie here is bounded by what the connection may have
//! under way. A letter to a connection that is gone is dropped with the mailbox.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use plinth_protocol::{
    CommitResult, Error, Version, frame::Flags, request::Request, response::Response,
};

use super::{
    relay::Relay,
    session::{Done, Whose},
    statistics::Counts,
};
use crate::engine::CommitSink;

/// To which request an answer goes, and how its frame is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyTo {
    pub(super) request_id: u32,
    pub(super) flags: Flags,
}

impl ReplyTo {
    /// As the token of a commit.
    pub(super) fn token(self) -> u64 {
        u64::from(self.flags.0) << 32 | u64::from(self.request_id)
    }

    fn from_token(token: u64) -> Self {
        Self { request_id: token as u32, flags: Flags((token >> 32) as u8) }
    }
}

/// Something that happened elsewhere.
#[derive(Debug)]
pub(super) enum Event {
    /// A commit was decided.
    Committed { to: ReplyTo, outcome: Result<CommitResult, Error> },
    /// A watch fired or ended. The serial tells it from an earlier one with the same request id.
    Watched { request_id: u32, serial: u64, outcome: Result<Version, Error> },
    /// Work that was done aside has an answer.
    Answered { to: ReplyTo, response: Response },
    /// What a blocking thread was asked for is done.
    Aside { whose: Whose, outcome: Result<Done, Error> },
    /// The version that a read waited for is there, or has taken too long.
    Again { to: ReplyTo, request: Request },
    /// The server stops.
    Stop,
}

#[derive(Debug, Default)]
struct Letters {
    events: Vec<Event>,
    waker: Option<Waker>,
}

/// Where a connection's task finds what happened elsewhere.
#[derive(Debug)]
pub(super) struct Mailbox {
    letters: Mutex<Letters>,
    relay: Arc<Relay>,
    /// What the connection has counted: its mailbox is what others know of it.
    pub(super) counts: Counts,
}

impl Mailbox {
    /// A mailbox whose task is woken by this relay when commits are decided.
    pub(super) fn new(relay: &Arc<Relay>) -> Self {
        Self { letters: Mutex::default(), relay: Arc::clone(relay), counts: Counts::default() }
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves an event and wakes the task.
    pub(super) fn send(&self, event: Event) {
        let waker = {
            let mut letters = self.letters();
            letters.events.push(event);
            letters.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Swaps what lies here into `events`, which must be empty; false if nothing does, and then the
    /// task is woken when something comes.
    pub(super) fn poll(&self, context: &mut Context<'_>, events: &mut Vec<Event>) -> bool {
        debug_assert!(events.is_empty(), "events would be lost");
        let mut letters = self.letters();
        if letters.events.is_empty() {
            match &mut letters.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            return false;
        }
        mem::swap(&mut letters.events, events);
        true
    }
}

impl CommitSink for Mailbox {
    fn push(&self, token: u64, outcome: Result<CommitResult, Error>) {
        self.letters().events.push(Event::Committed { to: ReplyTo::from_token(token), outcome });
    }

    fn wake(&self) {
        let waker = self.letters().waker.take();
        if let Some(waker) = waker {
            self.relay.leave(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_token_keeps_whom_the_answer_goes_to() {
        let to = ReplyTo { request_id: u32::MAX - 1, flags: Flags::CHECKSUM };
        assert_eq!(ReplyTo::from_token(to.token()), to);
    }

    #[test]
    fn a_batch_of_outcomes_wakes_the_task_once() {
        let relay = Arc::new(Relay::default());
        let mut relaying = pin!(relay.run());
        let mut pass_on = || {
            assert!(relaying.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        };
        let (mailbox, count) = (Mailbox::new(&relay), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut events = Vec::new();
        assert!(!mailbox.poll(&mut context, &mut events));
        for token in 0..3 {
            let committed = CommitResult::Committed { version: Version(token), order: 0 };
            mailbox.push(token, Ok(committed));
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        mailbox.wake();
        mailbox.wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        pass_on();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(mailbox.poll(&mut context, &mut events));
        assert_eq!(events.len(), 3);
        events.clear();
        assert!(!mailbox.poll(&mut context, &mut events));
        mailbox.send(Event::Stop);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }
}
