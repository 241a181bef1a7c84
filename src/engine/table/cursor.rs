//! Goes through the keys of a table at a version, in either direction.
//!
//! A cursor stands at a key of a block and holds the newest version up to its own. Where a key's
//! versions fill several blocks, the index knows in which of them the one that counts begins, so
//! that the others are not read.

use std::ops::Range;

use plinth_protocol::Version;

use super::{
    block::KeyVersion,
    coding::Nonsense,
    index::{BlockPlace, Index},
    loaded::LoadedBlock,
    probe::{Probe, stored_key},
    read_io::ReadIo,
    reader::Table,
};
use crate::engine::{
    key::KeyRef,
    layer::{Entry, LayerCursor, Span},
    memtable::Direction,
    read_error::ReadError,
    visible::Stamp,
};

/// A read of neighbouring keys of a table. It begins nowhere; [`LayerCursor::seek`] comes first.
#[derive(Debug)]
pub(in crate::engine) struct TableCursor<'t> {
    table: &'t Table,
    io: &'t ReadIo,
    version: Version,
    direction: Direction,
    /// There once the first key has been sought, unless the table has no entries.
    index: Option<Index<'t>>,
    block: LoadedBlock<'t>,
    place: BlockPlace,
    /// The block's number, and the key's in the block.
    at: (usize, usize),
    state: State,
    /// The key that it stands at, as it is stored.
    key: Vec<u8>,
    stamp: Stamp,
    value: Option<Range<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first seek, or after an error.
    Nowhere,
    AtEntry,
    AtEnd,
}

impl Table {
    /// A cursor that shows what a read at this version sees.
    pub(in crate::engine) fn cursor<'t>(
        &'t self,
        version: Version,
        direction: Direction,
        io: &'t ReadIo,
    ) -> TableCursor<'t> {
        TableCursor {
            table: self,
            io,
            version,
            direction,
            index: None,
            block: LoadedBlock::none(),
            place: BlockPlace { range: 0..0, greatest: Version::ZERO, continues: None },
            at: (0, 0),
            state: State::Nowhere,
            key: Vec::new(),
            stamp: Stamp { version: Version::ZERO, order: 0 },
            value: None,
        }
    }
}

impl LayerCursor for TableCursor<'_> {
    #[inline]
    fn head(&self) -> Option<Entry<'_>> {
        if self.state != State::AtEntry {
            return None;
        }
        let value = self.value.clone().and_then(|range| self.block.content().get(range));
        Some(Entry { key: stored_key(&self.key)?, stamp: self.stamp, value })
    }

    #[inline]
    fn advance(&mut self) -> Result<(), ReadError> {
        if self.state != State::AtEntry {
            return Ok(());
        }
        match self.direction {
            Direction::Forward => self.settle_forward(self.at.1 + 1),
            Direction::Reverse => self.settle_reverse(self.at.1),
        }
    }

    fn seek(&mut self, key: KeyRef<'_>) -> Result<(), ReadError> {
        match self.state {
            State::AtEnd => return Ok(()),
            State::AtEntry => {
                let is_there = stored_key(&self.key).is_some_and(|own| match self.direction {
                    Direction::Forward => own >= key,
                    Direction::Reverse => own < key,
                });
                if is_there {
                    return Ok(());
                }
            }
            State::Nowhere => self.index = Some(self.table.index(self.io)?),
        }
        let was_at_entry = self.state == State::AtEntry;
        self.state = State::Nowhere;
        let probe = Probe::new(key);
        if was_at_entry && let Some(slot) = self.find_in_block(probe)? {
            return self.settle(slot);
        }
        let index = self.index()?;
        if index.len() == 0 {
            self.state = State::AtEnd;
            return Ok(());
        }
        let found = index.find(probe, Version::MAX);
        let found = found.map_err(|Nonsense| self.table.index_makes_no_sense())?;
        // The version is above all, so that of a key that fills several blocks this is the first.
        let Some(block) = found else {
            return match self.direction {
                Direction::Forward => {
                    self.load(0)?;
                    self.settle_forward(0)
                }
                Direction::Reverse => {
                    self.state = State::AtEnd;
                    Ok(())
                }
            };
        };
        self.load(block)?;
        let (slot, _) = self.find(probe)?;
        self.settle(slot)
    }

    fn span(&mut self, key: KeyRef<'_>) -> Result<Span<'_>, ReadError> {
        let Some(tombstones) = self.table.tombstones_view(self.io)? else {
            return Ok(Span::ALL);
        };
        let span = tombstones.span(key, self.version);
        Ok(span.ok_or_else(|| self.table.tombstones_make_no_sense())?)
    }
}

