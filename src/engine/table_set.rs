//! The tables of the store, by level.
//!
//! In level 0 are the tables that memtables became, newest first; their keys overlap. In a level
//! below that, each key is in one table at the most, and the tables are in the order of their keys.
//! Of a key, each level holds only what is newer than in the levels below.

use std::{collections::BTreeSet, sync::Arc};

use plinth_protocol::Version;

use super::{
    key::{Digests, KeyRef},
    layer::{LayerCursor, Lookup},
    memtable::Direction,
    merge::LevelCursor,
    read_error::ReadError,
    table::{ReadIo, Table, TableNumber, filter_hash},
};

/// How many levels there are.
pub(super) const LEVELS: usize = 7;

/// Which tables count. Never changes; levels that a change leaves alone are shared with the set
/// before.
#[derive(Clone, Debug)]
pub(super) struct TableSet {
    levels: [Arc<[Arc<Table>]>; LEVELS],
    /// Of each level below 0, where its tables end.
    ends: [Arc<Digests>; LEVELS],
}

/// Where these tables end, whose order is that of their keys.
fn ends_of(tables: &[Arc<Table>]) -> Digests {
    let end = |at: usize| tables.get(at).map(|table| table.properties().end.as_ref());
    Digests::build(tables.len(), |at| end(at).unwrap_or(KeyRef::FIRST))
}

impl TableSet {
    /// No tables.
    pub(super) fn empty() -> Self {
        let nothing: Arc<[Arc<Table>]> = Arc::new([]);
        Self {
            levels: std::array::from_fn(|_| Arc::clone(&nothing)),
            ends: std::array::from_fn(|_| Arc::default()),
        }
    }

    /// This set without the tables of these numbers, and then with these at their levels. A table
    /// that only moves is in both lists.
    ///
    /// # Panics
    /// If a level is none of [`LEVELS`].
    pub(super) fn with(&self, added: &[(u8, Arc<Table>)], removed: &[TableNumber]) -> Self {
        assert!(added.iter().all(|(level, _)| usize::from(*level) < LEVELS), "levels are few");
        let removed: BTreeSet<TableNumber> = removed.iter().copied().collect();
        let is_removed = |table: &Arc<Table>| removed.contains(&table.properties().number);
        let levels: [Arc<[Arc<Table>]>; LEVELS] = std::array::from_fn(|level| {
            let before = self.level(level);
            let is_here = |(to, _): &&(u8, Arc<Table>)| usize::from(*to) == level;
            if !added.iter().any(|table| is_here(&table)) && !before.iter().any(is_removed) {
                return self.levels.get(level).map_or_else(|| Arc::new([]) as _, Arc::clone);
            }
            let kept = before.iter().filter(|table| !is_removed(table));
            let new = added.iter().filter(is_here).map(|(_, table)| table);
            let mut tables: Vec<Arc<Table>> = kept.chain(new).cloned().collect();
            if level == 0 {
                // Where two overlap, all that is in one was written before all in the other.
                let age = |table: &Arc<Table>| {
                    let properties = table.properties();
                    (properties.greatest_version, properties.number)
                };
                tables.sort_by_key(|table| std::cmp::Reverse(age(table)));
            } else {
                let begin = |table: &Arc<Table>| table.properties().begin.clone();
                tables.sort_by_cached_key(begin);
                debug_assert!(
                    tables.windows(2).all(|pair| match pair {
                        [left, right] => left.properties().end <= right.properties().begin,
                        _ => true,
                    }),
                    "tables of level {level} don't overlap"
                );
            }
            tables.into()
        });
        let ends = std::array::from_fn(|level| {
            let (before, now) = (self.levels.get(level), levels.get(level));
            match (self.ends.get(level), before.zip(now)) {
                (Some(ends), Some((before, now))) if Arc::ptr_eq(before, now) => Arc::clone(ends),
                (_, Some((_, now))) if level > 0 => Arc::new(ends_of(now)),
                _ => Arc::default(),
            }
        });
        Self { levels, ends }
    }

    /// The tables of a level: of level 0 newest first, of others by key. Empty if there is no such
    /// level.
    pub(super) fn level(&self, level: usize) -> &[Arc<Table>] {
        self.levels.get(level).map_or(&[], |tables| tables)
    }

