//! The levels as the picker sees them: which tables there are, and how large a level should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::engine::{
    key::KeyRef,
    layer::RangeTombstone,
    table::{TableNumber, TableProperties},
};

/// Level 0 and those below.
pub(in crate::engine) const LEVELS: usize = 7;

/// The shape that the levels should have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// So many tables of level 0 are compacted.
    pub(super) level0_tables: usize,
    /// How many bytes level 1 should hold at most; each further level, `level_ratio` times as many.
    pub(super) level1_bytes: u64,
    /// How much larger a level is than the one before.
    pub(super) level_ratio: u64,
    /// How large compactions make tables.
    pub(super) table_bytes_max: u64,
}

/// All tables, and what is known about them.
pub(super) struct Levels<'a> {
    /// Level 0, newest first, then the others, each in the order of its keys.
    pub(super) tables: Vec<Vec<&'a TableProperties>>,
    /// The range tombstones of those that have any; a table may be missing here as long as its own
    /// are not known.
    pub(super) tombstones: BTreeMap<TableNumber, Arc<[RangeTombstone]>>,
    /// Tables that must be left alone: they are damaged.
    pub(super) busy: BTreeSet<TableNumber>,
}

/// How large each level should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Targets {
    /// The level that level 0 is compacted into. Those between are drained.
    pub(super) base: usize,
    /// Bytes by level; those above the base are zero.
    pub(super) bytes: [u64; LEVELS],
}

impl<'a> Levels<'a> {
    /// The tables of a level.
    pub(super) fn level(&self, level: usize) -> &[&'a TableProperties] {
        self.tables.get(level).map_or(&[], Vec::as_slice)
    }

    /// The bytes of a level.
    pub(super) fn bytes(&self, level: usize) -> u64 {
        self.level(level).iter().map(|table| table.bytes).sum()
    }

    /// The bytes of all levels.
    pub(super) fn all_bytes(&self) -> u64 {
        self.tables.iter().flatten().map(|table| table.bytes).sum()
    }

    /// The tables of a level below 0 that hold keys from `begin` to before `end`.
    pub(super) fn overlapping(
        &self,
        level: usize,
        begin: KeyRef<'_>,
        end: KeyRef<'_>,
    ) -> &[&'a TableProperties] {
        let tables = self.level(level);
        let first = tables.partition_point(|table| table.end.as_ref() <= begin);
        let after = tables.partition_point(|table| table.begin.as_ref() < end);
        tables.get(first..after).unwrap_or_default()
    }

    /// Whether no level below this one holds keys from `begin` to before `end`.
    pub(super) fn is_last(&self, level: usize, begin: KeyRef<'_>, end: KeyRef<'_>) -> bool {
        let holds = |table: &&TableProperties| table.entries > 0;
        !(level + 1..LEVELS).any(|below| self.overlapping(below, begin, end).iter().any(holds))
    }

    /// How large each level should be.
    ///
    /// The deepest level that holds anything may grow up to its fixed size before the next is
    /// begun. Those above it hold a `level_ratio`-th each of the one below, so that what is stale in
    /// the deepest, because something newer lies above, is bounded too. A level that would hold less
    /// than level 1 should is left out: compacting into it would only write everything once more.
    /// One that holds something is left out only when it would hold less than half of that, so that
    /// levels don't come and go.
    pub(super) fn targets(&self, shape: &Shape) -> Targets {
        let bottom = (1..LEVELS).rev().find(|level| !self.level(*level).is_empty()).unwrap_or(1);
        let mut bytes = [0; LEVELS];
        let mut fixed = shape.level1_bytes;
        for target in bytes.iter_mut().skip(1) {
            *target = fixed;
            fixed = fixed.saturating_mul(shape.level_ratio);
        }
        let mut base = bottom;
        let mut wanted = self.bytes(bottom);
        for level in (1..bottom).rev() {
            wanted /= shape.level_ratio.max(2);
            let least = if self.level(level).is_empty() {
                shape.level1_bytes
            } else {
                shape.level1_bytes / 2
            };
            if wanted < least {
                break;
            }
            base = level;
            if let Some(target) = bytes.get_mut(level) {
                *target = wanted.min(*target);
            }
        }
        for target in bytes.iter_mut().take(base) {
            *target = 0;
        }
        Targets { base, bytes }
    }
}
