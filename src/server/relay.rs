//! Wakes connections from the threads that commit, at the price of one wake-up for all of them.
//!
//! To wake a task from outside the runtime takes the lock of the runtime's common queue, and often a
//! system call. A batch of commits wakes as many connections as sent one, and the thread that syncs
//! the log would do all of that before it begins the next sync. So it leaves the connections' wakers
//! here and wakes only one task, the relay; that wakes the others from within the runtime, where it
//! is a push to the queue of its own thread.

use std::{
    convert::Infallible,
    future::poll_fn,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

#[derive(Debug, Default)]
struct Left {
    /// Whom to wake: each connection at most once between two times that it is polled.
    wakers: Vec<Waker>,
    /// The relay's own, while it sleeps.
    relay: Option<Waker>,
}

/// Where wakers are left for the relay.
#[derive(Debug, Default)]
pub(super) struct Relay {
    left: Mutex<Left>,
}

impl Relay {
    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a task woken soon.
    pub(super) fn leave(&self, waker: Waker) {
        let relay = {
            let mut left = self.left();
            left.wakers.push(waker);
            left.relay.take()
        };
        if let Some(relay) = relay {
            relay.wake();
        }
    }

    /// Wakes whose wakers are left, until it is dropped.
    pub(super) async fn run(&self) -> Infallible {
        let mut wakers = Vec::new();
        poll_fn(|context| self.pass_on(context, &mut wakers)).await
    }

    /// Wakes everyone who is to be woken; `wakers` is kept for its memory.
    fn pass_on(&self, context: &Context<'_>, wakers: &mut Vec<Waker>) -> Poll<Infallible> {
        {
            let mut left = self.left();
            mem::swap(&mut left.wakers, wakers);
            // What is left from here on wakes the relay again.
            match &mut left.relay {
                Some(relay) => relay.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
        for waker in wakers.drain(..) {
            waker.wake();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn many_are_woken_by_one_wake_up_of_the_relay() {
        let (relay, wakers) = (Relay::default(), &mut Vec::new());
        let (own, others) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let own_waker = Waker::from(Arc::clone(&own));
        let context = Context::from_waker(&own_waker);
        relay.leave(Waker::from(Arc::clone(&others)));
        assert!(relay.pass_on(&context, wakers).is_pending());
        assert_eq!((own.get(), others.get()), (0, 1), "what was left before the relay began");
        for round in 1..=3 {
            for _ in 0..5 {
                relay.leave(Waker::from(Arc::clone(&others)));
            }
            assert_eq!(own.get(), round, "one wake-up for five");
            assert!(relay.pass_on(&context, wakers).is_pending());
            assert_eq!(others.get(), 1 + 5 * round);
        }
    }
}
