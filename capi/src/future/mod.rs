//! `FDBFuture`: the result of an asynchronous call, once it is there.
//!
//! A future has two owners: the program, until `fdb_future_destroy`, and the work that will make it
//! ready. Callbacks are called once each, on the network thread, or at once if the future is ready
//! when they are set.
//!
//! `task` is a future with its work, `turns` is who polls that and when. `value` is what futures
//! hold, `getters` is how programs look at it.

pub mod getters;
mod task;
mod turns;
mod value;

use std::{
    ffi::c_void,
    future::Future,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use plinth_client::{Error, ErrorCode};
use task::{Task, Turn};
pub(crate) use turns::{close, give};
pub(crate) use value::Answer;

use crate::{
    abi::{FdbBool, FdbError, code, guarded, guarded_error},
    network,
};

/// `future_not_set`.
const FUTURE_NOT_SET: FdbError = 2015;
/// `future_released`.
const FUTURE_RELEASED: FdbError = 1102;
/// `blocked_from_network_thread`.
const BLOCKED_FROM_NETWORK_THREAD: FdbError = 2026;

/// What a program gives to be called when a future is ready.
pub type FdbCallback = extern "C" fn(*mut FdbFuture, *mut c_void);

/// What becomes of the work when the program cancels its future.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnCancel {
    /// It goes on: a read still counts as a conflict, a commit may have been sent.
    GoOn,
    /// It ends: a watch.
    End,
}

/// How work ends.
type Outcome = Result<Answer, FdbError>;

/// What a program sees behind its `FDBFuture*`: the beginning of an object that the work is in too.
pub struct FdbFuture {
    /// Takes over a share of the object that begins here.
    own: unsafe fn(*const FdbFuture) -> Arc<dyn Task>,
    /// Whether there is an outcome.
    is_settled: AtomicBool,
    on_cancel: OnCancel,
    state: Mutex<State>,
    is_ready: Condvar,
}

struct State {
    outcome: Option<Outcome>,
    is_released: bool,
    /// Whether a thread waits, which is to be woken.
    is_awaited: bool,
    turn: Turn,
    /// Where the work is on the roll.
    place: Option<u32>,
    callbacks: Callbacks,
}

/// Callbacks in the order in which they were set. Nearly always it is one, for which nothing is
/// allocated.
#[derive(Default)]
struct Callbacks {
    first: Option<Callback>,
    #[expect(clippy::box_collection, reason = "every future has room for it, hardly one needs it")]
    others: Option<Box<Vec<Callback>>>,
}

