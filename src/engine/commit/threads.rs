//! Who drives the pipeline: its own threads, or a caller, step by step.

use std::{io, sync::Arc, thread, time::Duration};

use super::{
    log::{LogStage, Step},
    sequencer::Sequencer,
};
use crate::engine::{
    background::{CompactStage, CompactStep, FlushStage, FlushStep},
    shared::Shared,
    wal::Keeper,
};

/// The threads. Dropping them without [`join`](Self::join) lets them run.
pub(crate) struct Threads {
    handles: [thread::JoinHandle<()>; 3],
}

impl Threads {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        mut sequencer: Sequencer,
        mut log: LogStage,
    ) -> io::Result<Self> {
        let tick = shared.options.tick;
        let guard = Guard(Arc::clone(shared));
        let first = spawn("plinth-log", move || {
            let _guard = guard;
            while log.step(None) != Step::Closed {}
        })?;
        let guard = Guard(Arc::clone(shared));
        let keeper = keeper(shared);
        let second = spawn("plinth-segments", move || {
            let _guard = guard;
            keeper.run();
        });
        let guard = Guard(Arc::clone(shared));
        let third = spawn("plinth-commit", move || {
            while sequencer.step(tick) != Step::Closed {}
            guard.0.hand_off.close();
            guard.0.segments.close();
        });
        match (second, third) {
            (Ok(second), Ok(third)) => Ok(Self { handles: [first, second, third] }),
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
    Keeper::new(Arc::clone(&shared.segments), Arc::clone(&shared.options.clock), pauses)
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
                let step = self.log.step(Some(Duration::ZERO));
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
            self.log.step(Some(Duration::ZERO));
            self.keeper.step();
        }
        shared.segments.close();
        shared.hand_off.close();
        while self.log.step(Some(Duration::ZERO)) != Step::Closed {}
    }
}
