//! Bugs that tests plant, to see that other tests find them. Outside of tests there are none: the
//! question whether one is planted is answered with no when the program is compiled.

/// A bug that a test can plant on its own thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Bug {
    /// A log record is taken for sound whatever the checksum of its body says.
    LogChecksumIgnored,
    /// A block of a table is taken for sound whatever its checksum says.
    TableChecksumIgnored,
    /// Flushes and compactions drop what only pins and older reads still see.
    SnapshotsForgotten,
    /// Flushes and compactions drop clears although older tables hold what they cleared.
    ClearsForgottenEarly,
    /// Compactions alone drop what only pins and older reads still see.
    CompactionForgetsSnapshots,
    /// Compactions alone drop clears although deeper tables hold what they cleared.
    CompactionForgetsClears,
    /// A compaction removes the tables that it replaces before that is durable in the manifest.
    TablesGoTooEarly,
    /// Recovery drops the last sound record of the log.
    LastRecordForgotten,
    /// A flush gives up the log up to one segment too far.
    LogGoesTooEarly,
    /// A flush writes down no idempotency ids, whose log goes.
    IdsForgotten,
    /// What a crash has left unfinished is not removed.
    OrphansStay,
}

#[cfg(not(test))]
pub(in crate::engine) const fn is_planted(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub(in crate::engine) use in_tests::{is_planted, plant};

#[cfg(test)]
mod in_tests {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted on this thread.
    pub(in crate::engine) fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Keeps a bug planted until it is dropped.
    pub(in crate::engine) struct Planted;

    /// Plants a bug on this thread.
    pub(in crate::engine) fn plant(bug: Bug) -> Planted {
        PLANTED.set(Some(bug));
        Planted
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }
}
