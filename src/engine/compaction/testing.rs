//! Entries for tests.

use plinth_protocol::{KeyspaceId, Version};

use crate::engine::{
    key::{KeyBuf, KeyRef},
    layer::{Entry, EntryStream},
    read_error::ReadError,
    visible::Stamp,
};

/// An entry, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) key: KeyBuf,
    pub(super) stamp: Stamp,
    pub(super) value: Option<Vec<u8>>,
}

/// A write of a key of one byte.
pub(super) fn listed(key: u8, version: u64, value: Option<&[u8]>) -> Listed {
    let key = KeyRef::new(KeyspaceId(0), &[key]).into();
    let stamp = Stamp { version: Version(version), order: 0 };
    Listed { key, stamp, value: value.map(<[u8]>::to_vec) }
}

impl Listed {
    pub(super) fn entry(&self) -> Entry<'_> {
        let value = self.value.as_deref();
        Entry { key: self.key.as_ref(), stamp: self.stamp, value }
    }

    /// The entries, which are in order, as a layer would give them.
    pub(super) fn stream(entries: &[Self]) -> Box<dyn EntryStream + '_> {
        Box::new(Stream(entries))
    }
}

struct Stream<'a>(&'a [Listed]);

impl EntryStream for Stream<'_> {
    fn head(&self) -> Option<Entry<'_>> {
        self.0.first().map(Listed::entry)
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        self.0 = self.0.get(1..).unwrap_or_default();
        Ok(())
    }
}
