//! How a reader gets at the blocks of tables.

use std::cell::Cell;

use elsa::FrozenVec;

/// What a reader does when what it needs is on the disk and not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Waits until it has been read.
    Wait,
    /// Gives up: the read is cold.
    DontWait,
}

/// A reader of tables: whether it may wait for the disk, what time it is, and the blocks that have
/// been unpacked for it.
///
/// A block that has been read lately is believed to be in memory. How long that is, follows from how
/// often the caller's ticks change; a second is right.
pub(in crate::engine) struct ReadIo {
    patience: Patience,
    tick: u8,
    unpacked: FrozenVec<Vec<u8>>,
    /// Which block was unpacked last: its table and its offset, and its number in `unpacked`.
    last: Cell<Option<(u64, u64, usize)>>,
}

impl ReadIo {
    /// A reader at a time that is counted in ticks since any moment.
    pub(in crate::engine) fn new(patience: Patience, ticks: u64) -> Self {
        Self {
            patience,
            // Zero is what blocks have that nobody has read yet.
            tick: (ticks % 255) as u8 + 1,
            unpacked: FrozenVec::new(),
            last: Cell::new(None),
        }
    }

    /// A reader that waits for the disk as long as need be.
    pub(in crate::engine) fn waiting() -> Self {
        Self::new(Patience::Wait, 0)
    }

    pub(super) fn may_wait(&self) -> bool {
        self.patience == Patience::Wait
    }

    /// The time, from 1 to 255.
    pub(super) fn tick(&self) -> u8 {
        self.tick
    }

    /// How many ticks ago this tick was; none if it is none.
    #[inline]
    pub(super) fn age(&self, tick: u8) -> Option<u8> {
        // From 1 to 255, so that the step over zero is one tick less.
        let since = self.tick.wrapping_sub(tick).wrapping_sub(u8::from(self.tick < tick));
        (tick != 0).then_some(since)
    }

    /// The unpacked block of this table and offset; `unpack` makes it, unless it was the last one.
    pub(super) fn unpacked<E>(
        &self,
        table: u64,
        offset: u64,
        unpack: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<&[u8], E> {
        if let Some((last_table, last_offset, at)) = self.last.get()
            && (last_table, last_offset) == (table, offset)
            && let Some(block) = self.unpacked.get(at)
        {
            return Ok(block);
        }
        let block = self.unpacked.push_get(unpack()?);
        self.last.set(Some((table, offset, self.unpacked.len() - 1)));
        Ok(block)
    }

    /// Bytes of the blocks that have been unpacked and are kept until the reader is dropped.
    pub(in crate::engine) fn unpacked_bytes(&self) -> usize {
        self.unpacked.iter().map(<[u8]>::len).sum()
    }
}

impl std::fmt::Debug for ReadIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { patience, tick, .. } = self;
        f.debug_struct("ReadIo").field("patience", patience).field("tick", tick).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_an_age_also_when_they_come_round() {
        let io = |ticks| ReadIo::new(Patience::Wait, ticks);
        for now in 0..600 {
            assert_eq!(io(now).age(0), None);
            for then in now.saturating_sub(254)..=now {
                assert_eq!(io(now).age(io(then).tick()), Some((now - then) as u8), "{now} {then}");
            }
        }
    }

    #[test]
    fn a_block_is_unpacked_once_while_it_is_the_last() {
        let io = ReadIo::waiting();
        let count = Cell::new(0u8);
        let unpacked = |table, offset| {
            let unpack = || {
                count.set(count.get() + 1);
                Ok::<_, ()>(vec![count.get(); 3])
            };
            io.unpacked(table, offset, unpack).unwrap()
        };
        let first = unpacked(1, 0);
        assert_eq!(unpacked(1, 0), [1; 3]);
        assert_eq!(unpacked(1, 64), [2; 3]);
        assert_eq!(unpacked(2, 64), [3; 3]);
        assert_eq!(first, [1; 3], "stays where it is");
        assert_eq!(io.unpacked_bytes(), 9);
        assert!(io.unpacked(3, 0, || Err("not")).is_err());
        assert_eq!(unpacked(2, 64), [3; 3]);
    }
}
