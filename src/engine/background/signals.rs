//! What the threads of the background and the commit pipeline tell each other.

use std::time::Duration;

use crate::{
    engine::stats::BackgroundStats,
    sync::{AtomicBool, Condvar, Mutex, Ordering},
};

/// One of the two sorts of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Memtables to tables.
    Flush,
    /// Tables to other tables.
    Compact,
}

/// Where the background and the pipeline meet.
#[derive(Debug)]
pub(crate) struct Background {
    signals: Mutex<Signals>,
    /// Something may be due.
    due: Condvar,
    /// Less waits for the disk than before.
    relief: Condvar,
    /// Work is to be given up.
    halt: Condvar,
    is_stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Signals {
    flush_due: bool,
    compact_due: bool,
    /// Counts up whenever something was done or has failed.
    events: u64,
    flush: Health,
    compact: Health,
    errors: u64,
    last_error: Option<String>,
}

/// Whether work of a sort succeeds.
#[derive(Clone, Copy, Debug, Default)]
struct Health {
    /// Failures since the last success.
    failures: u32,
    /// Whether the last one was for want of room on the disk.
    is_disk_full: bool,
}

/// Why background work that is due isn't done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no room on the disk.
    DiskFull,
    /// Something else, which the log tells.
    Failing,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            signals: Mutex::new(Signals::default()),
            due: Condvar::new(),
            relief: Condvar::new(),
            halt: Condvar::new(),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// There may be work of this sort.
    pub(crate) fn wake(&self, work: Work) {
        let mut signals = self.signals.lock();
        match work {
            Work::Flush => signals.flush_due = true,
            Work::Compact => signals.compact_due = true,
        }
        drop(signals);
        self.due.notify_all();
    }

    /// Waits until there may be work of this sort, at most so long.
    pub(crate) fn wait(&self, work: Work, limit: Duration) {
        let mut signals = self.signals.lock();
        if !signals.take_due(work) && !self.is_stopping() {
            signals = self.due.wait_for(signals, limit);
            signals.take_due(work);
        }
    }

    /// Waits so long, or until work is to be given up.
    pub(crate) fn pause(&self, limit: Duration) {
        let signals = self.signals.lock();
        if !limit.is_zero() && !self.is_stopping() {
            drop(self.halt.wait_for(signals, limit));
        }
    }

    /// Work of this sort was done.
    pub(crate) fn succeeded(&self, work: Work) {
        let mut signals = self.signals.lock();
        let before = std::mem::take(signals.health(work));
        signals.events += 1;
        drop(signals);
        self.relief.notify_all();
        if before.failures > 0 {
            tracing::info!(?work, failures = before.failures, "background work succeeds again");
        }
    }

    /// Work of this sort failed. Answers how often it has since it last succeeded.
    pub(crate) fn failed(&self, work: Work, error: &str, is_disk_full: bool) -> u32 {
        let mut signals = self.signals.lock();
        signals.errors += 1;
        signals.last_error = Some(error.to_owned());
        signals.events += 1;
        let health = signals.health(work);
        health.failures = health.failures.saturating_add(1);
        health.is_disk_full = is_disk_full;
        let failures = health.failures;
        drop(signals);
        self.relief.notify_all();
        // What goes on failing is told less and less often.
        if failures.is_power_of_two() {
            tracing::error!(
                ?work,
                failures,
                error,
                "background work failed, and will be tried again"
            );
        }
        failures
    }

    /// Why what is due isn't done, if it isn't.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let signals = self.signals.lock();
        let failing = [signals.flush, signals.compact].into_iter().filter(|work| work.failures > 0);
        let is_disk_full = failing.map(|work| work.is_disk_full).reduce(|a, b| a || b)?;
        Some(if is_disk_full { Trouble::DiskFull } else { Trouble::Failing })
    }

    /// Why what is due isn't done, if the reason is a full disk.
    pub(crate) fn disk_full(&self) -> Option<String> {
        let is_full = self.trouble() == Some(Trouble::DiskFull);
        if is_full { self.stats().last_error } else { None }
    }

    /// How many events there have been, for [`wait_for_relief`](Self::wait_for_relief).
    pub(crate) fn events(&self) -> u64 {
        self.signals.lock().events
    }

    /// Waits until something has been done, or has failed, since there were so many events; at most
    /// so long.
    pub(crate) fn wait_for_relief(&self, events: u64, limit: Duration) {
        let signals = self.signals.lock();
        if signals.events == events && !limit.is_zero() && !self.is_stopping() {
            drop(self.relief.wait_for(signals, limit));
        }
    }

    /// Work under way is to be given up, and none begun.
    pub(crate) fn stop(&self) {
        let signals = self.signals.lock();
        self.is_stopping.store(true, Ordering::Release);
        drop(signals);
        self.due.notify_all();
        self.relief.notify_all();
        self.halt.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Errors so far.
    pub(crate) fn stats(&self) -> BackgroundStats {
        let signals = self.signals.lock();
        BackgroundStats { errors: signals.errors, last_error: signals.last_error.clone() }
    }
}

impl Signals {
    fn health(&mut self, work: Work) -> &mut Health {
        match work {
            Work::Flush => &mut self.flush,
            Work::Compact => &mut self.compact,
        }
    }

    fn take_due(&mut self, work: Work) -> bool {
        match work {
            Work::Flush => std::mem::take(&mut self.flush_due),
            Work::Compact => std::mem::take(&mut self.compact_due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_what_has_happened_already() {
        let background = Background::new();
        let for_ever = Duration::from_hours(1);
        background.wake(Work::Flush);
        background.wait(Work::Flush, for_ever);
        let events = background.events();
        background.succeeded(Work::Compact);
        background.wait_for_relief(events, for_ever);
        background.failed(Work::Flush, "x", false);
        background.wait_for_relief(events + 1, for_ever);
        background.stop();
        background.wait(Work::Compact, for_ever);
        background.wait_for_relief(background.events(), for_ever);
        background.pause(for_ever);
    }

    #[test]
    fn trouble_lasts_until_the_same_work_succeeds() {
        let background = Background::new();
        assert_eq!(background.trouble(), None);
        assert_eq!(background.failed(Work::Flush, "a", true), 1);
        assert_eq!(background.failed(Work::Flush, "b", true), 2);
        background.succeeded(Work::Compact);
        assert_eq!(background.trouble(), Some(Trouble::DiskFull));
        assert_eq!(background.disk_full().as_deref(), Some("b"));
        background.failed(Work::Flush, "c", false);
        assert_eq!((background.trouble(), background.disk_full()), (Some(Trouble::Failing), None));
        background.succeeded(Work::Flush);
        assert_eq!(background.trouble(), None);
        let stats = background.stats();
        assert_eq!((stats.errors, stats.last_error.as_deref()), (3, Some("c")));
    }
}
