//! What the workers of a run have in common, and what they bring home.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use hdrhistogram::Histogram;
use plinth_protocol::Error;

/// The longest latency that is told apart from longer ones.
const LATENCY_US_MAX: u64 = 60_000_000;

/// The part of a run that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing counts yet.
    WarmUp,
    /// What completes now counts.
    Measure,
    /// Workers go home.
    Over,
}

/// The run, as all workers see it.
#[derive(Debug)]
pub(super) struct Run {
    phase: AtomicU8,
    /// What has completed, of all phases; for progress.
    pub(super) completed: AtomicU64,
}

impl Run {
    pub(super) fn new() -> Self {
        Self { phase: AtomicU8::new(0), completed: AtomicU64::new(0) }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::WarmUp,
            1 => Phase::Measure,
            _ => Phase::Over,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

/// What a worker has counted.
#[derive(Debug)]
pub(super) struct Tally {
    /// Operations that completed well.
    pub(super) operations: u64,
    /// Operations that failed or answered wrongly.
    pub(super) errors: u64,
    /// Transactions that conflicted and were tried again.
    pub(super) conflicts: u64,
    /// Reads that found nothing.
    pub(super) misses: u64,
    /// What the first error said.
    pub(super) first_error: Option<Error>,
    /// In microseconds.
    pub(super) latency: Histogram<u64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
            .expect("the bounds and the precision are legal constants");
        Self { operations: 0, errors: 0, conflicts: 0, misses: 0, first_error: None, latency }
    }

    /// Counts `count` operations that completed after `latency`.
    pub(super) fn complete(&mut self, count: u64, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.operations += count;
        self.latency.saturating_record_n(us.max(1), count);
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// Adds what another worker has counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.operations += other.operations;
        self.errors += other.errors;
        self.conflicts += other.conflicts;
        self.misses += other.misses;
        if let Some(error) = other.first_error {
            self.first_error.get_or_insert(error);
        }
        self.latency.add(&other.latency).expect("all tallies have the same bounds");
    }
}
