//! What a checker has found: named, and explained by the transactions and keys that show it.

use serde_json::{Value, json};

use super::model::{Model, line_of, stamp_text};
use crate::cli::bench::history::Outcome;

/// How a history can break strict serializability, or the promises that a proof of it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Two commits have the same version and order.
    DuplicatedVersion,
    /// A commit's version is not above the version that it read at.
    VersionOutOfOrder,
    /// A transaction didn't read what it had written itself.
    OwnWriteLost,
    /// A value was read whose transaction did not happen.
    AbortedRead,
    /// A value was read that its transaction had written over itself.
    IntermediateRead,
    /// A value was read that nobody wrote.
    UnwrittenRead,
    /// A value was read before its transaction committed.
    FutureRead,
    /// A value was read although it had been written over, or was acknowledged to be.
    StaleRead,
    /// One write of a transaction was seen, and another was not.
    HalfCommit,
    /// Two transactions read the same value and both wrote over it.
    LostUpdate,
    /// Two transactions each read what the other wrote, before it was written.
    WriteSkew,
    /// A row appeared in, or went from, a range that a transaction had read before its commit.
    Phantom,
    /// What a transaction read was changed before it committed.
    ReadOverwritten,
    /// The order of versions, or of dependencies, is not that of real time.
    RealTime,
    /// Transactions depend on each other in a circle.
    Cycle,
    /// The places of transactions of unknown outcome could not be found out.
    Undecided,
}

impl Kind {
    /// The name, as `--json` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DuplicatedVersion => "duplicated_version",
            Self::VersionOutOfOrder => "version_out_of_order",
            Self::OwnWriteLost => "own_write_lost",
            Self::AbortedRead => "aborted_read",
            Self::IntermediateRead => "intermediate_read",
            Self::UnwrittenRead => "unwritten_read",
            Self::FutureRead => "future_read",
            Self::StaleRead => "stale_read",
            Self::HalfCommit => "half_commit",
            Self::LostUpdate => "lost_update",
            Self::WriteSkew => "write_skew",
            Self::Phantom => "phantom",
            Self::ReadOverwritten => "read_overwritten",
            Self::RealTime => "real_time_violation",
            Self::Cycle => "dependency_cycle",
            Self::Undecided => "undecided",
        }
    }
}

/// A violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What it is.
    pub kind: Kind,
    /// What happened, in a sentence or some.
    pub text: String,
    /// The transactions, by their places in the history.
    pub transactions: Vec<usize>,
    /// The keys, by number.
    pub(super) keys: Vec<usize>,
}

impl Violation {
    pub(super) fn new(kind: Kind, text: String, transactions: &[usize], keys: &[usize]) -> Self {
        Self { kind, text, transactions: transactions.to_vec(), keys: keys.to_vec() }
    }

    /// When all that shows it had happened: the first violations are the easiest to understand.
    pub(super) fn known_at(&self, model: &Model<'_>) -> u64 {
        self.transactions.iter().map(|&index| model.nodes[index].source.end).max().unwrap_or(0)
    }

    pub(super) fn to_json(&self, model: &Model<'_>) -> Value {
        let transactions: Vec<Value> = self
            .transactions
            .iter()
            .map(|&index| {
                let source = model.nodes[index].source;
                json!({
                    "line": line_of(index),
                    "client": source.client,
                    "number": source.number,
                    "begin": source.begin,
                    "end": source.end,
                    "read_version": source.read_version.map(|version| version.0),
                    "committed_at": source.stamp().map(stamp_text),
                    "outcome": match source.outcome {
                        Outcome::Committed(_) => "committed",
                        Outcome::Conflicted => "conflicted",
                        Outcome::Failed => "failed",
                        Outcome::Unknown => "unknown",
                    },
                })
            })
            .collect();
        let keys: Vec<String> =
            self.keys.iter().map(|&key| model.keys[key].escape_ascii().to_string()).collect();
        json!({
            "kind": self.kind.name(),
            "explanation": self.text,
            "transactions": transactions,
            "keys": keys,
        })
    }
}
