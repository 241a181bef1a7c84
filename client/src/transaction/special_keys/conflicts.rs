//! The transaction's conflict ranges as rows: where each begins, with "1", and where it ends, with
//! "0".

use bytes::Bytes;
use plinth_protocol::{Error, KeyRange, response::KeyValue};

use super::super::Transaction;
use crate::Backend;

/// What the commit conflicted with.
pub(super) const CONFLICTING_KEYS: &[u8] = b"\xFF\xFF/transaction/conflicting_keys/";
/// What was read.
pub(super) const READ_CONFLICTS: &[u8] = b"\xFF\xFF/transaction/read_conflict_range/";
/// What was written.
pub(super) const WRITE_CONFLICTS: &[u8] = b"\xFF\xFF/transaction/write_conflict_range/";

fn boundaries(prefix: &[u8], ranges: &[KeyRange]) -> Vec<KeyValue> {
    let row = |key: &Bytes, value: &'static [u8]| KeyValue {
        key: [prefix, key].concat().into(),
        value: Bytes::from_static(value),
    };
    ranges.iter().flat_map(|range| [row(&range.begin, b"1"), row(&range.end, b"0")]).collect()
}

impl<B: Backend> Transaction<B> {
    /// After all reads that are under way, which come to count only then.
    pub(super) async fn read_conflict_rows(&self) -> Result<Vec<KeyValue>, Error> {
        let generation = self.state().generation;
        self.reads_done(generation).await?;
        let ranges = self.state().read_conflicts.ranges(self.keyspace);
        Ok(boundaries(READ_CONFLICTS, &ranges))
    }

    pub(super) fn write_conflict_rows(&self) -> Vec<KeyValue> {
        let ranges = self.own_write_conflicts(&self.state());
        boundaries(WRITE_CONFLICTS, &ranges)
    }

    pub(super) fn conflicting_key_rows(&self) -> Vec<KeyValue> {
        boundaries(CONFLICTING_KEYS, &self.conflicting_ranges())
    }
}
