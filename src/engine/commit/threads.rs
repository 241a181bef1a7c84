//! Who drives the pipeline: its own threads, or a caller, step by step.
//!
//! Each stage has its thread, which waits until there is something to do. A caller that would only
//! wait for its commit may do a stage's work itself, if nobody else is at it: so that a lone commit
//! doesn't wait for two threads to wake up. Work is never left lying: who finds a stage taken leaves
//! it to whoever has it, and who has had it looks again, or wakes its thread, after giving it back.

use std::{io, sync::Arc, thread, time::Duration};

use super::{
    log::{LogStage, Step},
    sequencer::Sequencer,
};
use crate::{
    engine::{
        background::{CompactStage, CompactStep, FlushStage, FlushStep},
        reserve::Reserve,
        shared::Shared,
        wal::Keeper,
    },
    sync::Mutex,
};

/// More commits than this are not decided by a thread that has other things to do: they are worth
/// waking the pipeline's own, and would take a good part of a millisecond.
const HELPED_MAX: usize = 256;

/// So many commits are worth a sync of their own while the log is idle. What comes meanwhile shares
/// the next; if all waited for each other, processors and disk would wait for each other in turn.
const EARLY_MIN: usize = 16;

/// The stages, each for one thread at a time.
pub(crate) struct Seats {
    shared: Arc<Shared>,
    sequencer: Mutex<Sequencer>,
    log: Mutex<LogStage>,
}

impl Seats {
    /// Does what the pipeline's threads would do, as far as nobody else does it, until `is_done`.
    /// Waits for no other thread, but for the disk as the log does.
    pub(crate) fn help(&self, is_done: impl Fn() -> bool) {
        let guard = Guard(Arc::clone(&self.shared));
        let (queue, hand_off) = (&self.shared.queue, &self.shared.hand_off);
        loop {
            let Some(mut sequencer) = self.sequencer.try_lock() else { return };
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
        drop(guard);
    }

    /// Sequences what has lined up, if nobody else is at it and it takes no waiting for anything; else
    /// sees to it that the threads do, as they do the rest.
    pub(crate) fn help_quickly(&self) {
        let _guard = Guard(Arc::clone(&self.shared));
        match self.shared.queue.len() {
            0 => return,
            1..=HELPED_MAX => {}
            _ => return self.shared.queue.wake(),
        }
        let Some(mut sequencer) = self.sequencer.try_lock() else { return };
        let step = sequencer.step_for(false);
        drop(sequencer);
        if step != Step::Worked || self.shared.queue.len() > 0 {
            self.shared.queue.nudge();
        }
        self.shared.hand_off.wake();
    }

    /// Like [`help_quickly`](Self::help_quickly), if the log has nothing to do and what has lined up
    /// is worth a sync; false if not.
    pub(crate) fn help_early(&self) -> bool {
        let is_time = self.shared.queue.len() >= EARLY_MIN && self.shared.hand_off.is_idle();
        if is_time {
            self.help_quickly();
        }
        is_time
    }

    fn run_sequencer(&self) {
        let tick = self.shared.options.tick;
        let mut wait = Duration::ZERO;
        loop {
            self.shared.queue.wait(wait);
            let mut sequencer = self.sequencer.lock();
            if sequencer.step(tick) == Step::Closed {
                return;
            }
            wait = if sequencer.has_work() { Duration::ZERO } else { tick };
        }
    }

    fn run_log(&self) {
        let mut due = None;
        loop {
            self.shared.hand_off.wait(due);
            let mut log = self.log.lock();
            let step = log.step();
            if step == Step::Closed {
                return;
            }
            let rest = log.may_rest().filter(|_| step == Step::Worked);
            due = log.until_due();
            drop(log);
            if let Some(rest) = rest {
                self.shared.hand_off.rest(rest);
                due = due.map(|due| due.saturating_sub(rest));
            }
        }
    }
}

/// The threads. Dropping them without [`join`](Self::join) lets them run.
pub(crate) struct Threads {
    handles: [thread::JoinHandle<()>; 3],
}

impl Threads {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        sequencer: Sequencer,
        log: LogStage,
    ) -> io::Result<(Self, Arc<Seats>)> {
        let seats = Arc::new(Seats {
            shared: Arc::clone(shared),
            sequencer: Mutex::new(sequencer),
            log: Mutex::new(log),
        });
        let (guard, own) = (Guard(Arc::clone(shared)), Arc::clone(&seats));
        let first = spawn("plinth-log", move || {
            let _guard = guard;
            own.run_log();
        })?;
        let guard = Guard(Arc::clone(shared));
        let keeper = keeper(shared);
        let second = spawn("plinth-segments", move || {
            let _guard = guard;
            keeper.run();
        });
        let (guard, own) = (Guard(Arc::clone(shared)), Arc::clone(&seats));
        let third = spawn("plinth-commit", move || {
            own.run_sequencer();
            guard.0.hand_off.close();
            guard.0.segments.close();
        });
        match (second, third) {
            (Ok(second), Ok(third)) => Ok((Self { handles: [first, second, third] }, seats)),
            (Err(error), _) | (_, Err(error)) => {
                shared.queue.close();
                shared.hand_off.close();
                shared.segments.close();
                Err(error)
            }
        }
    }

