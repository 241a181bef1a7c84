//! Keys as the engine orders them: by keyspace, then by the bytes of the key.
//!
//! Sorted arrays of keys are searched through digests: eight bytes of each key, taken where the
//! keys of the array begin to differ, in one dense array. Most comparisons are then of two integers
//! that lie side by side, and the keys themselves are fetched for the last one only. [`Digests`]
//! finds the place where the keys begin to differ by itself, so a common prefix, however long,
//! costs nothing.

use std::{cmp::Ordering, fmt, ops::Range};

use plinth_protocol::KeyspaceId;

use super::prefetch::prefetch_lines;

/// A key and the keyspace it is in. Its order is the engine's order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyRef<'a> {
    /// Where the key is.
    pub(super) keyspace: KeyspaceId,
    /// The key.
    pub(super) key: &'a [u8],
}

impl<'a> KeyRef<'a> {
    /// The least key of all.
    pub(super) const FIRST: Self = Self { keyspace: KeyspaceId(0), key: b"" };

    /// The key in the keyspace.
    pub(super) fn new(keyspace: KeyspaceId, key: &'a [u8]) -> Self {
        Self { keyspace, key }
    }
}

impl Ord for KeyRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.keyspace.cmp(&other.keyspace).then_with(|| {
            // An empty slice may point nowhere, and to compare no bytes of nowhere is a fault that
            // some processors take hundreds of cycles to suppress. Scans from "" do it for each row.
            if self.key.is_empty() || other.key.is_empty() {
                self.key.len().cmp(&other.key.len())
            } else {
                self.key.cmp(other.key)
            }
        })
    }
}

impl PartialOrd for KeyRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.keyspace, self.key.escape_ascii())
    }
}

/// A key with its keyspace, owned.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyBuf {
    /// Where the key is.
    pub(super) keyspace: KeyspaceId,
    /// The key.
    pub(super) key: Box<[u8]>,
}

impl KeyBuf {
    /// The same key, borrowed.
    pub(super) fn as_ref(&self) -> KeyRef<'_> {
        KeyRef { keyspace: self.keyspace, key: &self.key }
    }
}

impl From<KeyRef<'_>> for KeyBuf {
    fn from(key: KeyRef<'_>) -> Self {
        Self { keyspace: key.keyspace, key: key.key.into() }
    }
}

impl fmt::Debug for KeyBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// How many bytes `a` and `b` have in common at their beginning.
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// A key above `left` and not above `right`, which is above `left`; as short as can be.
pub(super) fn separator(left: KeyRef<'_>, right: KeyRef<'_>) -> KeyBuf {
    debug_assert!(left < right);
    if left.keyspace != right.keyspace {
        return KeyBuf { keyspace: right.keyspace, key: Box::default() };
    }
    let len = (common_prefix(left.key, right.key) + 1).min(right.key.len());
    KeyBuf::from(KeyRef::new(right.keyspace, right.key.get(..len).unwrap_or(right.key)))
}

/// Where the keys of an array begin to differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shared {
    /// In the keyspace.
    #[default]
    Nothing,
    /// After so many bytes of the key, all in this keyspace.
    Prefix(KeyspaceId, usize),
}

impl Shared {
    fn of(first: KeyRef<'_>, last: KeyRef<'_>) -> Self {
        if first.keyspace == last.keyspace {
            Self::Prefix(first.keyspace, common_prefix(first.key, last.key))
        } else {
            Self::Nothing
        }
    }

    fn digest(self, key: KeyRef<'_>) -> u64 {
        match self {
            Self::Nothing => u64::from(key.keyspace.0) << 32 | load(key.key, 0) >> 32,
            Self::Prefix(_, at) => load(key.key, at),
        }
    }
}

/// The eight bytes at `at`, zeros after the end.
fn load(key: &[u8], at: usize) -> u64 {
    let rest = key.get(at..).unwrap_or_default();
    if let Some(bytes) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

/// Bytes of the common prefix that are kept beside the digests.
const PREFIX_KEPT: usize = 24;

/// What the keys of a sorted array have in common at their beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Common {
    shared: Shared,
    /// The common prefix, if it is short: comparing with it doesn't take a key then.
    prefix: [u8; PREFIX_KEPT],
}

impl Common {
    /// What all keys from `first` to `last` have in common.
    pub(super) fn of(first: KeyRef<'_>, last: KeyRef<'_>) -> Self {
        let mut common = Self { shared: Shared::of(first, last), prefix: [0; PREFIX_KEPT] };
        for (to, from) in common.prefix.iter_mut().zip(first.key) {
            *to = *from;
        }
        common
    }

    /// How many bytes of the keys it is.
    pub(super) fn len(&self) -> usize {
        match self.shared {
            Shared::Nothing => 0,
            Shared::Prefix(_, len) => len,
        }
    }

    /// Eight bytes of a key, from where the keys begin to differ: what is less has a digest that is
    /// not greater.
    pub(super) fn digest(&self, key: KeyRef<'_>) -> u64 {
        self.shared.digest(key)
    }

