//! The tables' part of a check.

use std::{ops::ControlFlow, path::Path};

use super::{Finding, Use, Verifier};
use crate::engine::{
    manifest::{ManifestState, files::numbered, look::look, state::LEVELS},
    table::{Table, TableError, TableNumber, TableProperties},
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
        let before = self.progress.done_bytes;
        let table = match Table::open(self.vfs, &path, expected.number) {
            Ok(table) => table,
            Err(error) => {
                self.advance(expected.bytes)?;
                return ControlFlow::Continue(vec![error]);
            }
        };
        let mut flow = ControlFlow::Continue(());
        let mut errors = table.verify(&mut |done| {
            // A table that is begun is looked at to its end, so that nothing half is reported.
            if flow.is_continue() {
                let told = self.progress.done_bytes - before;
                flow = self.advance(done.min(expected.bytes).saturating_sub(told));
            }
        });
        flow?;
        if table.properties() != expected {
            let what = "the table is not the one that the manifest names";
            errors.push(TableError::damaged(&path, 0, what));
        }
        self.advance(expected.bytes.saturating_sub(self.progress.done_bytes - before))?;
        ControlFlow::Continue(errors)
    }
}
