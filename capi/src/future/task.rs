//! A future and its work in one: what a program holds, what the network thread polls and what the
//! work wakes are shares of the same allocation.
//!
//! ```text
//!  FDBFuture* ──┐      ┌──────────────────────────────┐
//!  waker ───────┼─────►│ FdbFuture            │ work  │◄── the roll of `turns`, until the work
//!  woken queue ─┘      └──────────────────────────────┘    has ended
//! ```
//!
//! The work is polled by one thread at a time: first by the caller's, then by the network thread.
//! Whoever drops the last share drops no work: the roll keeps work alive until it has ended, and so a
//! waker may be dropped, or called, whatever locks of the client its owner holds.

use std::{
    future::{Future, Pending},
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use plinth_client::{Error, ErrorCode};

use super::{Answer, FdbFuture, OnCancel, Outcome, turns};
use crate::abi::{code, number};

/// Where the work is with its turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Waits to be woken.
    Resting,
    /// Woken: in the queue.
    Queued,
    /// A thread polls it.
    Running,
    /// A thread polls it, and it was woken since that began.
    RunningWoken,
    /// It has ended, or there was none.
    Over,
}

/// A future with its work, whatever that is.
pub(super) trait Task: Send + Sync {
    /// What the program sees.
    fn future(&self) -> &FdbFuture;

    /// Takes a turn: calls the callbacks that are due, polls the work if it was woken. The place in
    /// the roll that has become free, if the work has ended.
    fn run(self: Arc<Self>) -> Option<u32>;

    /// Drops the work, wherever it is.
    fn drop_work(&self);
}

/// The object behind an `FDBFuture*`.
///
/// `FdbFuture` comes first, so that a pointer to the whole is one to it.
#[repr(C)]
struct Object<W> {
    future: FdbFuture,
    /// Gone when it has ended. It stays where it is until then.
    work: Mutex<Option<W>>,
}

/// Takes over the share behind a pointer.
///
/// # Safety
///
/// `future` came from [`into_raw`] of an `Object<W>`, and the share is the caller's to give.
unsafe fn own<W>(future: *const FdbFuture) -> Arc<dyn Task>
where
    W: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    // SAFETY: by this function's contract the pointer is one to a whole `Object<W>` in an `Arc`: it
    // was only cast to its first field.
    unsafe { Arc::from_raw(future.cast::<Object<W>>()) }
}

/// Where the object is, as the program knows it.
#[expect(clippy::cast_ptr_alignment, reason = "a task is an `Object`: it begins with its future")]
fn pointer(task: &Arc<dyn Task>) -> *mut FdbFuture {
    Arc::as_ptr(task).cast::<FdbFuture>().cast_mut()
}

/// Hands a share to the program.
pub(super) fn into_raw(task: Arc<dyn Task>) -> *mut FdbFuture {
    pointer(&ManuallyDrop::new(task))
}

/// The share that the program gives back.
///
/// # Safety
///
/// `future` came from [`into_raw`], and this share of it has not been taken yet.
pub(super) unsafe fn from_raw(future: *mut FdbFuture) -> Arc<dyn Task> {
    // SAFETY: by this function's contract the share is still there, so the object is.
    let own = unsafe { (*future).own };
    // SAFETY: `own` was made for this very object; the share is the caller's.
    unsafe { own(future) }
}

/// Another share beside the program's.
///
/// # Safety
///
/// `future` came from [`into_raw`], and this share of it has not been taken yet.
pub(super) unsafe fn share(future: *mut FdbFuture) -> Arc<dyn Task> {
    // SAFETY: by this function's contract; the program's share is not dropped here.
    let programs = ManuallyDrop::new(unsafe { from_raw(future) });
    Arc::clone(&programs)
}

impl<W> Object<W>
where
    W: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    fn new(future: FdbFuture, work: Option<W>) -> Arc<Self> {
        Arc::new(Self { future, work: Mutex::new(work) })
    }

    /// Polls the work; when it has ended it is dropped before anybody hears of it.
    fn poll(&self, waker: &Waker) -> Poll<Outcome> {
        let mut place = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the object is in an `Arc` that never gives it out, and the work is never moved from
        // its place: `set` drops it where it is.
        let mut pinned = unsafe { Pin::new_unchecked(&mut *place) };
        let Some(work) = pinned.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(code(ErrorCode::OPERATION_CANCELLED)));
        };
        // A panic would be a bug of ours: of this future it is the end, not of the others.
        let polled = catch_unwind(AssertUnwindSafe(|| work.poll(&mut Context::from_waker(waker))));
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result.map_err(|error| number(&error)),
            Err(_) => Err(code(ErrorCode::INTERNAL_ERROR)),
        };
        pinned.set(None);
        Poll::Ready(outcome)
    }
}

