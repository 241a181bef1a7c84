//! Writes: the resolved form of mutations, which is what is logged and applied.

use bytes::Bytes;
use plinth_protocol::{KeyspaceId, Version};

/// One resolved change: what it does depends on nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Gives `key` this value.
    Set {
        /// Where the key is.
        keyspace: KeyspaceId,
        /// The key.
        key: Bytes,
        /// Its value from now on.
        value: Bytes,
    },
    /// Removes `key`.
    Clear {
        /// Where the key is.
        keyspace: KeyspaceId,
        /// The key.
        key: Bytes,
    },
    /// Removes every key in `begin..end`.
    ClearRange {
        /// Where the keys are.
        keyspace: KeyspaceId,
        /// The first key that goes.
        begin: Bytes,
        /// The first key that stays.
        end: Bytes,
    },
}

/// A transaction that happens, with its place in history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedTransaction {
    /// Its commit version.
    pub version: Version,
    /// Its order among the transactions of that version.
    pub order: u16,
    /// The id by which its client may ask for the outcome.
    pub idempotency_id: Option<Bytes>,
    /// When it was committed, in milliseconds since 1970.
    pub committed_at_ms: u64,
    /// What it does, in order.
    pub writes: Vec<Write>,
}
