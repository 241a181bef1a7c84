//! Waiting that ends with the transaction.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use plinth_protocol::Error;

use super::Transaction;
use crate::Backend;

impl<B: Backend> Transaction<B> {
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
                    () = tokio::time::sleep_until(deadline) => {
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
