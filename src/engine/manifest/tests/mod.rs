//! The manifest as a whole, on the simulated disk.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use plinth_protocol::{KeyspaceId, Version};

use super::{files::numbered, record::RECORD_HEADER_BYTES, state::LEVELS, *};
use crate::{
    engine::{
        key::{KeyBuf, KeyRef},
        table::{TableNumber, TableProperties},
    },
    vfs::{SimVfs, Vfs},
};

mod behaviour;
mod damage;
mod format;
mod ids;

const DIRECTORY: &str = "/manifest";

fn options() -> ManifestOptions {
    ManifestOptions { database_id: *b"the test's own d", seed: 42, bytes_max: 64 << 10 }
}

fn open(vfs: &SimVfs) -> Result<(Manifest, ManifestReport), ManifestError> {
    open_with(vfs, options())
}

fn open_with(
    vfs: &SimVfs,
    options: ManifestOptions,
) -> Result<(Manifest, ManifestReport), ManifestError> {
    let vfs: Arc<dyn Vfs> = Arc::new(vfs.clone());
    Manifest::open(&vfs, Path::new(DIRECTORY), options)
}

fn path(number: u64) -> PathBuf {
    numbered(Path::new(DIRECTORY), number, "manifest")
}

fn key(key: &[u8]) -> KeyBuf {
    KeyBuf::from(KeyRef::new(KeyspaceId::DEFAULT, key))
}

fn table(number: u64) -> TableProperties {
    TableProperties {
        number: TableNumber(number),
        bytes: 1000 + number,
        begin: key(b"a"),
        end: key(b"b\0"),
        least_version: Version(number),
        greatest_version: Version(number + 5),
        entries: 6,
        clears: 2,
        superseded: 3,
        range_tombstones: 1,
        key_bytes: 12,
        value_bytes: 70,
    }
}

/// A flush: one table more, and everything up to its greatest version is in tables.
fn flush(number: u64) -> Edit {
    let table = table(number);
    let flushed = Flushed { version: table.greatest_version, log_start: number, ids: None };
    Edit {
        ceiling: Some(Version(100 * number)),
        flushed: Some(flushed),
        added: vec![(0, table)],
        removed: vec![],
    }
}

/// A compaction: this table goes from level 0 to level 1 under another number.
fn compact(from: u64, to: u64) -> Edit {
    Edit { added: vec![(1, table(to))], removed: vec![TableNumber(from)], ..Edit::default() }
}
