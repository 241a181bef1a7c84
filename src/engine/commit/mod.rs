//! The commit pipeline: how a commit becomes history.
//!
//! ```text
//!  submit ─▶ queue ─▶ sequencer ─▶ hand-off ─▶ log ───────┐
//!  (checks)          (decides,     (one job    (one write, ├─▶ publish ─▶ waiters, watches
//!                     versions,     grows       one sync)  │
//!                     resolves) ─▶ apply (store) ──────────┘
//! ```
//!
//! - [`queue`]: commits of all threads line up, bounded; one that doesn't fit is refused.
//! - [`validate`]: what a commit may hold, checked before it lines up.
//! - [`sequencer`]: takes what waits as one batch, without a timer; decides each commit in order of
//!   arrival; gives versions. [`resolve`] turns mutations into writes that depend on nothing.
//! - [`hand_off`] and [`log`]: one write and one sync a job; while it syncs, the next job grows.
//! - [`mark`]: asks the log how far it is durable.
//! - [`publish`]: the read version moves when a batch is logged, applied, and next in line.
//! - [`batch`]: the waiters and how they are answered.
//! - [`seats`]: who takes the steps, the pipeline's threads or a caller who would only wait for them.
//! - [`threads`]: the threads that run this; the steps themselves know of no thread.
//!
//! **Versions** are unique: every transaction has its own, and its order in it is always 0.
//!
//! **Answers** leave when the batch is published, those of conflicts too: a transaction that lost
//! against a commit in flight and begins again then sees that commit, instead of losing again.
//!
//! **Lowered durability.** A commit may ask for less than the engine's mode. A batch waits for the
//! strongest durability asked for in it, and for every batch before it; so a weaker commit never
//! waits for a sync of its own, but may share that of a stronger one. Once it is answered, all see
//! it, though a crash may still lose it, and with it only what came after it: the log is in commit
//! order, so that whatever survives is a prefix of history, and a durable commit that read weaker
//! ones makes them durable too.
//!
//! **Failure.** When a write or sync of the log fails, the engine is poisoned: the commits of the
//! job are answered `commit_unknown_result`, later ones `storage_failed`; the read version stands
//! still and reads go on. Nothing is tried again.

mod admission;
pub(crate) mod batch;
pub(crate) mod hand_off;
pub(crate) mod log;
pub(crate) mod mark;
pub(crate) mod publish;
pub(crate) mod queue;
pub(crate) mod resolve;
pub(crate) mod seats;
pub(crate) mod sequencer;
pub(crate) mod threads;
mod throttle;
pub(crate) mod validate;

#[cfg(all(test, plinth_loom))]
mod loom_seats;
#[cfg(all(test, plinth_loom))]
mod loom_tests;

use plinth_protocol::{CommitResult, Error};

/// Where the outcomes of commits go: one connection, one caller.
///
/// Called on the pipeline's threads: must be quick and must not wait. Outcomes of a batch are all
/// pushed before the one wake, so that a connection writes them in one go.
pub trait CommitSink: Send + Sync {
    /// The outcome of the commit that was submitted with `token`. Exactly once for each.
    fn push(&self, token: u64, outcome: Result<CommitResult, Error>);

    /// Outcomes have been pushed.
    fn wake(&self);
}
