//! A history: what every client of a run asked, was told, and when.
//!
//! ```text
//! workers ──records, some at a time──▶ bounded queue ──▶ a thread ──▶ FILE   one line a transaction
//! FILE ──▶ every line checked ──▶ History ──▶ `plinth bench check`
//! ```
//!
//! Each try of a transaction is a record of its own: a try that conflicted has read something too,
//! and what it read must be right. Values are told by a hash of their bytes, so that a history stays
//! small; the workloads see to it that no two writes have the same bytes.
//!
//! The file is JSON lines, because everybody's tools read those: the format is on the page
//! `docs/history.md`. Each line carries a checksum of itself and of all lines before it, and the
//! last one says how many there were, so that what is missing or changed is noticed at its line.

mod format;
mod read;
mod record;
pub(super) mod recorded;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use plinth_protocol::{Version, Versionstamp};
use serde::{Deserialize, Serialize};

pub(crate) use self::format::order_of;
pub use self::{
    read::{ReadError, read, read_from},
    record::{Recorder, RecorderThread, write},
};

/// The version of the format, which is the first thing in a file.
pub const FORMAT_VERSION: u32 = 1;

/// What a whole history is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Header {
    /// The version of the format.
    #[serde(rename = "plinth_history")]
    pub format_version: u32,
    /// Whether the database states read versions and commit versions, so that they can be checked.
    #[serde(rename = "versions")]
    pub has_versions: bool,
    /// Whether no two writes of the history have the same bytes, and none has those of a value that
    /// was there before: only then does a value tell who wrote it.
    #[serde(rename = "unique_values")]
    pub has_unique_values: bool,
    /// What was done.
    #[serde(default)]
    pub workload: String,
    /// Where.
    #[serde(default)]
    pub target: String,
    /// Which random keys.
    #[serde(default)]
    pub seed: u64,
}

/// Which bytes a value has: 64-bit FNV-1a.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueHash(pub u64);

impl ValueHash {
    /// The hash of these bytes.
    pub fn of(value: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Self(value.iter().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

/// Whether a read counts in the conflict check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadKind {
    /// It does: the transaction depends on what was read.
    Serializable,
    /// It doesn't: it shows the snapshot, whatever happens before the commit.
    Snapshot,
}

/// What a transaction did, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read a key.
    Get {
        /// Which.
        key: Bytes,
        /// What was there, if anything was.
        found: Option<ValueHash>,
        /// Whether it counts in the conflict check.
        kind: ReadKind,
    },
    /// Read all rows of a range.
    Range {
        /// The first key.
        begin: Bytes,
        /// Behind the last key. A read that stopped early, at its limit of rows, ends where it did.
        end: Bytes,
        /// All that was there.
        rows: Vec<(Bytes, ValueHash)>,
        /// Whether it counts in the conflict check.
        kind: ReadKind,
    },
    /// Gave a key a value.
    Set {
        /// Which.
        key: Bytes,
        /// What.
        value: ValueHash,
    },
    /// Changed a key's value to something that the client doesn't know, as atomic operations do.
    Mutate {
        /// Which.
        key: Bytes,
    },
    /// Removed a key.
    Clear {
        /// Which.
        key: Bytes,
    },
    /// Removed all keys of a range.
    ClearRange {
        /// The first.
        begin: Bytes,
        /// Behind the last.
        end: Bytes,
    },
}

impl Op {
    /// Whether the op changes anything.
    pub fn is_write(&self) -> bool {
        !matches!(self, Self::Get { .. } | Self::Range { .. })
    }
}

/// How a try of a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened. Where the database states versions and something was written, at this one.
    Committed(Option<Versionstamp>),
    /// It did not happen, because something that it read was changed.
    Conflicted,
    /// It did not happen, for another reason.
    Failed,
    /// Nobody knows whether it happened.
    Unknown,
}

/// A try of a transaction, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who: a client does one thing after the other.
    pub client: u32,
    /// Which of the client's tries.
    pub number: u64,
    /// When it should have begun, where a run has a rate: nanoseconds since the run's beginning.
    pub intended: Option<u64>,
    /// When it began, before anything was asked.
    pub begin: u64,
    /// When its outcome was known.
    pub end: u64,
    /// The version that it read at, if it read and the database states versions.
    pub read_version: Option<Version>,
    /// What it did, in order.
    pub ops: Vec<Op>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Transaction {
    /// Whether it would change anything.
    pub fn writes(&self) -> bool {
        self.ops.iter().any(Op::is_write)
    }

    /// Its commit's place in the order of all, where that is known.
    pub fn stamp(&self) -> Option<Versionstamp> {
        match self.outcome {
            Outcome::Committed(stamp) => stamp,
            _ => None,
        }
    }
}

/// A whole history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What it is of.
    pub header: Header,
    /// All tries of transactions, in the order in which they were written down.
    pub transactions: Vec<Transaction>,
}
