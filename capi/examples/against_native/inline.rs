//! Tasks that run on whichever thread wakes them, and a wait for many at once.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake},
};

const RESTING: u8 = 0;
const RUNNING: u8 = 1;
/// It is to run again as soon as it has run.
const WOKEN: u8 = 2;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    state: AtomicU8,
    work: Mutex<Option<Work>>,
}

/// Runs the work here until it waits, and then wherever it is woken.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    let work: Work = Box::pin(work);
    Arc::new(Task { state: AtomicU8::new(RESTING), work: Mutex::new(Some(work)) }).wake();
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let Ok(RESTING) = self.state.compare_exchange(RESTING, RUNNING, SeqCst, SeqCst) else {
            if self.state.swap(WOKEN, SeqCst) == RESTING {
                // It came to rest between the two.
                self.state.store(RESTING, SeqCst);
                self.wake();
            }
            return;
        };
        let waker = Arc::clone(&self).into();
        let mut context = Context::from_waker(&waker);
        loop {
            {
                let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
                let done = work
                    .as_mut()
                    .is_none_or(|work| work.as_mut().poll(&mut context) == Poll::Ready(()));
                if done {
                    *work = None;
                }
            }
            if self.state.compare_exchange(RUNNING, RESTING, SeqCst, SeqCst).is_ok() {
                return;
            }
            self.state.store(RUNNING, SeqCst);
        }
    }
}

/// Waits until all of these are done, or one has failed.
pub(crate) async fn all<T, F>(futures: &mut [Option<Pin<Box<F>>>]) -> Result<(), i32>
where
    F: Future<Output = Result<T, i32>>,
{
    poll_fn(|context| {
        let mut is_waiting = false;
        for place in futures.iter_mut() {
            let Some(future) = place else { continue };
            match future.as_mut().poll(context) {
                Poll::Pending => is_waiting = true,
                Poll::Ready(Ok(_)) => *place = None,
                Poll::Ready(Err(code)) => return Poll::Ready(Err(code)),
            }
        }
        if is_waiting { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await
}