    /// Waits for their end; the queue must be closed. If the caller is one of them, because it held
    /// the last handle of the engine, it doesn't wait: the other's end may need its own. Both end
    /// by themselves then.
    pub(crate) fn join(self) {
        let caller = thread::current().id();
        if self.handles.iter().any(|handle| handle.thread().id() == caller) {
            return;
        }
        for handle in self.handles {
            if handle.join().is_err() {
                tracing::error!("a thread of the commit pipeline panicked");
            }
        }
    }
}

fn keeper(shared: &Shared) -> Keeper {
    let storage = &shared.options.storage;
    let pauses = (storage.retry_min, storage.retry_max.min(storage.retry_max_urgent));
    let reserve = Reserve::new(&shared.options);
    Keeper::new(Arc::clone(&shared.segments), Arc::clone(&shared.options.clock), pauses, reserve)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Lets nobody wait for a thread that has panicked.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.abandon();
        }
    }
}

/// The steps of the pipeline, for a caller who drives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// One batch is decided, sent to the log and applied; or, if none waits, time passes.
    Sequence,
    /// What was sent to the log is written, synced and published; then room is made for more.
    Log,
    /// One memtable becomes a table, if one is frozen and all of it is published.
    Flush,
    /// The compaction that is due most, if one is.
    Compact,
}

/// The pipeline on the caller's thread.
pub(crate) struct Manual {
    sequencer: Sequencer,
    log: LogStage,
    keeper: Keeper,
    flush: FlushStage,
    compact: CompactStage,
}

impl Manual {
    pub(crate) fn new(
        shared: &Shared,
        sequencer: Sequencer,
        log: LogStage,
        flush: FlushStage,
        compact: CompactStage,
    ) -> Self {
        Self { sequencer, log, keeper: keeper(shared), flush, compact }
    }

    /// Takes a step of one stage; false if there was nothing to do.
    pub(crate) fn step(&mut self, stage: Stage) -> bool {
        let step = match stage {
            Stage::Sequence => self.sequencer.step(Duration::ZERO),
            Stage::Log => {
                let step = self.log.step();
                if self.keeper.step() { Step::Worked } else { step }
            }
            Stage::Flush => return self.flush.step() == FlushStep::Flushed,
            Stage::Compact => return self.compact.step() == CompactStep::Compacted,
        };
        step == Step::Worked
    }

    /// Carries out everything that is left, once the queue is closed.
    pub(crate) fn finish(&mut self, shared: &Shared) {
        while self.sequencer.step(Duration::ZERO) != Step::Closed {
            self.log.step();
            self.keeper.step();
        }
        shared.segments.close();
        shared.hand_off.close();
        while self.log.step() != Step::Closed {}
    }
}
