//! The threads that serve connections, each with a runtime of its own.
//!
//! A connection stays with the thread that it was given to. Nobody is woken to look for work that
//! could be stolen, and one look at the sockets finds every request that has come meanwhile: with few
//! requests in flight, that is most of what a server's own time goes to.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use super::{drive::Drive, relay::Relay};
use crate::aside::ASIDE_THREADS_MAX;

/// The most threads of each runtime for reads from the disk and other work aside, with some to spare
/// for what the runtime does by itself. Those that have nothing to do end.
const BLOCKING_THREADS_MAX: usize = ASIDE_THREADS_MAX + 2;

/// How long a worker that is told to end waits for work aside that can't be broken off.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Who serves connections: a runtime, and what its connections have in common.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) runtime: Handle,
    pub(super) relay: Arc<Relay>,
    pub(super) drive: Drive,
    connections: AtomicUsize,
}

/// A worker's thread; it ends when this is dropped.
#[derive(Debug)]
struct Thread {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// All workers of a server, which end with it.
#[derive(Debug)]
pub(super) struct Workers {
    workers: Vec<Arc<Worker>>,
    threads: Vec<Thread>,
}

/// A connection's place with a worker, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Worker>);

impl Worker {
    fn new(runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            relay: Arc::default(),
            drive: Drive::default(),
            connections: AtomicUsize::new(0),
        })
    }

    /// A worker on a thread of its own.
    fn start() -> io::Result<(Arc<Self>, Thread)> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        let worker = Self::new(runtime.handle().clone());
        let (end, is_to_end) = oneshot::channel();
        let thread = thread::Builder::new().name("plinth-serve".to_owned()).spawn(move || {
            // Sent or dropped: nobody is served here any more.
            let _ = runtime.block_on(is_to_end);
            runtime.shutdown_timeout(END_TIMEOUT);
        })?;
        Ok((worker, Thread { end, thread }))
    }
}

impl Workers {
    /// As many workers; without a number, the runtime of the caller is the only one.
    pub(super) fn start(count: Option<NonZeroUsize>) -> io::Result<Self> {
        let Some(count) = count else {
            return Ok(Self { workers: vec![Worker::new(Handle::current())], threads: Vec::new() });
        };
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..count.get() {
            let (worker, thread) = Worker::start()?;
            workers.push(worker);
            threads.push(thread);
        }
        Ok(Self { workers, threads })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.iter()
    }

    /// A place for one more connection, with a worker that has the fewest.
    pub(super) fn place(&self) -> Place {
        let connections = |worker: &&Arc<Worker>| worker.connections.load(Relaxed);
        #[expect(clippy::expect_used, reason = "`start` makes one or more")]
        let worker = self.workers.iter().min_by_key(connections).expect("there is a worker");
        worker.connections.fetch_add(1, Relaxed);
        Place(Arc::clone(worker))
    }

    /// Ends the threads. Blocks until they have ended, which they do side by side.
    pub(super) fn end(self) {
        let (ends, threads): (Vec<_>, Vec<_>) =
            self.threads.into_iter().map(|Thread { end, thread }| (end, thread)).unzip();
        drop(ends);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that serves connections has panicked");
            }
        }
    }
}

impl Place {
    pub(super) fn worker(&self) -> &Arc<Worker> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_also_after_some_have_ended() {
        let workers = Workers::start(NonZeroUsize::new(3)).unwrap();
        let counts = || -> Vec<_> {
            workers.workers.iter().map(|worker| worker.connections.load(Relaxed)).collect()
        };
        let mut places: Vec<_> = (0..9).map(|_| workers.place()).collect();
        assert_eq!(counts(), [3, 3, 3]);
        let first = Arc::clone(&workers.workers[0]);
        places.retain(|place| !Arc::ptr_eq(&place.0, &first));
        assert_eq!(counts(), [0, 3, 3]);
        places.extend((0..3).map(|_| workers.place()));
        assert_eq!(counts(), [3, 3, 3]);
        workers.end();
    }

    #[test]
    fn every_worker_runs_tasks_and_ends() {
        let workers = Workers::start(NonZeroUsize::new(2)).unwrap();
        let threads: Vec<_> = workers
            .iter()
            .map(|worker| {
                let (tell, told) = std::sync::mpsc::channel();
                worker.runtime.spawn(async move { tell.send(thread::current().id()) });
                told.recv_timeout(Duration::from_mins(1)).unwrap()
            })
            .collect();
        assert_ne!(threads[0], threads[1]);
        workers.end();
    }
}
