//! What is compacted next: a pure function of the levels, so that a test can look at every choice.
//!
//! In this order:
//!
//! 1. Tables that a range tombstone covers wholly, for all who read, go unread.
//! 2. A level that is larger than it should be gives to the next; the one that is most too large
//!    first. Of level 0, tables that overlap each other go together. Of another level goes the table
//!    with the least to rewrite below it for its size. Tables that meet nothing below just move.
//! 3. Where nothing is too large, tables that hold much garbage are rewritten with what they hide,
//!    so that space comes back even when nobody writes any more.
//!
//! Every compaction of the third kind leaves less garbage or brings it further down, and every move
//! brings tables further down; so it ends.
//!
//! Tables that must be left alone are never picked. If they are in level 0's way, the tables above
//! them in level 0 are merged with each other, so that commits needn't stop because of a bad place
//! on the disk.

use super::{
    covered,
    levels::{LEVELS, Levels, Shape, Targets},
};
use crate::engine::{
    key::{KeyBuf, KeyRef},
    layer::RangeTombstone,
    table::{TableNumber, TableProperties},
};
use plinth_protocol::Version;

/// A table may overlap so many times its size two levels below before it is cut.
const NEIGHBOURS_RATIO: u64 = 10;
/// Tables of a level that lie within what is rewritten anyway go along up to so many tables' bytes.
const FREE_RIDERS_MAX: u64 = 10;
/// Garbage is collected when it is a fourth of what has to be written for it.
const GARBAGE_FRACTION: u64 = 4;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// These tables go, unread: a range tombstone hides all of them from everybody.
    Drop(Vec<TableNumber>),
    /// These tables go to another level as they are.
    Move {
        /// Which.
        tables: Vec<TableNumber>,
        /// To which level.
        to: usize,
    },
    /// These tables are merged into new ones.
    Merge {
        /// Which, with their levels: level by level, each in its order.
        inputs: Vec<(usize, TableNumber)>,
        /// To which level.
        to: usize,
    },
}

impl Pick {
    /// Every table that it takes away or moves.
    pub(super) fn tables(&self) -> Vec<TableNumber> {
        match self {
            Self::Drop(tables) | Self::Move { tables, .. } => tables.clone(),
            Self::Merge { inputs, .. } => inputs.iter().map(|(_, number)| *number).collect(),
        }
    }
}

/// From the first key to before the second.
type Bounds<'a> = (KeyRef<'a>, KeyRef<'a>);

/// Picks what to do next; nothing if all is in shape.
pub(super) fn pick(levels: &Levels<'_>, shape: &Shape, horizon: Version) -> Option<Pick> {
    let hidden = covered::hidden_tables(levels, horizon);
    if !hidden.is_empty() {
        return Some(Pick::Drop(hidden));
    }
    let targets = levels.targets(shape);
    scores(levels, shape, &targets)
        .into_iter()
        .find_map(|level| match level {
            0 => pick_level0(levels, shape, &targets),
            _ => pick_level(levels, shape, level),
        })
        .or_else(|| pick_garbage(levels, &targets, horizon))
}

/// The levels that are larger than they should be, the worst first.
fn scores(levels: &Levels<'_>, shape: &Shape, targets: &Targets) -> Vec<usize> {
    const UNIT: u64 = 1000;
    let mut scores: Vec<(u64, usize)> = Vec::new();
    let count = levels.level(0).len();
    if count >= shape.level0_tables.max(1) {
        scores.push((count as u64 * UNIT / shape.level0_tables.max(1) as u64, 0));
    }
    for (level, target) in targets.bytes.iter().enumerate().take(LEVELS - 1).skip(1) {
        let bytes = levels.bytes(level);
        if bytes > *target {
            let score = bytes.saturating_mul(UNIT).checked_div(*target).unwrap_or(u64::MAX);
            scores.push((score, level));
        }
    }
    scores.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    scores.into_iter().map(|(_, level)| level).collect()
}

/// Tables of level 0 that overlap each other, directly or through others, newest first. The group
/// with the oldest table comes first. Between groups there is no overlap.
fn level0_groups<'a>(levels: &Levels<'a>) -> Vec<Vec<&'a TableProperties>> {
    let mut tables: Vec<(usize, &TableProperties)> =
        levels.level(0).iter().copied().enumerate().collect();
    tables.sort_by(|a, b| a.1.begin.cmp(&b.1.begin));
    let mut groups: Vec<Vec<(usize, &TableProperties)>> = Vec::new();
    let mut group_end: Option<&KeyBuf> = None;
    for (age, table) in tables {
        match groups.last_mut() {
            Some(group) if group_end.is_some_and(|end| table.begin < *end) => {
                group.push((age, table));
            }
            _ => groups.push(vec![(age, table)]),
        }
        group_end = group_end.max(Some(&table.end));
    }
    for group in &mut groups {
        group.sort_unstable_by_key(|(age, _)| *age);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.last().map(|(age, _)| *age)));
    let strip = |group: Vec<(usize, _)>| group.into_iter().map(|(_, table)| table).collect();
    groups.into_iter().map(strip).collect()
}