impl Callbacks {
    fn push(&mut self, callback: Callback) {
        match &self.first {
            None => self.first = Some(callback),
            Some(_) => self.others.get_or_insert_default().push(callback),
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn call(self, future: *mut FdbFuture) {
        for callback in
            self.first.into_iter().chain(self.others.into_iter().flat_map(|others| *others))
        {
            (callback.function)(future, callback.parameter);
        }
    }
}

struct Callback {
    function: FdbCallback,
    parameter: *mut c_void,
}

// SAFETY: the parameter is the program's; that it may be used on the network thread is what
// `fdb_future_set_callback` asks of it.
unsafe impl Send for Callback {}

impl FdbFuture {
    fn new(
        own: unsafe fn(*const FdbFuture) -> Arc<dyn Task>,
        on_cancel: OnCancel,
        turn: Turn,
        outcome: Option<Outcome>,
    ) -> Self {
        let is_settled = AtomicBool::new(outcome.is_some());
        let state = State {
            outcome,
            is_released: false,
            is_awaited: false,
            turn,
            place: None,
            callbacks: Callbacks::default(),
        };
        Self { own, is_settled, on_cancel, state: Mutex::new(state), is_ready: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is an outcome; then there always will be.
    fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// Sets the outcome, unless there is one, and wakes who waits for it.
    fn settle(&self, state: &mut State, outcome: Outcome) {
        if state.outcome.is_none() {
            state.outcome = Some(outcome);
            self.is_settled.store(true, Ordering::Release);
            if state.is_awaited {
                self.is_ready.notify_all();
            }
        }
    }

    /// The work has ended: its place on the roll, and the callbacks that are now to be called.
    fn finish(&self, outcome: Outcome) -> (Option<u32>, Callbacks) {
        let mut state = self.state();
        self.settle(&mut state, outcome);
        state.turn = Turn::Over;
        (state.place.take(), std::mem::take(&mut state.callbacks))
    }

    /// The program cancels, and with it the work if that `ends`: its place on the roll then, and
    /// whether there are callbacks to be called.
    fn cancel(&self, ends: bool) -> (Option<u32>, bool) {
        let mut state = self.state();
        self.settle(&mut state, Err(code(ErrorCode::OPERATION_CANCELLED)));
        let place = if ends {
            state.turn = Turn::Over;
            state.place.take()
        } else {
            None
        };
        (place, !state.callbacks.is_empty())
    }

    /// The callbacks that are to be called, now that there is an outcome.
    fn due(&self) -> Callbacks {
        let mut state = self.state();
        if state.outcome.is_some() {
            std::mem::take(&mut state.callbacks)
        } else {
            Callbacks::default()
        }
    }

    /// A turn begins: whether the work is to be polled, and the callbacks that are due before.
    fn begin_turn(&self) -> (bool, Callbacks) {
        let mut state = self.state();
        let is_woken = state.turn == Turn::Queued;
        if is_woken {
            state.turn = Turn::Running;
        }
        if state.outcome.is_some() {
            (is_woken, std::mem::take(&mut state.callbacks))
        } else {
            (is_woken, Callbacks::default())
        }
    }

    /// Notes that the work is woken. Whether it is to be put into the queue.
    fn wake(&self) -> bool {
        let mut state = self.state();
        match state.turn {
            Turn::Resting => state.turn = Turn::Queued,
            Turn::Running => {
                state.turn = Turn::RunningWoken;
                return false;
            }
            Turn::Queued | Turn::RunningWoken | Turn::Over => return false,
        }
        true
    }

    /// The first turn, on the caller's thread, is over, and the work has its place on the roll.
    /// Whether it is to be put into the queue.
    fn settle_down(&self, place: u32) -> bool {
        let mut state = self.state();
        if state.turn == Turn::Over {
            // The network has ended, and the work with it.
            return false;
        }
        state.place = Some(place);
        state.rest()
    }

    /// A turn is over. Whether the work is to be put into the queue again.
    fn rest(&self) -> bool {
        self.state().rest()
    }
}

impl State {
    fn rest(&mut self) -> bool {
        match self.turn {
            Turn::Running => self.turn = Turn::Resting,
            Turn::RunningWoken => {
                self.turn = Turn::Queued;
                return true;
            }
            // The program has cancelled it meanwhile.
            Turn::Over | Turn::Resting | Turn::Queued => {}
        }
        false
    }
}

/// A future that is ready.
pub(crate) fn ready(outcome: Outcome) -> *mut FdbFuture {
    task::into_raw(task::ready(outcome))
}

/// A future that has failed because of a bug of ours.
pub(crate) fn failed() -> *mut FdbFuture {
    ready(Err(code(ErrorCode::INTERNAL_ERROR)))
}

/// Begins work on this thread, goes on with it on the network thread if it has to wait.
pub(crate) fn start(
    on_cancel: OnCancel,
    work: impl Future<Output = Result<Answer, Error>> + Send + 'static,
) -> *mut FdbFuture {
    let Some(runtime) = network::handle() else {
        return ready(Err(network::NOT_RUNNING));
    };
    let _context = (!network::is_driving()).then(|| runtime.enter());
    task::into_raw(task::begin(on_cancel, work))
}

/// The future behind a pointer, to be looked into by a call that calls nobody back: the program
/// can't destroy it meanwhile.
///
/// # Safety
///
/// `future` has not been destroyed, and is not while the result is used.
unsafe fn look<'a>(future: *mut FdbFuture) -> &'a FdbFuture {
    // SAFETY: by this function's contract the program's share is there.
    unsafe { &*future }
}

/// Cancels a future: if it is pending it becomes ready with `operation_cancelled`.
///
/// # Safety
///
/// `future` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_cancel(future: *mut FdbFuture) {
    guarded((), || {
        // SAFETY: by this function's contract.
        task::cancel(&unsafe { task::share(future) });
    });
}

/// Frees the result; getters then answer `future_released`.
///
/// # Safety
///
/// `future` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_release_memory(future: *mut FdbFuture) {
    guarded((), || {
        // SAFETY: by this function's contract.
        let future = unsafe { look(future) };
        let mut state = future.state();
        if let Some(Ok(value)) = &mut state.outcome {
            let released = std::mem::replace(value, Answer::Void);
            state.is_released = true;
            drop(state);
            drop(released);
        }
    });
}

/// Gives a future back; cancels it if it is pending.
///
/// # Safety
///
/// `future` is null or has not been destroyed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_destroy(future: *mut FdbFuture) {
    if future.is_null() {
        return;
    }
    guarded((), || {
        // SAFETY: the program gives its share back.
        task::cancel(&unsafe { task::from_raw(future) });
    });
}

/// Waits until a future is ready.
///
/// # Safety
///
/// `future` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_block_until_ready(future: *mut FdbFuture) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let task = unsafe { task::share(future) };
        let future = task.future();
        let mut state = future.state();
        while state.outcome.is_none() {
            if network::is_network_thread() {
                return Err(BLOCKED_FROM_NETWORK_THREAD);
            }
            state.is_awaited = true;
            state = future.is_ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    })
}

/// Whether a future is ready.
///
/// # Safety
///
/// `future` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_is_ready(future: *mut FdbFuture) -> FdbBool {
    // SAFETY: by this function's contract.
    FdbBool::from(unsafe { look(future) }.is_settled())
}

/// Has a function called when the future is ready; at once if it is.
///
/// # Safety
///
/// `future` has not been destroyed; `callback` may be called with it and `parameter` on another
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_set_callback(
    future: *mut FdbFuture,
    callback: Option<FdbCallback>,
    parameter: *mut c_void,
) -> FdbError {
    guarded_error(|| {
        let function = callback.ok_or(code(ErrorCode::CLIENT_INVALID_OPERATION))?;
        let callback = Callback { function, parameter };
        // SAFETY: by this function's contract.
        let mut state = unsafe { look(future) }.state();
        if state.outcome.is_none() {
            state.callbacks.push(callback);
            return Ok(());
        }
        drop(state);
        // SAFETY: by this function's contract. The callback may destroy the future: this share keeps
        // it until the callback is back.
        let _kept = unsafe { task::share(future) };
        (callback.function)(future, callback.parameter);
        Ok(())
    })
}

/// The error of a ready future; 0 if it succeeded.
///
/// # Safety
///
/// `future` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_get_error(future: *mut FdbFuture) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let future = unsafe { look(future) };
        match &future.state().outcome {
            None => Err(FUTURE_NOT_SET),
            Some(Err(error)) => Err(*error),
            Some(Ok(_)) => Ok(()),
        }
    })
}

/// Whether a future failed, as programs of API versions below 23 ask.
///
/// # Safety
///
/// `future` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_is_error(future: *mut FdbFuture) -> FdbBool {
    guarded(0, || {
        // SAFETY: by this function's contract.
        let future = unsafe { look(future) };
        FdbBool::from(matches!(future.state().outcome, Some(Err(_))))
    })
}
