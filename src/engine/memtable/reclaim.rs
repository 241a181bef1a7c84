//! Memory that readers may still look at when the writer is done with it.
//!
//! A reader pins the epoch by holding a [`ReadGuard`]. What the writer unlinks while the reader is
//! pinned stays allocated until the guard is gone. All of the memtable's pointers follow one rule,
//! on which every `SAFETY` note of this folder rests:
//!
//! > Something is given to [`ReadGuard::retire`] once, after it can no longer be reached from the
//! > memtable's roots. So whatever a pinned reader reaches from the roots, directly or through
//! > something that it had reached before, outlives the guard.

use std::{
    cell::Cell,
    sync::atomic::{AtomicPtr, Ordering},
};

use crossbeam_epoch::Guard;

/// A pinned epoch. Only made by [`ReadGuard::pin`], so that all belong to the one collector, and by
/// [`ReadGuard::unpinned`], for what is never retired.
#[derive(Debug)]
pub(in crate::engine) struct ReadGuard {
    /// None if nothing that is looked at is ever retired.
    guard: Option<Guard>,
    retired: Cell<usize>,
}

impl ReadGuard {
    /// Pins the epoch for this thread.
    pub(in crate::engine) fn pin() -> Self {
        Self { guard: Some(crossbeam_epoch::pin()), retired: Cell::new(0) }
    }

    /// A guard that keeps nothing from being freed, and holds nobody up however long it lives.
    ///
    /// # Safety
    /// It is only used to look at what outlives it anyway and is not changed any more, and nothing
    /// is retired under it.
    pub(super) unsafe fn unpinned() -> Self {
        Self { guard: None, retired: Cell::new(0) }
    }

    /// Runs `free` once all guards that are pinned now are gone, on whichever thread.
    pub(super) fn retire(&self, free: impl FnOnce() + Send + 'static) {
        debug_assert!(self.guard.is_some(), "nothing is retired under an unpinned guard");
        // Without a guard it would stay allocated for ever, which is at least not unsound.
        if let Some(guard) = &self.guard {
            guard.defer(free);
        }
        self.retired.set(self.retired.get() + 1);
    }

    /// How much was retired under this guard.
    pub(super) fn retired(&self) -> usize {
        self.retired.get()
    }

    /// Hands what this thread has retired to whoever collects next, and frees some of what all
    /// have retired before.
    pub(in crate::engine) fn flush(&self) {
        if let Some(guard) = &self.guard {
            guard.flush();
        }
    }
}

/// A box that one thread replaces while others look at it.
#[derive(Debug)]
pub(super) struct Published<T> {
    pointer: AtomicPtr<T>,
}

impl<T: Send + Sync + 'static> Published<T> {
    /// Publishes `value`.
    pub(super) fn new(value: Box<T>) -> Self {
        Self { pointer: AtomicPtr::new(Box::into_raw(value)) }
    }

    /// What is there now.
    pub(super) fn load<'g>(&self, _guard: &'g ReadGuard) -> &'g T {
        let pointer = self.pointer.load(Ordering::Acquire);
        // SAFETY: the pointer came out of a box, is never null, and is freed through `retire` only
        // after it was replaced here; the guard was pinned before we looked. A second cell made by
        // `alias` is looked at only through memory that was retired no earlier.
        unsafe { &*pointer }
    }

    /// Puts `value` in place of what is there, which is dropped when no reader can see it.
    pub(super) fn replace(&self, value: Box<T>, guard: &ReadGuard) {
        let old = self.pointer.swap(Box::into_raw(value), Ordering::AcqRel);
        retire_box(old, guard);
    }

    /// Drops what is there when no reader can see it. The cell is not looked at again by the
    /// writer.
    ///
    /// # Safety
    /// The cell has been unlinked, and no other cell that is still linked aliases it.
    pub(super) unsafe fn retire(&self, guard: &ReadGuard) {
        retire_box(self.pointer.load(Ordering::Relaxed), guard);
    }

    /// A second cell with the same content.
    ///
    /// # Safety
    /// From now on only the new cell is replaced, retired or freed; this one is unlinked before
    /// the new one is replaced.
    pub(super) unsafe fn alias(&self) -> Self {
        Self { pointer: AtomicPtr::new(self.pointer.load(Ordering::Acquire)) }
    }

    /// Takes the content out, when nobody else can look any more.
    ///
    /// # Safety
    /// No other cell aliases this one, and it is not used afterwards.
    pub(super) unsafe fn take(&mut self) -> T {
        // SAFETY: the pointer came out of a box, and the caller and `&mut` say that it is ours.
        *unsafe { Box::from_raw(*self.pointer.get_mut()) }
    }
}

/// A [`Published`] value with no second cell, which goes with its cell.
#[derive(Debug)]
pub(in crate::engine) struct Owned<T: Send + Sync + 'static> {
    cell: Published<T>,
}

impl<T: Send + Sync + 'static> Owned<T> {
    /// Publishes `value`.
    pub(in crate::engine) fn new(value: T) -> Self {
        Self { cell: Published::new(Box::new(value)) }
    }

    /// What is there now.
    pub(in crate::engine) fn load<'g>(&self, guard: &'g ReadGuard) -> &'g T {
        self.cell.load(guard)
    }

    /// Puts `value` in place of what is there, which is dropped when no reader can see it.
    pub(in crate::engine) fn replace(&self, value: T, guard: &ReadGuard) {
        self.cell.replace(Box::new(value), guard);
    }
}

impl<T: Send + Sync + 'static> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the cell is not aliased, and is not used after this.
        drop(unsafe { self.cell.take() });
    }
}

/// A pointer on its way to the thread that frees it.
pub(super) struct Retired<T>(pub(super) *mut T);

// SAFETY: what is pointed at is owned by this value alone and may be sent.
unsafe impl<T: Send> Send for Retired<T> {}

impl<T> Retired<T> {
    /// The pointer. A method, so that closures capture the whole.
    pub(super) fn into_inner(self) -> *mut T {
        self.0
    }
}

fn retire_box<T: Send + 'static>(pointer: *mut T, guard: &ReadGuard) {
    let retired = Retired(pointer);
    guard.retire(move || {
        // SAFETY: the pointer came out of a box and is retired once; by the epoch no reader is
        // left.
        drop(unsafe { Box::from_raw(retired.into_inner()) });
    });
}
