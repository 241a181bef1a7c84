//! Work aside: what would keep an async thread waiting is done on a blocking one.
//!
//! A read whose answer is in memory is done on the spot. One whose answer has to be fetched from the
//! disk is done again here, on a thread that may wait, so that it delays nobody else. How many do so
//! at once is bounded: enough to keep a fast disk busy, few enough that one which hangs can't take
//! all threads. The others wait in line, without a thread.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use plinth_protocol::{Error, ErrorCode};
use tokio::{runtime::Handle, sync::Semaphore};

use crate::engine::Engine;

/// How many reads wait for the disk at a time.
pub(crate) const COLD_MAX: usize = 32;
/// How much other work there is at a time. It keeps the processor busy, so more would only make the
/// hot path share it.
pub(crate) const LONG_MAX: usize = 4;

/// How many threads all this takes.
#[cfg(feature = "server")]
pub(crate) const ASIDE_THREADS_MAX: usize = COLD_MAX + LONG_MAX;

/// Why something is done aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// It waits for the disk.
    Cold,
    /// It takes long.
    Long,
}

/// Where an engine's users have work done aside.
pub(crate) struct Aside {
    engine: Engine,
    cold: Arc<Semaphore>,
    long: Arc<Semaphore>,
    cold_total: AtomicU64,
}

impl Aside {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            cold: Arc::new(Semaphore::new(COLD_MAX)),
            long: Arc::new(Semaphore::new(LONG_MAX)),
            cold_total: AtomicU64::new(0),
        }
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many reads have had to wait for the disk.
    pub(crate) fn cold_total(&self) -> u64 {
        self.cold_total.load(Relaxed)
    }

    /// How many reads are waiting for the disk now; not those in line.
    #[cfg(any(test, feature = "server"))]
    pub(crate) fn cold_running(&self) -> u64 {
        (COLD_MAX - self.cold.available_permits()) as u64
    }

    /// Does the work on a blocking thread when its turn has come; on this one if there is no tokio
    /// runtime, where nobody else is kept waiting. Work that has begun goes on to its end also if
    /// the future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        because: Because,
        work: impl FnOnce(&Engine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slots = match because {
            Because::Cold => {
                self.cold_total.fetch_add(1, Relaxed);
                &self.cold
            }
            Because::Long => &self.long,
        };
        let Ok(runtime) = Handle::try_current() else { return work(&self.engine) };
        let slot = Arc::clone(slots).acquire_owned().await;
        let engine = self.engine.clone();
        let done = runtime.spawn_blocking(move || {
            let outcome = work(&engine);
            drop(slot);
            outcome
        });
        done.await.unwrap_or_else(|error| {
            let text = format!("the work was not done: {error}");
            Err(Error::new(ErrorCode::OPERATION_CANCELLED, text))
        })
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").field("cold_total", &self.cold_total()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::mpsc,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::engine::EngineOptions;

    fn aside() -> (tempfile::TempDir, Arc<Aside>) {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(EngineOptions::new(directory.path().to_path_buf())).unwrap();
        (directory, Arc::new(Aside::new(engine)))
    }

    #[test]
    fn without_a_runtime_the_work_is_done_at_once() {
        let (_directory, aside) = aside();
        let work = pin!(aside.run(Because::Cold, |_| Ok(7)));
        let answer = work.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(answer, Poll::Ready(Ok(7)));
        assert_eq!(aside.cold_total(), 1);
    }

    #[tokio::test]
    async fn no_more_wait_for_the_disk_than_may_and_the_rest_in_line() {
        let (_directory, aside) = aside();
        let (begun, has_begun) = mpsc::channel();
        let mut ends = Vec::new();
        let mut tasks = Vec::new();
        for number in 0..COLD_MAX + 3 {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let (aside, begun) = (Arc::clone(&aside), begun.clone());
            let work = move |_: &Engine| {
                begun.send(number).unwrap();
                let _ = ended.recv();
                Ok(number)
            };
            tasks.push(tokio::spawn(async move { aside.run(Because::Cold, work).await }));
        }
        // Lets every task come as far as it can.
        while aside.cold_total() < (COLD_MAX + 3) as u64 {
            tokio::task::yield_now().await;
        }
        let mut first: Vec<_> = (0..COLD_MAX).map(|_| has_begun.recv().unwrap()).collect();
        first.sort_unstable();
        assert_eq!(first, (0..COLD_MAX).collect::<Vec<_>>());
        assert_eq!(aside.cold_running(), COLD_MAX as u64);
        assert!(has_begun.try_recv().is_err());
        assert_eq!(
            aside.run(Because::Long, |_| Ok(1)).await,
            Ok(1),
            "other work has its own place"
        );
        drop(ends);
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), Ok(number));
        }
    }
}
