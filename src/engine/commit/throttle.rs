//! Holds the sequencer back while the disk doesn't keep up.
//!
//! It looks at what waits for the disk before each batch ([`back_pressure`](crate::engine::back_pressure)),
//! and keeps the accounts: how long commits were held back, and how far the last batch put off the
//! next one.

use std::time::Duration;

use plinth_protocol::ErrorCode;

use crate::{
    engine::{
        back_pressure::{Load, Pressure, delay},
        background::Trouble,
        options::Pipeline,
        shared::Shared,
        stats::{add, get},
        store::StoreWriter,
    },
    sync::Ordering,
};

/// How a batch may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Open,
    /// Not yet.
    Shut,
    /// Not before what hinders the disk is gone: whoever waits is told so.
    Refuses(ErrorCode),
}

/// Decides when the next batch may be sequenced.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// Not before this.
    next_at_micros: u64,
    /// Where the log ended when the memtable began. What a start found counts.
    log_begin: u64,
    pressure: Option<Pressure>,
}

impl Throttle {
    /// Says whether a batch may be sequenced; waits up to `limit` for it. What holds it back is
    /// always work that the background has to do, or failed to do.
    pub(super) fn pass(&mut self, shared: &Shared, writer: &StoreWriter, limit: Duration) -> Gate {
        // Nothing is done with what waits but to refuse it, or it is bounded by the queue.
        if shared.poison.is_set() || shared.queue.is_closed() {
            return Gate::Open;
        }
        let begin = shared.options.clock.monotonic_micros();
        // Before the look at the load, so that no change after it goes unnoticed.
        let events = shared.background.events();
        let pressure = self.load(shared, writer).pressure(&shared.options.storage);
        self.set_pressure(shared, pressure);
        let wait = match pressure {
            Pressure::Stop => match shared.background.trouble() {
                Some(Trouble::DiskFull) => return Gate::Refuses(ErrorCode::DISK_FULL),
                Some(Trouble::Failing) => return Gate::Refuses(ErrorCode::COMMIT_OVERLOADED),
                None => limit,
            },
            Pressure::None => return Gate::Open,
            // Who drives the pipeline by hand decides when.
            Pressure::Slow(_) if shared.options.pipeline == Pipeline::Manual => return Gate::Open,
            Pressure::Slow(_) if begin >= self.next_at_micros => return Gate::Open,
            Pressure::Slow(_) => limit.min(Duration::from_micros(self.next_at_micros - begin)),
        };
        let has_commits = shared.queue.len() > 0;
        shared.background.wait_for_relief(events, wait);
        let end = shared.options.clock.monotonic_micros();
        if has_commits {
            add(&shared.counters.stall_micros, end.saturating_sub(begin));
        }
        match pressure {
            Pressure::Slow(_) if end >= self.next_at_micros => Gate::Open,
            _ => Gate::Shut,
        }
    }

    /// A batch of so many bytes of log was sequenced.
    pub(super) fn passed(&mut self, shared: &Shared, log_bytes: u64) {
        let wait = match self.pressure {
            Some(Pressure::Slow(rate)) => delay(log_bytes, rate),
            _ => Duration::ZERO,
        };
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        shared.counters.delay_micros.store(micros, Ordering::Relaxed);
        let now = shared.options.clock.monotonic_micros();
        self.next_at_micros = now.saturating_add(micros);
    }

    /// Whether the memtable is to be frozen: it is large, or much log is to be read for it.
    pub(super) fn is_memtable_full(&self, shared: &Shared, writer: &StoreWriter) -> bool {
        let storage = &shared.options.storage;
        let log_bytes = get(&shared.counters.log_end).saturating_sub(self.log_begin);
        writer.should_rotate(storage.memtable_bytes) || log_bytes >= storage.log_bytes_max
    }

    /// The memtable begins anew.
    pub(super) fn rotated(&mut self, shared: &Shared) {
        self.log_begin = get(&shared.counters.log_end);
    }

    fn load(&self, shared: &Shared, writer: &StoreWriter) -> Load {
        Load {
            active_bytes: writer.memtable_bytes(),
            is_active_full: self.is_memtable_full(shared, writer),
            frozen: shared.store.frozen_len(),
            level0: shared.live.level0_len(),
        }
    }

    fn set_pressure(&mut self, shared: &Shared, pressure: Pressure) {
        if self.pressure.replace(pressure) == Some(pressure) {
            return;
        }
        let counters = &shared.counters;
        let is_stalled = u64::from(pressure == Pressure::Stop);
        if counters.is_stalled.swap(is_stalled, Ordering::Relaxed) != is_stalled {
            if pressure == Pressure::Stop {
                tracing::warn!("commits wait until the disk has caught up");
            } else {
                tracing::info!("the disk has caught up: commits go on");
            }
        }
        if pressure == Pressure::None {
            counters.delay_micros.store(0, Ordering::Relaxed);
        }
    }
}
