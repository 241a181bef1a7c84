//! The read conflict set: what a transaction has read, and so what must not have been written by
//! others when it commits.

use bytes::Bytes;
use plinth_protocol::{ConflictRange, KeyRange, KeyspaceId, ReadConflict};

/// Below this many entries, merging is not worth its sorting.
const MERGE_ENTRIES_MIN: usize = 64;

/// Which read conflicts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// Those that overlap or are adjacent.
    Touching,
    /// Only the same ones. So a report tells the reads apart.
    Same,
}

/// Read conflicts, appended as reads go and merged now and then, so that reading the same keys for
/// ever takes no more memory than reading them once.
#[derive(Debug, Default)]
pub(super) struct ReadConflicts {
    entries: Vec<ReadConflict>,
    merge_at: usize,
}

impl ReadConflicts {
    pub(super) fn push(&mut self, keyspace: KeyspaceId, range: ConflictRange, joining: Joining) {
        if self.entries.len() >= self.merge_at.max(MERGE_ENTRIES_MIN) {
            merge(&mut self.entries, joining);
            self.merge_at = self.entries.len() * 2;
        }
        self.entries.push(ReadConflict { keyspace, range, since: None });
    }

    /// The conflicts in order, each joined with those that it is to be joined with.
    pub(super) fn take(&mut self, joining: Joining) -> Vec<ReadConflict> {
        let mut entries = std::mem::take(&mut self.entries);
        merge(&mut entries, joining);
        entries
    }

    /// The conflicts of one keyspace as ranges in order, none overlapping or adjacent.
    pub(super) fn ranges(&self, keyspace: KeyspaceId) -> Vec<KeyRange> {
        let own = self.entries.iter().filter(|conflict| conflict.keyspace == keyspace);
        merge_ranges(own.map(|conflict| conflict.range.to_range()).collect())
    }
}

fn end_of(range: &ConflictRange) -> Bytes {
    match range {
        ConflictRange::Key(key) => plinth_protocol::range::key_after(key),
        ConflictRange::Range(range) => range.end.clone(),
    }
}

/// Whether `next`, which begins no earlier, begins within `range` or right at its end.
fn touches(range: &ConflictRange, next: &[u8]) -> bool {
    match range {
        ConflictRange::Key(key) => {
            next == key.as_ref() || next.split_last() == Some((&0, key.as_ref()))
        }
        ConflictRange::Range(range) => next <= range.end.as_ref(),
    }
}

fn merge(entries: &mut Vec<ReadConflict>, joining: Joining) {
    if entries.len() < 2 {
        return;
    }
    entries.sort_unstable_by(|a, b| {
        (a.keyspace, a.since, a.range.begin()).cmp(&(b.keyspace, b.since, b.range.begin()))
    });
    if joining == Joining::Same {
        entries.sort_by_cached_key(|conflict| {
            (conflict.keyspace, conflict.since, conflict.range.to_range())
        });
        entries.dedup();
        return;
    }
    entries.dedup_by(|next, kept| {
        let joins = (next.keyspace, next.since) == (kept.keyspace, kept.since)
            && touches(&kept.range, next.range.begin());
        if joins && next.range != kept.range {
            let end = end_of(&kept.range).max(end_of(&next.range));
            kept.range = KeyRange { begin: kept.range.begin().clone(), end }.into();
        }
        joins
    });
}

/// Sorts ranges and makes overlapping and adjacent ones one.
pub(super) fn merge_ranges(mut ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joins = next.begin <= kept.end;
        if joins && next.end > kept.end {
            kept.end = next.end.clone();
        }
        joins
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &'static str) -> ConflictRange {
        ConflictRange::Key(key.into())
    }

    #[test]
    fn overlapping_and_adjacent_conflicts_become_one() {
        let mut conflicts = ReadConflicts::default();
        for range in [
            key("m"),
            key("b"),
            ConflictRange::Range(KeyRange::new("b\0", "d")),
            key("c"),
            key("b"),
            ConflictRange::Range(KeyRange::new("x", "z")),
            ConflictRange::Range(KeyRange::new("y", "y5")),
        ] {
            conflicts.push(KeyspaceId::DEFAULT, range, Joining::Touching);
        }
        conflicts.push(KeyspaceId(16), key("c"), Joining::Touching);
        let expected =
            vec![KeyRange::new("b", "d"), KeyRange::new("m", "m\0"), KeyRange::new("x", "z")];
        assert_eq!(conflicts.ranges(KeyspaceId::DEFAULT), expected);
        let taken = conflicts.take(Joining::Touching);
        assert_eq!(taken.len(), 4);
        assert_eq!(taken[1].range, key("m"), "a single key stays one");
    }

    #[test]
    fn the_same_reads_again_and_again_take_no_more_memory() {
        let mut conflicts = ReadConflicts::default();
        for n in 0..100_000_u32 {
            let name = format!("{:02}", n % 50);
            let range = ConflictRange::Key(name.into());
            conflicts.push(KeyspaceId::DEFAULT, range, Joining::Touching);
        }
        assert!(conflicts.entries.len() <= 128);
        assert_eq!(conflicts.take(Joining::Touching).len(), 50);
    }

    #[test]
    fn conflicts_that_are_told_apart_stay_apart() {
        let mut conflicts = ReadConflicts::default();
        let range = || ConflictRange::Range(KeyRange::new("b", "d"));
        for _ in 0..1000 {
            for range in [range(), key("d"), key("c")] {
                conflicts.push(KeyspaceId::DEFAULT, range, Joining::Same);
            }
        }
        assert!(conflicts.entries.len() <= 128);
        assert_eq!(conflicts.ranges(KeyspaceId::DEFAULT), vec![KeyRange::new("b", "d\0")]);
        let taken: Vec<_> = conflicts.take(Joining::Same).into_iter().map(|c| c.range).collect();
        assert_eq!(taken, vec![range(), key("c"), key("d")]);
    }
}
