//! Back-pressure: commits that come faster than the disk takes them are slowed down before they are
//! stopped.
//!
//! Two things may fall behind: memtables that wait to be written to tables, and tables of level 0
//! that wait to be compacted. How far, from nothing to all that is allowed, is the *debt*. With a
//! debt, each batch makes the next one wait in proportion to its bytes, so that a client who writes
//! little notices nothing. Where nothing more is allowed, commits stop: they wait in the queue, and
//! when that is full, are refused with an error that says to try again.
//!
//! ```text
//!   rate │▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇            no limit
//!        │              ▇▇
//!        │                ▇▇▇
//!        │                   ▇▇▇▇▇▇▁ 1/64
//!        └───────────────┬─────────┬──▶ debt
//!                        slow      stop
//! ```
//!
//! The background work that would relieve it never commits anything, so it never waits for this.

use std::time::Duration;

use super::storage_options::StorageOptions;

/// What stands between memory and the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Bytes of the memtable that is written.
    pub(crate) active_bytes: u64,
    /// Whether it is to be frozen as soon as there is room for another frozen one.
    pub(crate) is_active_full: bool,
    /// Memtables that wait to be written to tables.
    pub(crate) frozen: usize,
    /// Tables of level 0.
    pub(crate) level0: usize,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// Nothing.
    None,
    /// So many bytes of log a second are let through.
    Slow(u64),
    /// Nothing is let through.
    Stop,
}

/// The slowest rate, as a part of the fastest.
const SLOWEST: u64 = 64;

impl Load {
    /// What is done about this load.
    pub(crate) fn pressure(&self, options: &StorageOptions) -> Pressure {
        let is_memory_full = self.frozen >= options.frozen_max.max(1) && self.is_active_full;
        if is_memory_full || self.level0 >= options.level0_stop {
            return Pressure::Stop;
        }
        let debt = self.memory_debt(options).max(self.level0_debt(options));
        if debt <= 0.0 {
            return Pressure::None;
        }
        let fastest = options.slow_bytes_per_second.max(SLOWEST);
        let left = (1.0 - debt).max(0.0);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a rate, rounded anyway, and not negative"
        )]
        let rate = (fastest as f64 * left * left) as u64;
        Pressure::Slow(rate.max(fastest / SLOWEST))
    }

    /// From nothing, while the active memtable is below three quarters or nothing is frozen, to one.
    fn memory_debt(&self, options: &StorageOptions) -> f64 {
        let frozen_max = options.frozen_max.max(1);
        let quarters = 4.0 * part(self.active_bytes, options.memtable_bytes.max(1));
        let is_frozen = self.frozen.min(frozen_max) as u64;
        (quarters - 3.0).clamp(0.0, 1.0) * part(is_frozen, frozen_max as u64)
    }

    /// From nothing, below `level0_slow`, to one.
    fn level0_debt(&self, options: &StorageOptions) -> f64 {
        let above = (self.level0 + 1).saturating_sub(options.level0_slow) as u64;
        let room = (options.level0_stop + 1).saturating_sub(options.level0_slow).max(1);
        part(above, room as u64)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a part of a whole, rounded anyway")]
fn part(of: u64, whole: u64) -> f64 {
    of as f64 / whole as f64
}

/// How long what follows has to wait for so many bytes at this rate.
pub(crate) fn delay(bytes: u64, bytes_per_second: u64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options() -> StorageOptions {
        StorageOptions {
            memtable_bytes: 1000,
            frozen_max: 2,
            level0_slow: 4,
            level0_stop: 7,
            slow_bytes_per_second: 6400,
            ..StorageOptions::default()
        }
    }

    fn load(active_bytes: u64, frozen: usize, level0: usize) -> Pressure {
        let is_active_full = active_bytes >= 1000;
        Load { active_bytes, is_active_full, frozen, level0 }.pressure(&options())
    }

    #[test]
    fn commits_run_freely_are_slowed_and_stop() {
        assert_eq!(load(999, 0, 3), Pressure::None);
        assert_eq!(load(5000, 0, 0), Pressure::None, "it will be frozen at once");
        assert_eq!(load(750, 2, 0), Pressure::None);
        assert_eq!(load(875, 2, 0), Pressure::Slow(1600), "half of the quarter is left");
        assert_eq!(load(875, 1, 0), Pressure::Slow(3600));
        assert_eq!(load(999, 2, 0), Pressure::Slow(100));
        assert_eq!(load(1000, 2, 0), Pressure::Stop);
        assert_eq!(load(0, 0, 4), Pressure::Slow(3600));
        assert_eq!(load(0, 0, 6), Pressure::Slow(400));
        assert_eq!(load(0, 0, 7), Pressure::Stop);
        assert_eq!(delay(3200, 6400), Duration::from_millis(500));
        assert_eq!(delay(u64::MAX, 0), Duration::from_micros(u64::MAX));
    }

    fn rank(pressure: Pressure) -> u64 {
        match pressure {
            Pressure::None => 0,
            Pressure::Slow(rate) => u64::MAX - rate,
            Pressure::Stop => u64::MAX,
        }
    }

    proptest! {
        #[test]
        fn more_debt_never_means_less_pressure(
            active in 0_u64..2000, frozen in 0_usize..4, level0 in 0_usize..12,
            more in (0_u64..500, 0_usize..2, 0_usize..3),
        ) {
            let before = rank(load(active, frozen, level0));
            prop_assert!(before <= rank(load(active + more.0, frozen, level0)));
            prop_assert!(before <= rank(load(active, frozen + more.1, level0)));
            prop_assert!(before <= rank(load(active, frozen, level0 + more.2)));
        }

        /// Whatever waits for the disk, when all of it is done nothing holds commits back; and as
        /// long as something is held back there is something to do.
        #[test]
        fn a_stop_always_has_work_behind_it(
            active in 0_u64..2000, frozen in 0_usize..4, level0 in 0_usize..12,
        ) {
            if load(active, frozen, level0) != Pressure::None {
                prop_assert!(frozen > 0 || level0 >= options().level0_slow);
            }
            prop_assert_eq!(load(active, 0, options().level0_slow - 1), Pressure::None);
        }
    }
}
