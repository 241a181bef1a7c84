//! An open table: what a point read does, and how the others get at its parts.

use std::{path::Path, sync::OnceLock};

use plinth_protocol::Version;

use super::{
    block::BlockView,
    coding::{Input, Nonsense},
    error::TableError,
    filter,
    footer::{FOOTER_BYTES, Footer, FooterError},
    frame::{self, Frame, FrameType, TRAILER_BYTES},
    index::{BlockPlace, Index},
    options::TableNumber,
    probe::Probe,
    properties::TableProperties,
    read_io::ReadIo,
    source::Source,
    tombstones::Tombstones,
};
use crate::{
    engine::{
        key::KeyRef,
        layer::{Lookup, RangeTombstone},
        prefetch::prefetch_lines,
        read_error::ReadError,
        visible::Stamp,
    },
    vfs::{File, Vfs},
};

/// Bytes at the end that are read at once: the footer, and mostly the properties.
const TAIL_BYTES: u64 = 4096;
/// A data block has at least this many bytes: header, one key, trailer.
const DATA_BLOCK_BYTES_MIN: u64 = 16 + 6 + 2 + TRAILER_BYTES as u64;

/// So many bytes at the front of a block a point read asks for at once.
const BLOCK_FRONT: usize = 1024;

const TOMBSTONES: usize = 0;
const FILTER: usize = 1;
const INDEX: usize = 2;
/// The pieces before the first block.
const SECTIONS: usize = 3;

/// An open table.
///
/// On the heap it keeps what [`Table::heap_bytes`] says: its path, its first and last key, a byte for
/// each block and section, and an outline of the index. All else is in the mapped file.
#[derive(Debug)]
pub(in crate::engine) struct Table {
    pub(super) source: Source,
    footer: Footer,
    properties: TableProperties,
    blocks: u64,
    has_packed_blocks: bool,
    /// Of the index, once it has been read.
    outline: OnceLock<Box<[u64]>>,
}

impl Table {
    /// Opens a table. Reads its footer and its properties, nothing else.
    pub(in crate::engine) fn open(
        vfs: &dyn Vfs,
        path: &Path,
        number: TableNumber,
    ) -> Result<Self, TableError> {
        let file = vfs.open_for_reading(path)?;
        let end = read_end(path, number, &*file)?;
        let pieces = SECTIONS + end.blocks as usize;
        let source = Source::new(path, number, file, pieces)?;
        let End { footer, properties, blocks, has_packed_blocks } = end;
        let outline = OnceLock::new();
        Ok(Self { source, footer, properties, blocks, has_packed_blocks, outline })
    }

    /// Reads the footer and the properties anew, and says what is wrong if they are not the same.
    pub(super) fn reread_footer(&self) -> Result<(), TableError> {
        let end = read_end(self.path(), self.source.number(), self.source.file())?;
        if end.footer != self.footer || end.properties != self.properties {
            return Err(self.source.damaged(self.footer.properties, "the file has changed"));
        }
        Ok(())
    }

    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    pub(in crate::engine) fn properties(&self) -> &TableProperties {
        &self.properties
    }

    pub(in crate::engine) fn path(&self) -> &Path {
        self.source.path()
    }

    /// Bytes that the open table has on the heap, but for the file's handle and its mapping: the
    /// lengths of its path and of its first and last key, three, and one for each block; once a key
    /// has been looked for, eight more for every sixteen blocks.
    pub(in crate::engine) fn heap_bytes(&self) -> usize {
        let bounds = [&self.properties.begin, &self.properties.end];
        let outline = self.outline.get().map_or(0, |outline| size_of_val::<[u64]>(outline));
        self.source.heap_bytes()
            + bounds.iter().map(|bound| bound.key.len()).sum::<usize>()
            + outline
    }

