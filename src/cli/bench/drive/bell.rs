//! Wakes the workers of a thread when their operations are due: one timer for all of them.
//!
//! The bell rings everybody whose operation was due since it last looked. While the thread has so
//! much to do that the next ones are due by then already, there is no timer at all: what is due is
//! rung for, the workers have their turn, and so on. The busier the thread, the more begins at once
//! and the less it costs.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use plinth_protocol::{Error, ErrorCode};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::{net::unix::pipe::Receiver, sync::Notify, task::yield_now};

use super::{
    pace::{Pace, Timetable},
    tally::Run,
};

/// The longest time between two looks at the run.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// What a worker goes by: when its operations are due, and that it is rung for then.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    table: Timetable,
    worker: u64,
    rung: Arc<Notify>,
}

impl Turns {
    /// When the worker's operations are due in a run that has begun then.
    pub(crate) fn pace(&self, begun: Instant) -> Pace {
        Pace::new(self.table, self.worker, begun)
    }

    /// Waits until something may be due, or no more is to begin. What rang while nobody waited is told
    /// to who waits next.
    pub(crate) async fn rung(&self) {
        self.rung.notified().await;
    }
}

/// Rings for the workers of a thread.
#[derive(Debug)]
pub(crate) struct Bell {
    table: Timetable,
    alarm: Alarm,
    /// In the order of their numbers.
    workers: Vec<Turns>,
}

impl Bell {
    /// A bell on the runtime that this is called on, for nobody yet.
    pub(crate) fn new(table: Timetable) -> Result<Self, Error> {
        let alarm = Alarm::new().map_err(|error| no_alarm(&error))?;
        Ok(Self { table, alarm, workers: Vec::new() })
    }

    /// Rings for the worker with this number too.
    pub(crate) fn add(&mut self, worker: u64) -> Turns {
        let turns = Turns { table: self.table, worker, rung: Arc::default() };
        let at = self.workers.partition_point(|other| other.worker < worker);
        self.workers.insert(at, turns.clone());
        turns
    }

    /// Rings for whatever is due, and for all when no more is to begin; ends only by an error.
    pub(crate) async fn ring(self, run: &Run) -> Error {
        let mut strokes = Strokes { bell: &self, begun: run.begun().await, next: 0 };
        loop {
            let now = Instant::now();
            let next = if run.is_over() || run.is_spent() {
                self.workers.iter().for_each(|worker| worker.rung.notify_one());
                now + WAIT_MAX
            } else {
                strokes.strike(now).map_or(now + WAIT_MAX, |next| next.min(now + WAIT_MAX))
            };
            if let Err(error) = self.alarm.wait_until(next).await {
                return no_alarm(&error);
            }
        }
    }
}

/// How far a bell has rung.
struct Strokes<'a> {
    bell: &'a Bell,
    begun: Instant,
    /// How many of the operations of the bell's workers were rung for.
    next: u64,
}

impl Strokes<'_> {
    /// Rings once for each worker that has operations due since the last time. Tells when the next
    /// one is due; nothing if there are no workers.
    fn strike(&mut self, now: Instant) -> Option<Instant> {
        let Bell { table, workers, .. } = self.bell;
        let count = workers.len() as u64;
        if count == 0 {
            return None;
        }
        // Whole rounds of all threads' workers, and those of ours who are in the one that goes on.
        let due = table.due_by(self.begun, now);
        let (rounds, begun) = (due / table.workers, due % table.workers);
        let in_round = workers.partition_point(|turns| turns.worker < begun) as u64;
        let end = rounds * count + in_round;
        for operation in self.next.max(end.saturating_sub(count))..end {
            if let Some(turns) = workers.get((operation % count) as usize) {
                turns.rung.notify_one();
            }
        }
        self.next = end;
        let next = workers.get((end % count) as usize)?;
        Some(table.due(self.begun, end / count * table.workers + next.worker))
    }
}

/// Goes off exactly: tokio's own timers tell milliseconds apart, a fast answer takes tens of
/// microseconds.
#[derive(Debug)]
struct Alarm {
    timer: Receiver,
}

