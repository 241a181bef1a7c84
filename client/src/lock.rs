//! Locks that are held for a few instructions, never over an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock, also if a thread panicked with it: what these locks guard is changed in single
/// steps, each of which leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
