//! The tables that count: in the manifest and in the store, always the same ones.
//!
//! A change first becomes durable in the manifest and then visible in the store, one change at a
//! time. Only then the files go that it made useless. The other way round for what a change adds:
//! the files are whole and durable, and so are their names, before the manifest names them.
//!
//! A change that failed while the manifest was written is in doubt: after a crash it may turn out to
//! count. Until another one has succeeded, which settles it, its files stay.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use plinth_protocol::Version;

use super::{
    directory::DataDirectory,
    manifest::{
        Edit, Flushed, Manifest, ManifestError, ManifestOptions, ManifestReport, ManifestState,
        files::{number_of, numbered},
        ids::IDS_EXTENSION,
        state::LEVELS,
    },
    memtable::FrozenMemtable,
    planted::{Bug, is_planted},
    stats::LevelStats,
    store::Store,
    table::{Table, TableError, TableNumber},
};
use crate::{sync::Mutex, vfs::Vfs};

/// Of a table's file.
const TABLE_EXTENSION: &str = "table";

/// The tables of a database, open for changes.
#[derive(Debug)]
pub(crate) struct LiveTables {
    vfs: Arc<dyn Vfs>,
    tables_path: PathBuf,
    manifest_path: PathBuf,
    database_id: [u8; 16],
    state: Mutex<State>,
    /// As the state has it.
    levels: Mutex<Vec<LevelStats>>,
}

#[derive(Debug)]
struct State {
    manifest: Manifest,
    /// Files of changes in doubt.
    doubtful: Vec<PathBuf>,
    /// Who needs that no file goes.
    holds: usize,
    /// Files to be removed when nobody does any more.
    remove_later: Vec<PathBuf>,
}

/// What opening has found.
#[derive(Debug, Default)]
pub(in crate::engine) struct LiveTablesReport {
    pub(in crate::engine) manifest: ManifestReport,
    /// The tables with their levels.
    pub(in crate::engine) tables: Vec<(u8, Arc<Table>)>,
    /// Files that no change had made count, and that were removed.
    pub(in crate::engine) orphans: u64,
}

/// Why the tables can't be opened.
#[derive(Debug)]
pub(in crate::engine) enum LiveTablesError {
    Manifest(ManifestError),
    Table(TableError),
}

impl From<ManifestError> for LiveTablesError {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

impl From<TableError> for LiveTablesError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

/// Keeps files from being removed until it is dropped.
#[derive(Debug)]
pub(in crate::engine) struct TablesHold {
    live: Arc<LiveTables>,
    state: ManifestState,
}

impl TablesHold {
    /// What counted when the hold began. All of its files are there.
    pub(in crate::engine) fn state(&self) -> &ManifestState {
        &self.state
    }
}

impl Drop for TablesHold {
    fn drop(&mut self) {
        let mut state = self.live.state.lock();
        state.holds -= 1;
        if state.holds == 0 {
            let files = std::mem::take(&mut state.remove_later);
            drop(state);
            self.live.remove_files(files);
        }
    }
}

impl LiveTables {
    /// Opens the manifest and the tables that it names, and removes all others.
    pub(in crate::engine) fn open(
        vfs: &Arc<dyn Vfs>,
        directory: &DataDirectory,
        options: ManifestOptions,
    ) -> Result<(Self, LiveTablesReport), LiveTablesError> {
        let (tables_path, manifest_path) = (directory.tables_path(), directory.manifest_path());
        vfs.create_directory(&tables_path).map_err(ManifestError::from)?;
        vfs.sync_directory(directory.path()).map_err(ManifestError::from)?;
        let found = files_in(&**vfs, &tables_path, TABLE_EXTENSION)?;
        if !found.is_empty() && !Manifest::is_in(&**vfs, &manifest_path)? {
            return Err(ManifestError::Missing { directory: manifest_path }.into());
        }
        let database_id = options.database_id;
        let (mut manifest, report) = Manifest::open(vfs, &manifest_path, options)?;
        let mut report = LiveTablesReport { manifest: report, ..LiveTablesReport::default() };
        for (number, (level, properties)) in &manifest.state().tables {
            let path = numbered(&tables_path, number.0, TABLE_EXTENSION);
            let table = Table::open(&**vfs, &path, *number)?;
            if table.properties() != properties {
                let what = "the table is another one than the manifest names";
                return Err(TableError::damaged(&path, 0, what).into());
            }
            report.tables.push((*level, Arc::new(table)));
        }
        let ids = files_in(&**vfs, &manifest_path, IDS_EXTENSION)?;
        let state = manifest.state();
        let kept = state.flushed.and_then(|flushed| flushed.ids);
        // What was made before the end of the last run, and did not come to count.
        let tables =
            found.iter().filter(|number| !state.tables.contains_key(&TableNumber(**number)));
        let tables = tables.map(|number| numbered(&tables_path, *number, TABLE_EXTENSION));
        let ids_left = ids.iter().filter(|number| Some(**number) != kept);
        let ids_left = ids_left.map(|number| numbered(&manifest_path, *number, IDS_EXTENSION));
        let mut orphans: Vec<PathBuf> = tables.chain(ids_left).collect();
        if is_planted(Bug::OrphansStay) {
            orphans.clear();
        }
        if let Some(greatest) = found.last().max(ids.last()) {
            manifest.skip_numbers(*greatest);
        }
        let state = State { manifest, doubtful: Vec::new(), holds: 0, remove_later: Vec::new() };
        let live = Self {
            vfs: Arc::clone(vfs),
            tables_path,
            manifest_path,
            database_id,
            levels: Mutex::new(level_stats(state.manifest.state())),
            state: Mutex::new(state),
        };
        report.orphans = live.remove_files(orphans);
        Ok((live, report))
    }

