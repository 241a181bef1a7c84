//! The keeper of the segments: has a spare ready before the log needs one.
//!
//! When that can't be, because the disk is full or fails, it says so and tries again, later and
//! later; commits are refused meanwhile, once the room that is reserved is used up, and go on by
//! themselves when it succeeds.

use std::{sync::Arc, time::Duration};

use super::Segments;
use crate::clock::Clock;

/// Makes spares ahead. A thread's work, or a step of whoever drives the pipeline.
pub(crate) struct Keeper {
    segments: Arc<Segments>,
    clock: Arc<dyn Clock>,
    pause_min: Duration,
    pause_max: Duration,
    /// The pause after the next failure.
    pause: Duration,
    /// Not before this moment.
    resume_micros: u64,
}

impl Keeper {
    /// A keeper that after a failure pauses this long, and longer after each that follows.
    pub(crate) fn new(
        segments: Arc<Segments>,
        clock: Arc<dyn Clock>,
        (pause_min, pause_max): (Duration, Duration),
    ) -> Self {
        Self { segments, clock, pause_min, pause_max, pause: pause_min, resume_micros: 0 }
    }

    /// Does what is due; false if nothing was.
    pub(crate) fn step(&mut self) -> bool {
        if !self.until_resumed().is_zero() {
            return false;
        }
        let Some(capacity) = self.segments.spare_due() else { return false };
        match self.segments.make_spare(capacity) {
            Ok(()) => {
                if self.pause > self.pause_min {
                    tracing::info!("there is room for the log again");
                }
                self.pause = self.pause_min;
            }
            Err(error) => {
                if self.pause == self.pause_min {
                    tracing::warn!(%error, "no room can be made for the log");
                }
                let pause = u64::try_from(self.pause.as_micros()).unwrap_or(u64::MAX);
                self.resume_micros = self.clock.monotonic_micros().saturating_add(pause);
                self.pause = (self.pause * 2).min(self.pause_max);
            }
        }
        true
    }

    /// Waits for work and does it, until the log is closed.
    pub(crate) fn run(mut self) {
        loop {
            let pause = self.until_resumed();
            let limit = (!pause.is_zero()).then_some(pause);
            if !self.segments.wait_for_work(limit) {
                return;
            }
            self.step();
        }
    }

    fn until_resumed(&self) -> Duration {
        let now = self.clock.monotonic_micros();
        Duration::from_micros(self.resume_micros.saturating_sub(now))
    }
}