impl Alarm {
    /// An alarm of the runtime that this is called on.
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // A timer becomes readable like a pipe; there is no safer way to wait for a file with tokio.
        Ok(Self { timer: Receiver::from_owned_fd_unchecked(timer)? })
    }

    /// Waits until then; if that has come, only for all others to have their turn. If it is dropped
    /// before, the next wait begins anew.
    async fn wait_until(&self, then: Instant) -> io::Result<()> {
        let left = then.saturating_duration_since(Instant::now());
        if left.is_zero() {
            yield_now().await;
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let spec = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        loop {
            self.timer.readable().await?;
            // A timer needs no reading: setting it again makes it quiet. So it is only forgotten
            // that it went off.
            let quiet = || Err(io::Error::from(io::ErrorKind::WouldBlock));
            let _: io::Result<()> = self.timer.try_io(quiet);
            // What went off may have been an earlier wait that was dropped.
            if Instant::now() >= then {
                return Ok(());
            }
        }
    }
}

fn no_alarm(error: &io::Error) -> Error {
    Error::new(
        ErrorCode::IO_ERROR,
        format!("can't set the timer that a run at a rate needs: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether this one was rung for since the last time.
    fn was_rung(turns: &Turns) -> bool {
        let rung = std::pin::pin!(turns.rung.notified());
        matches!(rung.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()))
    }

    fn rung(bell: &Bell) -> Vec<u64> {
        let rung = bell.workers.iter().filter(|turns| was_rung(turns));
        rung.map(|turns| turns.worker).collect()
    }

    #[tokio::test]
    async fn one_stroke_rings_for_all_that_is_due_and_once_for_each() {
        // The odd half of 100 workers, one of all of which is due every millisecond.
        let table = Timetable { rate: 1_000.0, workers: 100 };
        let mut bell = Bell::new(table).unwrap();
        for worker in (0..100).rev().filter(|number| number % 2 == 1) {
            bell.add(worker);
        }
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut strokes = Strokes { bell: &bell, begun, next: 0 };
        let odd = |range: std::ops::RangeInclusive<u64>| range.filter(|number| number % 2 == 1);

        assert_eq!(strokes.strike(at(0)), Some(at(1)));
        assert!(rung(&bell).is_empty());
        assert_eq!(strokes.strike(at(40)), Some(at(41)));
        assert_eq!(rung(&bell), odd(0..=40).collect::<Vec<_>>());
        assert_eq!(strokes.strike(at(40)), Some(at(41)));
        assert!(rung(&bell).is_empty(), "nothing is rung for twice");
        assert_eq!(strokes.strike(at(103)), Some(at(105)));
        assert_eq!(rung(&bell), odd(1..=3).chain(odd(41..=99)).collect::<Vec<_>>());
        // However much was due meanwhile: who is rung for looks for all of it.
        assert_eq!(strokes.strike(at(1_000_000)), Some(at(1_000_001)));
        assert_eq!(rung(&bell).len(), 50);
    }

    #[tokio::test]
    async fn a_thread_without_workers_has_nothing_due() {
        let bell = Bell::new(Timetable { rate: 1.0, workers: 1 }).unwrap();
        let mut strokes = Strokes { bell: &bell, begun: Instant::now(), next: 0 };
        assert_eq!(strokes.strike(Instant::now()), None);
    }

    #[tokio::test]
    async fn an_alarm_goes_off_when_it_is_to_and_can_be_set_again() {
        let alarm = Alarm::new().unwrap();
        let begun = Instant::now();
        let first = alarm.wait_until(begun + Duration::from_hours(1));
        assert!(tokio::time::timeout(Duration::from_millis(1), first).await.is_err());
        for ms in [3, 4, 9] {
            alarm.wait_until(begun + Duration::from_millis(ms)).await.unwrap();
            assert!(begun.elapsed() >= Duration::from_millis(ms));
        }
        alarm.wait_until(begun).await.unwrap();
    }
}
