//! Waiting that ends with the transaction.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::Poll,
};

use plinth_protocol::Error;
use tokio::{sync::Notify, time::sleep_until};

use super::{Inner, Transaction};
use crate::{Backend, lock::lock};

/// What ends a wait.
enum Event<T> {
    Done(Result<T, Error>),
    /// The transaction has ended, begun again, or got another deadline.
    Changed,
    TimedOut,
}

/// The deadline of a transaction, for what waits for its commit without keeping it from being
/// dropped.
pub(super) struct Deadline<B: Backend> {
    transaction: Weak<Inner<B>>,
    changed: Arc<Notify>,
}

impl<B: Backend> Deadline<B> {
    /// Waits for `work`, which the end of the transaction brings about; ends the transaction when
    /// its time is over.
    pub(super) async fn guard<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let changed = self.changed.notified();
            let deadline = self.transaction.upgrade().and_then(|transaction| {
                let mut state = lock(&transaction.state);
                state.check_deadline();
                state.deadline().filter(|_| state.ended.is_none())
            });
            let timeout = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = changed => {}
                () = timeout => {}
            }
        }
    }
}

impl<B: Backend> Transaction<B> {
    /// The deadline, which may change.
    pub(super) fn watched_deadline(&self) -> Deadline<B> {
        Deadline {
            transaction: Arc::downgrade(&self.inner),
            changed: Arc::clone(&self.inner.changed),
        }
    }

    /// Waits for `work`, but no longer than the transaction goes on: until it is cancelled, reset,
    /// or timed out. Work that is done at once costs nothing beside.
    ///
    /// The work is pinned by the caller: given by value it would have two places in the future, the
    /// argument's and the one where it is pinned.
    #[expect(clippy::manual_async_fn, reason = "the arguments of an async fn have two places each")]
    pub(super) fn guarded<T>(
        &self,
        generation: u64,
        mut work: Pin<&mut impl Future<Output = Result<T, Error>>>,
    ) -> impl Future<Output = Result<T, Error>> {
        async move {
            let first = poll_fn(|context| {
                Poll::Ready(match work.as_mut().poll(context) {
                    Poll::Ready(result) => Some(result),
                    Poll::Pending => None,
                })
            });
            if let Some(result) = first.await {
                return result;
            }
            // The work knows whom to wake already, and is polled again only when it has.
            let mut is_polled = true;
            loop {
                let mut changed = pin!(self.inner.changed.notified());
                let deadline = {
                    let mut state = self.state();
                    state.check_alive(generation)?;
                    state.deadline()
                };
                // Few transactions have one; those who have none pay no room for it.
                let mut timeout = deadline.map(|deadline| Box::pin(sleep_until(deadline)));
                let event = poll_fn(|context| {
                    if !std::mem::take(&mut is_polled)
                        && let Poll::Ready(result) = work.as_mut().poll(context)
                    {
                        return Poll::Ready(Event::Done(result));
                    }
                    if changed.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Event::Changed);
                    }
                    match &mut timeout {
                        Some(timeout) => timeout.as_mut().poll(context).map(|()| Event::TimedOut),
                        None => Poll::Pending,
                    }
                });
                match event.await {
                    Event::Done(result) => return result,
                    Event::Changed => {}
                    Event::TimedOut => {
                        self.state().check_deadline();
                        self.inner.changed.notify_waiters();
                    }
                }
            }
        }
    }
}

#[cfg(all(test, feature = "tcp"))]
mod tests {
    use crate::{ConnectOptions, Database, RangeRead, TcpBackend};

    /// Futures are copied when they are boxed or spawned, and an allocator hands out a kilobyte
    /// faster than more.
    #[test]
    fn futures_stay_small() {
        let options = ConnectOptions::new("127.0.0.1:1").unwrap();
        let tx = Database::new(TcpBackend::lazy(options)).transaction();
        let room = [
            ("get", size_of_val(&tx.get(bytes::Bytes::new())), 840),
            ("get_range", size_of_val(&tx.get_range(RangeRead::new("a", "b"))), 4000),
            ("commit", size_of_val(&tx.commit()), 850),
        ];
        for (name, bytes, bytes_max) in room {
            assert!(bytes <= bytes_max, "the future of {name} takes {bytes} bytes of {bytes_max}");
        }
    }
}
