//! The hand-off from the sequencer to the log: room for one job that grows until it is taken.
//!
//! While the log writes and syncs one job, the sequencer fills the next one. It takes the waiting
//! job back, adds a batch to it, and puts it down again; when the log is free it takes all of it,
//! so that everything that was sequenced during a sync shares the next write and the next sync.
//! After a job that nobody waited for, the log rests: what comes then shares one write too, unless
//! somebody waits for it.

use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// One waiting job between two threads.
#[derive(Debug)]
pub(crate) struct HandOff<J> {
    state: Mutex<State<J>>,
    jobs: Condvar,
    room: Condvar,
}

#[derive(Debug)]
struct State<J> {
    waiting: Option<J>,
    /// The sequencer has taken the waiting job back, to add to it.
    is_out: bool,
    /// An emptied job whose buffers can be used again.
    spare: Option<J>,
    /// Whoever waits for a job is to look around instead.
    is_nudged: bool,
    taker: Taker,
    is_closed: bool,
}

/// What whoever takes jobs is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    Works,
    /// Waits for a job.
    Waits,
    /// Waits for an urgent job.
    Rests,
}

/// A job that may be in a hurry.
pub(crate) trait Job {
    /// Whether somebody waits for it.
    fn is_urgent(&self) -> bool;
}

/// Who is told of a job that is put down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Whoever waits for one.
    Taker,
    /// Nobody: whoever put it sees to the rest.
    Nobody,
}

/// What [`HandOff::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Handed<J> {
    Job(J),
    Nothing,
    /// Nothing, as the sequencer is adding to what there is.
    Out,
    /// Closed and empty: nothing will ever come.
    Closed,
}

impl<J: Job> State<J> {
    fn is_looked_for(&self) -> bool {
        match self.taker {
            Taker::Works => false,
            Taker::Waits => self.waiting.is_some(),
            Taker::Rests => self.has_urgent(),
        }
    }

    /// Whether nothing will come that is not here.
    fn is_at_end(&self) -> bool {
        self.is_closed && !self.is_out
    }

    fn has_urgent(&self) -> bool {
        self.waiting.as_ref().is_some_and(Job::is_urgent)
    }
}

impl<J: Job> HandOff<J> {
    pub(crate) fn new() -> Self {
        let state = State {
            waiting: None,
            is_out: false,
            spare: None,
            is_nudged: false,
            taker: Taker::Works,
            is_closed: false,
        };
        Self { state: Mutex::new(state), jobs: Condvar::new(), room: Condvar::new() }
    }

    /// The waiting job, to be added to and put down again; else a spare one; else `None`.
    pub(crate) fn reclaim(&self) -> Option<J> {
        let mut state = self.state.lock();
        let waiting = state.waiting.take();
        state.is_out = waiting.is_some();
        waiting.or_else(|| state.spare.take())
    }

    /// Puts a job down for the log. Only the sequencer does, after it reclaimed what was there.
    pub(crate) fn put(&self, job: J, wake: Wake) {
        let mut state = self.state.lock();
        debug_assert!(state.waiting.is_none(), "one producer, who reclaims before it puts");
        state.waiting = Some(job);
        state.is_out = false;
        let is_closed = state.is_closed;
        drop(state);
        if is_closed {
            // Whoever waits for the end, waits for this.
            self.jobs.notify_all();
        } else if wake == Wake::Taker {
            self.wake();
        }
    }

