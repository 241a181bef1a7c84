//! What a manifest says: which tables there are, and how far they reach.

use std::collections::BTreeMap;

use plinth_protocol::Version;

use crate::engine::table::{TableNumber, TableProperties};

/// Levels are numbered from zero; there are so many.
pub(in crate::engine) const LEVELS: u8 = 7;

/// How far the tables reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// Every commit up to this version is in the tables, as far as anyone can still see it.
    pub version: Version,
    /// The first segment of the log with a commit above that version.
    pub log_start: u64,
    /// The file with the idempotency ids of commits up to that version, if any were remembered.
    pub ids: Option<u64>,
}

/// A change of the set of tables, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Tables that are there from now on, with their levels.
    pub(in crate::engine) added: Vec<(u8, TableProperties)>,
    /// Tables that no longer are. A table that is removed and added moves to another level.
    pub(in crate::engine) removed: Vec<TableNumber>,
    /// How far the tables reach now, if that has changed.
    pub(in crate::engine) flushed: Option<Flushed>,
    /// Versions are reserved up to here; the log that says so may go.
    pub(in crate::engine) ceiling: Option<Version>,
}

/// The sum of all edits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestState {
    /// The tables and their levels.
    pub(in crate::engine) tables: BTreeMap<TableNumber, (u8, TableProperties)>,
    /// How far they reach; nowhere before the first flush.
    pub(in crate::engine) flushed: Option<Flushed>,
    /// Versions are reserved up to here, and maybe further by the log.
    pub(in crate::engine) ceiling: Version,
    /// Tables and files of ids get numbers from this one on.
    pub(in crate::engine) next_number: u64,
}

impl ManifestState {
    /// Carries out an edit, or says why it makes no sense and is then of no use any more.
    pub(super) fn apply(&mut self, edit: &Edit) -> Result<(), &'static str> {
        for number in &edit.removed {
            if self.tables.remove(number).is_none() {
                return Err("a table is removed that is not there");
            }
        }
        for (level, properties) in &edit.added {
            if *level >= LEVELS {
                return Err("a table is added to a level that does not exist");
            }
            let number = properties.number;
            if self.tables.insert(number, (*level, properties.clone())).is_some() {
                return Err("a table is added that is there already");
            }
            self.next_number = self.next_number.max(number.0.saturating_add(1));
        }
        if let Some(flushed) = edit.flushed {
            let is_back = |before: Flushed| {
                flushed.version < before.version || flushed.log_start < before.log_start
            };
            if self.flushed.is_some_and(is_back) {
                return Err("the tables reach less far than before");
            }
            if let Some(ids) = flushed.ids {
                self.next_number = self.next_number.max(ids.saturating_add(1));
            }
            self.flushed = Some(flushed);
        }
        self.ceiling = self.ceiling.max(edit.ceiling.unwrap_or(Version::ZERO));
        Ok(())
    }

    /// The edit that makes this of nothing.
    pub(super) fn as_edit(&self) -> Edit {
        Edit {
            added: self.tables.values().cloned().collect(),
            removed: Vec::new(),
            flushed: self.flushed,
            ceiling: Some(self.ceiling),
        }
    }

    /// How many tables there are.
    pub fn table_count(&self) -> usize {
        self.tables.len()
    }

    /// How far the tables reach; nowhere before the first flush.
    pub fn flushed(&self) -> Option<Flushed> {
        self.flushed
    }
}
