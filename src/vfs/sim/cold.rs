//! Which pages of a file a simulated system does not have in memory.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::pages::PAGE_BYTES;

/// The numbers of a file's pages that would have to be read from the disk. The file has it as long
/// as it is mapped, and every region of it: reading the file warms the pages.
#[derive(Debug, Default)]
pub(in crate::vfs) struct ColdPages(Mutex<BTreeSet<u64>>);

impl ColdPages {
    pub(super) fn new(pages: BTreeSet<u64>) -> Self {
        Self(Mutex::new(pages))
    }

    /// Whether any of these bytes is not in memory.
    pub(in crate::vfs) fn has_any(&self, bytes: Range<u64>) -> bool {
        !bytes.is_empty() && self.lock().range(pages_of(&bytes)).next().is_some()
    }

    /// These bytes were read.
    pub(super) fn warm(&self, bytes: &Range<u64>) {
        let mut pages = self.lock();
        if !pages.is_empty() && !bytes.is_empty() {
            pages.retain(|page| !pages_of(bytes).contains(page));
        }
    }

    /// These bytes are gone from memory.
    pub(super) fn chill(&self, bytes: &Range<u64>) {
        if !bytes.is_empty() {
            self.lock().extend(pages_of(bytes));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pages_of(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / PAGE_BYTES as u64..bytes.end.div_ceil(PAGE_BYTES as u64)
}
