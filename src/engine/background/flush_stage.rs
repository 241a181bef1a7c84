//! Flushes what is due, one memtable a step.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use super::Work;
use crate::engine::{
    flush::{Flush, FlushError},
    planted::{Bug, is_planted},
    shared::Shared,
    stats::add,
};

/// How long nothing is looked at when nothing is due and nobody says otherwise.
const REST: Duration = Duration::from_secs(1);

/// The stage. One thread at a time.
pub(crate) struct FlushStage {
    shared: Arc<Shared>,
    /// After a failure: not before this.
    retry_at_micros: Option<u64>,
}

/// What a step of the stage did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlushStep {
    /// A memtable has become a table.
    Flushed,
    /// Nothing; look again after so long, or when something is said to be due.
    Rested(Duration),
}

impl FlushStage {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, retry_at_micros: None }
    }

    /// Flushes the oldest frozen memtable if all of it is published and no failure is too recent.
    pub(crate) fn step_in_time(&mut self) -> FlushStep {
        let now = self.shared.options.clock.monotonic_micros();
        match self.retry_at_micros {
            Some(at) if now < at => FlushStep::Rested(Duration::from_micros(at - now)),
            _ => self.step(),
        }
    }

    /// Flushes the oldest frozen memtable if all of it is published.
    pub(crate) fn step(&mut self) -> FlushStep {
        let shared = &self.shared;
        let is_left = shared.store.bury();
        let tick = shared.options.tick;
        let Some(frozen) = shared.store.oldest_frozen() else {
            return FlushStep::Rested(if is_left { tick } else { REST });
        };
        if shared.poison.is_set() || shared.background.is_stopping() {
            // What it holds may have been refused, and must not become durable.
            return FlushStep::Rested(REST);
        }
        if shared.publisher.published() < frozen.last() {
            return FlushStep::Rested(tick);
        }
        let flush = Flush {
            live: &shared.live,
            store: &shared.store,
            idempotency: &shared.idempotency,
            options: &shared.options.storage,
            // Both in this order: a segment that isn't needed has no ceiling above.
            log_start: self.shared.segments.first_needed(frozen.last())
                + u64::from(is_planted(Bug::LogGoesTooEarly)),
            ceiling: shared.ceiling(),
        };
        let mut pace = || {
            if shared.background.is_stopping() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match flush.run(&frozen, &mut pace) {
            Ok(bytes) => {
                self.retry_at_micros = None;
                add(&shared.counters.flushes, 1);
                add(&shared.counters.flushed_bytes, bytes);
                tracing::debug!(version = frozen.last().0, bytes, "a memtable is flushed");
                shared.background.succeeded(Work::Flush);
                shared.background.wake(Work::Compact);
                self.retire(flush.log_start);
                drop(frozen);
                self.shared.store.bury();
                FlushStep::Flushed
            }
            Err(FlushError::Stopped) => FlushStep::Rested(REST),
            Err(error) => {
                let is_disk_full = error.is_disk_full();
                let failures =
                    shared.background.failed(Work::Flush, &error.to_string(), is_disk_full);
                let wait = shared.options.storage.retry_urgent_after(failures);
                let now = shared.options.clock.monotonic_micros();
                self.retry_at_micros = Some(now.saturating_add(wait.as_micros() as u64));
                FlushStep::Rested(wait)
            }
        }
    }

    /// Lets go the log before what is needed.
    fn retire(&self, log_start: u64) {
        match self.shared.segments.retire(log_start) {
            Ok(_) => {}
            // The next flush, or the next start, tries again.
            Err(error) => tracing::warn!(%error, "segments that are not needed are left behind"),
        }
    }
}
