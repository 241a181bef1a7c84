//! Marks: places in the log before which everything is durable that had been answered when the mark
//! was asked for, whatever durability it was answered in.
//!
//! Whoever wants one asks, and wakes the log stage; the stage takes note before it takes its next
//! job, hence before it takes everything that was sequenced by then, writes that, syncs, and says
//! how far the log reaches.

use crate::{
    engine::wal::LogMark,
    sync::{Condvar, Mutex},
};

/// Marks that are wanted and marks that were made.
pub(crate) struct Marks {
    state: Mutex<State>,
    made: Condvar,
}

#[derive(Default)]
struct State {
    /// How many were asked for so far.
    asked: u64,
    /// How many of these are answered, all by the last mark that was made.
    answered: u64,
    last: Option<LogMark>,
    /// No mark will be made any more.
    is_closed: bool,
}

/// Somebody waits for a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// How it stands with a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    At(LogMark),
    NotYet,
    /// The log has failed, or is closed.
    Never,
}

impl Default for Marks {
    fn default() -> Self {
        Self { state: Mutex::new(State::default()), made: Condvar::new() }
    }
}

impl Marks {
    /// Asks for a mark. The log stage must be woken then.
    pub(crate) fn ask(&self) -> Ticket {
        let mut state = self.state.lock();
        state.asked += 1;
        Ticket(state.asked)
    }

    /// What the log stage is to answer, if anybody waits.
    pub(crate) fn wanted(&self) -> Option<Ticket> {
        let state = self.state.lock();
        (state.asked > state.answered && !state.is_closed).then_some(Ticket(state.asked))
    }

    /// Everything that was asked for up to this ticket is answered with this mark.
    pub(crate) fn answer(&self, ticket: Ticket, mark: LogMark) {
        let mut state = self.state.lock();
        state.answered = ticket.0;
        state.last = Some(mark);
        drop(state);
        self.made.notify_all();
    }

    /// There will be no more marks.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.made.notify_all();
    }

    /// How it stands with this one.
    pub(crate) fn look(&self, ticket: Ticket) -> Marked {
        self.state.lock().of(ticket)
    }

    /// Waits until this one is made, or never will be.
    pub(crate) fn wait(&self, ticket: Ticket) -> Option<LogMark> {
        let mut state = self.state.lock();
        loop {
            match state.of(ticket) {
                Marked::At(mark) => return Some(mark),
                Marked::Never => return None,
                Marked::NotYet => state = self.made.wait(state),
            }
        }
    }
}

impl State {
    fn of(&self, ticket: Ticket) -> Marked {
        match self.last {
            Some(mark) if self.answered >= ticket.0 => Marked::At(mark),
            _ if self.is_closed => Marked::Never,
            _ => Marked::NotYet,
        }
    }
}
