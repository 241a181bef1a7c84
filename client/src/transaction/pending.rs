//! Reads that have begun and not ended: some calls wait for them.

use std::pin::pin;

use plinth_protocol::Error;

use super::{Transaction, state::State};
use crate::Backend;

/// Counts a read from its beginning to its end, or until it is dropped.
pub(super) struct PendingRead<'a, B: Backend> {
    transaction: &'a Transaction<B>,
    generation: u64,
}

impl<B: Backend> Drop for PendingRead<'_, B> {
    fn drop(&mut self) {
        let is_last = {
            let mut state = self.transaction.state();
            if state.generation != self.generation {
                return;
            }
            state.pending_reads = state.pending_reads.saturating_sub(1);
            state.pending_reads == 0 && state.awaits_reads
        };
        if is_last {
            self.transaction.inner.changed.notify_waiters();
        }
    }
}

impl<B: Backend> Transaction<B> {
    /// Counts a read that begins.
    pub(super) fn begin_read(&self, state: &mut State<B::Snapshot>) -> PendingRead<'_, B> {
        state.pending_reads += 1;
        PendingRead { transaction: self, generation: state.generation }
    }

    /// Waits until no read is under way. Fails if one of them all has failed, or the transaction
    /// ends meanwhile.
    pub(super) async fn reads_done(&self, generation: u64) -> Result<(), Error> {
        loop {
            let changed = self.inner.changed.notified();
            {
                let mut state = self.state();
                state.check_alive(generation)?;
                if let Some(error) = &state.read_failure {
                    return Err(error.clone());
                }
                if state.pending_reads == 0 {
                    return Ok(());
                }
                state.awaits_reads = true;
            }
            let waiting = async {
                changed.await;
                Ok(())
            };
            self.guarded(generation, pin!(waiting)).await?;
        }
    }
}