    /// Lets the log look, if it waits for a job such as there is.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock();
        if state.is_looked_for() {
            state.taker = Taker::Works;
            drop(state);
            self.jobs.notify_all();
        }
    }

    /// Whether whoever takes jobs has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.lock().taker == Taker::Waits
    }

    /// Whether a job waits.
    pub(crate) fn has_job(&self) -> bool {
        self.state.lock().waiting.is_some()
    }

    /// Waits until the waiting job, if there is one, `has_room`; at most `limit`.
    pub(crate) fn wait_for_room(&self, has_room: impl Fn(&J) -> bool, limit: Duration) -> bool {
        let is_free = |state: &State<J>| state.waiting.as_ref().is_none_or(&has_room);
        let mut state = self.state.lock();
        if !is_free(&state) && !limit.is_zero() {
            state = self.room.wait_for(state, limit);
        }
        is_free(&state)
    }

    /// Waits until there is a job to take, a nudge, or the end; at most `limit` if there is one.
    pub(crate) fn wait(&self, limit: Option<Duration>) {
        let mut state = self.state.lock();
        while state.waiting.is_none() && !state.is_at_end() && !state.is_nudged {
            state.taker = Taker::Waits;
            match limit {
                None => state = self.jobs.wait(state),
                Some(limit) => {
                    if !limit.is_zero() {
                        state = self.jobs.wait_for(state, limit);
                    }
                    break;
                }
            }
        }
        state.taker = Taker::Works;
        state.is_nudged = false;
    }

    /// Waits until there is an urgent job, a nudge, or the end; at most `limit`.
    pub(crate) fn rest(&self, limit: Duration) {
        let mut state = self.state.lock();
        if !state.has_urgent() && !state.is_at_end() && !state.is_nudged {
            state.taker = Taker::Rests;
            state = self.jobs.wait_for(state, limit);
            state.taker = Taker::Works;
        }
    }

    /// Takes the waiting job, if there is one.
    pub(crate) fn take(&self) -> Handed<J> {
        let mut state = self.state.lock();
        match state.waiting.take() {
            Some(job) => {
                drop(state);
                self.room.notify_one();
                Handed::Job(job)
            }
            None if state.is_at_end() => Handed::Closed,
            None if state.is_out => Handed::Out,
            None => Handed::Nothing,
        }
    }

    /// Lets whoever waits for a job, or next would, come back without one.
    pub(crate) fn nudge(&self) {
        self.state.lock().is_nudged = true;
        self.jobs.notify_all();
    }

    /// Gives an emptied job back.
    pub(crate) fn give_back(&self, job: J) {
        self.state.lock().spare = Some(job);
    }

    /// Nothing more will be put, but what is being added to.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.jobs.notify_all();
    }

    /// Nothing more will be put, as whoever would have has died of a bug.
    pub(crate) fn abandon(&self) {
        self.state.lock().is_out = false;
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    impl Job for Vec<u32> {
        fn is_urgent(&self) -> bool {
            self.contains(&9)
        }
    }

    #[test]
    fn who_rests_is_only_disturbed_by_what_is_urgent() {
        let hand_off = Arc::new(HandOff::new());
        let resting = {
            let hand_off = Arc::clone(&hand_off);
            std::thread::spawn(move || hand_off.rest(Duration::MAX))
        };
        while hand_off.state.lock().taker != Taker::Rests {
            std::thread::yield_now();
        }
        hand_off.put(vec![1], Wake::Taker);
        assert_eq!(hand_off.state.lock().taker, Taker::Rests);
        let mut job = hand_off.reclaim().unwrap();
        job.push(9);
        hand_off.put(job, Wake::Taker);
        resting.join().unwrap();
        hand_off.rest(Duration::MAX);
        assert_eq!(hand_off.take(), Handed::Job(vec![1, 9]));
    }

    #[test]
    fn a_job_that_is_added_to_is_neither_there_nor_gone() {
        let hand_off = HandOff::new();
        hand_off.put(vec![1], Wake::Nobody);
        let mut job = hand_off.reclaim().unwrap();
        assert_eq!(hand_off.take(), Handed::Out);
        job.push(2);
        hand_off.put(job, Wake::Nobody);
        assert_eq!(hand_off.take(), Handed::Job(vec![1, 2]));
        assert_eq!(hand_off.take(), Handed::Nothing);
    }

    #[test]
    fn the_end_is_not_before_a_job_that_is_added_to_unless_it_is_lost() {
        let hand_off = HandOff::new();
        hand_off.put(vec![1], Wake::Nobody);
        let job = hand_off.reclaim().unwrap();
        hand_off.close();
        assert_eq!(hand_off.take(), Handed::Out);
        hand_off.put(job, Wake::Nobody);
        hand_off.wait(None);
        assert!(hand_off.reclaim().is_some());
        hand_off.abandon();
        hand_off.wait(None);
        assert_eq!(hand_off.take(), Handed::Closed);
    }

    #[test]
    fn a_nudge_ends_the_next_wait_whatever_is_taken_before() {
        let hand_off = HandOff::new();
        hand_off.nudge();
        hand_off.put(vec![1], Wake::Nobody);
        assert_eq!(hand_off.take(), Handed::Job(vec![1]));
        hand_off.wait(None);
        hand_off.nudge();
        hand_off.rest(Duration::MAX);
        hand_off.wait(None);
        assert!(!hand_off.state.lock().is_nudged);
    }

    #[test]
    fn a_job_grows_until_it_is_taken() {
        let hand_off = HandOff::new();
        hand_off.put(vec![1], Wake::Taker);
        let mut job = hand_off.reclaim().unwrap();
        job.push(2);
        hand_off.put(job, Wake::Nobody);
        assert!(!hand_off.wait_for_room(|job| job.len() < 2, Duration::ZERO));
        assert_eq!(hand_off.take(), Handed::Job(vec![1, 2]));
        assert!(hand_off.wait_for_room(|job| job.len() < 2, Duration::ZERO));
        assert_eq!(hand_off.take(), Handed::Nothing);
        assert_eq!(hand_off.reclaim(), None);
        hand_off.give_back(Vec::new());
        assert_eq!(hand_off.reclaim(), Some(Vec::new()));
        assert_eq!(hand_off.take(), Handed::Nothing);
        hand_off.close();
        assert_eq!(hand_off.take(), Handed::Closed);
    }
}