    /// How `key` compares with everything that begins as the array's keys do, the `first` of which
    /// is asked for only if what they have in common is long.
    pub(super) fn compare<'a>(
        &self,
        key: KeyRef<'_>,
        first: impl FnOnce() -> KeyRef<'a>,
    ) -> Ordering {
        match self.shared {
            Shared::Nothing => Ordering::Equal,
            Shared::Prefix(keyspace, 0) => key.keyspace.cmp(&keyspace),
            Shared::Prefix(keyspace, len) => {
                let kept = self.prefix.get(..len);
                let prefix = kept.or_else(|| first().key.get(..len)).unwrap_or_default();
                let head = key.key.get(..len).unwrap_or(key.key);
                key.keyspace.cmp(&keyspace).then_with(|| head.cmp(prefix))
            }
        }
    }
}

/// Where `key` is among the keys at these places, which are in order and have one digest, or where it
/// would have to be.
pub(super) fn among_equals<'a>(
    places: Range<usize>,
    key: KeyRef<'_>,
    key_at: impl Fn(usize) -> KeyRef<'a>,
) -> Result<usize, usize> {
    let Range { start: mut low, end: mut high } = places;
    while low < high {
        let middle = low.midpoint(high);
        match key_at(middle).cmp(&key) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return Ok(middle),
            Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

/// Finds keys in a sorted array that is kept elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests {
    common: Common,
    values: Box<[u64]>,
}

impl Digests {
    /// The digests of `len` distinct ascending keys.
    pub(super) fn build<'a>(len: usize, key_at: impl Fn(usize) -> KeyRef<'a>) -> Self {
        if len == 0 {
            return Self::default();
        }
        let common = Common::of(key_at(0), key_at(len - 1));
        Self { common, values: (0..len).map(|at| common.digest(key_at(at))).collect() }
    }

    /// Begins to fetch them.
    pub(super) fn prefetch(&self) {
        prefetch_lines(&self.values);
    }

    /// Where `key` is, or where it would have to be.
    pub(super) fn find<'a>(
        &self,
        key: KeyRef<'_>,
        key_at: impl Fn(usize) -> KeyRef<'a>,
    ) -> Result<usize, usize> {
        let len = self.values.len();
        if len == 0 {
            return Err(0);
        }
        match self.common.compare(key, || key_at(0)) {
            Ordering::Less => return Err(0),
            Ordering::Greater => return Err(len),
            Ordering::Equal => {}
        }
        let digest = self.common.digest(key);
        // All at once, rather than one after the other as the search comes to them.
        self.prefetch();
        let low = self.values.partition_point(|&value| value < digest);
        let equals = self.values.iter().skip(low).take_while(|&&value| value == digest).count();
        among_equals(low..low + equals, key, key_at)
    }

    /// The digests after `key` has come in at `at`; `key_at` tells the keys as they are then.
    pub(super) fn with<'a>(&self, at: usize, key_at: impl Fn(usize) -> KeyRef<'a>) -> Self {
        let len = self.values.len() + 1;
        let is_at_end = at == 0 || at + 1 == len;
        if is_at_end && Shared::of(key_at(0), key_at(len - 1)) != self.common.shared {
            return Self::build(len, key_at);
        }
        let digest = self.common.digest(key_at(at));
        let (before, after) = self.values.split_at(at);
        Self { values: [before, &[digest], after].concat().into(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key_set() -> impl Strategy<Value = BTreeSet<(u32, Vec<u8>)>> {
        let key = prop_oneof![
            prop::collection::vec(0u8..3, 0..4),
            prop::collection::vec(0u8..2, 0..3).prop_map(|tail| [
                &b"a long prefix in common"[..],
                &tail
            ]
            .concat()),
        ];
        prop::collection::btree_set((0u32..2, key), 0..40)
    }

    fn borrow((keyspace, key): &(u32, Vec<u8>)) -> KeyRef<'_> {
        KeyRef::new(KeyspaceId(*keyspace), key)
    }

    proptest! {
        #[test]
        fn digests_find_what_a_binary_search_over_keys_finds(
            keys in key_set(),
            probes in key_set(),
        ) {
            let keys: Vec<_> = keys.into_iter().collect();
            let digests = Digests::build(keys.len(), |at| borrow(&keys[at]));
            for probe in keys.iter().chain(&probes) {
                let found = digests.find(borrow(probe), |at| borrow(&keys[at]));
                prop_assert_eq!(found, keys.binary_search(probe));
            }
        }

        #[test]
        fn digests_follow_insertion(keys in key_set(), probes in key_set()) {
            let mut present: Vec<(u32, Vec<u8>)> = Vec::new();
            let mut digests = Digests::build(0, |_| unreachable!());
            for key in keys.iter().rev().chain(&probes) {
                if let Err(at) = present.binary_search(key) {
                    present.insert(at, key.clone());
                    digests = digests.with(at, |at| borrow(&present[at]));
                }
                for probe in &keys {
                    let found = digests.find(borrow(probe), |at| borrow(&present[at]));
                    prop_assert_eq!(found, present.binary_search(probe));
                }
            }
        }

        #[test]
        fn a_separator_separates(keys in key_set()) {
            for (left, right) in keys.iter().zip(keys.iter().skip(1)) {
                let separator = separator(borrow(left), borrow(right));
                prop_assert!(borrow(left) < separator.as_ref());
                prop_assert!(separator.as_ref() <= borrow(right));
            }
        }
    }
}
