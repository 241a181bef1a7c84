//! Publishing: the only place where the read version moves.
//!
//! A batch is visible when it is logged as its durability asks, wholly applied to the store, and
//! everything before it is visible (INV-1). Logging and applying end on two threads, in either
//! order; whoever ends last publishes, in sequence, and gets the published batches to answer their
//! waiters. So nobody is told of a version before it is visible (INV-2).
//!
//! After a failure of the log nothing moves any more: batches from the failed one on are handed
//! back, to be answered as unknown.

use std::collections::VecDeque;

use plinth_protocol::Version;

use crate::sync::{AtomicU64, Mutex, Ordering};

/// The read version, and the batches on their way to it.
#[derive(Debug)]
pub(crate) struct Publisher<B> {
    published: AtomicU64,
    in_flight: Mutex<InFlight<B>>,
}

#[derive(Debug)]
struct InFlight<B> {
    /// The number of the batch at the front.
    front: u64,
    slots: VecDeque<Slot<B>>,
    has_failed: bool,
}

#[derive(Debug)]
struct Slot<B> {
    /// The last version of the batch.
    version: Version,
    batch: B,
    is_logged: bool,
    is_applied: bool,
}

/// A batch's place in the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchNumber(pub(crate) u64);

impl<B> InFlight<B> {
    fn slot(&mut self, number: BatchNumber) -> Option<&mut Slot<B>> {
        let at = usize::try_from(number.0.checked_sub(self.front)?).ok()?;
        self.slots.get_mut(at)
    }
}

impl<B> Publisher<B> {
    pub(crate) fn new(published: Version) -> Self {
        let in_flight = InFlight { front: 0, slots: VecDeque::new(), has_failed: false };
        Self { published: AtomicU64::new(published.0), in_flight: Mutex::new(in_flight) }
    }

    /// The newest version that may be read.
    pub(crate) fn published(&self) -> Version {
        Version(self.published.load(Ordering::Acquire))
    }

    /// Enters a batch whose last version is `version`; `is_logged` if it needs no log to be
    /// visible. Hands the batch back if the log has failed.
    pub(crate) fn begin(
        &self,
        version: Version,
        batch: B,
        is_logged: bool,
    ) -> Result<BatchNumber, B> {
        let mut in_flight = self.in_flight.lock();
        if in_flight.has_failed {
            return Err(batch);
        }
        let number = BatchNumber(in_flight.front + in_flight.slots.len() as u64);
        in_flight.slots.push_back(Slot { version, batch, is_logged, is_applied: false });
        Ok(number)
    }

    /// Every batch up to `last` is logged. What that makes visible is returned, in order.
    pub(crate) fn logged(&self, last: BatchNumber) -> Vec<B> {
        let mut in_flight = self.in_flight.lock();
        let front = in_flight.front;
        for (number, slot) in (front..=last.0).zip(&mut in_flight.slots) {
            debug_assert!(number <= last.0);
            slot.is_logged = true;
        }
        self.advance(&mut in_flight)
    }

    /// The batch is applied; `finish` completes it before it can be published. What that makes
    /// visible is returned, in order. A batch that was handed back meanwhile is left alone.
    pub(crate) fn applied(&self, number: BatchNumber, finish: impl FnOnce(&mut B)) -> Vec<B> {
        let mut in_flight = self.in_flight.lock();
        if let Some(slot) = in_flight.slot(number) {
            slot.is_applied = true;
            finish(&mut slot.batch);
        }
        self.advance(&mut in_flight)
    }

    fn advance(&self, in_flight: &mut InFlight<B>) -> Vec<B> {
        let mut visible = Vec::new();
        while in_flight.slots.front().is_some_and(|slot| slot.is_logged && slot.is_applied) {
            let Some(slot) = in_flight.slots.pop_front() else { break };
            in_flight.front += 1;
            self.publish(slot.version);
            visible.push(slot.batch);
        }
        visible
    }

    /// Stores under the lock, so that it never goes back.
    fn publish(&self, version: Version) {
        debug_assert!(self.published.load(Ordering::Relaxed) <= version.0, "versions go forward");
        self.published.store(version.0, Ordering::Release);
    }

    /// Moves the read version of a database at rest; false if batches are in flight.
    pub(crate) fn tick(&self, version: Version) -> bool {
        let in_flight = self.in_flight.lock();
        let is_at_rest = in_flight.slots.is_empty() && !in_flight.has_failed;
        if is_at_rest {
            self.publish(version);
        }
        is_at_rest
    }

    /// Whether no batch is in flight and none has failed.
    pub(crate) fn is_at_rest(&self) -> bool {
        let in_flight = self.in_flight.lock();
        in_flight.slots.is_empty() && !in_flight.has_failed
    }

    /// The log of `first` has failed: it and all after it are handed back, and nothing is
    /// accepted from now on. Batches before it may still be published.
    pub(crate) fn fail(&self, first: BatchNumber) -> Vec<B> {
        let mut in_flight = self.in_flight.lock();
        in_flight.has_failed = true;
        let keep = first.0.saturating_sub(in_flight.front);
        let keep = usize::try_from(keep).unwrap_or(usize::MAX).min(in_flight.slots.len());
        in_flight.slots.split_off(keep).into_iter().map(|slot| slot.batch).collect()
    }

    /// Nothing is accepted from now on, because the log has failed without a batch.
    pub(crate) fn refuse(&self) {
        self.in_flight.lock().has_failed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_visible_when_it_and_all_before_it_are_logged_and_applied() {
        let publisher = Publisher::new(Version(5));
        let first = publisher.begin(Version(10), 'a', false).unwrap();
        let second = publisher.begin(Version(20), 'b', true).unwrap();
        assert!(publisher.applied(second, |_| ()).is_empty());
        assert!(publisher.applied(first, |batch| *batch = 'A').is_empty());
        assert!(!publisher.tick(Version(30)));
        assert_eq!(publisher.published(), Version(5));
        assert_eq!(publisher.logged(first), ['A', 'b']);
        assert_eq!(publisher.published(), Version(20));
        assert!(publisher.tick(Version(30)));
    }

    #[test]
    fn after_a_failure_nothing_moves_but_what_came_before_it() {
        let publisher = Publisher::new(Version(0));
        let first = publisher.begin(Version(10), 'a', false).unwrap();
        let second = publisher.begin(Version(20), 'b', false).unwrap();
        let third = publisher.begin(Version(30), 'c', true).unwrap();
        assert!(publisher.logged(first).is_empty());
        assert_eq!(publisher.fail(second), ['b', 'c']);
        assert!(publisher.applied(third, |_| ()).is_empty());
        assert_eq!(publisher.applied(first, |_| ()), ['a']);
        assert_eq!(publisher.begin(Version(40), 'd', true), Err('d'));
        assert!(!publisher.tick(Version(50)));
        assert_eq!(publisher.published(), Version(10));
    }
}
