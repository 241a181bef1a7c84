//! `FDBFuture`: the result of an asynchronous call, once it is there.
//!
//! A future has two owners: the program, until `fdb_future_destroy`, and the work that will make it
//! ready. Callbacks are called once each, on the network thread, or at once if the future is ready
//! when they are set.
//!
//! `value` is what futures hold, `getters` is how programs look at it.

pub mod getters;
mod value;

use std::{
    ffi::c_void,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use plinth_client::{Error, ErrorCode};
use tokio::task::AbortHandle;
pub(crate) use value::Answer;

use crate::{
    abi::{FdbBool, FdbError, code, guarded, guarded_error, number},
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

/// The object behind `FDBFuture*`.
pub struct FdbFuture {
    state: Mutex<State>,
    is_ready: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<Result<Answer, FdbError>>,
    is_released: bool,
    /// Whether a thread waits, which is to be woken.
    is_awaited: bool,
    callbacks: Callbacks,
    work: Option<Ending>,
}

/// Callbacks in the order in which they were set. Nearly always it is one, for which nothing is
/// allocated.
#[derive(Default)]
struct Callbacks {
    first: Option<Callback>,
    others: Vec<Callback>,
}

impl Callbacks {
    fn push(&mut self, callback: Callback) {
        match &self.first {
            None => self.first = Some(callback),
            Some(_) => self.others.push(callback),
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
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
    /// A future that nothing has made ready yet.
    fn pending() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), is_ready: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the future ready, unless it is, and gives the callbacks that are now to be called.
    fn settle(&self, outcome: Result<Answer, FdbError>) -> Callbacks {
        let mut state = self.state();
        if state.outcome.is_some() {
            return Callbacks::default();
        }
        state.outcome = Some(outcome);
        state.work = None;
        let callbacks = std::mem::take(&mut state.callbacks);
        let is_awaited = state.is_awaited;
        drop(state);
        if is_awaited {
            self.is_ready.notify_all();
        }
        callbacks
    }

    fn call(self: &Arc<Self>, callbacks: Callbacks) {
        for callback in callbacks.first.into_iter().chain(callbacks.others) {
            (callback.function)(Arc::as_ptr(self).cast_mut(), callback.parameter);
        }
    }

    /// Makes the future ready on this thread.
    fn complete(self: &Arc<Self>, outcome: Result<Answer, FdbError>) {
        let callbacks = self.settle(outcome);
        self.call(callbacks);
    }

    fn cancel(self: &Arc<Self>) {
        let work = self.state().work.take();
        if let Some(work) = work {
            work.end();
        }
        let callbacks = self.settle(Err(code(ErrorCode::OPERATION_CANCELLED)));
        if callbacks.is_empty() {
            return;
        }
        let calls = Calls { future: Arc::clone(self), callbacks };
        // The program may hold a lock that its callback takes.
        match network::handle() {
            Some(runtime) => drop(runtime.spawn(async move { drop(calls) })),
            None => drop(calls),
        }
    }

    /// Hands the future to the program.
    fn into_raw(self: Arc<Self>) -> *mut Self {
        Arc::into_raw(self).cast_mut()
    }
}

/// Work that ends with its future.
struct Ending {
    work: SharedWork,
    task: AbortHandle,
}

type Work = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;
/// Gone when it has ended.
type SharedWork = Arc<Mutex<Option<Work>>>;

impl Ending {
    /// Ends the work, and with it what it holds: a cancelled watch makes room for another one before
    /// anybody hears of it.
    fn end(self) {
        drop(taken(&self.work));
        self.task.abort();
    }
}

/// Takes the work out of its place.
fn taken(work: &SharedWork) -> Option<Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Goes on with work for as long as nobody ends it.
async fn until_ended(work: SharedWork) -> Result<Answer, Error> {
    poll_fn(|context| match &mut *work.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(work) => work.as_mut().poll(context),
        None => Poll::Ready(Err(ErrorCode::OPERATION_CANCELLED.into())),
    })
    .await
}

/// Callbacks that are still to be called. They are, even if the network ends before its turn: a
/// program may wait for them.
struct Calls {
    future: Arc<FdbFuture>,
    callbacks: Callbacks,
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.future.call(std::mem::take(&mut self.callbacks));
    }
}

/// Makes a future ready with a cancellation if its work ends without a result, as it does when the
/// network stops.
struct Completion(Arc<FdbFuture>);

impl Drop for Completion {
    fn drop(&mut self) {
        self.0.complete(Err(code(ErrorCode::OPERATION_CANCELLED)));
    }
}

/// A future that is ready.
pub(crate) fn ready(outcome: Result<Answer, FdbError>) -> *mut FdbFuture {
    let future = FdbFuture::pending();
    future.complete(outcome);
    future.into_raw()
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
    let outcome = |result: Result<Answer, Error>| result.map_err(|error| number(&error));
    let mut work = Box::pin(work);
    let _context = runtime.enter();
    if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return ready(outcome(result));
    }
    let future = FdbFuture::pending();
    let completion = Completion(Arc::clone(&future));
    match on_cancel {
        OnCancel::GoOn => {
            runtime.spawn(async move {
                let result = work.await;
                completion.0.complete(outcome(result));
            });
        }
        OnCancel::End => {
            let work: SharedWork = Arc::new(Mutex::new(Some(work)));
            let shared = Arc::clone(&work);
            let task = runtime.spawn(async move {
                let result = until_ended(shared).await;
                completion.0.complete(outcome(result));
            });
            let mut state = future.state();
            if state.outcome.is_none() {
                state.work = Some(Ending { work, task: task.abort_handle() });
            }
        }
    }
    future.into_raw()
}

/// The future behind a pointer, with a share in it.
///
/// # Safety
///
/// `future` came from [`FdbFuture::into_raw`] and has not been destroyed.
unsafe fn share(future: *mut FdbFuture) -> Arc<FdbFuture> {
    // SAFETY: by this function's contract the program's share is still there.
    unsafe { Arc::increment_strong_count(future) };
    // SAFETY: the count that this takes over was added above.
    unsafe { Arc::from_raw(future) }
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
        unsafe { share(future) }.cancel();
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
        let future = unsafe { share(future) };
        let mut state = future.state();
        if let Some(Ok(value)) = &mut state.outcome {
            *value = Answer::Void;
            state.is_released = true;
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
        unsafe { Arc::from_raw(future) }.cancel();
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
        let future = unsafe { share(future) };
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
    guarded(0, || {
        // SAFETY: by this function's contract.
        let future = unsafe { look(future) };
        FdbBool::from(future.state().outcome.is_some())
    })
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
        // SAFETY: by this function's contract.
        let future = unsafe { share(future) };
        let mut state = future.state();
        let callback = Callback { function, parameter };
        if state.outcome.is_none() {
            state.callbacks.push(callback);
        } else {
            drop(state);
            future.call(Callbacks { first: Some(callback), others: Vec::new() });
        }
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
