//! A table by itself, without a store around it: for tools and measurements.

use std::{ops::ControlFlow, path::Path};

use plinth_protocol::{KeyspaceId, Version};

use super::{
    error::TableError,
    options::{TableNumber, TableOptions},
    read_io::{Patience, ReadIo},
    reader::Table,
    writer::TableWriter,
};
use crate::{
    engine::{
        key::KeyRef,
        layer::{Entry, LayerCursor, Lookup, Span},
        memtable::Direction,
        read_error::ReadError,
        visible::Stamp,
    },
    vfs::Vfs,
};

/// An open table.
#[derive(Debug)]
pub struct LoneTable {
    table: Table,
}

/// Is shown a key and its value, and says whether to go on.
pub type RowVisitor<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Somebody who reads tables, and the blocks that were unpacked for him.
#[derive(Debug)]
pub struct TableReader {
    io: ReadIo,
}

impl TableReader {
    /// A reader, and the time in ticks of about a second.
    pub fn new(patience: Patience, ticks: u64) -> Self {
        Self { io: ReadIo::new(patience, ticks) }
    }

    /// Bytes of the blocks that were unpacked, which are kept until the reader is dropped.
    pub fn unpacked_bytes(&self) -> usize {
        self.io.unpacked_bytes()
    }
}

impl LoneTable {
    /// Writes a table with these keys, which must ascend, all set at the same version, and opens
    /// it.
    pub fn write<'a>(
        vfs: &dyn Vfs,
        path: &Path,
        options: &TableOptions,
        version: Version,
        rows: impl Iterator<Item = (KeyspaceId, &'a [u8], &'a [u8])>,
    ) -> Result<Self, TableError> {
        let mut writer = TableWriter::create(vfs, path, TableNumber(1), options)?;
        for (keyspace, key, value) in rows {
            let stamp = Stamp { version, order: 0 };
            writer.add(Entry { key: KeyRef::new(keyspace, key), stamp, value: Some(value) })?;
        }
        writer.finish()?;
        Self::open(vfs, path, TableNumber(1))
    }

    /// Opens a table.
    pub fn open(vfs: &dyn Vfs, path: &Path, number: TableNumber) -> Result<Self, TableError> {
        Ok(Self { table: Table::open(vfs, path, number)? })
    }

    /// The value of a key at a version, if it has one.
    pub fn get<'a>(
        &'a self,
        keyspace: KeyspaceId,
        key: &[u8],
        version: Version,
        reader: &'a TableReader,
    ) -> Result<Option<&'a [u8]>, ReadError> {
        Ok(match self.table.get(KeyRef::new(keyspace, key), version, &reader.io)? {
            Lookup::Value(value, _) => Some(value),
            Lookup::Cleared | Lookup::Unknown => None,
        })
    }

    /// Shows the rows of a keyspace at a version, from a key on or, in reverse, from the last below
    /// it, until `visit` breaks.
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        from: &[u8],
        is_reverse: bool,
        version: Version,
        reader: &TableReader,
        visit: &mut RowVisitor<'_>,
    ) -> Result<(), ReadError> {
        let direction = if is_reverse { Direction::Reverse } else { Direction::Forward };
        let mut cursor = self.table.cursor(version, direction, &reader.io);
        let mut spans = self.table.cursor(version, direction, &reader.io);
        let mut span = Span { end: Some(KeyRef::new(keyspace, b"")), ..Span::ALL };
        cursor.seek(KeyRef::new(keyspace, from))?;
        while let Some(entry) = cursor.head().filter(|entry| entry.key.keyspace == keyspace) {
            if !span.contains(entry.key) {
                span = spans.span(entry.key)?;
            }
            let is_seen = span.stamp.is_none_or(|over| entry.stamp >= over);
            if let Some(value) = entry.value.filter(|_| is_seen)
                && visit(entry.key.key, value).is_break()
            {
                break;
            }
            cursor.advance()?;
        }
        Ok(())
    }

    /// How many entries and stamps of range tombstones there are, by going through all.
    pub fn count(&self) -> Result<(u64, u64), ReadError> {
        use crate::engine::layer::EntryStream;
        let (mut entries, mut count) = (self.table.entries()?, 0);
        while entries.head().is_some() {
            count += 1;
            entries.advance()?;
        }
        let tombstones = self.table.tombstones()?;
        Ok((count, tombstones.iter().map(|over| over.stamps.len() as u64).sum()))
    }

    /// Everything that is wrong with the table.
    pub fn verify(&self) -> Vec<TableError> {
        self.table.verify(&mut |_| {})
    }

    /// Bytes that the open table has on the heap, but for the file's handle.
    pub fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.table.properties().bytes
    }
}