/// From where to where tables reach.
fn bounds<'a>(tables: &[&'a TableProperties]) -> Option<Bounds<'a>> {
    let begin = tables.iter().map(|table| table.begin.as_ref()).min()?;
    let end = tables.iter().map(|table| table.end.as_ref()).max()?;
    Some((begin, end))
}

fn is_any_busy(levels: &Levels<'_>, tables: &[&TableProperties]) -> bool {
    tables.iter().any(|table| levels.busy.contains(&table.number))
}

fn with_level<'a>(
    level: usize,
    tables: &'a [&TableProperties],
) -> impl Iterator<Item = (usize, TableNumber)> + 'a {
    tables.iter().map(move |table| (level, table.number))
}

fn bytes(tables: &[&TableProperties]) -> u64 {
    tables.iter().map(|table| table.bytes).sum()
}

fn pick_level0(levels: &Levels<'_>, shape: &Shape, targets: &Targets) -> Option<Pick> {
    let groups = level0_groups(levels);
    let picked = groups.iter().find_map(|group| merge_level0(levels, shape, targets, group));
    // What can't go down is merged where it is.
    picked.or_else(|| groups.iter().find_map(|group| merge_within_level0(levels, shape, group)))
}

/// Level 0's tables go to the first level that holds anything, or to the base if that comes first.
fn level0_to(levels: &Levels<'_>, targets: &Targets) -> usize {
    (1..targets.base).find(|level| !levels.level(*level).is_empty()).unwrap_or(targets.base)
}

fn merge_level0(
    levels: &Levels<'_>,
    shape: &Shape,
    targets: &Targets,
    group: &[&TableProperties],
) -> Option<Pick> {
    let to = level0_to(levels, targets);
    let (begin, end) = bounds(group)?;
    let below = levels.overlapping(to, begin, end);
    if is_any_busy(levels, group) || is_any_busy(levels, below) {
        return None;
    }
    if let [table] = group
        && can_move(levels, shape, table, to)
    {
        return Some(Pick::Move { tables: vec![table.number], to });
    }
    let inputs = with_level(0, group).chain(with_level(to, below)).collect();
    Some(Pick::Merge { inputs, to })
}

/// The newest run of tables that may be touched, merged into one, if that is worth it.
fn merge_within_level0(
    levels: &Levels<'_>,
    shape: &Shape,
    group: &[&TableProperties],
) -> Option<Pick> {
    let runs = group.split(|table| levels.busy.contains(&table.number));
    // A table that many were merged into before is not rewritten for a few small ones.
    let worthwhile = |run: &[&TableProperties]| {
        let largest = run.iter().map(|table| table.bytes).max().unwrap_or(0);
        run.len() >= shape.level0_tables.max(2) && (bytes(run) - largest) * 2 >= largest
    };
    let mut runs = runs.flat_map(|run| {
        // All of the run, or all but its oldest, which may be large.
        [run, run.split_last().map_or(run, |(_, newer)| newer)]
    });
    let run = runs.find(|run| worthwhile(run))?;
    Some(Pick::Merge { inputs: with_level(0, run).collect(), to: 0 })
}

/// Whether a table meets nothing at level `to` and not too much below that.
fn can_move(levels: &Levels<'_>, shape: &Shape, table: &TableProperties, to: usize) -> bool {
    let (begin, end) = (table.begin.as_ref(), table.end.as_ref());
    let neighbours = bytes(levels.overlapping(to + 1, begin, end));
    levels.overlapping(to, begin, end).is_empty() && neighbours <= neighbours_bytes_max(shape)
}

/// How much of the level below its own a table that is written may overlap, in bytes.
pub(super) fn neighbours_bytes_max(shape: &Shape) -> u64 {
    shape.table_bytes_max.saturating_mul(NEIGHBOURS_RATIO)
}

fn pick_level(levels: &Levels<'_>, shape: &Shape, level: usize) -> Option<Pick> {
    let to = level + 1;
    let cost = |table: &TableProperties| {
        let below = levels.overlapping(to, table.begin.as_ref(), table.end.as_ref());
        let is_free = !levels.busy.contains(&table.number) && !is_any_busy(levels, below);
        // In thousandths of the table's own bytes.
        is_free.then(|| bytes(below).saturating_mul(1000) / table.bytes.max(1))
    };
    let tables = levels.level(level);
    let costs = tables.iter().filter_map(|table| Some((cost(table)?, table.number, *table)));
    let (_, _, table) = costs.min_by_key(|(cost, number, _)| (*cost, *number))?;
    if can_move(levels, shape, table, to) {
        return Some(Pick::Move { tables: vec![table.number], to });
    }
    let below = levels.overlapping(to, table.begin.as_ref(), table.end.as_ref());
    let chosen = free_riders(levels, shape, level, table, below);
    let inputs = with_level(level, &chosen).chain(with_level(to, below)).collect();
    Some(Pick::Merge { inputs, to })
}

