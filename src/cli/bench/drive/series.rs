//! Watches a run while it goes, and takes what it has counted, second by second.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::tally::{Run, Tally};
use crate::cli::{
    bench::measurement::{Latency, Second},
    progress::{self, float},
};

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// How often is looked whether all of a number of operations are done.
const COUNTED_INTERVAL: Duration = Duration::from_millis(1);

/// A run, seen from outside.
pub(crate) struct Watch<'a> {
    run: &'a Run,
    begun: Instant,
    /// What was counted since measuring began, but for what the run still holds.
    sum: Tally,
    series: Vec<Second>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(run: &'a Run) -> Self {
        let (sum, series) = (Tally::default(), Vec::new());
        Self { run, begun: Instant::now(), sum, series }
    }

    /// Waits for the warm-up to end. What it has counted is nobody's, but for its errors.
    pub(crate) fn warm_up(&mut self, seconds: f64, is_idle: impl Fn() -> bool) {
        self.begun = Instant::now();
        self.pass(seconds, "warming up", is_idle);
        self.series.clear();
        let warm_up = std::mem::take(&mut self.sum);
        (self.sum.errors, self.sum.first_error) = (warm_up.errors, warm_up.first_error);
    }

    /// Waits for the measuring to end.
    pub(crate) fn measure(&mut self, seconds: f64, is_idle: impl Fn() -> bool) {
        self.begun = Instant::now();
        self.pass(seconds, "measuring", is_idle);
    }

    /// What was counted in all, and how it went. What operations that were due in time have counted
    /// after the end is a part of it: they are the slowest, and must not be left out.
    pub(crate) fn end(mut self, with_late: bool) -> (Tally, Vec<Second>) {
        let mut late = Tally::default();
        self.run.take(&mut late);
        if with_late {
            self.sum.add(&late);
        } else {
            self.sum.errors += late.errors;
            self.sum.first_error = self.sum.first_error.or(late.first_error);
        }
        (self.sum, self.series)
    }

    /// Waits for the end of a phase, showing how it goes; gives up early when `is_idle` says that
    /// no worker is left.
    fn pass(&mut self, seconds: f64, what: &str, is_idle: impl Fn() -> bool) {
        let bar = progress::bar(None, "{spinner} {msg}");
        let phase = Duration::from_secs_f64(seconds);
        let (mut taken_at, mut second) = (Duration::ZERO, Tally::default());
        let mut p99 = None;
        // Where operations are counted, their end is the end of the time too.
        let nap = if self.run.is_counted() { COUNTED_INTERVAL } else { PROGRESS_INTERVAL };
        loop {
            let now = self.begun.elapsed();
            let is_over = now >= phase || is_idle();
            let boundary = Duration::from_secs(taken_at.as_secs() + 1);
            // What is left of the last second goes with it, if that is next to nothing.
            if is_over || (now >= boundary && phase.saturating_sub(now) > PROGRESS_INTERVAL / 2) {
                self.take(now, &mut second);
                p99 = self.series.last().map(|second| second.p99);
                taken_at = now;
            }
            if is_over {
                break;
            }
            let since = now.saturating_sub(taken_at).as_secs_f64();
            let rate = match self.series.last() {
                Some(last) if since < 0.5 => float(last.operations),
                _ => float(self.run.completed()) / since.max(0.001),
            };
            let p99 = p99.map_or_else(String::new, |us| format!(", p99 {us} µs"));
            let left = phase.saturating_sub(now);
            bar.set_message(format!(
                "{what}: {rate:.0} a second{p99}, {:.0} s left",
                left.as_secs_f64()
            ));
            bar.tick();
            let next = if boundary > now { boundary } else { phase };
            sleep(next.min(phase).saturating_sub(now).min(nap));
        }
        bar.finish_and_clear();
    }

    /// Takes what was counted since the last time, as a second of its own that ends now.
    fn take(&mut self, now: Duration, second: &mut Tally) {
        self.run.take(second);
        let latency = Latency::of(&second.latency);
        self.series.push(Second {
            at: now.as_secs_f64(),
            operations: second.operations,
            errors: second.errors,
            p50: latency.p50,
            p99: latency.p99,
            max: latency.max,
        });
        self.sum.add(second);
        second.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_is_taken_and_the_warm_up_is_left_out() {
        let run = Run::new(1, None);
        let count = |operations| {
            run.tallies()[0].lock().complete(operations, Duration::from_micros(operations));
        };
        let mut watch = Watch::new(&run);
        count(7);
        run.tallies()[0].lock().fail(plinth_protocol::ErrorCode::IO_ERROR.into());
        watch.warm_up(0.0, || false);
        count(100);
        watch.measure(0.0, || false);
        count(200);
        watch.measure(0.0, || false);
        count(300);
        let (sum, series) = watch.end(false);
        assert_eq!((sum.operations, sum.errors, sum.latency.max()), (300, 1, 200));
        let seen: Vec<_> = series.iter().map(|second| (second.operations, second.p50)).collect();
        assert_eq!(seen, [(100, 100), (200, 200)]);
    }
}