    /// Where tables are.
    pub(in crate::engine) fn tables_path(&self) -> &Path {
        &self.tables_path
    }

    /// Where the manifest and the files of ids are.
    pub(in crate::engine) fn manifest_path(&self) -> &Path {
        &self.manifest_path
    }

    /// The files they are in.
    pub(in crate::engine) fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.vfs
    }

    /// Which database this is.
    pub(in crate::engine) fn database_id(&self) -> [u8; 16] {
        self.database_id
    }

    /// The path of a table.
    pub(in crate::engine) fn table_path(&self, number: TableNumber) -> PathBuf {
        numbered(&self.tables_path, number.0, TABLE_EXTENSION)
    }

    /// The path of a file of ids.
    pub(in crate::engine) fn ids_path(&self, number: u64) -> PathBuf {
        numbered(&self.manifest_path, number, IDS_EXTENSION)
    }

    /// A number for a table or a file of ids.
    pub(in crate::engine) fn take_number(&self) -> u64 {
        self.state.lock().manifest.take_number()
    }

    /// What counts.
    pub(in crate::engine) fn manifest_state(&self) -> ManifestState {
        self.state.lock().manifest.state().clone()
    }

    /// Keeps all files that count now until the hold is dropped.
    pub(in crate::engine) fn hold(self: &Arc<Self>) -> TablesHold {
        let mut state = self.state.lock();
        state.holds += 1;
        TablesHold { live: Arc::clone(self), state: state.manifest.state().clone() }
    }

    /// Puts the tables that `frozen` became in its place: everything up to its last version is in
    /// tables from now on. The tables' files are durable; their names need not be.
    pub(in crate::engine) fn flushed_to(
        &self,
        store: &Store,
        frozen: &Arc<FrozenMemtable>,
        tables: Vec<Arc<Table>>,
        flushed: Flushed,
        ceiling: Version,
    ) -> Result<(), ManifestError> {
        let added = tables.iter().map(|table| (0, table.properties().clone())).collect();
        let edit =
            Edit { added, removed: Vec::new(), flushed: Some(flushed), ceiling: Some(ceiling) };
        self.change(&edit, || store.install_flushed(frozen, tables))
    }

    /// Replaces tables by others that hold the same as far as anyone may still read it. The new
    /// tables' files are durable; their names need not be. The files of the old ones are removed.
    pub(in crate::engine) fn replace(
        &self,
        store: &Store,
        added: &[(u8, Arc<Table>)],
        removed: Vec<TableNumber>,
    ) -> Result<(), ManifestError> {
        let properties =
            added.iter().map(|(level, table)| (*level, table.properties().clone())).collect();
        let edit = Edit { added: properties, removed, ..Edit::default() };
        self.change(&edit, || store.install(added, &edit.removed))
    }