impl<W> Task for Object<W>
where
    W: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    fn future(&self) -> &FdbFuture {
        &self.future
    }

    fn run(self: Arc<Self>) -> Option<u32> {
        let (is_woken, callbacks) = self.future.begin_turn();
        let waker = is_woken.then(|| Waker::from(Arc::clone(&self)));
        let polled = waker.map_or(Poll::Pending, |waker| self.poll(&waker));
        let task: Arc<dyn Task> = self;
        call(&task, callbacks);
        match polled {
            Poll::Ready(outcome) => finish(&task, outcome),
            Poll::Pending => {
                if is_woken && task.future().rest() {
                    again(task);
                }
                None
            }
        }
    }

    fn drop_work(&self) {
        let mut place = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: as in `poll`.
        unsafe { Pin::new_unchecked(&mut *place) }.set(None);
    }
}

impl<W> Wake for Object<W>
where
    W: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    /// Never polls: who wakes may hold locks that the work takes.
    fn wake(self: Arc<Self>) {
        if self.future.wake() {
            again(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.future.wake() {
            again(Arc::<Self>::clone(self));
        }
    }
}

/// Gives work another turn. It needs none when the network has ended, and it with that.
fn again(task: Arc<dyn Task>) {
    drop(turns::push(task));
}

/// Calls a future's callbacks; no lock of ours is held meanwhile.
pub(super) fn call(task: &Arc<dyn Task>, callbacks: super::Callbacks) {
    callbacks.call(pointer(task));
}

/// The end of the work: makes the future ready, unless it is, and calls back. The place in the roll
/// that it had.
pub(super) fn finish(task: &Arc<dyn Task>, outcome: Outcome) -> Option<u32> {
    let (place, callbacks) = task.future().finish(outcome);
    call(task, callbacks);
    place
}

/// A future that is ready.
pub(super) fn ready(outcome: Outcome) -> Arc<dyn Task> {
    type Nothing = Pending<Result<Answer, Error>>;
    let future = FdbFuture::new(own::<Nothing>, OnCancel::GoOn, Turn::Over, Some(outcome));
    Object::<Nothing>::new(future, None)
}

/// Begins work: polls it on this thread, within the runtime's context, and leaves it to its turns if
/// it has to wait.
pub(super) fn begin<W>(on_cancel: OnCancel, work: W) -> Arc<dyn Task>
where
    W: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    let future = FdbFuture::new(own::<W>, on_cancel, Turn::Running, None);
    let object = Object::new(future, Some(work));
    let polled = object.poll(&Waker::from(Arc::clone(&object)));
    let task: Arc<dyn Task> = object;
    match polled {
        Poll::Ready(outcome) => {
            finish(&task, outcome);
        }
        Poll::Pending => match turns::enrol(&task) {
            Some(place) => {
                if task.future().settle_down(place) {
                    again(Arc::clone(&task));
                }
            }
            // The network has ended.
            None => end(&task),
        },
    }
    task
}

/// Ends work without a result, as happens when the network stops.
pub(super) fn end(task: &Arc<dyn Task>) {
    task.drop_work();
    finish(task, Err(code(ErrorCode::OPERATION_CANCELLED)));
}

/// What a program's cancellation does.
pub(super) fn cancel(task: &Arc<dyn Task>) {
    if task.future().is_settled() {
        return;
    }
    let ends = task.future().on_cancel == OnCancel::End;
    if ends {
        // And with it what it holds: a cancelled watch makes room for another one before anybody
        // hears of it.
        task.drop_work();
    }
    let (place, has_callbacks) = task.future().cancel(ends);
    if let Some(place) = place {
        turns::strike(place);
    }
    if has_callbacks {
        // The program may hold a lock that its callback takes: the network thread calls.
        if let Err(task) = turns::push(Arc::clone(task)) {
            let callbacks = task.future().due();
            call(&task, callbacks);
        }
    }
}
