//! Time, as the engine sees it.
//!
//! [`SystemClock`] is the machine's; [`ManualClock`] moves when a test says so.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Microseconds since some moment before; never goes back, knows nothing of the calendar.
    fn monotonic_micros(&self) -> u64;

    /// Milliseconds since 1970, as far as the machine knows; may jump.
    fn wall_millis(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic_micros(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn wall_millis(&self) -> u64 {
        // A machine that believes to live before 1970 is taken to live in 1970.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    monotonic_micros: AtomicU64,
    /// Where the calendar stood when the monotonic time was zero.
    wall_origin_millis: AtomicU64,
}

impl ManualClock {
    /// A clock with monotonic time zero and this calendar time.
    pub fn new(wall_millis: u64) -> Self {
        Self { monotonic_micros: AtomicU64::new(0), wall_origin_millis: wall_millis.into() }
    }

    /// Lets this much time pass.
    pub fn advance(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.monotonic_micros.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the calendar, as an administrator would; monotonic time doesn't notice.
    pub fn set_wall_millis(&self, millis: u64) {
        let passed = self.monotonic_micros() / 1000;
        self.wall_origin_millis.store(millis.saturating_sub(passed), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic_micros(&self) -> u64 {
        self.monotonic_micros.load(Ordering::SeqCst)
    }

    fn wall_millis(&self) -> u64 {
        self.wall_origin_millis.load(Ordering::SeqCst) + self.monotonic_micros() / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_never_goes_back() {
        let clock = SystemClock::new();
        let earlier = clock.monotonic_micros();
        assert!(clock.monotonic_micros() >= earlier);
        assert!(clock.wall_millis() > 1_700_000_000_000);
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let clock = ManualClock::new(5_000);
        assert_eq!((clock.monotonic_micros(), clock.wall_millis()), (0, 5_000));
        clock.advance(Duration::from_millis(3));
        assert_eq!((clock.monotonic_micros(), clock.wall_millis()), (3_000, 5_003));
        clock.set_wall_millis(9_000);
        assert_eq!((clock.monotonic_micros(), clock.wall_millis()), (3_000, 9_000));
    }
}