    /// What the table knows of a key at a version.
    pub(in crate::engine) fn get<'a>(
        &'a self,
        key: KeyRef<'_>,
        version: Version,
        io: &'a ReadIo,
    ) -> Result<Lookup<'a>, ReadError> {
        if version < self.properties.least_version || !self.properties.contains(key) {
            return Ok(Lookup::Unknown);
        }
        let cover = self.cover(key, version, io)?;
        let hidden = if cover.is_some() { Lookup::Cleared } else { Lookup::Unknown };
        if self.properties.entries == 0 || !self.may_contain(key, io)? {
            return Ok(hidden);
        }
        let probe = Probe::new(key);
        let index = self.index(io)?;
        let found = index.find(probe, version).map_err(|Nonsense| self.index_makes_no_sense())?;
        let Some(block) = found else { return Ok(hidden) };
        let place = self.place(&index, block)?;
        if cover.is_some_and(|cover| place.greatest < cover.version) {
            return Ok(hidden);
        }
        let content = self.content(block, &place, io)?;
        // Its keys lie in front.
        prefetch_lines(content.get(..BLOCK_FRONT).unwrap_or(content));
        let view = BlockView::read(content);
        let newest =
            view.and_then(|view| view.find(probe)).ok_or_else(|| self.makes_no_sense(&place))?.1;
        let (Some(view), Some(newest)) = (view, newest) else { return Ok(hidden) };
        let seen =
            view.version_at(newest, version).map_err(|Nonsense| self.makes_no_sense(&place))?;
        Ok(match seen {
            None => hidden,
            Some(seen) if cover.is_some_and(|cover| seen.stamp < cover) => Lookup::Cleared,
            Some(seen) => match seen.value {
                Some(range) => {
                    Lookup::Value(content.get(range).unwrap_or_default(), seen.stamp.version)
                }
                None => Lookup::Cleared,
            },
        })
    }

    /// Begins to fetch what [`get`](Self::get) will look at first, so that several tables' come at
    /// once. Nothing that may not be in memory.
    #[inline]
    pub(in crate::engine) fn prefetch(&self, key: KeyRef<'_>, hash: u64, io: &ReadIo) {
        let section = |piece, range: &std::ops::Range<u64>| {
            let bytes = self.source.peek(piece, range, io)?;
            bytes.get(..bytes.len().checked_sub(TRAILER_BYTES)?)
        };
        if let Some(filter) = section(FILTER, &self.footer.filter()) {
            filter::prefetch(filter, hash);
        }
        if let Some(outline) = self.outline.get()
            && let Some(index) = section(INDEX, &self.footer.index()).and_then(Index::read)
        {
            index.with_outline(outline).prefetch(Probe::new(key));
        }
    }

    /// The newest range tombstone up to a version that covers a key.
    fn cover(
        &self,
        key: KeyRef<'_>,
        version: Version,
        io: &ReadIo,
    ) -> Result<Option<Stamp>, ReadError> {
        let Some(tombstones) = self.tombstones_view(io)? else { return Ok(None) };
        let stamp = tombstones.stamp(key, version);
        Ok(stamp.map_err(|Nonsense| self.tombstones_make_no_sense())?)
    }

    fn may_contain(&self, key: KeyRef<'_>, io: &ReadIo) -> Result<bool, ReadError> {
        let range = self.footer.filter();
        if range.is_empty() {
            return Ok(true);
        }
        let filter = self.section(FILTER, FrameType::Filter, &range, io)?;
        Ok(filter::may_contain(filter, filter::hash(key)))
    }

    /// Where the blocks are.
    pub(super) fn index(&self, io: &ReadIo) -> Result<Index<'_>, ReadError> {
        let content = self.section(INDEX, FrameType::Index, &self.footer.index(), io)?;
        let index = Index::read(content)
            .filter(|index| {
                index.len() as u64 == self.blocks && index.data_end() == self.footer.data().end
            })
            .ok_or_else(|| self.index_makes_no_sense())?;
        Ok(index.with_outline(self.outline.get_or_init(|| index.outline())))
    }

    /// The range tombstones, where they lie; none if there are none.
    pub(super) fn tombstones_view(&self, io: &ReadIo) -> Result<Option<Tombstones<'_>>, ReadError> {
        let range = self.footer.tombstones();
        if range.is_empty() {
            return Ok(None);
        }
        let content = self.section(TOMBSTONES, FrameType::Tombstones, &range, io)?;
        let tombstones =
            Tombstones::read(content).ok_or_else(|| self.tombstones_make_no_sense())?;
        Ok(Some(tombstones))
    }

    /// All range tombstones, fragmented.
    pub(in crate::engine) fn tombstones(&self) -> Result<Vec<RangeTombstone>, TableError> {
        let io = ReadIo::waiting();
        let view = self.tombstones_view(&io).map_err(|error| self.table_error(error))?;
        let Some(view) = view else { return Ok(Vec::new()) };
        let tombstone = |at| {
            let (begin, end) = view.bounds(at)?;
            let stamps = view.stamps(at)?.collect();
            Some(RangeTombstone { begin: begin.into(), end: end.into(), stamps })
        };
        (0..view.len())
            .map(|at| tombstone(at).ok_or_else(|| self.tombstones_make_no_sense()))
            .collect()
    }

    fn section(
        &self,
        piece: usize,
        kind: FrameType,
        range: &std::ops::Range<u64>,
        io: &ReadIo,
    ) -> Result<&[u8], ReadError> {
        let frame = self.source.frame(piece, range, io)?;
        if frame.kind == kind {
            return Ok(frame.content);
        }
        Err(self.source.damaged(range.start, "a section of another type").into())
    }

    /// Where a block is.
    #[inline]
    pub(super) fn place(&self, index: &Index<'_>, block: usize) -> Result<BlockPlace, TableError> {
        let place = index.place(block).filter(|place| place.range.end <= self.footer.data().end);
        place.ok_or_else(|| self.index_makes_no_sense())
    }

    /// The frame of a block.
    pub(super) fn block(
        &self,
        block: usize,
        place: &BlockPlace,
        io: &ReadIo,
    ) -> Result<Frame<'_>, ReadError> {
        self.source.frame(SECTIONS + block, &place.range, io)
    }

    /// The content of a block, unpacked for the reader if need be.
    fn content<'a>(
        &'a self,
        block: usize,
        place: &BlockPlace,
        io: &'a ReadIo,
    ) -> Result<&'a [u8], ReadError> {
        if !self.has_packed_blocks {
            // What ends the block says the same, and would have to be fetched.
            return self.source.content(SECTIONS + block, &place.range, io);
        }
        let frame = self.block(block, place, io)?;
        if frame.kind == FrameType::Data {
            return Ok(frame.content);
        }
        let offset = place.range.start;
        io.unpacked(self.source.number().0, offset, || {
            let mut content = Vec::new();
            self.unpack(&frame, offset, &mut content)?;
            Ok(content)
        })
    }

    /// Unpacks a block that is packed.
    pub(super) fn unpack(
        &self,
        frame: &Frame<'_>,
        offset: u64,
        content: &mut Vec<u8>,
    ) -> Result<(), TableError> {
        if frame.kind != FrameType::PackedData {
            return Err(self.source.damaged(offset, "not a data block"));
        }
        // LZ4 makes no more than 255 bytes of one.
        if frame.unpacked_bytes > frame.content.len().saturating_mul(255) {
            return Err(self.source.damaged(offset, "a block that would be impossibly large"));
        }
        content.resize(frame.unpacked_bytes, 0);
        let unpacked = lz4_flex::block::decompress_into(frame.content, content);
        if unpacked.ok() != Some(frame.unpacked_bytes) {
            return Err(self.source.damaged(offset, "a block that can't be unpacked"));
        }
        Ok(())
    }

    pub(super) fn index_makes_no_sense(&self) -> TableError {
        self.source.damaged(self.footer.index, "the index makes no sense")
    }

    pub(super) fn tombstones_make_no_sense(&self) -> TableError {
        self.source.damaged(self.footer.tombstones, "the range tombstones make no sense")
    }

    pub(super) fn makes_no_sense(&self, place: &BlockPlace) -> TableError {
        self.source.damaged(place.range.start, "the block makes no sense")
    }

    /// The error of a reader that may wait, to whom nothing is cold.
    pub(super) fn table_error(&self, error: ReadError) -> TableError {
        match error {
            ReadError::Table(error) => error,
            ReadError::Cold | ReadError::TooOld { .. } => {
                self.source.damaged(0, "a reader that may wait did not")
            }
        }
    }
}

