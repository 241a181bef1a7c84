//! Waiting that ends with the transaction.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
};

use plinth_protocol::Error;
use tokio::{sync::Notify, time::sleep_until};

use super::{Inner, Transaction};
use crate::{Backend, lock::lock};

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
    pub(super) async fn guarded<T>(
        &self,
        generation: u64,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        let first = poll_fn(|context| {
            Poll::Ready(match work.as_mut().poll(context) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        });
        if let Some(result) = first.await {
            return result;
        }
        loop {
            let changed = self.inner.changed.notified();
            let deadline = {
                let mut state = self.state();
                state.check_alive(generation)?;
                state.deadline()
            };
            if let Some(deadline) = deadline {
                tokio::select! {
                    biased;
                    result = &mut work => return result,
                    () = changed => {}
                    () = sleep_until(deadline) => {
                        self.state().check_deadline();
                        self.inner.changed.notify_waiters();
                    }
                }
            } else {
                tokio::select! {
                    biased;
                    result = &mut work => return result,
                    () = changed => {}
                }
            }
        }
    }
}
