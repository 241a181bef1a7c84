//! Key selectors: a key named by its place in the order.

use bytes::Bytes;

/// Names a key by position: take the last key that is less than `key` (or equal, if `or_equal`),
/// and move `offset` keys to the right of it (to the left if negative).
///
/// Resolves to `""` before the first key and to the end of the keyspace after the last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySelector {
    /// Where the search begins.
    pub key: Bytes,
    /// Whether `key` itself counts as position 0.
    pub or_equal: bool,
    /// How many keys to move from position 0.
    pub offset: i32,
}

impl KeySelector {
    /// The last key less than `key`.
    pub fn last_less_than(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), or_equal: false, offset: 0 }
    }

    /// The last key less than or equal to `key`.
    pub fn last_less_or_equal(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), or_equal: true, offset: 0 }
    }

    /// The first key greater than `key`.
    pub fn first_greater_than(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), or_equal: true, offset: 1 }
    }

    /// The first key greater than or equal to `key`: as an end of a range, `key` itself.
    pub fn first_greater_or_equal(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), or_equal: false, offset: 1 }
    }
}

impl std::ops::Add<i32> for KeySelector {
    type Output = Self;

    /// Moves the selector right.
    fn add(self, count: i32) -> Self {
        Self { offset: self.offset.saturating_add(count), ..self }
    }
}

impl std::ops::Sub<i32> for KeySelector {
    type Output = Self;

    /// Moves the selector left.
    fn sub(self, count: i32) -> Self {
        Self { offset: self.offset.saturating_sub(count), ..self }
    }
}
