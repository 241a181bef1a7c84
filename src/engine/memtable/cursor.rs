//! A memtable as one layer of several.

use plinth_protocol::Version;

use super::{Direction, Memtable, reclaim::ReadGuard, tombstones::Cover, tree::Cursor};
use crate::engine::{
    key::KeyRef,
    layer::{Entry, LayerCursor, Span},
    read_error::ReadError,
};

/// What a read at a version finds in a memtable, key by key. Of what the memtable's own range
/// tombstones hide it passes over whole leaves, where it can.
pub(in crate::engine) struct MemtableCursor<'g> {
    table: &'g Memtable,
    guard: &'g ReadGuard,
    version: Version,
    direction: Direction,
    cover: Cover<'g>,
    /// Where a key was looked for last.
    span: Span<'g>,
    /// None before the first seek.
    cursor: Option<Cursor<'g>>,
    head: Option<Entry<'g>>,
}

impl Memtable {
    /// A cursor that stands nowhere until its first seek.
    pub(in crate::engine) fn cursor<'g>(
        &'g self,
        version: Version,
        direction: Direction,
        guard: &'g ReadGuard,
    ) -> MemtableCursor<'g> {
        MemtableCursor {
            table: self,
            guard,
            version,
            direction,
            // Before the nodes: a tombstone that is gone by the time has taken them with it.
            cover: self.tombstones.at(version, guard),
            span: Span::ALL,
            cursor: None,
            head: None,
        }
    }
}

impl<'g> MemtableCursor<'g> {
    fn covered(&mut self, key: KeyRef<'_>) -> Span<'g> {
        // The first span is all keys under nothing, which is right only without tombstones.
        let is_known = self.span.begin.is_some() || self.span.end.is_some();
        if self.cover.is_empty() || is_known && self.span.contains(key) {
            return self.span;
        }
        self.span = self.cover.span(key);
        self.span
    }

    fn go_on(&mut self) {
        self.head = None;
        loop {
            let Some(cursor) = &mut self.cursor else { return };
            let node = match self.direction {
                Direction::Forward => cursor.next(),
                Direction::Reverse => cursor.previous(),
            };
            let Some(node) = node else { return };
            // Written after the version, all of it: of no concern to this read.
            let Some(record) = node.at(self.version) else { continue };
            let (key, stamp) = (node.key(), record.stamp());
            let span = self.covered(key);
            if let Some(cleared) = span.stamp
                && stamp < cleared
                && let Some(cursor) = &mut self.cursor
            {
                match self.direction {
                    Direction::Forward => cursor.skip_hidden_forward(cleared.version, span.end),
                    Direction::Reverse => cursor.skip_hidden_reverse(cleared.version, span.begin),
                }
            }
            self.head = Some(Entry { key, stamp, value: record.value() });
            return;
        }
    }
}

impl LayerCursor for MemtableCursor<'_> {
    fn head(&self) -> Option<Entry<'_>> {
        self.head
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        if self.head.is_some() {
            self.go_on();
        }
        Ok(())
    }

    fn seek(&mut self, key: KeyRef<'_>) -> Result<(), ReadError> {
        if let Some(cursor) = &mut self.cursor {
            let is_there = self.head.is_none_or(|head| match self.direction {
                Direction::Forward => key <= head.key,
                Direction::Reverse => head.key < key,
            });
            if is_there {
                return Ok(());
            }
            cursor.go_to(&self.table.tree, key);
        } else {
            // No leaf may be passed over for having no values: its clears hide what lies beneath.
            let cursor = self.table.tree.seek(key, Version::ZERO, self.guard);
            cursor.prefetch_first(self.direction);
            self.cursor = Some(cursor);
        }
        self.go_on();
        Ok(())
    }

    fn span(&mut self, key: KeyRef<'_>) -> Result<Span<'_>, ReadError> {
        Ok(self.covered(key))
    }
}
