//! Looks at all bytes of a table: checksums, order, bounds, counts, and that the filter knows every
//! key. Reads the file, not the mapping, and believes nothing that was believed before.

use plinth_protocol::Version;

use super::{
    block::{BlockView, KeyVersion},
    error::TableError,
    filter,
    frame::FrameType,
    index::{BlockPlace, Index},
    probe::{Probe, stored_key},
    properties::{TableProperties, key_after},
    reader::Table,
    tombstones::Tombstones,
};
use crate::engine::{
    key::{KeyBuf, KeyRef},
    visible::Stamp,
};

/// What has been seen of a table so far.
struct Verifier<'t> {
    table: &'t Table,
    progress: &'t mut dyn FnMut(u64),
    errors: Vec<TableError>,
    /// What the properties should say.
    counted: TableProperties,
    last: Option<(KeyBuf, Stamp)>,
    buffer: Vec<u8>,
}

impl Table {
    /// Everything that is wrong with the table. `progress` is told how many bytes have been looked
    /// at, as it goes on.
    pub(in crate::engine) fn verify(&self, progress: &mut dyn FnMut(u64)) -> Vec<TableError> {
        let number = self.properties().number;
        let mut verifier = Verifier {
            table: self,
            progress,
            errors: Vec::new(),
            counted: TableProperties::empty(number),
            last: None,
            buffer: Vec::new(),
        };
        if let Err(error) = verifier.run() {
            verifier.errors.push(error);
        }
        verifier.errors
    }
}

