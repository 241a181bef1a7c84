//! Whose turn it is: the work of all futures, polled by one task on the network thread.
//!
//! The roll holds what has not ended: without it nothing would own work that only a waker knows, and
//! when the network stops everybody on it is told. The queue holds what was woken, in order. The
//! first who is put into an empty queue wakes the network thread, the others find it awake.
//!
//! There is one such list, as there is one network thread. Its lock is held for a few instructions,
//! and nothing is called or dropped meanwhile.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use super::task::{Task, end};

/// After so many turns the network thread looks after its connections.
const TURNS_MAX: usize = 256;

static TURNS: Mutex<Turns> = Mutex::new(Turns::new());

struct Turns {
    roll: Roll,
    woken: VecDeque<Arc<dyn Task>>,
    /// Wakes the task that gives the turns, while that sleeps.
    sleeper: Option<Waker>,
    is_closed: bool,
}

impl Turns {
    const fn new() -> Self {
        Self { roll: Roll::new(), woken: VecDeque::new(), sleeper: None, is_closed: false }
    }
}

/// Work that has not ended, each at its place.
struct Roll {
    places: Vec<Option<Arc<dyn Task>>>,
    free: Vec<u32>,
}

impl Roll {
    const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    fn add(&mut self, task: Arc<dyn Task>) -> Option<u32> {
        if let Some(place) = self.free.pop()
            && let Some(empty) = self.places.get_mut(place as usize)
        {
            *empty = Some(task);
            return Some(place);
        }
        let place = u32::try_from(self.places.len()).ok()?;
        self.places.push(Some(task));
        Some(place)
    }

