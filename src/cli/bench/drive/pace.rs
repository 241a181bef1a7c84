//! When operations are due, if they are begun at a rate whatever becomes of them.
//!
//! All workers together have one operation due every so often, each worker every as many as there
//! are workers. A worker that is late begins what is due as soon as it can; the operation's latency
//! counts from when it was due, so that a stall is seen by all whom it would have kept waiting.

use std::time::{Duration, Instant};

use crate::cli::progress::float;

/// How far apart the operations of all workers are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timetable {
    /// Operations a second, of all workers together.
    pub(crate) rate: f64,
    /// How many workers there are.
    pub(crate) workers: u64,
}

impl Timetable {
    /// When the operation with this number is due, if the first one was when all began.
    pub(crate) fn due(&self, begun: Instant, number: u64) -> Instant {
        begun + Duration::from_secs_f64(float(number) / self.rate)
    }

    /// How many operations were due by then.
    pub(crate) fn due_by(&self, begun: Instant, then: Instant) -> u64 {
        let Some(passed) = then.checked_duration_since(begun) else { return 0 };
        // As near as a product comes, and then exactly what `due` says.
        let count = passed.as_secs_f64() * self.rate;
        #[expect(clippy::cast_sign_loss, reason = "neither time nor rate is below 0")]
        let mut count = count as u64;
        while count > 0 && self.due(begun, count - 1) > then {
            count -= 1;
        }
        while self.due(begun, count) <= then {
            count += 1;
        }
        count
    }
}

/// When the operations of one worker are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    table: Timetable,
    /// When the first of all is due.
    begun: Instant,
    /// The number of the next operation, of all workers' operations.
    next: u64,
}

impl Pace {
    /// The pace of the worker with this number.
    pub(crate) fn new(table: Timetable, worker: u64, begun: Instant) -> Self {
        Self { table, begun, next: worker }
    }

    /// When the next operation was due, if that has come; the one after it is next then.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.table.due(self.begun, self.next);
        if due > now {
            return None;
        }
        self.next += self.table.workers;
        Some(due)
    }

    /// How many were due by then and were never taken.
    pub(crate) fn missed(self, by: Instant) -> u64 {
        let due = self.table.due_by(self.begun, by);
        due.saturating_sub(self.next).div_ceil(self.table.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_due_in_turn_and_evenly() {
        let begun = Instant::now();
        let table = Timetable { rate: 1_000.0, workers: 3 };
        let mut due = Vec::new();
        for worker in 0..3 {
            let mut pace = Pace::new(table, worker, begun);
            while let Some(at) = pace.take(begun + Duration::from_millis(9)) {
                due.push((at - begun).as_micros());
            }
            assert_eq!(pace.missed(begun + Duration::from_millis(9)), 0);
        }
        due.sort_unstable();
        assert_eq!(due, (0..10).map(|ms| ms * 1_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_due_and_not_taken_is_missed() {
        let begun = Instant::now();
        let mut pace = Pace::new(Timetable { rate: 10.0, workers: 2 }, 1, begun);
        assert_eq!(pace.take(begun), None);
        assert_eq!(pace.missed(begun + Duration::from_secs(1)), 5);
        assert!(pace.take(begun + Duration::from_secs(1)).is_some());
        assert_eq!(pace.missed(begun + Duration::from_secs(1)), 4);
    }

    #[test]
    fn as_many_are_due_as_have_a_time_that_has_come() {
        let begun = Instant::now();
        for rate in [0.001, 1.0, 3.0, 999.9, 123_456.7, 1e8] {
            let table = Timetable { rate, workers: 1 };
            assert_eq!(table.due_by(begun, begun), 1);
            for number in [1, 2, 3, 10, 1_001, 86_400_000] {
                let due = table.due(begun, number);
                assert_eq!(table.due_by(begun, due), number + 1, "{rate}");
                assert_eq!(
                    table.due_by(begun, due.checked_sub(Duration::from_nanos(1)).unwrap()),
                    number,
                    "{rate}"
                );
            }
        }
    }
}