/// What the end of the file says.
struct End {
    footer: Footer,
    properties: TableProperties,
    blocks: u64,
    has_packed_blocks: bool,
}

/// Reads footer and properties.
fn read_end(path: &Path, number: TableNumber, file: &dyn File) -> Result<End, TableError> {
    let damaged = |offset, what| TableError::damaged(path, offset, what);
    let file_bytes = file.len()?;
    let footer_at = file_bytes
        .checked_sub(FOOTER_BYTES as u64)
        .ok_or_else(|| damaged(0, "the file is too short for a table"))?;
    let tail_at = file_bytes.saturating_sub(TAIL_BYTES);
    let mut tail = vec![0; (file_bytes - tail_at) as usize];
    file.read_exact_at(&mut tail, tail_at)?;
    let bytes = tail.last_chunk().ok_or_else(|| damaged(0, "the file is too short for a table"))?;
    let footer = Footer::decode(bytes, number, file_bytes).map_err(|error| match error {
        FooterError::Damaged(what) => damaged(footer_at, what),
        FooterError::UnknownFormat(format) => {
            TableError::UnknownFormat { path: path.to_path_buf(), format }
        }
    })?;
    let at = footer.properties;
    if at < tail_at {
        tail = vec![0; (footer_at - at) as usize];
        file.read_exact_at(&mut tail, at)?;
    } else {
        tail.truncate((footer_at - tail_at) as usize);
        tail.drain(..(at - tail_at) as usize);
    }
    if !frame::is_sound(&tail, number, at) {
        return Err(damaged(at, "the properties' checksum is wrong"));
    }
    let ((blocks, packed_blocks), properties) = frame::split(&tail)
        .filter(|frame| frame.kind == FrameType::Properties)
        .and_then(|frame| {
            let mut input = Input::new(frame.content);
            let counts = (input.u64()?, input.u64()?);
            Some((counts, TableProperties::decode(input.rest())?))
        })
        .filter(|(_, (properties, rest))| {
            rest.is_empty() && properties.number == number && properties.bytes == file_bytes
        })
        .map(|(counts, (properties, _))| (counts, properties))
        .ok_or_else(|| damaged(at, "the properties make no sense"))?;
    if blocks > footer.data().end / DATA_BLOCK_BYTES_MIN {
        return Err(damaged(at, "there are more blocks than the file has room for"));
    }
    Ok(End { footer, properties, blocks, has_packed_blocks: packed_blocks > 0 })
}
