//! What is known of a table without reading it.

use plinth_protocol::Version;

use super::TableNumber;
use crate::engine::key::KeyBuf;

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
