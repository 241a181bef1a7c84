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

/// A [`Write`] that lies elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum WriteRef<'a> {
    /// See [`Write::Set`].
    Set { keyspace: KeyspaceId, key: &'a [u8], value: &'a [u8] },
    /// See [`Write::Clear`].
    Clear { keyspace: KeyspaceId, key: &'a [u8] },
    /// See [`Write::ClearRange`].
    ClearRange { keyspace: KeyspaceId, begin: &'a [u8], end: &'a [u8] },
}

impl Write {
    /// The same write, borrowed.
    pub(in crate::engine) fn as_ref(&self) -> WriteRef<'_> {
        match *self {
            Self::Set { keyspace, ref key, ref value } => WriteRef::Set { keyspace, key, value },
            Self::Clear { keyspace, ref key } => WriteRef::Clear { keyspace, key },
            Self::ClearRange { keyspace, ref begin, ref end } => {
                WriteRef::ClearRange { keyspace, begin, end }
            }
        }
    }
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
