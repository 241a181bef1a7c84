//! Mutations: what a commit does to the keys.

use bytes::Bytes;

use crate::keyspace::KeyspaceId;

/// One change of a commit. Mutations take effect in the order in which the commit lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// Where the keys are.
    pub keyspace: KeyspaceId,
    /// Whether the keys it touches become a write conflict range. For a versionstamped key that is
    /// the final key.
    pub adds_conflict: bool,
    /// What it does.
    pub op: MutationOp,
}

/// What a mutation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MutationOp {
    /// Gives `key` this value.
    Set {
        /// The key.
        key: Bytes,
        /// Its value from now on.
        value: Bytes,
    },
    /// Removes `key`.
    Clear {
        /// The key.
        key: Bytes,
    },
    /// Removes every key in `begin..end`.
    ClearRange {
        /// The first key that goes.
        begin: Bytes,
        /// The first key that stays.
        end: Bytes,
    },
    /// Computes the new value of `key` from the present one, at commit.
    Atomic {
        /// How.
        op: AtomicOp,
        /// The key.
        key: Bytes,
        /// The operand.
        operand: Bytes,
    },
    /// Sets `key` after the ten bytes at `offset` within it have become the commit's versionstamp.
    SetVersionstampedKey {
        /// The key, with room for the stamp.
        key: Bytes,
        /// Where the stamp goes; `offset + 10 <= key.len()`.
        offset: u32,
        /// The value.
        value: Bytes,
    },
    /// Sets `key` to `value` after the ten bytes at `offset` within it have become the stamp.
    SetVersionstampedValue {
        /// The key.
        key: Bytes,
        /// The value, with room for the stamp.
        value: Bytes,
        /// Where the stamp goes; `offset + 10 <= value.len()`.
        offset: u32,
    },
}

/// The atomic operations; [`AtomicOp::apply`](crate::atomic) computes them. Numbers are
/// FoundationDB's mutation types, with its internal 18 and 19 for the present forms of `Min` and
/// `And`, so that clients of every API version can name the form they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AtomicOp {
    /// Little-endian addition.
    Add = 2,
    /// `And` as before API version 510: a missing key counts as zeros.
    AndV1 = 6,
    /// Bitwise or.
    Or = 7,
    /// Bitwise exclusive or.
    Xor = 8,
    /// Appends if the result is not longer than a value may be.
    AppendIfFits = 9,
    /// The larger of two little-endian unsigned numbers.
    Max = 12,
    /// `Min` as before API version 510: a missing key counts as zeros.
    MinV1 = 13,
    /// The lexicographically smaller.
    ByteMin = 16,
    /// The lexicographically larger.
    ByteMax = 17,
    /// The smaller of two little-endian unsigned numbers; a missing key gives the operand.
    Min = 18,
    /// Bitwise and; a missing key gives the operand.
    And = 19,
    /// Clears the key if its value equals the operand.
    CompareAndClear = 20,
}

impl AtomicOp {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Add,
        Self::AndV1,
        Self::Or,
        Self::Xor,
        Self::AppendIfFits,
        Self::Max,
        Self::MinV1,
        Self::ByteMin,
        Self::ByteMax,
        Self::Min,
        Self::And,
        Self::CompareAndClear,
    ];

    /// The operation with this number on the wire.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|op| *op as u8 == code)
    }
}
