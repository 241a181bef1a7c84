//! What the server counts. Connections count for themselves and hand their sums over now and then,
//! so that the hot path shares no cache line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the start, and gauges of what there is now.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) connections_total: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    pub(super) connections_open: AtomicU64,
    pub(super) requests_total: AtomicU64,
    pub(super) requests_failed: AtomicU64,
    pub(super) reads_total: AtomicU64,
    pub(super) input_bytes: AtomicU64,
    pub(super) output_bytes: AtomicU64,
}

/// What one connection has counted since it last handed it over.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) reads: u64,
    pub(super) input_bytes: u64,
    pub(super) output_bytes: u64,
}

impl Statistics {
    /// Adds what a connection has counted.
    pub(super) fn add(&self, tally: &mut Tally) {
        let Tally { requests, failed, reads, input_bytes, output_bytes } = std::mem::take(tally);
        for (sum, count) in [
            (&self.requests_total, requests),
            (&self.requests_failed, failed),
            (&self.reads_total, reads),
            (&self.input_bytes, input_bytes),
            (&self.output_bytes, output_bytes),
        ] {
            if count > 0 {
                sum.fetch_add(count, Relaxed);
            }
        }
    }
}
