//! The threads of the pipeline, and the pipeline without threads.

use std::{io, sync::Arc, thread, time::Duration};

use super::{
    hand_off::HandOff,
    log::{LogJob, LogStage},
    mark::Marks,
    queue::Queue,
    seats::{Decides as _, Guard, Lines, Seats, Step, Writes as _},
    sequencer::Sequencer,
};
use crate::engine::{
    background::{CompactStage, CompactStep, FlushStage, FlushStep},
    reserve::Reserve,
    shared::{Queued, Shared},
    wal::Keeper,
};

/// The seats of an engine.
pub(crate) type EngineSeats = Seats<Shared, Sequencer, LogStage>;

impl Lines for Shared {
    type Item = Queued;
    type Job = LogJob;

    fn queue(&self) -> &Queue<Queued> {
        &self.queue
    }

    fn hand_off(&self) -> &HandOff<LogJob> {
        &self.hand_off
    }

    fn marks(&self) -> &Marks {
        &self.marks
    }

    fn abandon(&self) {
        self.abandon();
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
    ) -> io::Result<(Self, Arc<EngineSeats>)> {
        let seats = Arc::new(Seats::new(Arc::clone(shared), sequencer, log));
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
        let tick = shared.options.tick;
        let third = spawn("plinth-commit", move || {
            own.run_sequencer(tick);
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
