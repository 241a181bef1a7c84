//! What range tombstones cover of the tables below them.

use plinth_protocol::Version;

use super::levels::{LEVELS, Levels};
use crate::engine::{
    layer::RangeTombstone,
    table::{TableNumber, TableProperties},
};

/// The tables of which no version at or above the horizon sees anything, because range tombstones of
/// another table hide all of it. To drop them changes nothing: the tombstones stay.
pub(super) fn hidden_tables(levels: &Levels<'_>, horizon: Version) -> Vec<TableNumber> {
    let mut hidden = Vec::new();
    for (number, list) in &levels.tombstones {
        if levels.busy.contains(number) {
            continue;
        }
        let candidates = (0..LEVELS).flat_map(|level| near(levels, level, list));
        hidden.extend(
            candidates
                .filter(|table| table.number != *number && !levels.busy.contains(&table.number))
                .filter(|table| hides(list, table, horizon))
                .map(|table| table.number),
        );
    }
    hidden.sort_unstable();
    hidden.dedup();
    hidden
}

/// About how many bytes of a level the list's tombstones meet.
pub(super) fn overlapped_bytes(levels: &Levels<'_>, level: usize, list: &[RangeTombstone]) -> u64 {
    let is_met = |table: &&&TableProperties| {
        let next = list.partition_point(|tombstone| tombstone.end <= table.begin);
        list.get(next).is_some_and(|tombstone| tombstone.begin < table.end)
    };
    near(levels, level, list).iter().filter(is_met).map(|table| table.bytes).sum()
}

/// The tables of a level that lie where the list's tombstones are, and maybe others.
fn near<'l, 'a>(
    levels: &'l Levels<'a>,
    level: usize,
    list: &[RangeTombstone],
) -> &'l [&'a TableProperties] {
    match list {
        [] => &[],
        _ if level == 0 => levels.level(0),
        [only] => levels.overlapping(level, only.begin.as_ref(), only.end.as_ref()),
        [low, .., high] => levels.overlapping(level, low.begin.as_ref(), high.end.as_ref()),
    }
}

/// Whether the list's tombstones, of whatever version, lie over all keys of the table.
pub(super) fn spans(list: &[RangeTombstone], table: &TableProperties) -> bool {
    spans_with(list, table, |_| true)
}

/// Whether the list's tombstones hide all of the table from all versions at or above the horizon.
fn hides(list: &[RangeTombstone], table: &TableProperties, horizon: Version) -> bool {
    spans_with(list, table, |tombstone| {
        let seen = tombstone.stamps.iter().find(|stamp| stamp.version <= horizon);
        seen.is_some_and(|stamp| stamp.version > table.greatest_version)
    })
}

/// Whether those of the list's tombstones that count lie over all keys of the table.
fn spans_with(
    list: &[RangeTombstone],
    table: &TableProperties,
    counts: impl Fn(&RangeTombstone) -> bool,
) -> bool {
    let mut from = &table.begin;
    let next = list.partition_point(|tombstone| tombstone.end <= *from);
    for tombstone in list.iter().skip(next) {
        if tombstone.begin > *from || !counts(tombstone) {
            return false;
        }
        from = &tombstone.end;
        if *from >= table.end {
            return true;
        }
    }
    false
}
