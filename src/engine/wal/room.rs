//! How much room the log has for sure: what the disk can't refuse any more.
//!
//! A batch is sequenced only if the room for its record is reserved: in the segment that is appended
//! to, or in a spare. What is on its way to the log counts as a whole against the one or the other,
//! because how it is cut into writes is not known yet: if all of it fits behind the last record, no
//! write leaves the segment; if all of it fits into one spare, then so does whatever part of it the
//! segment has no room for.

use super::segment::SECTOR_BYTES;

/// The log's room.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes behind the last record of the segment that is appended to.
    pub(super) left: u64,
    /// Bytes that are on their way to the log.
    pub(super) in_flight: u64,
    /// Somebody waits for a spare with this much room.
    pub(super) wanted: u64,
    /// Why no spare could be made, when it was tried last.
    pub(super) trouble: Option<String>,
}

/// Whether there is room for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// There is, and for so many bytes in all.
    Room(u64),
    /// Not yet: a spare is being made.
    Later,
    /// There is none for more than so many bytes, and the disk refuses more.
    Full(u64),
}

/// What a record takes at most: after a sync the next one begins a sector.
pub(crate) fn footprint(bytes: u64) -> u64 {
    bytes.next_multiple_of(SECTOR_BYTES)
}

impl Room {
    /// How many bytes can still be sent to the log, if the largest spare has this much room.
    fn available(&self, spare: u64) -> u64 {
        self.left.max(spare).saturating_sub(self.in_flight)
    }

    /// Asks for room for a record of this many bytes, of which `kept` are for others.
    pub(super) fn ask(&mut self, bytes: u64, kept: u64, spare: u64) -> Admission {
        let available = self.available(spare).saturating_sub(kept);
        // Whole sectors, so that the caller need not round.
        let available = available - available % SECTOR_BYTES;
        if footprint(bytes) <= available {
            if self.wanted <= spare {
                self.wanted = 0;
            }
            return Admission::Room(available);
        }
        self.wanted = self.wanted.max(footprint(bytes) + kept + self.in_flight);
        if self.trouble.is_some() { Admission::Full(available) } else { Admission::Later }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_on_its_way_fits_behind_the_last_record_or_into_a_spare() {
        let mut room = Room { left: 2048, ..Room::default() };
        assert_eq!(room.ask(2000, 0, 0), Admission::Room(2048));
        room.in_flight = 1024;
        assert_eq!(room.ask(1024, 0, 0), Admission::Room(1024));
        assert_eq!(room.ask(1025, 0, 0), Admission::Later);
        assert_eq!(room.wanted, 2560);
        assert_eq!(room.ask(1025, 0, 4096), Admission::Room(3072));
        assert_eq!(room.wanted, 0);
        room.trouble = Some("full".to_owned());
        assert_eq!(room.ask(1000, 512, 0), Admission::Full(512));
        assert_eq!(room.ask(500, 512, 0), Admission::Room(512));
    }

    proptest! {
        /// Whatever the cut into writes, and whenever the log gets to them: what was admitted fits.
        #[test]
        fn what_was_admitted_always_finds_its_room(
            sizes in prop::collection::vec(1_u64..3000, 1..60),
            writes in prop::collection::vec(0_usize..4, 60),
        ) {
            const SEGMENT: u64 = 8192;
            let mut room = Room { left: SEGMENT, ..Room::default() };
            let mut spares = 1;
            let mut waiting: Vec<u64> = vec![];
            for (bytes, write) in sizes.into_iter().zip(writes) {
                let spare = if spares > 0 { SEGMENT } else { 0 };
                match room.ask(bytes, 0, spare) {
                    Admission::Room(_) => {
                        room.in_flight += footprint(bytes);
                        waiting.push(bytes);
                    }
                    _ => spares = 1,
                }
                // The log takes some of what waits, as one write.
                let count = write.min(waiting.len());
                let taken: Vec<u64> = waiting.drain(..count).collect();
                let bytes: u64 = taken.iter().sum();
                if bytes > room.left {
                    prop_assert!(spares > 0 && bytes <= SEGMENT, "a write found no room");
                    spares -= 1;
                    room.left = SEGMENT;
                }
                room.left -= footprint(bytes).min(room.left);
                room.in_flight -= taken.iter().map(|bytes| footprint(*bytes)).sum::<u64>();
            }
        }
    }
}
