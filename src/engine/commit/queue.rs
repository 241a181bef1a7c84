//! The commit queue: where commits of all threads line up for the sequencer.
//!
//! Bounded by count and by bytes; a commit that doesn't fit is handed back at once, so that
//! overload is an answer and never a stall. What is in the queue when it closes is still taken.

use std::{collections::VecDeque, time::Duration};

use crate::sync::{Condvar, Mutex};

/// A bounded queue with many producers and one consumer.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    arrivals: Condvar,
    bounds: Bounds,
}

/// How much a queue holds, or a consumer takes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) items_max: usize,
    pub(crate) bytes_max: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
    is_closed: bool,
    consumer_waits: bool,
    /// The consumer is to look around, whether or not there is something to take.
    is_nudged: bool,
}

/// Why an item was handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// What [`Queue::take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Items,
    Nothing,
    /// Closed and empty: nothing will ever come.
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            is_closed: false,
            consumer_waits: false,
            is_nudged: false,
        };
        Self { state: Mutex::new(state), arrivals: Condvar::new(), bounds }
    }

    /// Lines up an item that counts for `bytes`. Without a word to the consumer: whoever does this
    /// wakes it, or does its work.
    pub(crate) fn push(&self, item: T, bytes: usize) -> Result<(), (T, Refused)> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err((item, Refused::Closed));
        }
        let is_full = state.items.len() >= self.bounds.items_max
            || state.bytes.saturating_add(bytes) > self.bounds.bytes_max;
        if is_full {
            return Err((item, Refused::Full));
        }
        state.bytes += bytes;
        state.items.push_back((bytes, item));
        Ok(())
    }

    /// Lets the consumer look, if it waits.
    pub(crate) fn wake(&self) {
        let is_waiting = std::mem::take(&mut self.state.lock().consumer_waits);
        if is_waiting {
            self.arrivals.notify_one();
        }
    }

    /// Lets the consumer look even if nothing waits in the queue, now or when it next would wait.
    pub(crate) fn nudge(&self) {
        self.state.lock().is_nudged = true;
        self.wake();
    }

    /// Waits until there is something to take, a nudge, or the end; at most `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let mut state = self.state.lock();
        let is_idle = state.items.is_empty() && !state.is_closed && !state.is_nudged;
        if is_idle && !limit.is_zero() {
            state.consumer_waits = true;
            state = self.arrivals.wait_for(state, limit);
            state.consumer_waits = false;
        }
        state.is_nudged = false;
    }

    /// Moves what waits to `into`, up to `bounds`, but at least one item if there is one.
    pub(crate) fn take(&self, into: &mut Vec<T>, bounds: Bounds) -> Taken {
        let mut state = self.state.lock();
        let mut bytes_taken: usize = 0;
        let mut count = 0;
        while let Some(&(bytes, _)) = state.items.front() {
            let has_room =
                count < bounds.items_max && bytes_taken.saturating_add(bytes) <= bounds.bytes_max;
            if count > 0 && !has_room {
                break;
            }
            let Some((bytes, item)) = state.items.pop_front() else { break };
            state.bytes -= bytes;
            bytes_taken += bytes;
            count += 1;
            into.push(item);
        }
        match (count, state.is_closed) {
            (0, true) => Taken::Closed,
            (0, false) => Taken::Nothing,
            _ => Taken::Items,
        }
    }

    /// Refuses everything from now on.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.arrivals.notify_one();
    }

    /// Whether it takes nothing more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Bounds = Bounds { items_max: 10, bytes_max: 100 };

    #[test]
    fn a_queue_refuses_what_is_beyond_its_count_or_its_bytes() {
        let queue = Queue::new(Bounds { items_max: 2, bytes_max: 100 });
        assert_eq!(queue.push('a', 60), Ok(()));
        assert_eq!(queue.push('b', 41), Err(('b', Refused::Full)));
        assert_eq!(queue.push('c', 40), Ok(()));
        assert_eq!(queue.push('d', 0), Err(('d', Refused::Full)));
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, WIDE), Taken::Items);
        assert_eq!(taken, ['a', 'c']);
        assert_eq!(queue.push('d', 100), Ok(()));
    }

    #[test]
    fn a_batch_is_bounded_but_never_empty_while_something_waits() {
        let queue = Queue::new(Bounds { items_max: 10, bytes_max: 1_000 });
        for item in 0..5 {
            queue.push(item, 150).unwrap();
        }
        let mut taken = Vec::new();
        queue.take(&mut taken, WIDE);
        assert_eq!(taken, [0], "an item over the bound goes alone");
        queue.take(&mut taken, Bounds { items_max: 2, bytes_max: 1_000 });
        assert_eq!(taken, [0, 1, 2]);
        queue.take(&mut taken, Bounds { items_max: 9, bytes_max: 300 });
        assert_eq!(taken, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_was_queued_before_the_close_is_taken_after_it() {
        let queue = Queue::new(WIDE);
        queue.push('a', 1).unwrap();
        queue.close();
        assert_eq!(queue.push('b', 1), Err(('b', Refused::Closed)));
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, WIDE), Taken::Items);
        assert_eq!(queue.take(&mut taken, WIDE), Taken::Closed);
        assert_eq!(taken, ['a']);
    }
}
