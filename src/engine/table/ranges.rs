//! What a table knows of a range without showing its rows: whether it was written, and how large
//! it is.

use plinth_protocol::Version;

use super::{
    coding::Nonsense, index::Index, loaded::LoadedBlock, probe::Probe, read_io::ReadIo,
    reader::Table,
};
use crate::engine::{key::KeyRef, read_error::ReadError};

impl Table {
    /// Whether any key from `begin` to before `end` was set or cleared, or a range that overlaps,
    /// after `since`. Blocks that have nothing newer are not read, nor is a table.
    pub(in crate::engine) fn written_since(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        since: Version,
        io: &ReadIo,
    ) -> Result<bool, ReadError> {
        let properties = self.properties();
        if begin >= end || properties.greatest_version <= since || !properties.overlaps(begin, end)
        {
            return Ok(false);
        }
        if self.was_range_cleared((begin, end), since, io)? {
            return Ok(true);
        }
        let (index, mut loaded) = (self.index(io)?, LoadedBlock::none());
        for block in self.blocks_of(&index, begin, end)? {
            let place = self.place(&index, block)?;
            if place.greatest <= since {
                continue;
            }
            loaded.load(self, &place, self.block(block, &place, io)?)?;
            let view = loaded.view();
            let written = view.slots(Probe::new(begin), Probe::new(end)).and_then(|mut slots| {
                slots.try_fold(false, |written, slot| {
                    let newest = view.newest(slot).and_then(|newest| view.version(newest));
                    newest.map(|newest| written || newest.stamp.version > since)
                })
            });
            if written.ok_or_else(|| self.makes_no_sense(&place))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn was_range_cleared(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        since: Version,
        io: &ReadIo,
    ) -> Result<bool, ReadError> {
        let Some(view) = self.tombstones_view(io)? else { return Ok(false) };
        let was_cleared = || {
            for at in view.first_above(begin)?..view.len() {
                if view.bounds(at)?.0 >= end {
                    break;
                }
                if view.stamps(at)?.any(|stamp| stamp.version > since) {
                    return Some(true);
                }
            }
            Some(false)
        };
        Ok(was_cleared().ok_or_else(|| self.tombstones_make_no_sense())?)
    }

    /// The blocks that may have keys from `begin` to before `end`.
    fn blocks_of(
        &self,
        index: &Index<'_>,
        begin: KeyRef<'_>,
        end: KeyRef<'_>,
    ) -> Result<std::ops::Range<usize>, ReadError> {
        let first = index.find(Probe::new(begin), Version::MAX);
        let after = index.count_below(Probe::new(end));
        let blocks = first.and_then(|first| Ok(first.unwrap_or(0)..after?));
        Ok(blocks.map_err(|Nonsense| self.index_makes_no_sense())?)
    }

    /// Shows pieces of the range as keys with the number of bytes of keys and values from there to
    /// the next, about: a whole block is one piece, and only the blocks at the ends of the range
    /// are read. Of what range tombstones hide, nothing is taken away.
    pub(in crate::engine) fn measure(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        io: &ReadIo,
        visit: &mut dyn FnMut(&[u8], u64),
    ) -> Result<(), ReadError> {
        let properties = self.properties();
        if begin >= end || properties.entries == 0 || !properties.overlaps(begin, end) {
            return Ok(());
        }
        let (index, mut loaded) = (self.index(io)?, LoadedBlock::none());
        // What is in a block's bytes may be packed.
        let user_bytes = u128::from(properties.key_bytes) + u128::from(properties.value_bytes);
        let stored_bytes = u128::from(index.data_end().max(1));
        for block in self.blocks_of(&index, begin, end)? {
            let place = self.place(&index, block)?;
            let first = index.separator(block).ok_or_else(|| self.index_makes_no_sense())?;
            let after = index.separator(block + 1).unwrap_or(properties.end.as_ref());
            if begin <= first && after <= end {
                let stored = place.range.end.saturating_sub(place.range.start);
                visit(first.key, (u128::from(stored) * user_bytes / stored_bytes) as u64);
                continue;
            }
            loaded.load(self, &place, self.block(block, &place, io)?)?;
            let (view, mut key) = (loaded.view(), Vec::new());
            let mut show = |slot| {
                let newest = view.version(view.key(slot, &mut key)?)?;
                let key = super::probe::stored_key(&key)?.key;
                let bytes = newest.value.map_or(0, |value| key.len() + value.len());
                visit(key, bytes as u64);
                Some(())
            };
            let shown = view
                .slots(Probe::new(begin), Probe::new(end))
                .and_then(|mut slots| slots.try_for_each(&mut show));
            shown.ok_or_else(|| self.makes_no_sense(&place))?;
        }
        Ok(())
    }
}
