//! The files' part of a check: which are there, and what they are for.

use std::path::Path;

use super::{Finding, Verifier};
use crate::engine::manifest::{
    ManifestState,
    files::{number_of, numbered},
    ids::{IDS_EXTENSION, read_ids},
};

/// What a data directory has, beside directories that a repair has left.
const KNOWN: [&str; 10] = [
    "LOCK",
    "RESERVE",
    "IDENTITY",
    "IDENTITY.new",
    "log",
    "manifest",
    "tables",
    "backups",
    "fdb.cluster",
    "fdb.cluster.new",
];

/// What the directories of a repair are called, with a number behind it.
pub(in crate::engine) const REPAIR_PREFIX: &str = "repair-";

impl Verifier<'_> {
    /// The file of ids that the manifest names.
    pub(super) fn check_ids(&mut self, state: &ManifestState) {
        let Some(number) = state.flushed.and_then(|flushed| flushed.ids) else { return };
        let directory = self.look.manifest_path();
        if let Err(error) = read_ids(self.vfs, &directory, number, self.look.database_id.0) {
            // In use, a newer one may have replaced it meanwhile.
            let path = numbered(&directory, number, IDS_EXTENSION);
            if self.vfs.exists(&path).unwrap_or(true) || !self.is_replaced(number) {
                self.find(Finding::of_manifest(&directory, &error));
            }
        }
    }

    fn is_replaced(&self, ids: u64) -> bool {
        let state = self.state_now();
        state.is_some_and(|state| state.flushed.and_then(|flushed| flushed.ids) != Some(ids))
    }

    /// Whether there is a file that is called like a table.
    pub(super) fn has_tables(&self) -> bool {
        // What can't be listed is found out later.
        let names = self.vfs.list(&self.look.tables_path()).unwrap_or_default();
        names.iter().any(|name| number_of(name, "table").is_some())
    }

    /// Files that nobody knows, and tables that the manifest doesn't.
    pub(super) fn check_names(&mut self, state: Option<&ManifestState>) {
        let root = self.look.path.clone();
        for name in self.names(&root) {
            let is_known = KNOWN.iter().any(|known| name == *known)
                || name.to_string_lossy().starts_with(REPAIR_PREFIX);
            if !is_known {
                self.find(Finding::notice(root.join(name), None, "this is no file of Plinth's"));
            }
        }
        let Some(state) = state else { return };
        let tables = self.look.tables_path();
        for name in self.names(&tables) {
            let number = number_of(&name, "table");
            let text = match number {
                Some(number) if state.tables.keys().any(|table| table.0 == number) => continue,
                // In use, it may just be being written.
                Some(_) if self.in_use == super::Use::Open => continue,
                Some(_) => "the manifest does not name this table; the next start removes it",
                None => "this is no table",
            };
            self.find(Finding::notice(tables.join(name), None, text));
        }
    }

    fn names(&mut self, directory: &Path) -> Vec<std::ffi::OsString> {
        if !self.vfs.exists(directory).unwrap_or(true) {
            return Vec::new();
        }
        self.vfs.list(directory).unwrap_or_else(|error| {
            self.find(Finding::damage(directory.to_path_buf(), None, error.to_string()));
            Vec::new()
        })
    }
}
