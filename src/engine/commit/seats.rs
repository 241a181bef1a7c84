//! Who does the work of a stage: its own thread, or a caller, step by step.
//!
//! Each stage has its thread, which waits until there is something to do. A caller that would only
//! wait for its commit may do a stage's work itself, if nobody else is at it: so that a lone commit
//! doesn't wait for two threads to wake up. Work is never left lying: who finds a stage taken leaves
//! it to whoever has it, and who has had it looks again, or wakes its thread, after giving it back.
//! That holds for both stages by themselves: who has decided on commits sees to the log, whoever is
//! deciding on the next ones by then.

use std::{sync::Arc, thread, time::Duration};

use super::{
    hand_off::{HandOff, Handed, Job},
    mark::{Marks, Ticket},
    queue::Queue,
};
use crate::sync::Mutex;

/// More commits than this are not decided by a thread that has other things to do: they are worth
/// waking the pipeline's own, and would take a good part of a millisecond.
const HELPED_MAX: usize = 256;

/// So many commits are worth a sync of their own while the log is idle. What comes meanwhile shares
/// the next; if all waited for each other, processors and disk would wait for each other in turn.
const EARLY_MIN: usize = 16;

/// What a step of a stage did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Worked,
    Idle,
    Closed,
}

/// What the stages work off.
pub(crate) trait Lines {
    type Item;
    type Job: Job;

    /// What is to be decided on.
    fn queue(&self) -> &Queue<Self::Item>;

    /// What is to be written.
    fn hand_off(&self) -> &HandOff<Self::Job>;

    /// Which marks are wanted of the log.
    fn marks(&self) -> &Marks;

    /// A thread has died of a bug: nobody may wait for it.
    fn abandon(&self);
}

/// The stage that decides on commits.
pub(crate) trait Decides {
    /// Decides on one batch if there is one; waits up to `limit` if something holds it back.
    fn step(&mut self, limit: Duration) -> Step;

    /// Like [`step`](Self::step) on a thread of somebody else: without waiting, and without a word to
    /// the log, as whoever calls sees to the rest. Unless the caller may wait for the disk, commits
    /// that might have to are left.
    fn step_for(&mut self, waits_for_disk: bool) -> Step;

    /// Whether there is work to do in steps, even if no commit comes.
    fn has_work(&self) -> bool;
}

/// The stage that writes the log.
pub(crate) trait Writes {
    type Lines: Lines;

    fn lines(&self) -> &Self::Lines;

    /// Carries out what was taken, if it is a job, or syncs what is due.
    fn carry_out(&mut self, handed: Handed<<Self::Lines as Lines>::Job>) -> Step;

    /// Makes durable what was carried out so far, and answers the ticket with how far that is.
    fn make_mark(&mut self, ticket: Ticket);

    /// How long it is until a sync is due, if one is.
    fn until_due(&self) -> Option<Duration>;

    /// How long what is put down next may be left unwritten if nobody waits for it.
    fn may_rest(&self) -> Option<Duration>;

    /// Takes one job and carries it out, or syncs what is due; then makes the mark that is wanted.
    fn step(&mut self) -> Step {
        let lines = self.lines();
        // Before the job is taken: it then holds all that was sequenced when the mark was asked for.
        let mark = lines.marks().wanted();
        let handed = lines.hand_off().take();
        // What is being added to may be answered already, and is not here: the mark waits for it.
        let mark = mark.filter(|_| !matches!(handed, Handed::Out));
        let step = self.carry_out(handed);
        if let Some(ticket) = mark {
            self.make_mark(ticket);
        }
        if step == Step::Closed {
            self.lines().marks().close();
        }
        if mark.is_some() && step == Step::Idle { Step::Worked } else { step }
    }
}

/// The stages, each for one thread at a time.
pub(crate) struct Seats<L, D, W> {
    lines: Arc<L>,
    sequencer: Mutex<D>,
    log: Mutex<W>,
}

