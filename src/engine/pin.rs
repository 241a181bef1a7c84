//! Pins: snapshots that stay readable beyond the window, and the horizon that respects them.
//!
//! The horizon is the lower of the window's begin and the oldest pin. Taking a pin and moving the
//! horizon happen under one lock, so that a version is either refused to a pin or kept for it,
//! and never pinned and then dropped.

use std::{collections::BTreeMap, fmt, sync::Arc};

use plinth_protocol::{Error, ErrorCode, Version};

use crate::sync::Mutex;

/// All pins of an engine.
#[derive(Debug)]
pub(crate) struct Pins {
    state: Mutex<State>,
    pins_max: usize,
}

#[derive(Debug)]
struct State {
    /// How many pins hold each version.
    held: BTreeMap<Version, usize>,
    count: usize,
    horizon: Version,
}

/// Holds a snapshot readable while it lives.
pub struct Pin {
    pins: Arc<Pins>,
    version: Version,
}

impl Pins {
    pub(crate) fn new(horizon: Version, pins_max: usize) -> Arc<Self> {
        let state = State { held: BTreeMap::new(), count: 0, horizon };
        Arc::new(Self { state: Mutex::new(state), pins_max })
    }

    /// Pins `version`, or the newest. `published` is asked under the lock: what it answers is not
    /// below the horizon.
    pub(crate) fn pin(
        self: &Arc<Self>,
        version: Option<Version>,
        published: impl FnOnce() -> Version,
    ) -> Result<Pin, Error> {
        let mut state = self.state.lock();
        if state.count >= self.pins_max {
            let text = format!(
                "{} snapshots are pinned, which is the limit: unpin some, or raise the limit",
                state.count
            );
            return Err(Error::new(ErrorCode::TOO_MANY_PINS, text));
        }
        let published = published();
        let version = version.unwrap_or(published);
        if version > published {
            return Err(ErrorCode::FUTURE_VERSION.into());
        }
        if version < state.horizon {
            return Err(ErrorCode::TRANSACTION_TOO_OLD.into());
        }
        state.hold(version);
        drop(state);
        Ok(Pin { pins: Arc::clone(self), version })
    }

    /// Pins `version` for a commit in the queue, if it is still readable; the queue's bound is
    /// the limit.
    pub(crate) fn hold(self: &Arc<Self>, version: Version) -> Option<Pin> {
        let mut state = self.state.lock();
        if version < state.horizon {
            return None;
        }
        state.hold(version);
        drop(state);
        Some(Pin { pins: Arc::clone(self), version })
    }

    /// Moves the horizon as far as `window_begin` and the pins let it go. It never goes back.
    pub(crate) fn advance(&self, window_begin: Version) -> Version {
        let mut state = self.state.lock();
        let oldest = state.held.keys().next().copied();
        let horizon = oldest.map_or(window_begin, |oldest| oldest.min(window_begin));
        state.horizon = state.horizon.max(horizon);
        state.horizon
    }

    /// How many pins there are, and the oldest version that one holds.
    pub(crate) fn stats(&self) -> (usize, Option<Version>) {
        let state = self.state.lock();
        (state.count, state.held.keys().next().copied())
    }

    fn unpin(&self, version: Version) {
        let mut state = self.state.lock();
        if let Some(count) = state.held.get_mut(&version) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&version);
            }
            state.count -= 1;
        }
    }
}

impl State {
    fn hold(&mut self, version: Version) {
        *self.held.entry(version).or_default() += 1;
        self.count += 1;
    }
}

impl Pin {
    /// The version that is held.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.version).finish()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.unpin(self.version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_stops_at_the_oldest_pin_and_never_goes_back() {
        let pins = Pins::new(Version(10), 3);
        let newest = pins.pin(None, || Version(100)).unwrap();
        let old = pins.pin(Some(Version(50)), || Version(100)).unwrap();
        let twin = pins.pin(Some(Version(50)), || Version(100)).unwrap();
        assert_eq!(newest.version(), Version(100));
        assert_eq!(pins.advance(Version(90)), Version(50));
        drop(old);
        assert_eq!(pins.advance(Version(95)), Version(50));
        drop(twin);
        assert_eq!(pins.advance(Version(95)), Version(95));
        assert_eq!(pins.advance(Version(20)), Version(95));
        assert_eq!(pins.stats(), (1, Some(Version(100))));
    }

    #[test]
    fn a_pin_is_refused_below_the_horizon_above_the_present_and_beyond_the_limit() {
        let pins = Pins::new(Version(10), 1);
        let code = |pin: Result<Pin, Error>| pin.unwrap_err().code;
        assert_eq!(
            code(pins.pin(Some(Version(9)), || Version(20))),
            ErrorCode::TRANSACTION_TOO_OLD
        );
        assert_eq!(code(pins.pin(Some(Version(21)), || Version(20))), ErrorCode::FUTURE_VERSION);
        let held = pins.pin(Some(Version(10)), || Version(20)).unwrap();
        assert_eq!(code(pins.pin(None, || Version(20))), ErrorCode::TOO_MANY_PINS);
        drop(held);
        assert!(pins.pin(None, || Version(20)).is_ok());
    }
}
