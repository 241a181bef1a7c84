//! The threads of the background.

use std::{io, sync::Arc, thread};

use super::{CompactStage, CompactStep, FlushStage, FlushStep, Work};
use crate::engine::shared::Shared;

/// The threads. They end when the background is stopped.
pub(crate) struct BackgroundThreads {
    shared: Arc<Shared>,
    handles: Vec<thread::JoinHandle<()>>,
}

impl BackgroundThreads {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        mut flush: FlushStage,
        mut compact: CompactStage,
    ) -> io::Result<Self> {
        let mut threads = Self { shared: Arc::clone(shared), handles: Vec::new() };
        let background = Arc::clone(shared);
        threads.spawn("plinth-flush", move || {
            let background = &background.background;
            while !background.is_stopping() {
                if let FlushStep::Rested(limit) = flush.step_in_time() {
                    background.wait(Work::Flush, limit);
                }
            }
        })?;
        let background = Arc::clone(shared);
        threads.spawn("plinth-compact", move || {
            let background = &background.background;
            while !background.is_stopping() {
                if let CompactStep::Rested(limit) = compact.step_in_time() {
                    background.wait(Work::Compact, limit);
                }
            }
        })?;
        Ok(threads)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let guard = Guard(Arc::clone(&self.shared));
        let run = move || {
            let _guard = guard;
            run();
        };
        self.handles.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }
}

impl Drop for BackgroundThreads {
    /// Has work under way given up, and waits for the threads' end.
    fn drop(&mut self) {
        self.shared.background.stop();
        for handle in self.handles.drain(..) {
            if handle.join().is_err() {
                tracing::error!("a thread of the background panicked");
            }
        }
    }
}

/// Says that a thread has died of a bug: what it did will not be done any more.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = "a thread of the background ended unexpectedly".to_owned();
            self.0.background.failed(Work::Flush, &error, false);
        }
    }
}
