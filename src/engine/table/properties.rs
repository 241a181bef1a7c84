//! What is known of a table without reading it.

use plinth_protocol::{KeyspaceId, Version};

use super::{
    TableNumber,
    coding::Input,
    probe::{put_key, stored_key},
};
use crate::engine::key::{KeyBuf, KeyRef};

/// What a table holds, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProperties {
    /// Which table.
    pub(in crate::engine) number: TableNumber,
    /// The length of the file.
    pub(in crate::engine) bytes: u64,
    /// No key and no range tombstone is below this.
    pub(in crate::engine) begin: KeyBuf,
    /// Every key is below this, and every range tombstone ends here or below: the key after the
    /// last one, or the end of a tombstone.
    pub(in crate::engine) end: KeyBuf,
    /// The oldest version of an entry or a range tombstone.
    pub(in crate::engine) least_version: Version,
    /// The newest version of an entry or a range tombstone.
    pub(in crate::engine) greatest_version: Version,
    /// Versions of keys.
    pub(in crate::engine) entries: u64,
    /// Entries that are clears of one key.
    pub(in crate::engine) clears: u64,
    /// Entries that are not the newest of their key.
    pub(in crate::engine) superseded: u64,
    /// Range tombstones, every version of every fragment counted.
    pub(in crate::engine) range_tombstones: u64,
    /// Bytes of the keys of all entries.
    pub(in crate::engine) key_bytes: u64,
    /// Bytes of the values of all entries.
    pub(in crate::engine) value_bytes: u64,
}

impl TableProperties {
    /// Of a table that has nothing yet.
    pub(super) fn empty(number: TableNumber) -> Self {
        let nowhere = KeyBuf::from(KeyRef::new(KeyspaceId(0), b""));
        Self {
            number,
            bytes: 0,
            begin: nowhere.clone(),
            end: nowhere,
            least_version: Version::MAX,
            greatest_version: Version::ZERO,
            entries: 0,
            clears: 0,
            superseded: 0,
            range_tombstones: 0,
            key_bytes: 0,
            value_bytes: 0,
        }
    }

    /// Appends them as a table stores them.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let numbers = [
            self.number.0,
            self.bytes,
            self.least_version.0,
            self.greatest_version.0,
            self.entries,
            self.clears,
            self.superseded,
            self.range_tombstones,
            self.key_bytes,
            self.value_bytes,
        ];
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for key in [&self.begin, &self.end] {
            let mut bytes = Vec::with_capacity(key.key.len() + 4);
            put_key(&mut bytes, key.as_ref());
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&bytes);
        }
    }

    /// Takes what [`TableProperties::encode`] has appended from the front of the bytes. None if it
    /// isn't there; otherwise also what follows.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut input = Input::new(bytes);
        let mut number = || input.u64();
        let mut properties = Self { bytes: 0, ..Self::empty(TableNumber(number()?)) };
        properties.bytes = number()?;
        properties.least_version = Version(number()?);
        properties.greatest_version = Version(number()?);
        properties.entries = number()?;
        properties.clears = number()?;
        properties.superseded = number()?;
        properties.range_tombstones = number()?;
        properties.key_bytes = number()?;
        properties.value_bytes = number()?;
        let mut key = || {
            let len = input.u32()? as usize;
            stored_key(input.bytes(len)?).map(KeyBuf::from)
        };
        properties.begin = key()?;
        properties.end = key()?;
        Some((properties, input.rest()))
    }

    /// Whether a key is within the bounds.
    #[inline]
    pub(in crate::engine) fn contains(&self, key: KeyRef<'_>) -> bool {
        self.begin.as_ref() <= key && key < self.end.as_ref()
    }

    /// Whether the bounds have a key in common with `begin..end`.
    pub(in crate::engine) fn overlaps(&self, begin: KeyRef<'_>, end: KeyRef<'_>) -> bool {
        self.begin.as_ref() < end && begin < self.end.as_ref()
    }
}

/// The first key after this one.
pub(in crate::engine) fn key_after(key: KeyRef<'_>) -> KeyBuf {
    let mut bytes = Vec::with_capacity(key.key.len() + 1);
    bytes.extend_from_slice(key.key);
    bytes.push(0);
    KeyBuf { keyspace: key.keyspace, key: bytes.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_come_back_and_no_byte_may_be_missing() {
        let key = |keyspace, key| KeyBuf::from(KeyRef::new(KeyspaceId(keyspace), key));
        let properties = TableProperties {
            number: TableNumber(7),
            bytes: 1,
            begin: key(0, b"apple"),
            end: key(16, b""),
            least_version: Version(2),
            greatest_version: Version(3),
            entries: 4,
            clears: 5,
            superseded: 6,
            range_tombstones: 7,
            key_bytes: 8,
            value_bytes: 9,
        };
        let mut bytes = vec![];
        properties.encode(&mut bytes);
        bytes.push(99);
        assert_eq!(TableProperties::decode(&bytes), Some((properties.clone(), &[99][..])));
        for end in 0..bytes.len() - 1 {
            assert_eq!(TableProperties::decode(&bytes[..end]), None);
        }
        let at = |keyspace, bytes| KeyRef::new(KeyspaceId(keyspace), bytes);
        assert!(
            properties.contains(at(0, b"apple"))
                && !properties.contains(at(0, b"apple"[..4].as_ref()))
        );
        assert!(properties.contains(at(15, b"z")) && !properties.contains(at(16, b"")));
        assert!(properties.overlaps(at(0, b""), key_after(at(0, b"apple")).as_ref()));
        assert!(!properties.overlaps(at(0, b""), at(0, b"apple")));
        assert!(!properties.overlaps(at(16, b""), at(17, b"")));
    }
}