impl<'t> TableCursor<'t> {
    fn index(&self) -> Result<Index<'t>, ReadError> {
        Ok(self.index.ok_or_else(|| self.table.index_makes_no_sense())?)
    }

    /// Goes to the block of this number.
    fn load(&mut self, block: usize) -> Result<(), ReadError> {
        self.place = self.table.place(&self.index()?, block)?;
        let frame = self.table.block(block, &self.place, self.io)?;
        self.block.load(self.table, &self.place, frame)?;
        self.at = (block, 0);
        Ok(())
    }

    fn find(&self, probe: Probe<'_>) -> Result<(usize, Option<usize>), ReadError> {
        let found = self.block.view().find(probe);
        Ok(found.ok_or_else(|| self.table.makes_no_sense(&self.place))?)
    }

    /// The place of the first key not below the one that is looked for, if this block has it and
    /// the key before.
    fn find_in_block(&self, probe: Probe<'_>) -> Result<Option<usize>, ReadError> {
        let (slot, _) = self.find(probe)?;
        Ok((slot > 0 && slot < self.block.view().keys()).then_some(slot))
    }

    /// Stands at the first key from `slot` on, or the last before it, that the version sees.
    fn settle(&mut self, slot: usize) -> Result<(), ReadError> {
        match self.direction {
            Direction::Forward => self.settle_forward(slot),
            Direction::Reverse => self.settle_reverse(slot),
        }
    }

    fn settle_forward(&mut self, mut slot: usize) -> Result<(), ReadError> {
        loop {
            while slot < self.block.view().keys() {
                if self.look_at(slot)? {
                    return Ok(());
                }
                slot += 1;
            }
            let was_seen = self.state == State::AtEntry && self.at.1 + 1 == slot;
            self.state = State::Nowhere;
            let Some((block, first)) = self.block_after(was_seen)? else {
                self.state = State::AtEnd;
                return Ok(());
            };
            self.load(block)?;
            slot = first;
        }
    }

    /// The block that comes after this one, and the key there, when the last key of this one was
    /// seen, or wasn't.
    fn block_after(&mut self, was_seen: bool) -> Result<Option<(usize, usize)>, ReadError> {
        let index = self.index()?;
        let next = self.at.0 + 1;
        if next >= index.len() {
            return Ok(None);
        }
        if self.table.place(&index, next)?.continues.is_none() {
            return Ok(Some((next, 0)));
        }
        // The last key goes on there. If it was seen, the block where it ends comes next, and the
        // key behind it; otherwise the block with the version that counts.
        let version = if was_seen { Version::ZERO } else { self.version };
        let block = self.find_last_key(version)?;
        Ok(Some((block.max(next), usize::from(was_seen))))
    }

    /// The block where the version of this block's last key is.
    fn find_last_key(&self, version: Version) -> Result<usize, ReadError> {
        let (view, mut key) = (self.block.view(), Vec::new());
        let last = view.keys().checked_sub(1).and_then(|last| view.key(last, &mut key));
        self.find_key(last.and_then(|_| stored_key(&key)), version)
    }

    fn find_key(&self, key: Option<KeyRef<'_>>, version: Version) -> Result<usize, ReadError> {
        let key = key.ok_or_else(|| self.table.makes_no_sense(&self.place))?;
        let found = self.index()?.find(Probe::new(key), version).ok().flatten();
        Ok(found.ok_or_else(|| self.table.index_makes_no_sense())?)
    }

    /// Stands at the last key before `end` that the version sees.
    fn settle_reverse(&mut self, mut end: usize) -> Result<(), ReadError> {
        loop {
            while let Some(slot) = end.checked_sub(1) {
                if slot == 0 && self.place.continues.is_some() {
                    break;
                }
                if self.look_at(slot)? {
                    return Ok(());
                }
                end = slot;
            }
            let was_seen = self.state == State::AtEntry && self.at.1 == 0 && end == 0;
            self.state = State::Nowhere;
            if self.place.continues.is_some() && !was_seen {
                if self.settle_continued()? {
                    return Ok(());
                }
            } else if self.place.continues.is_some() {
                self.load_first_of_chain()?;
            } else if let Some(before) = self.at.0.checked_sub(1) {
                self.load(before)?;
                end = self.block.view().keys();
                continue;
            } else {
                self.state = State::AtEnd;
                return Ok(());
            }
            end = self.block.view().keys().saturating_sub(1);
        }
    }

    /// At the first key of a block, which goes on with it: stands at the version that counts, where
    /// that is in this chain of blocks; otherwise in the chain's first block.
    fn settle_continued(&mut self) -> Result<bool, ReadError> {
        let mut key = Vec::new();
        let first = self.block.view().key(0, &mut key).and_then(|_| stored_key(&key));
        let (begin, block) =
            (self.find_key(first, Version::MAX)?, self.find_key(first, self.version)?);
        if begin >= self.at.0 || block > self.at.0 {
            return Err(self.table.index_makes_no_sense().into());
        }
        if block != self.at.0 {
            self.load(block)?;
        }
        // The chain's first block has the key at its end.
        if let Some(first) = first
            && let (slot, Some(_)) = self.find(Probe::new(first))?
            && self.look_at(slot)?
        {
            return Ok(true);
        }
        if begin != self.at.0 {
            self.load(begin)?;
        }
        Ok(false)
    }

    /// Goes to the block where the first key of this one begins.
    fn load_first_of_chain(&mut self) -> Result<(), ReadError> {
        let mut key = Vec::new();
        let first = self.block.view().key(0, &mut key);
        let block = self.find_key(first.and_then(|_| stored_key(&key)), Version::MAX)?;
        if block >= self.at.0 {
            return Err(self.table.index_makes_no_sense().into());
        }
        self.load(block)
    }

    /// Stands at a key of the block, if the version sees anything of it.
    #[inline]
    fn look_at(&mut self, slot: usize) -> Result<bool, ReadError> {
        let view = self.block.view();
        let seen = view
            .key(slot, &mut self.key)
            .and_then(|newest| view.version_at(newest, self.version).ok());
        let Some(seen) = seen else {
            self.state = State::Nowhere;
            return Err(self.table.makes_no_sense(&self.place).into());
        };
        let Some(KeyVersion { stamp, value, .. }) = seen else { return Ok(false) };
        self.at.1 = slot;
        self.stamp = stamp;
        self.value = value;
        self.state = State::AtEntry;
        Ok(true)
    }
}
