//! What the open transactions of all text sessions may hold together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A number of bytes that several sessions share. Clones share the same.
#[derive(Clone, Debug)]
pub struct Allowance(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    taken: AtomicUsize,
}

impl Allowance {
    /// An allowance of this many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, taken: AtomicUsize::new(0) }))
    }

    /// How many bytes are taken.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// A share of it, of nothing so far.
    pub(crate) fn share(&self) -> Share {
        Share { allowance: self.clone(), bytes: 0 }
    }
}

/// What one transaction has taken; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    allowance: Allowance,
    bytes: usize,
}

impl Share {
    /// Makes the share this large; fails if the allowance has no room for it.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), usize> {
        let shared = &self.allowance.0;
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let fits = |taken: usize| taken.checked_add(more).filter(|sum| *sum <= shared.limit);
            if shared.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
                return Err(shared.limit);
            }
        } else {
            shared.taken.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.allowance.0.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_together_stay_within_the_allowance_and_are_given_back() {
        let allowance = Allowance::new(100);
        let (mut one, mut two) = (allowance.share(), allowance.share());
        assert_eq!(one.resize(60), Ok(()));
        assert_eq!(two.resize(41), Err(100));
        assert_eq!(allowance.taken(), 60);
        assert_eq!(one.resize(50), Ok(()));
        assert_eq!(two.resize(50), Ok(()));
        drop(one);
        assert_eq!(allowance.taken(), 50);
        assert_eq!(two.resize(usize::MAX), Err(100));
        drop(two);
        assert_eq!(allowance.taken(), 0);
    }
}