    /// All tables with their levels.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &Arc<Table>)> {
        (0..)
            .zip(&self.levels)
            .flat_map(|(level, tables)| tables.iter().map(move |table| (level, table)))
    }

    /// Whether there are no tables.
    pub(super) fn is_empty(&self) -> bool {
        self.levels.iter().all(|tables| tables.is_empty())
    }

    /// The tables of a level below 0 with anything from `begin` to before `end`.
    fn within(&self, level: usize, begin: KeyRef<'_>, end: KeyRef<'_>) -> &[Arc<Table>] {
        let tables = self.level(level);
        let first = tables.partition_point(|table| table.properties().end.as_ref() <= begin);
        let after = tables.partition_point(|table| table.properties().begin.as_ref() < end);
        tables.get(first..after).unwrap_or_default()
    }

    /// The tables of a level with anything from `begin` to before `end`.
    fn overlapping(
        &self,
        level: usize,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
    ) -> impl Iterator<Item = &Arc<Table>> {
        let within = if level == 0 { self.level(0) } else { self.within(level, begin, end) };
        // Level 0 is not in the order of keys.
        within.iter().filter(move |table| level > 0 || table.properties().overlaps(begin, end))
    }

    /// The table of a level below 0 that has this key, if any has.
    fn table_for(&self, level: usize, key: KeyRef<'_>) -> Option<&Arc<Table>> {
        let (tables, ends) = (self.levels.get(level)?, self.ends.get(level)?);
        let end = |at: usize| tables.get(at).map(|table| table.properties().end.as_ref());
        let at = match ends.find(key, |at| end(at).unwrap_or(KeyRef::FIRST)) {
            // Ends are the first keys after.
            Ok(before) => before + 1,
            Err(at) => at,
        };
        tables.get(at)
    }

    /// What the tables know of a key at a version.
    pub(super) fn get<'a>(
        &'a self,
        key: KeyRef<'_>,
        version: Version,
        io: &'a ReadIo,
    ) -> Result<Lookup<'a>, ReadError> {
        let below: [Option<&Arc<Table>>; LEVELS - 1] =
            std::array::from_fn(|above| self.table_for(above + 1, key));
        let tables = || self.level(0).iter().chain(below.into_iter().flatten());
        let hash = filter_hash(key);
        tables().for_each(|table| table.prefetch(key, hash, io));
        for table in tables() {
            // It looks at its bounds itself.
            let found = table.get(key, version, io)?;
            if found != Lookup::Unknown {
                return Ok(found);
            }
        }
        Ok(Lookup::Unknown)
    }

    /// The layers that a read at a version of the keys from `begin` to before `end` has to do with,
    /// newest first.
    pub(super) fn cursors<'a>(
        &'a self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        version: Version,
        direction: Direction,
        io: &'a ReadIo,
        layers: &mut Vec<Box<dyn LayerCursor + 'a>>,
    ) {
        for table in self.level(0) {
            let properties = table.properties();
            if properties.overlaps(begin, end) && properties.least_version <= version {
                layers.push(Box::new(table.cursor(version, direction, io)));
            }
        }
        for level in 1..LEVELS {
            match self.within(level, begin, end) {
                [] => {}
                [table] => layers.push(Box::new(table.cursor(version, direction, io))),
                within => layers.push(Box::new(LevelCursor::new(within, version, direction, io))),
            }
        }
    }

    /// Whether a table may hold a version of a key from `begin` to before `end`.
    pub(super) fn may_hold(&self, begin: KeyRef<'_>, end: KeyRef<'_>) -> bool {
        let holds = |table: &Arc<Table>| {
            let properties = table.properties();
            properties.entries > 0 && properties.overlaps(begin, end)
        };
        (0..LEVELS).any(|level| self.overlapping(level, (begin, end)).any(holds))
    }

    /// Whether a table may hold a version of the key, going by what the tables' ends are.
    pub(super) fn may_hold_key(&self, key: KeyRef<'_>) -> bool {
        let holds =
            |table: &Arc<Table>| table.properties().entries > 0 && table.properties().contains(key);
        self.level(0).iter().any(holds)
            || (1..LEVELS).any(|level| self.table_for(level, key).is_some_and(holds))
    }

    /// Whether any key from `begin` to before `end` was written, alone or with others, after
    /// `since`.
    pub(super) fn written_since(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        since: Version,
        io: &ReadIo,
    ) -> Result<bool, ReadError> {
        if begin >= end {
            return Ok(false);
        }
        for level in 0..LEVELS {
            for table in self.overlapping(level, (begin, end)) {
                if table.properties().greatest_version > since
                    && table.written_since((begin, end), since, io)?
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Shows pieces of the range as keys with the number of bytes from there to the next, about,
    /// table by table, each in order.
    pub(super) fn measure(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        io: &ReadIo,
        visit: &mut dyn FnMut(&[u8], u64),
    ) -> Result<(), ReadError> {
        if begin >= end {
            return Ok(());
        }
        for level in 0..LEVELS {
            for table in self.overlapping(level, (begin, end)) {
                table.measure((begin, end), io, visit)?;
            }
        }
        Ok(())
    }
}
