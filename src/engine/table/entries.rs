//! All entries of a table in order, for flush and compaction.
//!
//! Read from the file in long stretches, not through the mapping: a disk that fails is an error
//! then, and what was not in memory before isn't kept there. Every block's checksum is checked.

use std::ops::Range;

use super::{
    block::{KeyVersion, Layout},
    frame::FrameType,
    index::Index,
    probe::stored_key,
    read_io::ReadIo,
    reader::Table,
};
use crate::engine::{
    layer::{Entry, EntryStream},
    read_error::ReadError,
};

/// So much is read at once, or a block if that is longer.
const STRETCH_BYTES: u64 = 256 << 10;

/// All entries of a table in order. It takes two buffers of 256 KiB at most, unless there are
/// larger blocks.
#[derive(Debug)]
pub(in crate::engine) struct TableEntries<'t> {
    table: &'t Table,
    index: Option<Index<'t>>,
    /// What was read, and where in the file it begins.
    stretch: Vec<u8>,
    stretch_at: u64,
    /// The block: in the stretch, or unpacked.
    content: Option<Range<usize>>,
    unpacked: Vec<u8>,
    layout: Layout,
    next_block: usize,
    slot: usize,
    key: Vec<u8>,
    head: Option<KeyVersion>,
}

impl Table {
    /// All entries, the first one at hand.
    pub(in crate::engine) fn entries(&self) -> Result<TableEntries<'_>, ReadError> {
        let mut entries = TableEntries {
            table: self,
            index: None,
            stretch: Vec::new(),
            stretch_at: 0,
            content: None,
            unpacked: Vec::new(),
            layout: Layout::default(),
            next_block: 0,
            slot: 0,
            key: Vec::new(),
            head: None,
        };
        entries.index = Some(self.index(&ReadIo::waiting())?);
        entries.go_to_key(0)?;
        Ok(entries)
    }
}

impl EntryStream for TableEntries<'_> {
    #[inline]
    fn head(&self) -> Option<Entry<'_>> {
        let head = self.head.as_ref()?;
        let value = head.value.clone().and_then(|range| self.block().get(range));
        Some(Entry { key: stored_key(&self.key)?, stamp: head.stamp, value })
    }

    #[inline]
    fn advance(&mut self) -> Result<(), ReadError> {
        let Some(head) = self.head.take() else { return Ok(()) };
        match head.older {
            Some(older) => {
                let version = self.layout.view(self.block()).version(older);
                self.head = Some(version.ok_or_else(|| self.makes_no_sense())?);
                Ok(())
            }
            None => self.go_to_key(self.slot + 1),
        }
    }
}

impl TableEntries<'_> {
    fn block(&self) -> &[u8] {
        match &self.content {
            Some(range) => self.stretch.get(range.clone()).unwrap_or_default(),
            None => &self.unpacked,
        }
    }

    fn makes_no_sense(&self) -> ReadError {
        match self.index.and_then(|index| index.place(self.next_block.checked_sub(1)?)) {
            Some(place) => self.table.makes_no_sense(&place).into(),
            None => self.table.index_makes_no_sense().into(),
        }
    }

    fn go_to_key(&mut self, slot: usize) -> Result<(), ReadError> {
        self.slot = slot;
        if slot >= self.layout.keys() {
            if !self.go_to_block()? {
                return Ok(());
            }
            self.slot = 0;
        }
        let mut key = std::mem::take(&mut self.key);
        let view = self.layout.view(self.block());
        let version = view.key(self.slot, &mut key).and_then(|newest| view.version(newest));
        self.key = key;
        self.head = Some(version.ok_or_else(|| self.makes_no_sense())?);
        Ok(())
    }

    /// Goes to the next block; false at the end.
    fn go_to_block(&mut self) -> Result<bool, ReadError> {
        let Some(index) = self.index.filter(|index| self.next_block < index.len()) else {
            return Ok(false);
        };
        let place = self.table.place(&index, self.next_block)?;
        self.layout = Layout::default();
        self.next_block += 1;
        let stretch_end = self.stretch_at + self.stretch.len() as u64;
        if place.range.start < self.stretch_at || place.range.end > stretch_end {
            self.read_stretch(&index, place.range.clone())?;
        }
        let begin = (place.range.start - self.stretch_at) as usize;
        let range = begin..begin + (place.range.end.saturating_sub(place.range.start)) as usize;
        let source = &self.table.source;
        let frame = source.frame_in(self.stretch.get(range), place.range.start)?;
        if frame.kind == FrameType::Data {
            self.content = Some(begin..begin + frame.content.len());
        } else {
            self.content = None;
            let mut unpacked = std::mem::take(&mut self.unpacked);
            self.table.unpack(&frame, place.range.start, &mut unpacked)?;
            self.unpacked = unpacked;
        }
        let layout = Layout::read(self.block()).filter(|layout| layout.keys() > 0);
        self.layout = layout.ok_or_else(|| self.table.makes_no_sense(&place))?;
        Ok(true)
    }

    /// Reads a block, and those behind it, as far as a stretch goes.
    fn read_stretch(&mut self, index: &Index<'_>, first: Range<u64>) -> Result<(), ReadError> {
        let end = first.end.max((first.start + STRETCH_BYTES).min(index.data_end()));
        self.stretch_at = first.start;
        self.table.source.read_aside(&(first.start..end), &mut self.stretch)?;
        Ok(())
    }
}
