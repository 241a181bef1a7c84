//! Writes a table, from front to back, without looking back.

use std::path::{Path, PathBuf};

use plinth_protocol::Version;

use super::{
    block::BlockBuilder,
    error::TableError,
    filter,
    footer::{FOOTER_BYTES, Footer},
    frame::{self, FrameType, TRAILER_BYTES},
    index::IndexBuilder,
    options::{Compression, TableNumber, TableOptions},
    probe::{put_key, stored_key},
    properties::{TableProperties, key_after},
    tombstones::TombstonesBuilder,
};
use crate::{
    engine::{
        key::{KeyBuf, separator},
        layer::{Entry, RangeTombstone},
        visible::Stamp,
    },
    vfs::{File, Vfs},
};

/// So much is collected before it is written, and all but the last is written in such pieces: what
/// comes to the system as one huge page is kept and mapped as one, where the system can, and then
/// a read that jumps about in the table seldom has to look for a page's address.
const WRITE_BYTES: usize = 2 << 20;
/// Between these a block's size must be; places in a block have two bytes.
const BLOCK_BYTES: std::ops::RangeInclusive<usize> = 64..=32 << 10;

/// A table that is being written. Dropped before [`TableWriter::finish`] it leaves a file that is
/// no table, which is the caller's to remove.
///
/// Beside a block and what is about to be written (about 2 MiB), it keeps eight bytes for each
/// key, and the index and the range tombstones as they will be.
#[derive(Debug)]
pub(in crate::engine) struct TableWriter {
    file: Box<dyn File>,
    path: PathBuf,
    options: TableOptions,
    /// What isn't written yet, and where in the file it belongs.
    buffer: Vec<u8>,
    written: u64,
    block: BlockBuilder,
    /// The first key of the block in work, or one between it and the last of the block before, and
    /// the version before if the block goes on with the same key.
    block_begin: Option<(KeyBuf, Option<Version>)>,
    packed: Vec<u8>,
    packed_blocks: u64,
    index: IndexBuilder,
    hashes: Vec<u64>,
    tombstones: TombstonesBuilder,
    /// The last key, as it is stored, and its stamp.
    last: Vec<u8>,
    last_stamp: Option<Stamp>,
    properties: TableProperties,
}

impl TableWriter {
    /// Creates the file of a table; it must not exist.
    pub(in crate::engine) fn create(
        vfs: &dyn Vfs,
        path: &Path,
        number: TableNumber,
        options: &TableOptions,
    ) -> Result<Self, TableError> {
        let block_bytes = options.block_bytes.clamp(*BLOCK_BYTES.start(), *BLOCK_BYTES.end());
        Ok(Self {
            file: vfs.create(path)?,
            path: path.to_path_buf(),
            options: *options,
            buffer: Vec::new(),
            written: 0,
            block: BlockBuilder::new(block_bytes),
            block_begin: None,
            packed: Vec::new(),
            packed_blocks: 0,
            index: IndexBuilder::default(),
            hashes: Vec::new(),
            tombstones: TombstonesBuilder::default(),
            last: Vec::new(),
            last_stamp: None,
            properties: TableProperties::empty(number),
        })
    }

    /// Adds an entry: above the last key, or of the same key and older. Any other is refused.
    pub(in crate::engine) fn add(&mut self, entry: Entry<'_>) -> Result<(), TableError> {
        let last = self.last_stamp.and_then(|stamp| Some((stored_key(&self.last)?, stamp)));
        let is_newest = match last {
            None => {
                self.begin_block(KeyBuf::from(entry.key), None);
                self.properties.begin = KeyBuf::from(entry.key);
                self.block.add_key(entry);
                true
            }
            Some((key, _)) if key < entry.key => {
                if !self.block.add_key(entry) {
                    let between = separator(key, entry.key);
                    self.end_block()?;
                    self.begin_block(between, None);
                    self.block.add_key(entry);
                }
                true
            }
            Some((key, stamp)) if key == entry.key && entry.stamp < stamp => {
                if !self.block.add_version(entry) {
                    self.end_block()?;
                    self.begin_block(KeyBuf::from(entry.key), Some(stamp.version));
                    self.block.add_key(entry);
                }
                false
            }
            Some(_) => return Err(self.refused("an entry was not above the one before")),
        };
        self.count(&entry, is_newest);
        Ok(())
    }

    fn count(&mut self, entry: &Entry<'_>, is_newest: bool) {
        if is_newest {
            self.last.clear();
            put_key(&mut self.last, entry.key);
            if self.options.filter_bits_per_key > 0 {
                self.hashes.push(filter::hash(entry.key));
            }
        }
        self.last_stamp = Some(entry.stamp);
        self.saw(entry.stamp.version);
        self.properties.entries += 1;
        self.properties.clears += u64::from(entry.value.is_none());
        self.properties.superseded += u64::from(!is_newest);
        self.properties.key_bytes += entry.key.key.len() as u64;
        self.properties.value_bytes += entry.value.map_or(0, <[u8]>::len) as u64;
    }

    fn saw(&mut self, version: Version) {
        self.properties.least_version = self.properties.least_version.min(version);
        self.properties.greatest_version = self.properties.greatest_version.max(version);
    }

    /// Adds a range tombstone behind all that were added; any other is refused. Entries and
    /// tombstones may come in any order among each other.
    pub(in crate::engine) fn add_tombstone(
        &mut self,
        tombstone: &RangeTombstone,
    ) -> Result<(), TableError> {
        if !self.tombstones.push(tombstone) {
            return Err(self.refused("a range tombstone was not behind the one before"));
        }
        tombstone.stamps.iter().for_each(|stamp| self.saw(stamp.version));
        Ok(())
    }

