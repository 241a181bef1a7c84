//! The tables' part of a check.

use std::{io, ops::ControlFlow, path::Path};

use super::{Finding, Use, Verifier};
use crate::engine::{
    manifest::{ManifestState, files::numbered, look::look, state::LEVELS},
    table::{TableError, TableNumber, TableProperties},
};

impl Verifier<'_> {
    /// Every table that the manifest names.
    pub(super) fn check_tables(&mut self, state: &ManifestState) -> ControlFlow<()> {
        let directory = self.look.tables_path();
        for (number, (_, expected)) in &state.tables {
            let errors = self.check_table(&directory, expected)?;
            if errors.is_empty() {
                self.report.tables += 1;
                self.report.table_entries += expected.entries;
                continue;
            }
            // In use, a table that a compaction has replaced meanwhile is none of our business.
            let is_there = self.in_use == Use::Closed
                || self.state_now().is_none_or(|state| state.tables.contains_key(number));
            if !is_there {
                continue;
            }
            for error in &errors {
                let remedy = format!(
                    "to give up what it holds: plinth repair drop-table {} {}",
                    self.look.path.display(),
                    number.0
                );
                self.find(Finding::of_table(error).with_remedy(remedy));
            }
        }
        ControlFlow::Continue(())
    }

    /// What the manifest says now.
    pub(super) fn state_now(&self) -> Option<ManifestState> {
        let directory = self.look.manifest_path();
        let looked = look(self.vfs, &directory, self.look.database_id.0);
        looked.ok().flatten().map(|look| look.state)
    }

    /// That the tables of each level but the first don't overlap.
    pub(super) fn check_levels(&mut self, state: &ManifestState) {
        for level in 1..LEVELS {
            let mut tables: Vec<&TableProperties> =
                state.tables.values().filter(|(of, _)| *of == level).map(|(_, of)| of).collect();
            tables.sort_by(|a, b| a.begin.cmp(&b.begin));
            for pair in tables.windows(2) {
                if let [left, right] = pair
                    && left.end > right.begin
                {
                    let text = format!(
                        "of level {level}, this table overlaps table {}: both have keys between \
                         {:?} and {:?}",
                        right.number.0, right.begin, left.end
                    );
                    let path = self.path_of(left.number);
                    self.find(Finding::damage(path, None, text));
                }
            }
        }
    }

    fn path_of(&self, number: TableNumber) -> std::path::PathBuf {
        numbered(&self.look.tables_path(), number.0, "table")
    }

    fn check_table(
        &mut self,
        directory: &Path,
        expected: &TableProperties,
    ) -> ControlFlow<(), Vec<TableError>> {
        let path = numbered(directory, expected.number.0, "table");
        let file = self.vfs.open_for_reading(&path).and_then(|file| file.len());
        let errors = match file {
            Ok(bytes) if bytes == expected.bytes => Vec::new(),
            Ok(bytes) => {
                vec![TableError::damaged(&path, bytes, "the file has another length than it had")]
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => vec![error.into()],
            Err(error) => vec![error.into()],
        };
        self.advance(expected.bytes)?;
        ControlFlow::Continue(errors)
    }
}
