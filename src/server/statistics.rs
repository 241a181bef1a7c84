//! What the server counts. A connection counts for itself alone, and whoever asks adds all of them
//! up, so that the way of a request shares no cache line with that of another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::time::{ClockId, clock_gettime};

/// Connections since the start, and those there are now.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) opened: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) open: AtomicU64,
}

/// What this process has used of the processors, in microseconds.
pub(super) fn cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or_default();
    part(time.tv_sec) * 1_000_000 + part(time.tv_nsec) / 1_000
}

/// What one connection has counted since it last showed it to others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) reads: u64,
    pub(super) input_bytes: u64,
    pub(super) output_bytes: u64,
    /// Calls that read something from the socket, and that wrote something to it.
    pub(super) socket_reads: u64,
    pub(super) socket_writes: u64,
    /// How often the connection's task had nothing to do but to wait.
    pub(super) waits: u64,
}

/// What a connection has counted, for others to see. One thread at a time adds, any may look.
#[derive(Debug, Default)]
pub(super) struct Counts {
    requests: AtomicU64,
    failed: AtomicU64,
    reads: AtomicU64,
    input_bytes: AtomicU64,
    output_bytes: AtomicU64,
    socket_reads: AtomicU64,
    socket_writes: AtomicU64,
    waits: AtomicU64,
}

impl Counts {
    /// Adds what has been counted since.
    pub(super) fn add(&self, tally: &mut Tally) {
        for (sum, count) in self.sums().into_iter().zip(std::mem::take(tally).fields()) {
            if *count > 0 {
                // Nobody else adds, so nothing is lost between the two.
                sum.store(sum.load(Relaxed).wrapping_add(*count), Relaxed);
            }
        }
    }

    /// All that was added.
    pub(super) fn total(&self) -> Tally {
        let mut total = Tally::default();
        for (field, sum) in total.fields().into_iter().zip(self.sums()) {
            *field = sum.load(Relaxed);
        }
        total
    }

    fn sums(&self) -> [&AtomicU64; 8] {
        let Self { requests, failed, reads, input_bytes, output_bytes, .. } = self;
        let Self { socket_reads, socket_writes, waits, .. } = self;
        [requests, failed, reads, input_bytes, output_bytes, socket_reads, socket_writes, waits]
    }
}

impl Tally {
    /// Adds another's.
    pub(super) fn merge(&mut self, mut other: Self) {
        for (field, count) in self.fields().into_iter().zip(other.fields()) {
            *field = field.wrapping_add(*count);
        }
    }

    /// In the order of [`Counts::sums`].
    fn fields(&mut self) -> [&mut u64; 8] {
        let Self { requests, failed, reads, input_bytes, output_bytes, .. } = self;
        let Self { socket_reads, socket_writes, waits, .. } = self;
        [requests, failed, reads, input_bytes, output_bytes, socket_reads, socket_writes, waits]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_is_added_to_its_own_sum() {
        let mut tally = Tally::default();
        for (field, count) in tally.fields().into_iter().zip(1..) {
            *field = count;
        }
        let (counts, shown) = (Counts::default(), tally);
        counts.add(&mut tally);
        assert_eq!(tally.requests, 0);
        counts.add(&mut { shown });
        let mut total = counts.total();
        assert_eq!((total.requests, total.waits), (2, 16));
        total.merge(shown);
        assert_eq!(total.fields().map(|count| *count), [3, 6, 9, 12, 15, 18, 21, 24]);
    }
}