    fn remove(&mut self, place: u32) -> Option<Arc<dyn Task>> {
        let task = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(task)
    }
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts work on the roll; its place there. `None` when the network has ended, or the roll is full,
/// which no machine has the memory for.
pub(super) fn enrol(task: &Arc<dyn Task>) -> Option<u32> {
    let mut turns = turns();
    if turns.is_closed { None } else { turns.roll.add(Arc::clone(task)) }
}

/// Takes work off the roll that has ended.
pub(super) fn strike(place: u32) {
    let task = turns().roll.remove(place);
    // Not under the lock.
    drop(task);
}

/// Gives a future its turn, soon; or back, when the network has ended.
pub(super) fn push(task: Arc<dyn Task>) -> Result<(), Arc<dyn Task>> {
    let mut turns = turns();
    if turns.is_closed {
        return Err(task);
    }
    turns.woken.push_back(task);
    let sleeper = turns.sleeper.take();
    drop(turns);
    if let Some(sleeper) = sleeper {
        sleeper.wake();
    }
    Ok(())
}

/// Gives turns for ever: the one task of the network thread that polls the futures' work.
pub(crate) async fn give() {
    let mut batch = Vec::new();
    let mut ended = Vec::new();
    let mut struck = Vec::new();
    poll_fn(|context| {
        {
            let mut turns = turns();
            let count = turns.woken.len().min(TURNS_MAX);
            batch.extend(turns.woken.drain(..count));
        }
        for task in batch.drain(..) {
            ended.extend(task.run());
        }
        let mut turns = turns();
        struck.extend(ended.drain(..).filter_map(|place| turns.roll.remove(place)));
        if turns.woken.is_empty() {
            turns.sleeper = Some(context.waker().clone());
            drop(turns);
        } else {
            drop(turns);
            context.waker().wake_by_ref();
        }
        struck.clear();
        Poll::<()>::Pending
    })
    .await;
}

/// The network has ended: everything that waits is told so, now and from now on.
pub(crate) fn close() {
    let last = {
        let mut turns = turns();
        std::mem::replace(&mut *turns, Turns { is_closed: true, ..Turns::new() })
    };
    for task in last.woken.iter().chain(last.roll.places.iter().flatten()) {
        end(task);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::c_void,
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::{Duration, Instant},
    };

    use plinth_client::{Error, ErrorCode};
    use tokio::{
        runtime::Builder,
        sync::{Notify, oneshot},
    };

    use super::*;
    use crate::{
        abi::code,
        future::{
            Answer, FdbFuture, OnCancel, fdb_future_block_until_ready, fdb_future_cancel,
            fdb_future_destroy, fdb_future_get_error, fdb_future_is_ready, fdb_future_set_callback,
            task::{begin, into_raw},
        },
    };

    const THREADS: usize = 4;
    const FUTURES: usize = 500;
    const CANCELLED: i32 = 1101;

    static CALLS: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn count(future: *mut FdbFuture, _: *mut c_void) {
        // SAFETY: a future that is being called back for is there.
        assert_eq!(unsafe { fdb_future_is_ready(future) }, 1);
        CALLS.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits twice, for whoever tells and for whoever wakes; holds `token` until it has ended.
    async fn work(
        told: oneshot::Receiver<()>,
        woken: Arc<Notify>,
        token: Arc<()>,
    ) -> Result<Answer, Error> {
        woken.notified().await;
        told.await.map_err(|_| ErrorCode::INTERNAL_ERROR)?;
        drop(token);
        Ok(Answer::Void)
    }

    fn until(is_so: impl Fn() -> bool) {
        let limit = Instant::now() + Duration::from_mins(1);
        while !is_so() {
            assert!(Instant::now() < limit, "it never comes to that");
            thread::yield_now();
        }
    }

    /// Begins work that counts its call; what ends it.
    fn begun(
        on_cancel: OnCancel,
        token: &Arc<()>,
    ) -> (*mut FdbFuture, oneshot::Sender<()>, Arc<Notify>) {
        let ((tell, told), woken) = (oneshot::channel(), Arc::new(Notify::new()));
        let future = into_raw(begin(on_cancel, work(told, Arc::clone(&woken), Arc::clone(token))));
        // SAFETY: the future has just begun; the parameter is not used.
        unsafe { fdb_future_set_callback(future, Some(count), std::ptr::null_mut()) };
        (future, tell, woken)
    }

    /// Has futures ready, cancelled and destroyed while others wake them.
    fn spend(token: &Arc<()>) {
        for number in 0..FUTURES {
            let kind = [OnCancel::GoOn, OnCancel::End][number % 2];
            let (future, tell, woken) = begun(kind, token);
            let waker = thread::spawn(move || {
                woken.notify_one();
                // Gone, if it was cancelled meanwhile.
                let _ = tell.send(());
            });
            match number % 3 {
                // SAFETY: the future is destroyed after this.
                0 => assert_eq!(unsafe { fdb_future_block_until_ready(future) }, 0),
                // SAFETY: as above.
                1 => unsafe { fdb_future_cancel(future) },
                _ => {}
            }
            // SAFETY: it is not used any more.
            unsafe { fdb_future_destroy(future) };
            waker.join().unwrap();
        }
    }

    #[test]
    fn work_ends_and_calls_back_once_whoever_wakes_cancels_and_stops() {
        let (token, stop) = (Arc::new(()), Arc::new(Notify::new()));
        let runtime = Builder::new_current_thread().build().unwrap();
        let stopped = Arc::clone(&stop);
        let network = thread::spawn(move || {
            runtime.spawn(give());
            runtime.block_on(stopped.notified());
        });
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| spend(&token));
            }
        });
        until(|| CALLS.load(Ordering::SeqCst) == THREADS * FUTURES);
        until(|| Arc::strong_count(&token) == 1);
        until(|| turns().roll.places.iter().all(Option::is_none));

        // What waits when the network ends, and what begins after it.
        let waiting = [OnCancel::GoOn, OnCancel::End].map(|kind| begun(kind, &token));
        stop.notify_one();
        network.join().unwrap();
        close();
        let late = begun(OnCancel::GoOn, &token);
        assert_eq!(Arc::strong_count(&token), 1, "no work is kept");
        assert_eq!(CALLS.load(Ordering::SeqCst), THREADS * FUTURES + 3);
        assert_eq!(code(ErrorCode::OPERATION_CANCELLED), CANCELLED);
        for (future, _tell, woken) in waiting.into_iter().chain([late]) {
            woken.notify_one();
            // SAFETY: the future is destroyed after this.
            assert_eq!(unsafe { fdb_future_get_error(future) }, CANCELLED);
            // SAFETY: it is not used any more.
            unsafe { fdb_future_destroy(future) };
        }
    }
}
