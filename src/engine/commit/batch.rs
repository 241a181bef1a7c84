//! A batch on its way to its waiters.

use std::sync::Arc;

use plinth_protocol::{CommitResult, Error, ErrorCode};

use super::CommitSink;
use crate::engine::write::CommittedTransaction;

/// One commit's waiter, and what it is to be told.
pub(crate) struct Waiter {
    pub(crate) sink: Arc<dyn CommitSink>,
    pub(crate) token: u64,
    pub(crate) outcome: Result<CommitResult, Error>,
    /// When it lined up.
    pub(crate) since_micros: u64,
}

/// What was decided together and is published together.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) waiters: Vec<Waiter>,
    /// What happened, for the watches; filled in when it is applied.
    pub(crate) transactions: Vec<CommittedTransaction>,
}

/// Tells the waiters, and wakes each sink once.
pub(crate) fn answer(waiters: Vec<Waiter>) {
    // Commits of one sink often come one behind the other.
    let mut sinks: Vec<Arc<dyn CommitSink>> = Vec::with_capacity(waiters.len().min(64));
    for Waiter { sink, token, outcome, .. } in waiters {
        sink.push(token, outcome);
        if sinks.last().is_none_or(|last| address(last) != address(&sink)) {
            sinks.push(sink);
        }
    }
    sinks.sort_unstable_by_key(address);
    sinks.dedup_by_key(|sink| address(sink));
    for sink in &sinks {
        sink.wake();
    }
}

fn address(sink: &Arc<dyn CommitSink>) -> usize {
    Arc::as_ptr(sink).cast::<()>().addr()
}

/// Changes the outcomes that say 'committed': nobody may be told so.
pub(crate) fn withdraw(waiters: &mut [Waiter], code: ErrorCode) {
    for waiter in waiters {
        if matches!(waiter.outcome, Ok(CommitResult::Committed { .. })) {
            waiter.outcome = Err(code.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use plinth_protocol::Version;

    use super::*;
    use crate::sync::Mutex;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl CommitSink for Recorder {
        fn push(&self, token: u64, outcome: Result<CommitResult, Error>) {
            let text = match outcome {
                Ok(CommitResult::Committed { version, .. }) => format!("{token} at {version}"),
                Ok(CommitResult::Conflicted { .. }) => format!("{token} conflicted"),
                Err(error) => format!("{token} {}", error.code.0),
            };
            self.0.lock().push(text);
        }

        fn wake(&self) {
            self.0.lock().push("wake".to_owned());
        }
    }

    #[test]
    fn each_sink_gets_its_outcomes_in_order_and_one_wake() {
        let sinks = [Arc::new(Recorder::default()), Arc::new(Recorder::default())];
        let mut waiters = Vec::new();
        for token in 0..5 {
            let sink = Arc::clone(&sinks[token as usize % 2]);
            let outcome = if token == 4 {
                Ok(CommitResult::Conflicted { read_conflicts: Vec::new() })
            } else {
                Ok(CommitResult::Committed { version: Version(10 + token), order: 0 })
            };
            waiters.push(Waiter { sink, token, outcome, since_micros: 0 });
        }
        withdraw(&mut waiters[2..], ErrorCode::COMMIT_UNKNOWN_RESULT);
        answer(waiters);
        assert_eq!(*sinks[0].0.lock(), ["0 at 10", "2 1021", "4 conflicted", "wake"]);
        assert_eq!(*sinks[1].0.lock(), ["1 at 11", "3 1021", "wake"]);
    }
}