/// The table, and those beside it that lie within what is rewritten below anyway.
fn free_riders<'a>(
    levels: &Levels<'a>,
    shape: &Shape,
    level: usize,
    table: &'a TableProperties,
    below: &[&TableProperties],
) -> Vec<&'a TableProperties> {
    let Some((begin, end)) = bounds(below) else { return vec![table] };
    let (begin, end) = (begin.min(table.begin.as_ref()), end.max(table.end.as_ref()));
    let mut left = shape.table_bytes_max.saturating_mul(FREE_RIDERS_MAX);
    let mut is_riding = |other: &&&TableProperties| {
        let is_within = begin <= other.begin.as_ref() && other.end.as_ref() <= end;
        if !is_within || levels.busy.contains(&other.number) || other.bytes > left {
            return other.number == table.number;
        }
        left -= other.bytes;
        true
    };
    levels.overlapping(level, begin, end).iter().filter(&mut is_riding).copied().collect()
}

/// Garbage of a group of tables that nobody can see, and what it takes to be rid of it.
fn pick_garbage(levels: &Levels<'_>, targets: &Targets, horizon: Version) -> Option<Pick> {
    let in_level0 = level0_groups(levels).into_iter().filter_map(|group| {
        let is_old = group.iter().all(|table| table.greatest_version <= horizon);
        let (begin, end) = bounds(&group)?;
        let to = level0_to(levels, targets);
        let below = levels.overlapping(to, begin, end);
        let is_free = !is_any_busy(levels, &group) && !is_any_busy(levels, below);
        let worth = worth(levels, 0, &group, below)?;
        let inputs = || with_level(0, &group).chain(with_level(to, below)).collect();
        (is_old && is_free).then(|| (worth, Pick::Merge { inputs: inputs(), to }))
    });
    let deeper = (1..LEVELS).flat_map(|level| {
        levels.level(level).iter().filter_map(move |table| {
            if table.greatest_version > horizon || levels.busy.contains(&table.number) {
                return None;
            }
            let (begin, end) = (table.begin.as_ref(), table.end.as_ref());
            // With clears, to the next level where they may hide something; its own if there is
            // none, or if what is hidden is all in the table.
            let overlaps = |below: &usize| !levels.overlapping(*below, begin, end).is_empty();
            let is_hiding = table.clears + table.range_tombstones > 0;
            let to = (level + 1..LEVELS).find(|below| is_hiding && overlaps(below));
            let below = to.map_or(&[][..], |to| levels.overlapping(to, begin, end));
            let worth = worth(levels, level, &[table], below)?;
            if is_any_busy(levels, below) {
                return None;
            }
            let to = to.unwrap_or(level);
            let inputs = with_level(level, &[*table]).chain(with_level(to, below)).collect();
            Some((worth, Pick::Merge { inputs, to }))
        })
    });
    in_level0.chain(deeper).max_by_key(|(worth, _)| *worth).map(|(_, pick)| pick)
}

/// How many bytes of garbage a rewrite of these tables with those below it would take away for
/// thousand that it writes, about; none if that is too little.
fn worth(
    levels: &Levels<'_>,
    level: usize,
    tables: &[&TableProperties],
    below: &[&TableProperties],
) -> Option<u64> {
    let entries_below: u64 = below.iter().map(|table| table.entries).sum();
    let entry_below = bytes(below) / entries_below.max(1);
    let garbage = tables.iter().map(|table| garbage_bytes(levels, level, table, entry_below));
    let garbage: u64 = garbage.sum();
    let cost = bytes(tables) + bytes(below);
    (garbage > 0 && garbage.saturating_mul(GARBAGE_FRACTION) >= cost)
        .then(|| garbage.saturating_mul(1000) / cost.max(1))
}

/// About how many bytes a rewrite of the table with those below it would take away: its own
/// overwritten versions and clears, an entry below for each clear, and half of what its range
/// tombstones meet below. What its own range tombstones lie over counts as garbage too: if it was
/// written after them, one rewrite is in vain, which then takes them away or further down.
fn garbage_bytes(
    levels: &Levels<'_>,
    level: usize,
    table: &TableProperties,
    entry_below: u64,
) -> u64 {
    let hides = levels.tombstones.get(&table.number).map_or(&[][..], |list| list);
    if table.entries == 0 || covered::spans(hides, table) {
        return table.bytes + range_garbage_bytes(levels, level, hides);
    }
    let useless = u128::from(table.superseded.saturating_add(table.clears));
    let own = u128::from(table.bytes) * useless / u128::from(table.entries);
    let own = u64::try_from(own).unwrap_or(u64::MAX).min(table.bytes);
    own + table.clears.saturating_mul(entry_below) + range_garbage_bytes(levels, level, hides)
}

fn range_garbage_bytes(levels: &Levels<'_>, level: usize, hides: &[RangeTombstone]) -> u64 {
    let below = (level + 1..LEVELS).map(|below| covered::overlapped_bytes(levels, below, hides));
    below.sum::<u64>() / 2
}

#[cfg(test)]
mod tests;
