//! What the workers of a run have in common, and what they count.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use plinth_protocol::Error;
use tokio::sync::watch;

use crate::cli::bench::measurement::histogram;

/// The run, as all workers see it.
///
/// The workers of a thread count into one tally. Who watches the run takes what is in it now and
/// then: what was counted in a second is that second's, and what was counted before measuring began
/// is nobody's.
#[derive(Debug)]
pub(crate) struct Run {
    is_over: AtomicBool,
    /// When the workers began; nothing while they get ready.
    begun: watch::Sender<Option<Instant>>,
    /// How many operations are left to begin, if they are counted.
    budget: Option<AtomicU64>,
    tallies: Vec<Arc<SharedTally>>,
}

impl Run {
    /// A run of as many threads, and of so many operations if there is an end to them.
    pub(crate) fn new(threads: u32, count: Option<u64>) -> Self {
        let tallies = (0..threads).map(|_| Arc::default()).collect();
        Self {
            is_over: AtomicBool::new(false),
            begun: watch::Sender::new(None),
            budget: count.map(AtomicU64::new),
            tallies,
        }
    }

    /// Whether workers go home.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// How many operations may begin now, of as many as are wanted; none if workers go home.
    #[inline]
    pub(crate) fn admit(&self, wanted: usize) -> usize {
        match &self.budget {
            _ if self.is_over() => 0,
            None => wanted,
            Some(budget) => {
                let spend = |left: u64| Some(left.saturating_sub(wanted as u64));
                let left = budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
                usize::try_from(left.unwrap_or_default()).map_or(wanted, |left| left.min(wanted))
            }
        }
    }

    /// Whether no operation is left to begin.
    pub(crate) fn is_spent(&self) -> bool {
        self.budget.as_ref().is_some_and(|left| left.load(Ordering::Relaxed) == 0)
    }

    /// Whether it ends with a number of operations.
    pub(crate) fn is_counted(&self) -> bool {
        self.budget.is_some()
    }

    /// Has all workers begin.
    pub(crate) fn begin(&self) {
        self.begun.send_replace(Some(Instant::now()));
    }

    /// Waits for [`Run::begin`]; tells when that was.
    pub(crate) async fn begun(&self) -> Instant {
        let mut begun = self.begun.subscribe();
        // The sender is in `self`, and so is there.
        let begun = begun.wait_for(Option::is_some).await.ok().and_then(|begun| *begun);
        begun.unwrap_or_else(Instant::now)
    }

    /// Sends them home, also those that wait to begin.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.begun
            .send_if_modified(|begun| begun.replace(begun.unwrap_or_else(Instant::now)).is_none());
    }

    /// Where the workers of a thread count.
    pub(crate) fn tallies(&self) -> &[Arc<SharedTally>] {
        &self.tallies
    }

    /// What all have counted since this was last called goes into `sum`.
    pub(crate) fn take(&self, sum: &mut Tally) {
        for tally in &self.tallies {
            let mut tally = tally.lock();
            sum.add(&tally);
            tally.clear();
        }
    }

    /// What has completed since the last take.
    pub(crate) fn completed(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.lock().operations).sum()
    }
}

/// A tally that the workers of a thread share with the watcher of the run.
#[derive(Debug, Default)]
pub(crate) struct SharedTally(Mutex<Tally>);

impl SharedTally {
    /// Held for a few instructions, so that nobody ever waits for it long.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Operations that completed well.
    pub(crate) operations: u64,
    /// Operations that failed or answered wrongly.
    pub(crate) errors: u64,
    /// Transactions that conflicted and were tried again.
    pub(crate) conflicts: u64,
    /// Reads that found nothing.
    pub(crate) misses: u64,
    /// Operations that were due and never begun.
    pub(crate) unsent: u64,
    /// What the first error said.
    pub(crate) first_error: Option<Error>,
    /// In microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            operations: 0,
            errors: 0,
            conflicts: 0,
            misses: 0,
            unsent: 0,
            first_error: None,
            latency: histogram(),
        }
    }
}

impl Tally {
    /// Counts `count` operations that completed after `latency`.
    pub(crate) fn complete(&mut self, count: u64, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.operations += count;
        self.latency.saturating_record_n(us.max(1), count);
    }

    pub(crate) fn fail(&mut self, error: Error) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// Adds what another has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.errors += other.errors;
        self.conflicts += other.conflicts;
        self.misses += other.misses;
        self.unsent += other.unsent;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
        self.latency.add(&other.latency).expect("all tallies have the same bounds");
    }

    /// Back to nothing.
    pub(crate) fn clear(&mut self) {
        // Clearing a histogram takes its time.
        if !self.latency.is_empty() {
            self.latency.reset();
        }
        (self.operations, self.errors, self.conflicts, self.misses) = (0, 0, 0, 0);
        self.unsent = 0;
        self.first_error = None;
    }
}

#[cfg(test)]
mod tests {
    use plinth_protocol::ErrorCode;

    use super::*;

    #[test]
    fn no_more_operations_begin_than_there_are_to_be() {
        let run = Run::new(1, Some(25));
        assert_eq!([run.admit(16), run.admit(16), run.admit(16)], [16, 9, 0]);
        let run = Run::new(1, None);
        assert_eq!([run.admit(16), run.admit(1)], [16, 1]);
        run.end();
        assert_eq!(run.admit(16), 0);
    }

    #[test]
    fn what_was_taken_is_gone() {
        let run = Run::new(2, None);
        for tally in run.tallies() {
            let mut tally = tally.lock();
            tally.complete(3, Duration::from_micros(100));
            tally.fail(ErrorCode::IO_ERROR.into());
            tally.conflicts += 1;
        }
        assert_eq!(run.completed(), 6);
        let mut sum = Tally::default();
        run.take(&mut sum);
        run.take(&mut sum);
        assert_eq!((sum.operations, sum.errors, sum.conflicts, sum.misses), (6, 2, 2, 0));
        assert_eq!((sum.latency.len(), sum.latency.max()), (6, 100));
        assert_eq!(sum.first_error.map(|error| error.code), Some(ErrorCode::IO_ERROR));
        assert_eq!(run.completed(), 0);
    }
}
