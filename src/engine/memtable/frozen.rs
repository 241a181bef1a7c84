//! A memtable that is not written any more, on its way to the disk.

use std::sync::Arc;

use plinth_protocol::{KeyspaceId, Version};

use super::{
    Memtable,
    fragments::fragmented,
    node::{NodeRef, RecordRef},
    reclaim::ReadGuard,
    tree::Cursor,
};
use crate::engine::{
    key::KeyRef,
    layer::{Entry, EntryStream, RangeTombstone},
    read_error::ReadError,
};

/// A memtable whose writer is gone.
#[derive(Debug)]
pub(in crate::engine) struct FrozenMemtable {
    table: Arc<Memtable>,
    /// Everything that was written at this version or before is in it or beneath it.
    last: Version,
    /// About how much memory it takes.
    bytes: u64,
}

impl FrozenMemtable {
    /// Made by [`MemtableWriter::freeze`](super::MemtableWriter::freeze) alone, which ends the
    /// writer.
    pub(super) fn new(table: Arc<Memtable>, last: Version, bytes: u64) -> Self {
        Self { table, last, bytes }
    }

    /// What readers look at.
    pub(in crate::engine) fn table(&self) -> &Memtable {
        &self.table
    }

    /// Everything that was written at this version or before is in it or beneath it.
    pub(in crate::engine) fn last(&self) -> Version {
        self.last
    }

    /// About how much memory it takes.
    pub(in crate::engine) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether no old view has it as its active memtable any more.
    pub(in crate::engine) fn is_held_once(&self) -> bool {
        Arc::strong_count(&self.table) == 1
    }

    /// What it holds, for reading all of it in as long as it takes.
    pub(in crate::engine) fn contents(&self) -> FrozenContents<'_> {
        // SAFETY: the writer is gone, so nothing that can be reached from the memtable's roots is
        // changed or retired any more; all of it is dropped with the memtable, which is borrowed.
        let guard = unsafe { ReadGuard::unpinned() };
        FrozenContents { table: &self.table, guard }
    }
}

/// Everything in a frozen memtable. Holds nobody's memory back but the memtable's.
#[derive(Debug)]
pub(in crate::engine) struct FrozenContents<'a> {
    table: &'a Memtable,
    guard: ReadGuard,
}

impl FrozenContents<'_> {
    /// Every version of every key.
    pub(in crate::engine) fn entries(&self) -> FrozenEntries<'_> {
        let first = KeyRef::new(KeyspaceId(0), b"");
        let cursor = self.table.tree.seek(first, Version::ZERO, &self.guard);
        let mut entries = FrozenEntries { cursor, head: None };
        entries.next_key();
        entries
    }

    /// The range tombstones, fragmented.
    pub(in crate::engine) fn tombstones(&self) -> Vec<RangeTombstone> {
        fragmented(self.table.tombstones.events(&self.guard))
    }
}

/// See [`FrozenContents::entries`].
pub(in crate::engine) struct FrozenEntries<'a> {
    cursor: Cursor<'a>,
    head: Option<(NodeRef<'a>, RecordRef<'a>)>,
}

impl FrozenEntries<'_> {
    fn next_key(&mut self) {
        self.head = self.cursor.next().map(|node| (node, node.newest()));
    }
}

impl EntryStream for FrozenEntries<'_> {
    fn head(&self) -> Option<Entry<'_>> {
        let (node, record) = self.head?;
        Some(Entry { key: node.key(), stamp: record.stamp(), value: record.value() })
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        if let Some((node, record)) = self.head {
            // A transaction may write a key more than once; its last word counts.
            let mut older = record.older();
            while let Some(same) = older.filter(|older| older.stamp() == record.stamp()) {
                older = same.older();
            }
            match older {
                Some(older) => self.head = Some((node, older)),
                None => self.next_key(),
            }
        }
        Ok(())
    }
}
