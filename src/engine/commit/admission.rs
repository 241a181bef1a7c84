//! Admission: only what the log has reserved room for is sequenced.
//!
//! Once a commit has a version, it must get into the log, or the engine has failed. So the room for
//! a batch is made sure of before its first commit is decided. What atomic operations come to is not
//! known then: it is bounded by the room that is left.

use plinth_protocol::{Commit, ErrorCode, Mutation, MutationOp};

use super::batch::Batch;
use crate::engine::{
    shared::{Queued, Shared},
    wal::{Admission, BATCH_BYTES, TRANSACTION_BYTES, WRITE_BYTES},
};

/// What becomes of the commits that were taken from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// They are sequenced; the results of their atomic operations may take so many bytes.
    Yes {
        /// How many.
        results_bytes_max: usize,
    },
    /// They wait until a spare has been made for the log.
    Later,
}

/// Admits commits to the log. Those for which there is no room, because the disk is full, are
/// answered and taken out.
pub(crate) fn admit(shared: &Shared, taken: &mut Vec<Queued>) -> Admitted {
    let bytes: u64 = taken.iter().map(|queued| log_bytes(&queued.commit)).sum();
    if bytes == 0 {
        return Admitted::Yes { results_bytes_max: 0 };
    }
    match shared.segments.ask(BATCH_BYTES + bytes) {
        Admission::Room(room) => yes(room - (BATCH_BYTES + bytes)),
        Admission::Later => Admitted::Later,
        Admission::Full(room) => {
            let mut left = room.saturating_sub(BATCH_BYTES);
            let mut refused = Vec::new();
            let mut kept = Vec::with_capacity(taken.len());
            for queued in taken.drain(..) {
                match left.checked_sub(log_bytes(&queued.commit)) {
                    Some(less) => {
                        left = less;
                        kept.push(queued);
                    }
                    None => refused.push(queued.into_waiter(Err(ErrorCode::DISK_FULL.into()))),
                }
            }
            *taken = kept;
            let refused = Batch { waiters: refused, transactions: Vec::new() };
            shared.give_up(vec![refused], ErrorCode::DISK_FULL);
            yes(left)
        }
    }
}

fn yes(room: u64) -> Admitted {
    Admitted::Yes { results_bytes_max: usize::try_from(room).unwrap_or(usize::MAX) }
}

/// What a commit takes in a batch's record at most, but for what its atomic operations come to;
/// nothing, if it writes nothing.
fn log_bytes(commit: &Commit) -> u64 {
    let id = commit.idempotency_id.as_ref().map_or(0, bytes::Bytes::len);
    if commit.mutations.is_empty() && id == 0 {
        return 0;
    }
    let mutation_bytes = |mutation: &Mutation| {
        let bytes = match &mutation.op {
            MutationOp::Clear { key } => key.len(),
            MutationOp::Set { key, value }
            | MutationOp::Atomic { key, operand: value, .. }
            | MutationOp::SetVersionstampedKey { key, value, .. }
            | MutationOp::SetVersionstampedValue { key, value, .. } => key.len() + value.len(),
            MutationOp::ClearRange { begin, end } => begin.len() + end.len(),
        };
        WRITE_BYTES + bytes as u64
    };
    let writes: u64 = commit.mutations.iter().map(mutation_bytes).sum();
    TRANSACTION_BYTES + id as u64 + writes
}
