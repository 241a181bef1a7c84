//! The version clock: gives every transaction its version.
//!
//! A version is the greater of the last one plus one and what the wall says: versions advance about
//! 1,000,000 a second, so that windows can be counted in versions, and strictly increase however
//! fast commits come. No version above the durable **ceiling** is ever given, so that a restart,
//! which begins above the ceiling that it finds, begins above everything that anyone was ever told,
//! ticks of an idle database included.
//!
//! ```text
//!        last given         durable ceiling      requested ceiling
//!  ──────────┼───────────────────────┼───────────────────┼────────▶ versions
//!            │◀── lead: ask for a new ceiling when less ──▶
//! ```

use std::time::Duration;

use plinth_protocol::Version;

/// How many versions pass in `duration`.
pub(crate) fn versions_in(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(Version::MAX.0)
}

/// Gives versions. Lives in the sequencer.
#[derive(Debug)]
pub(crate) struct VersionClock {
    /// The version that was current at `base_micros` of the clock.
    base: Version,
    base_micros: u64,
    last: Version,
    /// The highest ceiling that is on its way to the log, or in it.
    requested: Version,
    ceiling_ahead: u64,
}

impl VersionClock {
    /// A clock whose first version is above `last`, paced from `now_micros` on. `ceiling` is
    /// durable already, and new ones are asked for `ceiling_ahead` versions ahead of time.
    pub(crate) fn new(
        last: Version,
        now_micros: u64,
        ceiling: Version,
        ceiling_ahead: u64,
    ) -> Self {
        Self { base: last, base_micros: now_micros, last, requested: ceiling, ceiling_ahead }
    }

    /// The last version that was given.
    pub(crate) fn last(&self) -> Version {
        self.last
    }

    fn paced(&self, now_micros: u64) -> Version {
        let elapsed = now_micros.saturating_sub(self.base_micros);
        Version(self.base.0.saturating_add(elapsed).min(Version::MAX.0))
    }

    /// The next version, not above the durable `ceiling`; `None` when that is used up. After a leap
    /// of the clock beyond the ceiling, versions go on one by one until the next ceiling is durable.
    pub(crate) fn next(&mut self, now_micros: u64, ceiling: Version) -> Option<Version> {
        let paced = self.paced(now_micros);
        let next = if paced <= ceiling { paced.max(self.last.next()) } else { self.last.next() };
        if next > ceiling || next <= self.last {
            return None;
        }
        self.last = next;
        Some(next)
    }

    /// Like [`next`](Self::next) for a database at rest: only what the wall says, never ahead of it.
    pub(crate) fn tick(&mut self, now_micros: u64, ceiling: Version) -> Option<Version> {
        let paced = self.paced(now_micros);
        if paced <= self.last || paced > ceiling {
            return None;
        }
        self.last = paced;
        Some(paced)
    }

    /// The ceiling to make durable now, if it is time: when half of the way to the last one is
    /// behind us.
    pub(crate) fn ceiling_due(&self, now_micros: u64) -> Option<Version> {
        let present = self.paced(now_micros).max(self.last);
        if self.requested.0.saturating_sub(present.0) >= self.ceiling_ahead / 2 {
            return None;
        }
        let ceiling = Version(present.0.saturating_add(self.ceiling_ahead).min(Version::MAX.0));
        (ceiling > self.requested).then_some(ceiling)
    }

    /// The ceiling that was due is on its way to the log.
    pub(crate) fn ceiling_sent(&mut self, ceiling: Version) {
        self.requested = self.requested.max(ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: u64 = 60_000_000;

    #[test]
    fn versions_follow_the_clock_and_strictly_increase() {
        let ceiling = Version(AHEAD);
        let mut clock = VersionClock::new(Version(100), 5_000, ceiling, AHEAD);
        assert_eq!(clock.next(5_000, ceiling), Some(Version(101)));
        assert_eq!(clock.next(5_000, ceiling), Some(Version(102)));
        assert_eq!(clock.next(6_000, ceiling), Some(Version(1_100)));
        assert_eq!(clock.next(5_500, ceiling), Some(Version(1_101)), "a clock that goes back");
        assert_eq!(clock.tick(6_001, ceiling), None, "a tick is never ahead of the clock");
        assert_eq!(clock.tick(6_002, ceiling), Some(Version(1_102)));
    }

    #[test]
    fn no_version_is_above_the_durable_ceiling() {
        let ceiling = Version(1_000);
        let mut clock = VersionClock::new(Version(0), 0, ceiling, 1_000);
        assert_eq!(clock.next(900, ceiling), Some(Version(900)));
        assert_eq!(clock.next(5_000, ceiling), Some(Version(901)), "one by one after a leap");
        assert_eq!(clock.tick(5_000, ceiling), None);
        for version in 902..=1_000 {
            assert_eq!(clock.next(5_000, ceiling), Some(Version(version)));
        }
        assert_eq!(clock.next(5_000, ceiling), None);
        assert_eq!(clock.ceiling_due(5_000), Some(Version(6_000)));
        assert_eq!(clock.next(5_000, Version(6_000)), Some(Version(5_000)));
    }

    #[test]
    fn a_ceiling_is_asked_for_once_and_in_time() {
        let mut clock = VersionClock::new(Version(0), 0, Version(AHEAD), AHEAD);
        assert_eq!(clock.ceiling_due(AHEAD / 2), None);
        let ceiling = Version(AHEAD / 2 + 1 + AHEAD);
        assert_eq!(clock.ceiling_due(AHEAD / 2 + 1), Some(ceiling));
        assert!(clock.ceiling_due(AHEAD / 2 + 2) > Some(ceiling), "it could not be sent");
        clock.ceiling_sent(ceiling);
        assert_eq!(clock.ceiling_due(AHEAD / 2 + 2), None);
    }
}