    /// How long the file would be now, about.
    pub(in crate::engine) fn bytes(&self) -> u64 {
        let filter = self.hashes.len() * self.options.filter_bits_per_key as usize / 8;
        let rest = self.block.bytes() + self.index.bytes() + self.tombstones.bytes() + filter;
        self.offset() + rest as u64
    }

    /// Writes what is left, and syncs the file. Its name is the caller's to make durable.
    pub(in crate::engine) fn finish(mut self) -> Result<TableProperties, TableError> {
        self.end_block()?;
        let (data_end, number) = (self.offset(), self.properties.number);
        let mut content = Vec::new();
        if self.tombstones.len() > 0 {
            self.tombstones.write(&mut content);
            self.section(&mut content, FrameType::Tombstones)?;
        }
        let filter = self.offset();
        if !self.hashes.is_empty() {
            filter::build(&self.hashes, self.options.filter_bits_per_key, &mut content);
            self.section(&mut content, FrameType::Filter)?;
        }
        let index = self.offset();
        self.index.write(data_end, &mut content);
        self.section(&mut content, FrameType::Index)?;
        let properties = self.offset();
        self.complete_properties();
        for count in [self.index.len() as u64, self.packed_blocks] {
            content.extend_from_slice(&count.to_le_bytes());
        }
        let counts = content.len();
        self.properties.encode(&mut content);
        let rest = content.len() + TRAILER_BYTES + FOOTER_BYTES;
        // The length of the file is among them, and now it is known.
        self.properties.bytes = properties + rest as u64;
        content.truncate(counts);
        self.properties.encode(&mut content);
        self.section(&mut content, FrameType::Properties)?;
        let file_bytes = self.properties.bytes;
        let footer = Footer { number, file_bytes, tombstones: data_end, filter, index, properties };
        self.buffer.extend_from_slice(&footer.encode());
        self.write(self.buffer.len())?;
        self.file.sync_data()?;
        Ok(self.properties)
    }

    fn complete_properties(&mut self) {
        let properties = &mut self.properties;
        properties.range_tombstones = self.tombstones.stamps() as u64;
        let last = self.last_stamp.and_then(|_| stored_key(&self.last));
        if let Some(last) = last {
            properties.end = key_after(last);
        }
        if let (Some(first), Some(end)) =
            (self.tombstones.first_begin(), self.tombstones.last_end())
        {
            if last.is_none() || first < properties.begin.as_ref() {
                properties.begin = KeyBuf::from(first);
            }
            if last.is_none() || *end > properties.end {
                properties.end = end.clone();
            }
        }
    }

    fn begin_block(&mut self, begin: KeyBuf, continues: Option<Version>) {
        self.block_begin = Some((begin, continues));
    }

    fn end_block(&mut self) -> Result<(), TableError> {
        let Some((begin, continues)) = self.block_begin.take() else { return Ok(()) };
        let offset = self.offset();
        self.index.push(begin.as_ref(), offset, self.block.greatest(), continues);
        let from = self.buffer.len();
        self.block.write(&mut self.buffer);
        let unpacked = self.buffer.len() - from;
        let frame_type = self.pack(from);
        let number = self.properties.number;
        frame::seal(&mut self.buffer, from, frame_type, unpacked, number, offset);
        self.write_pieces()
    }

    /// Packs what the buffer has from `from` on, if that is wanted and pays: a read that has to unpack
    /// a block costs several times what it does otherwise.
    fn pack(&mut self, from: usize) -> FrameType {
        if self.options.compression == Compression::None {
            return FrameType::Data;
        }
        let content = self.buffer.get(from..).unwrap_or_default();
        self.packed.resize(lz4_flex::block::get_maximum_output_size(content.len()), 0);
        let packed = lz4_flex::block::compress_into(content, &mut self.packed);
        match packed.ok().and_then(|len| self.packed.get(..len)) {
            Some(packed) if packed.len() <= content.len() / 2 => {
                self.buffer.truncate(from);
                self.buffer.extend_from_slice(packed);
                self.packed_blocks += 1;
                FrameType::PackedData
            }
            _ => FrameType::Data,
        }
    }

    /// Writes a section, and clears what it was made of.
    fn section(&mut self, content: &mut Vec<u8>, kind: FrameType) -> Result<(), TableError> {
        let (from, offset) = (self.buffer.len(), self.offset());
        self.buffer.extend_from_slice(content);
        let number = self.properties.number;
        frame::seal(&mut self.buffer, from, kind, content.len(), number, offset);
        content.clear();
        self.write_pieces()
    }

    /// Where in the file the next byte goes.
    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn write_pieces(&mut self) -> Result<(), TableError> {
        match self.buffer.len() / WRITE_BYTES {
            0 => Ok(()),
            pieces => self.write(pieces * WRITE_BYTES),
        }
    }

    /// Writes so many bytes from the front of the buffer.
    fn write(&mut self, len: usize) -> Result<(), TableError> {
        self.file.write_all_at(self.buffer.get(..len).unwrap_or_default(), self.written)?;
        self.written += len as u64;
        self.buffer.drain(..len);
        Ok(())
    }

    fn refused(&self, what: &'static str) -> TableError {
        TableError::damaged(&self.path, self.offset(), what)
    }
}
