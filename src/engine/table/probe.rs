//! Keys as they are stored in tables: the keyspace, four bytes big-endian, then the key. Compared
//! as bytes, they are in the engine's order.

use std::cmp::Ordering;

use plinth_protocol::KeyspaceId;

use crate::engine::key::KeyRef;

/// Bytes that the keyspace takes in front of a key.
pub(super) const KEYSPACE_BYTES: usize = 4;

/// Appends a key as it is stored.
pub(super) fn put_key(out: &mut Vec<u8>, key: KeyRef<'_>) {
    out.extend_from_slice(&key.keyspace.0.to_be_bytes());
    out.extend_from_slice(key.key);
}

/// The key that is stored in these bytes.
pub(super) fn stored_key(bytes: &[u8]) -> Option<KeyRef<'_>> {
    let (keyspace, key) = bytes.split_first_chunk::<KEYSPACE_BYTES>()?;
    Some(KeyRef::new(KeyspaceId(u32::from_be_bytes(*keyspace)), key))
}

/// A key that is looked for among stored ones, without being put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'a> {
    keyspace: [u8; KEYSPACE_BYTES],
    key: &'a [u8],
}

impl<'a> Probe<'a> {
    pub(super) fn new(key: KeyRef<'a>) -> Self {
        Self { keyspace: key.keyspace.0.to_be_bytes(), key: key.key }
    }

    pub(super) fn len(&self) -> usize {
        KEYSPACE_BYTES + self.key.len()
    }

    /// The `N` bytes at `at`, zeros after the end.
    #[inline]
    pub(super) fn load<const N: usize>(&self, at: usize) -> [u8; N] {
        if let Some(from) = at.checked_sub(KEYSPACE_BYTES) {
            let rest = self.key.get(from..).unwrap_or_default();
            if let Some(bytes) = rest.first_chunk() {
                return *bytes;
            }
        }
        let mut bytes = [0; N];
        let (first, second) = self.from(at);
        for (to, from) in bytes.iter_mut().zip(first.iter().chain(second)) {
            *to = *from;
        }
        bytes
    }

    /// How the bytes from `at` on compare with these.
    #[inline]
    pub(super) fn cmp_from(&self, at: usize, other: &[u8]) -> Ordering {
        let (first, second) = self.from(at);
        if first.is_empty() {
            return second.cmp(other);
        }
        let (head, tail) = other.split_at(first.len().min(other.len()));
        first.cmp(head).then_with(|| second.cmp(tail))
    }

    /// How the key compares with everything that begins so.
    #[inline]
    pub(super) fn cmp_prefix(&self, prefix: &[u8]) -> Ordering {
        let (space, rest) = prefix.split_at(KEYSPACE_BYTES.min(prefix.len()));
        let own = self.keyspace.get(..space.len()).unwrap_or_default();
        own.cmp(space).then_with(|| {
            if rest.is_empty() {
                return Ordering::Equal;
            }
            self.key.get(..rest.len()).unwrap_or(self.key).cmp(rest)
        })
    }

    /// The bytes from `at` on, in two pieces.
    fn from(&self, at: usize) -> (&[u8], &'a [u8]) {
        match at.checked_sub(KEYSPACE_BYTES) {
            Some(at) => (&[], self.key.get(at..).unwrap_or_default()),
            None => (self.keyspace.get(at..).unwrap_or_default(), self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = (u32, Vec<u8>)> {
        let keyspace = prop_oneof![0u32..3, Just(0x0102_0304), Just(u32::MAX)];
        (keyspace, prop::collection::vec(0u8..3, 0..12))
    }

    proptest! {
        #[test]
        fn a_probe_compares_as_the_stored_key_does(one in keys(), other in keys(), at in 0usize..20) {
            let one = KeyRef::new(KeyspaceId(one.0), &one.1);
            let other = KeyRef::new(KeyspaceId(other.0), &other.1);
            let (mut a, mut b) = (vec![], vec![]);
            put_key(&mut a, one);
            put_key(&mut b, other);
            prop_assert_eq!(a.cmp(&b), one.cmp(&other));
            prop_assert_eq!(stored_key(&a), Some(one));
            let probe = Probe::new(one);
            prop_assert_eq!(probe.len(), a.len());
            let from = |bytes: &[u8]| bytes.get(at..).unwrap_or_default().to_vec();
            prop_assert_eq!(probe.cmp_from(at, &from(&b)), from(&a).cmp(&from(&b)));
            let prefix = &b[..at.min(b.len())];
            let expected = if a.starts_with(prefix) { Ordering::Equal } else { a.as_slice().cmp(prefix) };
            prop_assert_eq!(probe.cmp_prefix(prefix), expected);
            let mut padded = from(&a);
            padded.resize(8, 0);
            prop_assert_eq!(&probe.load::<8>(at)[..], &padded[..8]);
        }
    }
}
