//! A commit: everything that the server needs to decide about a transaction and to carry it out.

use bytes::Bytes;

use crate::{
    keyspace::KeyspaceId,
    mutation::Mutation,
    range::ConflictRange,
    version::{Version, Versionstamp},
};

/// A transaction, ready to be committed. The client keeps a transaction's reads and writes to
/// itself and sends them once, as this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Where its reads were made; `None` (a transaction that read nothing) means the newest.
    pub read_version: Option<Version>,
    /// What it read: a write of another commit to any of it after the read version is a conflict.
    pub read_conflicts: Vec<ReadConflict>,
    /// What else it claims to have written, beyond what its mutations say.
    pub write_conflicts: Vec<WriteConflict>,
    /// What it does, in order.
    pub mutations: Vec<Mutation>,
    /// Chosen by the client, 16 to 255 bytes: a commit sent again with the same id after its answer
    /// was lost learns what became of the first one, and is not carried out twice.
    pub idempotency_id: Option<Bytes>,
    /// Milliseconds since 1970 after which the commit must not happen any more; the server's clock
    /// decides, and answers a conflict.
    pub not_after_ms: Option<u64>,
    /// A weaker durability than the server's, for this commit alone; a stronger one has no effect.
    pub durability: Option<Durability>,
    /// Whether a conflict is to name the read conflicts that were hit.
    pub reports_conflicts: bool,
}

/// A part of the database that a transaction has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadConflict {
    /// Where the keys are.
    pub keyspace: KeyspaceId,
    /// The keys.
    pub range: ConflictRange,
    /// The version at which this part was read, where it isn't the commit's read version.
    pub since: Option<Version>,
}

/// A part of the database that a transaction claims to have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteConflict {
    /// Where the keys are.
    pub keyspace: KeyspaceId,
    /// The keys.
    pub range: ConflictRange,
}

/// What became of a commit that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitResult {
    /// It happened.
    Committed {
        /// Its commit version: visible to every read version from here on.
        version: Version,
        /// Its order among the transactions of that version.
        order: u16,
    },
    /// It did not happen, because something it had read was written after it had read it.
    Conflicted {
        /// Which of its read conflicts, by index; empty unless `reports_conflicts` was set.
        read_conflicts: Vec<u32>,
    },
}

impl CommitResult {
    /// The versionstamp of a commit that happened.
    pub fn versionstamp(&self) -> Option<Versionstamp> {
        match self {
            Self::Committed { version, order } => Some(Versionstamp::new(*version, *order)),
            Self::Conflicted { .. } => None,
        }
    }
}

/// When a commit counts as done. Ordered: a later one is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// When it is in memory; a crash of the process may lose it. For caches and tests.
    None,
    /// When it is handed to the operating system, which is synced every so often.
    Interval,
    /// When it is on the disk.
    Sync,
}
