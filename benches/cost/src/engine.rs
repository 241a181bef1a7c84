//! Requests to the engine itself.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use plinth_protocol::{CommitResult, Error};
use plinthdb::engine::{CommitSink, Engine};

use crate::{SPACE, Work, blind, carry_out, keys};

/// Point reads of keys that are there, each with a look of its own.
pub(crate) fn get(engine: &Engine, count: usize) -> Work<'_> {
    let keys: Vec<_> = keys(count).collect();
    Box::new(move || {
        for key in &keys {
            let reader = engine.try_reader();
            let found = reader.get(SPACE, key, reader.newest()).expect("readable");
            assert!(black_box(found).is_some());
        }
    })
}

/// Point reads of keys that are not there.
pub(crate) fn get_nothing(engine: &Engine, count: usize) -> Work<'_> {
    let keys: Vec<_> = keys(count).map(|key| [&key[..], b"?"].concat()).collect();
    Box::new(move || {
        for key in &keys {
            let reader = engine.try_reader();
            let found = reader.get(SPACE, key, reader.newest()).expect("readable");
            assert!(black_box(found).is_none());
        }
    })
}

/// Commits of one write each that have read nothing, one after the other.
pub(crate) fn set(engine: &Engine, count: usize) -> Work<'_> {
    let commits: Vec<_> = keys(count).map(|key| blind([key].into_iter())).collect();
    let committed = Arc::new(Committed::default());
    Box::new(move || {
        for commit in commits {
            let sink = Arc::clone(&committed) as Arc<dyn CommitSink>;
            assert!(engine.submit(commit, sink, 0).is_ok(), "the queue is empty");
            while carry_out(engine) {}
        }
        assert_eq!(committed.0.load(Relaxed), count);
    })
}

/// Counts what was committed.
#[derive(Default)]
struct Committed(AtomicUsize);

impl CommitSink for Committed {
    fn push(&self, _token: u64, outcome: Result<CommitResult, Error>) {
        if let Ok(CommitResult::Committed { .. }) = outcome {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn wake(&self) {}
}
