//! One key's versions in all layers on the disk.

use std::ops::ControlFlow;

use bytes::Bytes;
use plinth_protocol::{KeyspaceId, Version};

use super::{InspectError, Inspection};
use crate::engine::{
    key::KeyRef,
    layer::EntryStream as _,
    wal::{LogRecord, RecordPlace},
    write::Write,
};

/// Where a version of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// In the log, in this segment, in the record at this offset.
    Log {
        /// The segment.
        segment: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// In a table.
    Table {
        /// Its level.
        level: u8,
        /// Its number.
        number: u64,
    },
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It got this value.
    Set(Bytes),
    /// It was cleared.
    Cleared,
    /// It was cleared with all keys of a range.
    ClearedWithRange {
        /// The first.
        begin: Bytes,
        /// The first after.
        end: Bytes,
    },
}

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVersion {
    /// Where it is.
    pub layer: Layer,
    /// When.
    pub version: Version,
    /// In which place among the transactions of the version.
    pub order: u16,
    /// What happened then.
    pub what: What,
}

impl Inspection<'_> {
    /// What the log and the tables have of a key, newest first. The log may repeat what a table
    /// has.
    pub fn key(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Vec<KeyVersion>, InspectError> {
        let mut versions = Vec::new();
        self.log(&mut |place, record| {
            in_record(place, record, keyspace, key, &mut versions);
            ControlFlow::Continue(())
        })?;
        let wanted = KeyRef::new(keyspace, key);
        for (number, (level, properties)) in &self.state.tables {
            if wanted < properties.begin.as_ref() || wanted >= properties.end.as_ref() {
                continue;
            }
            let layer = Layer::Table { level: *level, number: number.0 };
            let table = self.open_table(*number)?;
            for tombstone in table.tombstones()? {
                if wanted < tombstone.begin.as_ref() || wanted >= tombstone.end.as_ref() {
                    continue;
                }
                let begin = Bytes::copy_from_slice(&tombstone.begin.key);
                let end = Bytes::copy_from_slice(&tombstone.end.key);
                versions.extend(tombstone.stamps.iter().map(|at| KeyVersion {
                    layer,
                    version: at.version,
                    order: at.order,
                    what: What::ClearedWithRange { begin: begin.clone(), end: end.clone() },
                }));
            }
            let mut entries = table.entries()?;
            while let Some(entry) = entries.head().filter(|entry| entry.key <= wanted) {
                if entry.key == wanted {
                    let value = entry.value.map(Bytes::copy_from_slice);
                    versions.push(KeyVersion {
                        layer,
                        version: entry.stamp.version,
                        order: entry.stamp.order,
                        what: value.map_or(What::Cleared, What::Set),
                    });
                }
                entries.advance()?;
            }
        }
        versions.sort_by_key(|version| std::cmp::Reverse((version.version, version.order)));
        Ok(versions)
    }
}

fn in_record(
    place: RecordPlace,
    record: &LogRecord,
    keyspace: KeyspaceId,
    wanted: &[u8],
    versions: &mut Vec<KeyVersion>,
) {
    let LogRecord::Batch(batch) = record else { return };
    let layer = Layer::Log { segment: place.segment, offset: place.offset };
    for transaction in batch {
        for write in &transaction.writes {
            let what = match write {
                Write::Set { keyspace: of, key, value } if *of == keyspace && *key == wanted => {
                    What::Set(value.clone())
                }
                Write::Clear { keyspace: of, key } if *of == keyspace && *key == wanted => {
                    What::Cleared
                }
                Write::ClearRange { keyspace: of, begin, end }
                    if *of == keyspace && **begin <= *wanted && *wanted < **end =>
                {
                    What::ClearedWithRange { begin: begin.clone(), end: end.clone() }
                }
                _ => continue,
            };
            versions.push(KeyVersion {
                layer,
                version: transaction.version,
                order: transaction.order,
                what,
            });
        }
    }
}
