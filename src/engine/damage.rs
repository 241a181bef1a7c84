//! Which files have been found damaged, so that each is told of once and not with every read.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::table::TableError;

/// How many are remembered; damage in more files than this is no news any more.
const FILES_MAX: usize = 1000;

/// The damaged files that this process has met.
static FILES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Tells of damage in a file that no read has met yet.
pub(super) fn note(error: &TableError) {
    if let TableError::Damaged { path, .. } = error
        && is_new(path)
    {
        tracing::error!(%error, "a file is damaged: reads that need this part of it fail");
    }
}

fn is_new(path: &Path) -> bool {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    files.len() < FILES_MAX && !files.contains(path) && files.insert(path.to_path_buf())
}

/// How many damaged files this process has met.
pub(super) fn files() -> u64 {
    FILES.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_news_once() {
        let before = files();
        let path = Path::new("/of this test alone");
        assert!(is_new(path));
        assert!(!is_new(path));
        assert!(files() > before);
    }
}
