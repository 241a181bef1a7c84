//! When operations are due, if they are begun at a rate whatever becomes of them.
//!
//! All workers together have one operation due every so often, each worker every as many as there
//! are workers. A worker that is late begins what is due as soon as it can; the operation's latency
//! counts from when it was due, so that a stall is seen by all whom it would have kept waiting.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use plinth_protocol::{Error, ErrorCode};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;

use crate::cli::progress::float;

/// The longest wait before a look at the run.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// How far apart the operations of all workers are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timetable {
    /// Operations a second, of all workers together.
    pub(crate) rate: f64,
    /// How many workers there are.
    pub(crate) workers: u64,
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

    /// When the next operation is due.
    pub(crate) fn next(&self) -> Instant {
        self.begun + Duration::from_secs_f64(float(self.next) / self.table.rate)
    }

    /// When the next operation was due, if that has come; the one after it is next then.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next();
        if due > now {
            return None;
        }
        self.next += self.table.workers;
        Some(due)
    }

    /// How many were due by then and were never taken.
    pub(crate) fn missed(mut self, by: Instant) -> u64 {
        let mut missed = 0;
        while self.take(by).is_some() {
            missed += 1;
        }
        missed
    }
}

/// Wakes its worker, exactly: tokio's own timers tell milliseconds apart, a fast answer takes tens
/// of microseconds.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    ready: Receiver,
}

impl Alarm {
    /// An alarm of the runtime that this is called on.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // A timer is read like a pipe; there is no safer way to wait for a file with tokio.
        let ready = Receiver::from_owned_fd_unchecked(timer.try_clone()?)?;
        Ok(Self { timer, ready })
    }

    /// Waits until then, or for a while: who waits looks now and then whether the run is over.
    pub(crate) async fn wait_for(&self, then: Instant) -> io::Result<()> {
        self.wait_until(then.min(Instant::now() + WAIT_MAX)).await
    }

    /// Waits until then. If it is dropped before, the next wait begins anew.
    async fn wait_until(&self, then: Instant) -> io::Result<()> {
        let left = then.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let spec = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        let mut expirations = [0; 8];
        loop {
            self.ready.readable().await?;
            match self.ready.try_read(&mut expirations) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// That there is no alarm, and why.
pub(crate) fn no_alarm(error: &io::Error) -> Error {
    let message = format!(
        "can't set a timer: {error}; a run at a rate needs three files for each connection"
    );
    Error::new(ErrorCode::IO_ERROR, message)
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
            assert!(pace.next() > begun + Duration::from_millis(9));
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

    #[tokio::test]
    async fn an_alarm_goes_off_when_it_is_to_and_can_be_set_again() {
        let alarm = Alarm::new().unwrap();
        let begun = Instant::now();
        let soon = begun + Duration::from_millis(3);
        let first = alarm.wait_until(begun + Duration::from_hours(1));
        assert!(tokio::time::timeout(Duration::from_millis(1), first).await.is_err());
        alarm.wait_until(soon).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(3));
        alarm.wait_until(begun).await.unwrap();
    }
}
