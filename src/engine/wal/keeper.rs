//! The keeper of the segments: has a spare ready before the log needs one, sees to the archive, and
//! keeps the room that a start needs.
//!
//! When that can't be, because the disk is full or fails, it says so and tries again, later and
//! later; commits are refused meanwhile, once the room that is reserved is used up, and go on by
//! themselves when it succeeds.

use std::{sync::Arc, time::Duration};

use super::Segments;
use crate::{clock::Clock, engine::reserve::Reserve};

/// Makes spares ahead and the reserve, and archives what is closed. A thread's work, or a step of whoever drives the
/// pipeline.
pub(crate) struct Keeper {
    segments: Arc<Segments>,
    clock: Arc<dyn Clock>,
    spares: Pauses,
    archive: Pauses,
    /// Until it is there.
    reserve: Option<Reserve>,
    reserve_tries: Pauses,
}

/// When something is tried again that has failed.
#[derive(Debug)]
struct Pauses {
    min: Duration,
    max: Duration,
    /// The pause after the next failure.
    next: Duration,
    /// Not before this moment.
    resume_micros: u64,
}

impl Pauses {
    fn new((min, max): (Duration, Duration)) -> Self {
        Self { min, max, next: min, resume_micros: 0 }
    }

    fn until_over(&self, now_micros: u64) -> Duration {
        Duration::from_micros(self.resume_micros.saturating_sub(now_micros))
    }

    /// Whether it had failed before.
    fn succeeded(&mut self) -> bool {
        let had_failed = self.next > self.min;
        (self.next, self.resume_micros) = (self.min, 0);
        had_failed
    }

    /// Whether it had succeeded before.
    fn failed(&mut self, now_micros: u64) -> bool {
        let had_succeeded = self.next == self.min;
        let pause = u64::try_from(self.next.as_micros()).unwrap_or(u64::MAX);
        self.resume_micros = now_micros.saturating_add(pause);
        self.next = (self.next * 2).min(self.max);
        had_succeeded
    }
}

impl Keeper {
    /// A keeper that after a failure pauses this long, and longer after each that follows.
    pub(crate) fn new(
        segments: Arc<Segments>,
        clock: Arc<dyn Clock>,
        pauses: (Duration, Duration),
        reserve: Reserve,
    ) -> Self {
        let [spares, archive, reserve_tries] = [(); 3].map(|()| Pauses::new(pauses));
        Self { segments, clock, spares, archive, reserve: Some(reserve), reserve_tries }
    }

    /// Does what is due; false if nothing was.
    pub(crate) fn step(&mut self) -> bool {
        let made = self.make_spare();
        let archived = self.archive_segment();
        let reserved = self.make_reserve();
        made || archived || reserved
    }

    /// Commits come first: while the log needs room, none is kept for later.
    fn make_reserve(&mut self) -> bool {
        let now = self.clock.monotonic_micros();
        if !self.reserve_tries.until_over(now).is_zero() || !self.segments.is_at_ease() {
            return false;
        }
        let Some(reserve) = &self.reserve else { return false };
        match reserve.make() {
            Ok(()) => self.reserve = None,
            Err(error) => {
                if self.reserve_tries.failed(now) {
                    tracing::warn!(%error, "no room can be kept for a start on a full disk");
                }
            }
        }
        true
    }

    fn make_spare(&mut self) -> bool {
        let now = self.clock.monotonic_micros();
        if !self.spares.until_over(now).is_zero() {
            return false;
        }
        let Some(capacity) = self.segments.spare_due() else { return false };
        match self.segments.make_spare(capacity) {
            Ok(()) => {
                if self.spares.succeeded() {
                    tracing::info!("there is room for the log again");
                }
            }
            Err(error) => {
                if self.spares.failed(now) {
                    tracing::warn!(%error, "no room can be made for the log");
                }
            }
        }
        true
    }

    fn archive_segment(&mut self) -> bool {
        let now = self.clock.monotonic_micros();
        if !self.archive.until_over(now).is_zero() {
            return false;
        }
        match self.segments.archive_next() {
            Ok(did) => {
                if did && self.archive.succeeded() {
                    tracing::info!("the archive takes segments again");
                }
                did
            }
            Err(error) => {
                if self.archive.failed(now) {
                    tracing::warn!(%error, "the archive can't take a segment; the log keeps it");
                }
                true
            }
        }
    }

    /// Waits for work and does it, until the log is closed.
    pub(crate) fn run(mut self) {
        loop {
            while self.step() {}
            let now = self.clock.monotonic_micros();
            let tries = [&self.spares, &self.archive, &self.reserve_tries];
            let pauses = tries.map(|pauses| pauses.until_over(now));
            let limit = pauses.into_iter().filter(|pause| !pause.is_zero()).min();
            if !self.segments.wait_for_work(limit) {
                return;
            }
        }
    }
}