impl Verifier<'_> {
    fn run(&mut self) -> Result<(), TableError> {
        let Err(error) = self.table.reread_footer() else { return self.sections() };
        Err(error)
    }

    fn sections(&mut self) -> Result<(), TableError> {
        let footer = *self.table.footer();
        let noted = self.tombstones();
        self.note(noted);
        let mut known = Vec::new();
        if !footer.filter().is_empty() {
            let noted = self.section(FrameType::Filter, footer.filter(), &mut known);
            self.note(noted);
        }
        let mut bytes = Vec::new();
        self.section(FrameType::Index, footer.index(), &mut bytes)?;
        let index = Index::read(&bytes).ok_or_else(|| self.table.index_makes_no_sense())?;
        if index.data_end() != footer.data().end {
            return Err(self.table.index_makes_no_sense());
        }
        let mut expected = 0;
        for block in 0..index.len() {
            let place = self.table.place(&index, block)?;
            if place.range.start != expected {
                return Err(self.table.index_makes_no_sense());
            }
            expected = place.range.end;
            let noted = self.block(&index, block, &place, &known);
            self.note(noted);
        }
        if expected != index.data_end() {
            return Err(self.table.index_makes_no_sense());
        }
        if self.errors.is_empty() { self.totals() } else { Ok(()) }
    }

    fn note(&mut self, result: Result<(), TableError>) {
        self.errors.extend(result.err());
    }

    fn damaged(&self, offset: u64, what: &'static str) -> TableError {
        self.table.source.damaged(offset, what)
    }

    /// Reads a section's content into a buffer.
    fn section(
        &mut self,
        kind: FrameType,
        range: std::ops::Range<u64>,
        content: &mut Vec<u8>,
    ) -> Result<(), TableError> {
        let source = &self.table.source;
        source.read_aside(&range, content)?;
        (self.progress)(content.len() as u64);
        let frame = source.frame_in(Some(content), range.start)?;
        if frame.kind != kind {
            return Err(self.damaged(range.start, "a section of another type"));
        }
        let len = frame.content.len();
        content.truncate(len);
        Ok(())
    }

    fn tombstones(&mut self) -> Result<(), TableError> {
        let range = self.table.footer().tombstones();
        if range.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        self.section(FrameType::Tombstones, range.clone(), &mut bytes)?;
        let checked = self.check_tombstones(&bytes);
        checked.ok_or_else(|| self.table.tombstones_make_no_sense())
    }

    fn check_tombstones(&mut self, bytes: &[u8]) -> Option<()> {
        let view = Tombstones::read(bytes)?;
        let mut last: Option<KeyRef<'_>> = None;
        for at in 0..view.len() {
            let (begin, end) = view.bounds(at)?;
            let stamps = view.stamps(at)?;
            let is_in_order = last.is_none_or(|last| last <= begin) && begin < end;
            if !is_in_order || !stamps.clone().is_sorted_by(|newer, older| newer > older) {
                return None;
            }
            stamps.clone().next()?;
            for stamp in stamps {
                self.saw(stamp.version);
                self.counted.range_tombstones += 1;
            }
            if at == 0 {
                self.counted.begin = begin.into();
            }
            self.counted.end = end.into();
            last = Some(end);
        }
        Some(())
    }

    fn saw(&mut self, version: Version) {
        self.counted.least_version = self.counted.least_version.min(version);
        self.counted.greatest_version = self.counted.greatest_version.max(version);
    }

    fn block(
        &mut self,
        index: &Index<'_>,
        block: usize,
        place: &BlockPlace,
        known: &[u8],
    ) -> Result<(), TableError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let source = &self.table.source;
        let read = source.read_aside(&place.range, &mut buffer);
        (self.progress)(buffer.len() as u64);
        let checked = read.and_then(|()| {
            let offset = place.range.start;
            let frame = source.frame_in(Some(&buffer), offset)?;
            let mut unpacked = Vec::new();
            let content = if frame.kind == FrameType::Data {
                frame.content
            } else {
                self.table.unpack(&frame, offset, &mut unpacked)?;
                &unpacked
            };
            let begin = index.separator(block).ok_or_else(|| self.table.index_makes_no_sense())?;
            let end = index.separator(block + 1);
            let checked = BlockView::read(content)
                .ok_or("the block makes no sense")
                .and_then(|view| self.check_block(view, place, (begin, end), known));
            checked.map_err(|what| self.damaged(offset, what))
        });
        self.buffer = buffer;
        checked
    }

    fn check_block(
        &mut self,
        view: BlockView<'_>,
        place: &BlockPlace,
        (begin, end): (KeyRef<'_>, Option<KeyRef<'_>>),
        known: &[u8],
    ) -> Result<(), &'static str> {
        const NONSENSE: &str = "the block makes no sense";
        let (mut stored, mut greatest) = (Vec::new(), Version::ZERO);
        for slot in 0..view.keys() {
            let mut next = Some(view.key(slot, &mut stored).ok_or(NONSENSE)?);
            let key = stored_key(&stored).ok_or(NONSENSE)?;
            if key < begin || end.is_some_and(|end| end < key) {
                return Err("a key is not between the block's separators");
            }
            if view.find(Probe::new(key)) != Some((slot, next)) {
                return Err("a key is not found where it is");
            }
            if !known.is_empty() && !filter::may_contain(known, filter::hash(key)) {
                return Err("the filter doesn't know a key");
            }
            while let Some(at) = next {
                let version = view.version(at).ok_or(NONSENSE)?;
                let is_first = slot == 0 && Some(at) == view.newest(0);
                self.check_order(key, &version, place, is_first)?;
                greatest = greatest.max(version.stamp.version);
                next = version.older;
            }
        }
        if view.keys() == 0 || greatest != place.greatest {
            return Err("the block's greatest version is not what the index says");
        }
        Ok(())
    }

    fn check_order(
        &mut self,
        key: KeyRef<'_>,
        version: &KeyVersion,
        place: &BlockPlace,
        is_first: bool,
    ) -> Result<(), &'static str> {
        let last = self.last.take();
        let is_older = match &last {
            Some((last, stamp)) if last.as_ref() == key => {
                if *stamp <= version.stamp {
                    return Err("the versions of a key are not in order");
                }
                if is_first && place.continues != Some(stamp.version) {
                    return Err("a block goes on with a key, and the index doesn't say so");
                }
                true
            }
            Some((last, _)) if key < last.as_ref() => return Err("the keys are not in order"),
            _ => false,
        };
        if is_first && place.continues.is_some() && !is_older {
            return Err("a block begins anew, and the index says that it goes on");
        }
        let counted = &mut self.counted;
        if counted.entries == 0 && (counted.range_tombstones == 0 || key < counted.begin.as_ref()) {
            counted.begin = key.into();
        }
        counted.entries += 1;
        counted.clears += u64::from(version.value.is_none());
        counted.superseded += u64::from(is_older);
        counted.key_bytes += key.key.len() as u64;
        counted.value_bytes += version.value.as_ref().map_or(0, ExactSizeIterator::len) as u64;
        self.saw(version.stamp.version);
        let key = last
            .map(|(last, _)| last)
            .filter(|last| last.as_ref() == key)
            .unwrap_or_else(|| key.into());
        self.last = Some((key, version.stamp));
        Ok(())
    }

    /// Compares what has been counted with the properties.
    fn totals(&mut self) -> Result<(), TableError> {
        if let Some((last, _)) = &self.last {
            let end = key_after(last.as_ref());
            if self.counted.range_tombstones == 0 || end > self.counted.end {
                self.counted.end = end;
            }
        }
        let properties = self.table.properties();
        self.counted.bytes = properties.bytes;
        if self.counted == *properties {
            return Ok(());
        }
        let at = self.table.footer().properties().start;
        Err(self.damaged(at, "the properties are not those of what is in the table"))
    }
}
