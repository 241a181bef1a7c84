//! The tables of a level as one layer.

use std::sync::Arc;

use plinth_protocol::Version;

use crate::engine::{
    key::KeyRef,
    layer::{Entry, LayerCursor, Span},
    memtable::Direction,
    read_error::ReadError,
    table::{ReadIo, Table, TableCursor},
};

/// A cursor over tables that are in the order of their keys and don't overlap. One at a time is
/// looked at.
pub(in crate::engine) struct LevelCursor<'a> {
    tables: &'a [Arc<Table>],
    version: Version,
    direction: Direction,
    io: &'a ReadIo,
    /// The table that it stands in, at a key; none before the first seek, at the end, and after an
    /// error.
    place: Option<(usize, TableCursor<'a>)>,
    is_at_end: bool,
    /// The table whose range tombstones were asked for last; none if no table has any.
    covering: Option<(usize, TableCursor<'a>)>,
}

impl<'a> LevelCursor<'a> {
    /// A cursor that shows what a read at a version sees. It begins nowhere.
    pub(in crate::engine) fn new(
        tables: &'a [Arc<Table>],
        version: Version,
        direction: Direction,
        io: &'a ReadIo,
    ) -> Self {
        let covers = |table: &Arc<Table>| table.properties().range_tombstones > 0;
        let covering = tables
            .iter()
            .position(covers)
            .and_then(|at| tables.get(at).map(|table| (at, table.cursor(version, direction, io))));
        Self { tables, version, direction, io, place: None, is_at_end: false, covering }
    }

    fn cursor(&self, at: usize) -> Option<TableCursor<'a>> {
        Some(self.tables.get(at)?.cursor(self.version, self.direction, self.io))
    }

    /// The table in which a seek begins.
    fn table_for(&self, key: KeyRef<'_>) -> Option<usize> {
        match self.direction {
            Direction::Forward => {
                Some(self.tables.partition_point(|table| table.properties().end.as_ref() <= key))
            }
            Direction::Reverse => {
                let is_below = |table: &Arc<Table>| table.properties().begin.as_ref() < key;
                self.tables.partition_point(is_below).checked_sub(1)
            }
        }
    }

    fn next_table(&self, at: usize) -> Option<usize> {
        match self.direction {
            Direction::Forward => Some(at + 1),
            Direction::Reverse => at.checked_sub(1),
        }
    }

    /// Goes to the first key of the next table that has one.
    fn go_on(&mut self, mut next: Option<usize>) -> Result<(), ReadError> {
        self.place = None;
        while let Some(at) = next
            && let Some(table) = self.tables.get(at)
        {
            next = self.next_table(at);
            let properties = table.properties();
            if properties.least_version > self.version || properties.entries == 0 {
                continue;
            }
            let mut cursor = table.cursor(self.version, self.direction, self.io);
            cursor.seek(match self.direction {
                Direction::Forward => properties.begin.as_ref(),
                Direction::Reverse => properties.end.as_ref(),
            })?;
            if cursor.head().is_some() {
                self.place = Some((at, cursor));
                return Ok(());
            }
        }
        self.is_at_end = true;
        Ok(())
    }
}

impl LayerCursor for LevelCursor<'_> {
    fn head(&self) -> Option<Entry<'_>> {
        self.place.as_ref()?.1.head()
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        let Some((at, cursor)) = &mut self.place else { return Ok(()) };
        cursor.advance()?;
        if cursor.head().is_none() {
            let next = *at;
            return self.go_on(self.next_table(next));
        }
        Ok(())
    }

    fn seek(&mut self, key: KeyRef<'_>) -> Result<(), ReadError> {
        let is_there = self.head().is_some_and(|head| match self.direction {
            Direction::Forward => key <= head.key,
            Direction::Reverse => head.key < key,
        });
        if is_there || self.is_at_end {
            return Ok(());
        }
        let to = self.table_for(key);
        let mut cursor = match self.place.take() {
            Some((at, cursor)) if Some(at) == to => Some(cursor),
            _ => to.and_then(|to| self.cursor(to)),
        };
        if let Some(cursor) = &mut cursor {
            cursor.seek(key)?;
        }
        match (to, cursor) {
            (Some(at), Some(cursor)) if cursor.head().is_some() => {
                self.place = Some((at, cursor));
                Ok(())
            }
            (Some(at), _) => self.go_on(self.next_table(at)),
            (None, _) => self.go_on(None),
        }
    }

    fn span(&mut self, key: KeyRef<'_>) -> Result<Span<'_>, ReadError> {
        let Some((at, _)) = &self.covering else { return Ok(Span::ALL) };
        let tables = self.tables;
        let here = tables.partition_point(|table| table.properties().end.as_ref() <= key);
        let bounds = tables
            .get(here)
            .map(|table| (table.properties().begin.as_ref(), table.properties().end.as_ref()));
        let Some((begin, end)) = bounds.filter(|&(begin, _)| begin <= key) else {
            // Between two tables, or after the last.
            let before = here.checked_sub(1).and_then(|before| tables.get(before));
            return Ok(Span {
                begin: before.map(|table| table.properties().end.as_ref()),
                end: bounds.map(|(begin, _)| begin),
                stamp: None,
            });
        };
        if *at != here {
            self.covering = self.cursor(here).map(|cursor| (here, cursor));
        }
        let Some((_, cursor)) = &mut self.covering else { return Ok(Span::ALL) };
        // What the table says ends with the table.
        let span = cursor.span(key)?;
        Ok(Span {
            begin: Some(span.begin.map_or(begin, |other| other.max(begin))),
            end: Some(span.end.map_or(end, |other| other.min(end))),
            stamp: span.stamp,
        })
    }
}