impl<L: Lines, D: Decides, W: Writes<Lines = L>> Seats<L, D, W> {
    pub(crate) fn new(lines: Arc<L>, sequencer: D, log: W) -> Self {
        Self { lines, sequencer: Mutex::new(sequencer), log: Mutex::new(log) }
    }

    /// Does what the pipeline's threads would do, as far as nobody else does it, until `is_done`.
    /// Waits for no other thread, but for the disk as the log does.
    pub(crate) fn help(&self, is_done: impl Fn() -> bool) {
        let _guard = Guard(Arc::clone(&self.lines));
        self.help_decide(&is_done);
        let hand_off = self.lines.hand_off();
        if is_done() {
            // Nobody waits for the log.
            return hand_off.wake();
        }
        while hand_off.has_job() {
            let Some(mut log) = self.log.try_lock() else { break };
            let was_due = log.until_due();
            let step = log.step();
            let is_due = log.until_due();
            drop(log);
            if was_due.is_none() && is_due.is_some() {
                // The log's thread has to come back by itself at the right time.
                hand_off.nudge();
            }
            if step != Step::Worked || is_done() {
                hand_off.wake();
                break;
            }
        }
    }

    /// Decides on what has lined up, as far as nobody else does, until `is_done`.
    fn help_decide(&self, is_done: impl Fn() -> bool) {
        let queue = self.lines.queue();
        while let Some(mut sequencer) = self.sequencer.try_lock() {
            let step = sequencer.step_for(true);
            drop(sequencer);
            if queue.len() == 0 {
                break;
            }
            if step != Step::Worked || is_done() {
                queue.wake();
                break;
            }
        }
    }

    /// Decides on what has lined up, if nobody else is at it and it takes no waiting for anything;
    /// else sees to it that the threads do, as they do the rest.
    pub(crate) fn help_quickly(&self) {
        let _guard = Guard(Arc::clone(&self.lines));
        let (queue, hand_off) = (self.lines.queue(), self.lines.hand_off());
        match queue.len() {
            0 => return,
            1..=HELPED_MAX => {}
            _ => return queue.wake(),
        }
        let Some(mut sequencer) = self.sequencer.try_lock() else { return };
        let step = sequencer.step_for(false);
        drop(sequencer);
        if step != Step::Worked || queue.len() > 0 {
            queue.nudge();
        }
        hand_off.wake();
    }

    /// Like [`help_quickly`](Self::help_quickly), if the log has nothing to do and what has lined up
    /// is worth a sync; false if not.
    pub(crate) fn help_early(&self) -> bool {
        let is_time = self.lines.queue().len() >= EARLY_MIN && self.lines.hand_off().is_idle();
        if is_time {
            self.help_quickly();
        }
        is_time
    }

    /// The work of the thread that decides, which looks around at least each `tick`.
    pub(super) fn run_sequencer(&self, tick: Duration) {
        let mut wait = Duration::ZERO;
        loop {
            self.lines.queue().wait(wait);
            let mut sequencer = self.sequencer.lock();
            if sequencer.step(tick) == Step::Closed {
                return;
            }
            wait = if sequencer.has_work() { Duration::ZERO } else { tick };
        }
    }

    /// The work of the thread that writes.
    pub(super) fn run_log(&self) {
        let mut due = None;
        loop {
            self.lines.hand_off().wait(due);
            let mut log = self.log.lock();
            let step = log.step();
            if step == Step::Closed {
                return;
            }
            let rest = log.may_rest().filter(|_| step == Step::Worked);
            due = log.until_due();
            drop(log);
            if let Some(rest) = rest {
                self.lines.hand_off().rest(rest);
                due = due.map(|due| due.saturating_sub(rest));
            }
        }
    }
}

/// Lets nobody wait for a thread that has panicked.
pub(super) struct Guard<L: Lines>(pub(super) Arc<L>);

impl<L: Lines> Drop for Guard<L> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.abandon();
        }
    }
}
