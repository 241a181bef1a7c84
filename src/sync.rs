//! Locks and atomics: the standard library's, or loom's when its model checker looks at the
//! hand-offs of the commit pipeline.
//!
//! Loom is switched on with a name of our own, `--cfg plinth_loom`, because the global `loom` name
//! changes other crates too. A lock whose holder panicked is taken over: every critical section
//! here leaves its data whole at each step, and a second panic would only hide the first.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

#[cfg(plinth_loom)]
use loom::sync as imp;
#[cfg(not(plinth_loom))]
use std::sync as imp;

use imp::atomic::AtomicUsize;
pub(crate) use imp::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// A lock that outlives its holder's panic.
#[derive(Debug)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

/// What a [`Mutex`] protects, while it is held.
pub(crate) struct MutexGuard<'a, T>(imp::MutexGuard<'a, T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The lock, if nobody holds it at this moment.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard(guard)),
            Err(std::sync::TryLockError::Poisoned(error)) => Some(MutexGuard(error.into_inner())),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// Where threads wait for a change of what a [`Mutex`] protects. To tell nobody costs nothing: the
/// standard library's makes a system call each time.
#[derive(Debug)]
pub(crate) struct Condvar {
    changed: imp::Condvar,
    /// Who waits, or is about to. Counted up under the lock: whoever changes something under the same
    /// lock and tells of it afterwards has either been seen by them or sees them here.
    waiting: AtomicUsize,
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self { changed: imp::Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waited = self.changed.wait(guard.0);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        MutexGuard(waited.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Waits at most `limit`; whoever calls looks at the data to see what happened.
    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> MutexGuard<'a, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waited = self.changed.wait_timeout(guard.0, limit);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        MutexGuard(waited.unwrap_or_else(std::sync::PoisonError::into_inner).0)
    }

    pub(crate) fn notify_one(&self) {
        if self.has_waiting() {
            self.changed.notify_one();
        }
    }

    pub(crate) fn notify_all(&self) {
        if self.has_waiting() {
            self.changed.notify_all();
        }
    }

    fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}
