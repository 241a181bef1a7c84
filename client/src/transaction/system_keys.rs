//! System keys that a database of one server doesn't store, and that programs look for all the same.
//!
//! - `\xff/keyServers/` and a key: where a shard begins. There is one, and it begins at the first key.
//! - `\xff/coordinators`: the connection string.
//!
//! They are there where nothing else was written.

use bytes::Bytes;
use plinth_protocol::{KeyspaceId, response::KeyValue};

use super::{Page, RangeRead, Transaction, selector::fold_or_equal};
use crate::Backend;

/// What the shards' rows begin with.
const SHARDS: &[u8] = b"\xFF/keyServers/";
/// Where the server is that a cluster would agree on.
const COORDINATORS: &[u8] = b"\xFF/coordinators";

/// Whether a page was asked for that begins among the shards.
pub(super) fn asks_for_shards(read: &RangeRead) -> bool {
    read.begin.key.starts_with(SHARDS)
}

/// The shards among what was asked for, of which nothing was found in the database.
pub(super) fn shards(read: RangeRead) -> Page {
    let (begin, end) = (fold_or_equal(read.begin), fold_or_equal(read.end));
    let is_asked =
        begin.offset == 1 && end.offset == 1 && begin.key.as_ref() <= SHARDS && SHARDS < &*end.key;
    let first = KeyValue { key: Bytes::from_static(SHARDS), value: Bytes::new() };
    let rows = if is_asked { vec![first] } else { Vec::new() };
    // As after every page that was filled.
    Page { more: read.rows_max == 1 && !rows.is_empty(), rows }
}

impl<B: Backend> Transaction<B> {
    /// What stands at a key at which the database has nothing.
    pub(super) fn virtual_value(&self, key: &[u8]) -> Option<Bytes> {
        if self.keyspace != KeyspaceId::DEFAULT || key != COORDINATORS {
            return None;
        }
        Some(self.backend().place().connection_string.unwrap_or_default().into())
    }
}
