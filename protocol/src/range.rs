//! Half-open ranges of keys.

use bytes::{BufMut, Bytes, BytesMut};

/// The smallest key after `key`: `key` and one zero byte.
pub fn key_after(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

/// The smallest key that is greater than every key with `prefix`; `None` if there is none, because
/// `prefix` is empty or all `0xFF`.
pub fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut end = BytesMut::from(prefix.get(..=last)?);
    *end.last_mut()? += 1;
    Some(end.freeze())
}

/// All keys `k` with `begin <= k < end`; empty if `begin >= end`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    /// The first key within.
    pub begin: Bytes,
    /// The first key after.
    pub end: Bytes,
}

impl KeyRange {
    /// The range from `begin` to before `end`.
    pub fn new(begin: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { begin: begin.into(), end: end.into() }
    }

    /// The range that holds `key` alone. One buffer serves both ends.
    pub fn point(key: &[u8]) -> Self {
        let end = key_after(key);
        Self { begin: end.slice(..key.len()), end }
    }

    /// Whether no key is within.
    pub fn is_empty(&self) -> bool {
        self.begin >= self.end
    }

    /// Whether `key` is within.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.begin.as_ref() <= key && key < self.end.as_ref()
    }
}

/// What a conflict range covers: one key, by far the most frequent case, or a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConflictRange {
    /// The one key.
    Key(Bytes),
    /// Every key of the range.
    Range(KeyRange),
}

impl ConflictRange {
    /// The first key within.
    pub fn begin(&self) -> &Bytes {
        match self {
            Self::Key(key) => key,
            Self::Range(range) => &range.begin,
        }
    }

    /// The same as a half-open range.
    pub fn to_range(&self) -> KeyRange {
        match self {
            Self::Key(key) => KeyRange::point(key),
            Self::Range(range) => range.clone(),
        }
    }
}

impl From<KeyRange> for ConflictRange {
    /// Recognises a range that holds one key.
    fn from(range: KeyRange) -> Self {
        let is_point =
            range.end.split_last().is_some_and(|(&last, head)| last == 0 && head == range.begin);
        if is_point { Self::Key(range.begin) } else { Self::Range(range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_prefix_begins() {
        assert_eq!(prefix_end(b"ab").as_deref(), Some(&b"ac"[..]));
        assert_eq!(prefix_end(b"a\xFF\xFF").as_deref(), Some(&b"b"[..]));
        assert_eq!(prefix_end(b"\xFF"), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn a_point_range_becomes_a_conflict_key() {
        let range = KeyRange::point(b"k");
        assert!(range.contains(b"k") && !range.contains(b"k\0"));
        assert_eq!(
            ConflictRange::from(range.clone()),
            ConflictRange::Key(Bytes::from_static(b"k"))
        );
        assert_eq!(ConflictRange::Key(Bytes::from_static(b"k")).to_range(), range);
        let wide = KeyRange::new("k", "k\0\0");
        assert_eq!(ConflictRange::from(wide.clone()), ConflictRange::Range(wide));
    }
}
