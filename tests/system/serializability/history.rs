//! What clients record of their transactions.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use plinth_protocol::{Version, Versionstamp};

/// The place of every event in real time: if one ends before another begins, its number is lower.
#[derive(Default)]
pub(crate) struct Order(AtomicU64);

impl Order {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// A row as read.
pub(crate) type Row = (Bytes, Bytes);

/// What a transaction did, and what it was told.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Get {
        key: Bytes,
        value: Option<Bytes>,
    },
    Range {
        begin: Bytes,
        end: Bytes,
        rows: Vec<Row>,
    },
    Set {
        key: Bytes,
        value: Bytes,
    },
    Clear {
        key: Bytes,
    },
    ClearRange {
        begin: Bytes,
        end: Bytes,
    },
    /// Appends an element of four bytes to a list, be it by an atomic operation or by setting what
    /// was read with the element behind it.
    Append {
        key: Bytes,
        element: u32,
    },
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Committed(Versionstamp),
    /// Committed without having written.
    ReadOnly,
    Conflicted,
}

/// A transaction, as its client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) client: usize,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) read_version: Version,
    pub(crate) ops: Vec<Op>,
    pub(crate) outcome: Outcome,
}