    fn change(&self, edit: &Edit, install: impl FnOnce()) -> Result<(), ManifestError> {
        let moved = |number: &TableNumber| {
            edit.added.iter().any(|(_, properties)| properties.number == *number)
        };
        let new_ids = edit.flushed.and_then(|flushed| flushed.ids);
        let is_new = |number: &TableNumber| !edit.removed.contains(number);
        let new_tables = edit.added.iter().map(|(_, properties)| properties.number);
        let mut new: Vec<PathBuf> =
            new_tables.filter(is_new).map(|number| self.table_path(number)).collect();
        let synced =
            if new.is_empty() { Ok(()) } else { self.vfs.sync_directory(&self.tables_path) };
        let synced = synced.and_then(|()| match new_ids {
            Some(_) => self.vfs.sync_directory(&self.manifest_path),
            None => Ok(()),
        });
        new.extend(new_ids.map(|number| self.ids_path(number)));
        let mut state = self.state.lock();
        let gone = edit.removed.iter().filter(|number| !moved(number));
        let gone: Vec<PathBuf> = gone.map(|number| self.table_path(*number)).collect();
        if is_planted(Bug::TablesGoTooEarly) {
            self.remove_files(gone.clone());
        }
        let old_ids = state.manifest.state().flushed.and_then(|flushed| flushed.ids);
        match synced.map_err(ManifestError::from).and_then(|()| state.manifest.commit(edit)) {
            Ok(()) => {
                install();
                *self.levels.lock() = level_stats(state.manifest.state());
            }
            Err(error) => {
                state.doubtful.append(&mut new);
                return Err(error);
            }
        }
        let mut useless = std::mem::take(&mut state.doubtful);
        useless.extend(gone);
        if edit.flushed.is_some() {
            useless.extend(old_ids.map(|number| self.ids_path(number)));
        }
        if state.holds > 0 {
            state.remove_later.append(&mut useless);
        }
        drop(state);
        self.remove_files(useless);
        Ok(())
    }

    /// Removes files that don't count; what can't be removed is an orphan of the next start. Answers
    /// how many were.
    pub(in crate::engine) fn remove_files(&self, files: Vec<PathBuf>) -> u64 {
        let mut count = 0;
        for path in files {
            match self.vfs.remove(&path) {
                Ok(()) => count += 1,
                Err(error) => tracing::warn!(%error, "a file that is not needed is left behind"),
            }
        }
        count
    }

    /// Removes what may have been made of files that don't count.
    pub(in crate::engine) fn remove_if_there(&self, mut files: Vec<PathBuf>) {
        files.retain(|path| self.vfs.exists(path).unwrap_or(true));
        self.remove_files(files);
    }

    /// The tables of each level. Doesn't wait for the disk.
    pub(in crate::engine) fn level_stats(&self) -> Vec<LevelStats> {
        self.levels.lock().clone()
    }

    /// The bytes of all tables. Doesn't wait for the disk.
    pub(in crate::engine) fn tables_bytes(&self) -> u64 {
        self.levels.lock().iter().map(|level| level.bytes).sum()
    }

    /// How many tables level 0 has. Doesn't wait for the disk.
    pub(in crate::engine) fn level0_len(&self) -> usize {
        self.levels.lock().first().map_or(0, |level| level.tables as usize)
    }
}

fn level_stats(state: &ManifestState) -> Vec<LevelStats> {
    let mut levels = vec![LevelStats::default(); usize::from(LEVELS)];
    for (level, properties) in state.tables.values() {
        if let Some(level) = levels.get_mut(usize::from(*level)) {
            level.tables += 1;
            level.bytes += properties.bytes;
        }
    }
    levels
}

/// The numbers of the files with this extension, ascending.
fn files_in(vfs: &dyn Vfs, directory: &Path, extension: &str) -> Result<Vec<u64>, ManifestError> {
    if !vfs.exists(directory)? {
        return Ok(Vec::new());
    }
    let names = vfs.list(directory)?;
    let mut numbers: Vec<u64> =
        names.iter().filter_map(|name| number_of(name, extension)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
