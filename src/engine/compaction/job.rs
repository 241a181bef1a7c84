//! One compaction: pick, merge, make it count.
//!
//! The tables that are replaced stay what they are until the new ones count; so an error, a crash or
//! a stop at any moment loses nothing but the work. An input that can't be read is an error that
//! names the table; the table is left alone from then on ([`set_aside`](super::set_aside)), and so
//! is everything that could only be compacted together with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use plinth_protocol::Version;

use super::{
    levels::{Levels, Shape},
    pacer::{Pacer, Pressure},
    picker::{self, Pick},
    rewrite::{Neighbours, RewriteError, RewriteInput, rewrite, table_path},
    set_aside::SetAside,
    stats::{CompactionCounters, count},
};
use crate::{
    clock::Clock,
    engine::{
        key::KeyRef,
        layer::{EntryStream, RangeTombstone},
        manifest::ManifestError,
        planted::{Bug, is_planted},
        read_error::ReadError,
        storage_options::StorageOptions,
        table::{Table, TableError, TableNumber, TableProperties},
    },
    vfs::Vfs,
};

/// While memtables wait for the disk, a compaction's bytes count so many times.
const FLUSH_FIRST: u64 = 4;

/// Tables and the levels that they go to.
type Leveled = Vec<(u8, Arc<Table>)>;

/// What a compaction works on.
pub(in crate::engine) trait CompactionHost {
    /// Where files are.
    fn vfs(&self) -> &dyn Vfs;

    /// Where tables are.
    fn tables_path(&self) -> &Path;

    /// The tables that count, by level: level 0 newest first, the others by key.
    fn tables(&self) -> Vec<Vec<Arc<Table>>>;

    /// No version below can be read any more.
    fn horizon(&self) -> Version;

    /// Whether memtables wait to be written to tables.
    fn is_flushing(&self) -> bool;

    /// A number for a table.
    fn take_number(&self) -> TableNumber;

    /// Makes tables count in place of others, in the manifest and for readers. When it fails,
    /// whether they will count after a crash may be in doubt; their files are its own from now on.
    fn replace(
        &self,
        added: &[(u8, Arc<Table>)],
        removed: Vec<TableNumber>,
    ) -> Result<(), ManifestError>;

    /// Removes files that don't count.
    fn remove_files(&self, files: Vec<PathBuf>);

    /// Waits so long, or until what is under way is to be given up: then it breaks. Not at all where
    /// one thread does everything.
    fn wait(&self, duration: Duration) -> ControlFlow<()>;
}

/// Why a compaction was not done.
#[derive(Debug)]
pub(in crate::engine) enum CompactionError {
    /// It was asked to stop.
    Stopped,
    /// A table could not be written, or not be read back.
    Table(TableError),
    /// The change could not be made to count.
    Manifest(ManifestError),
}

impl CompactionError {
    /// Whether there was no space left on the disk.
    pub(in crate::engine) fn is_disk_full(&self) -> bool {
        match self {
            Self::Table(error) => error.is_disk_full(),
            Self::Manifest(ManifestError::File(error)) => error.is_disk_full(),
            Self::Stopped | Self::Manifest(_) => false,
        }
    }
}

impl fmt::Display for CompactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the compaction was stopped"),
            Self::Table(error) => write!(f, "tables could not be compacted: {error}"),
            Self::Manifest(error) => write!(f, "tables could not be compacted: {error}"),
        }
    }
}

impl Error for CompactionError {}

/// Compacts, one compaction at a time.
pub(in crate::engine) struct Compactor {
    options: StorageOptions,
    clock: Arc<dyn Clock>,
    counters: Arc<CompactionCounters>,
    pacer: Pacer,
    /// The range tombstones of the tables that have any.
    tombstones: BTreeMap<TableNumber, Arc<[RangeTombstone]>>,
    set_aside: SetAside,
}

impl Compactor {
    pub(in crate::engine) fn new(
        options: &StorageOptions,
        clock: Arc<dyn Clock>,
        counters: Arc<CompactionCounters>,
    ) -> Self {
        Self {
            pacer: Pacer::new(options.compaction_bytes_per_second),
            options: options.clone(),
            clock,
            counters,
            tombstones: BTreeMap::new(),
            set_aside: SetAside::default(),
        }
    }

    fn shape(&self) -> Shape {
        Shape {
            level0_tables: self.options.level0_tables,
            level1_bytes: self.options.level1_bytes,
            level_ratio: self.options.level_ratio,
            table_bytes_max: self.options.table_bytes_max,
        }
    }

    /// Does what is due most; false if nothing is. After an error the same is due again.
    pub(in crate::engine) fn run_once(
        &mut self,
        host: &dyn CompactionHost,
    ) -> Result<bool, CompactionError> {
        let tables = host.tables();
        let levels = self.look_at(&tables);
        let Some(pick) = picker::pick(&levels, &self.shape(), host.horizon()) else {
            return Ok(false);
        };
        tracing::debug!(?pick, "compaction");
        let find = |number: &TableNumber| {
            let of_level = |level: &Vec<Arc<Table>>| {
                level.iter().find(|table| table.properties().number == *number).cloned()
            };
            tables.iter().find_map(of_level)
        };
        let removed = pick.tables();
        match &pick {
            Pick::Drop(_) => {
                host.replace(&[], removed.clone()).map_err(CompactionError::Manifest)?;
                count(&self.counters.dropped_unread, removed.len() as u64);
            }
            Pick::Move { to, .. } => {
                let moved = removed.iter().filter_map(find);
                let moved: Vec<_> = moved.map(|table| (*to as u8, table)).collect();
                host.replace(&moved, removed.clone()).map_err(CompactionError::Manifest)?;
                count(&self.counters.moves, removed.len() as u64);
            }
            Pick::Merge { to, .. } => {
                let inputs: Vec<_> = removed.iter().filter_map(find).collect();
                let Some(outputs) = self.merge(host, &levels, &inputs, *to)? else {
                    return Ok(true);
                };
                host.replace(&outputs, removed).map_err(CompactionError::Manifest)?;
                let bytes = |table: &Arc<Table>| table.properties().bytes;
                count(&self.counters.compactions, 1);
                count(&self.counters.read_bytes, inputs.iter().map(bytes).sum());
                let written = outputs.iter().map(|(_, table)| bytes(table)).sum();
                count(&self.counters.written_bytes, written);
            }
        }
        Ok(true)
    }

    /// What the picker has to know of the tables.
    fn look_at<'t>(&mut self, tables: &'t [Vec<Arc<Table>>]) -> Levels<'t> {
        let now = self.clock.monotonic_micros();
        let numbers: BTreeSet<TableNumber> =
            tables.iter().flatten().map(|table| table.properties().number).collect();
        self.tombstones.retain(|number, _| numbers.contains(number));
        let mut busy = self.set_aside.numbers(|number| numbers.contains(&number), now);
        for table in tables.iter().flatten() {
            let TableProperties { number, range_tombstones, .. } = table.properties();
            let is_unknown = !self.tombstones.contains_key(number) && !busy.contains(number);
            if *range_tombstones == 0 || !is_unknown {
                continue;
            }
            match table.tombstones() {
                Ok(list) => {
                    self.tombstones.insert(*number, list.into());
                }
                Err(error) => {
                    self.set_aside.add(*number, &error, now);
                    busy.insert(*number);
                }
            }
        }
        self.counters.damaged_tables.store(busy.len() as u64, Ordering::Relaxed);
        let properties = |level: &'t Vec<Arc<Table>>| {
            level.iter().map(|table| table.properties()).collect::<Vec<_>>()
        };
        Levels {
            tables: tables.iter().map(properties).collect(),
            tombstones: self.tombstones.clone(),
            busy,
        }
    }

    /// Merges tables into new ones for level `to`; none if one of them can't be read, which is left
    /// alone then.
    fn merge(
        &mut self,
        host: &dyn CompactionHost,
        levels: &Levels<'_>,
        inputs: &[Arc<Table>],
        to: usize,
    ) -> Result<Option<Leveled>, CompactionError> {
        let mut streams: Vec<Box<dyn EntryStream + '_>> = Vec::new();
        for table in inputs {
            match table.entries() {
                Ok(entries) => streams.push(Box::new(entries)),
                Err(error) => return self.unreadable(inputs, error),
            }
        }
        let numbers = inputs.iter().map(|table| table.properties().number);
        let tombstones = numbers.filter_map(|number| self.tombstones.get(&number));
        let tombstones = tombstones.map(|list| list.to_vec()).collect();
        let is_last = |begin: KeyRef<'_>, end: KeyRef<'_>| {
            // Of level 0, other tables may be older.
            to > 0 && levels.is_last(to, begin, end) || is_planted(Bug::CompactionForgetsClears)
        };
        let forgets = is_planted(Bug::CompactionForgetsSnapshots);
        let input = RewriteInput {
            streams,
            tombstones,
            horizon: if forgets { Version::MAX } else { host.horizon() },
            is_last: &is_last,
            table_bytes_max: if to == 0 { u64::MAX } else { self.options.table_bytes_max },
            neighbours: self.neighbours(levels, inputs, to),
            options: self.options.table(to, levels.all_bytes()),
        };
        let pressure = Pressure::of(
            levels.level(0).len(),
            self.options.level0_tables,
            self.options.level0_slow,
        );
        let (pacer, clock) = (&mut self.pacer, &self.clock);
        let mut pace = |bytes: u64| {
            let counted = if host.is_flushing() { bytes * FLUSH_FIRST } else { bytes };
            let micros = pacer.take(counted, clock.monotonic_micros(), pressure);
            host.wait(Duration::from_micros(micros))
        };
        let (vfs, path) = (host.vfs(), host.tables_path());
        let written = rewrite(vfs, path, input, &mut || host.take_number(), &mut pace);
        let written = match written {
            Ok(written) => written,
            Err(RewriteError::Cancelled) => return Err(CompactionError::Stopped),
            Err(RewriteError::Write(error)) => return Err(CompactionError::Table(error)),
            Err(RewriteError::Read(error)) => return self.unreadable(inputs, error),
        };
        let paths: Vec<_> = written.iter().map(|table| table_path(path, table.number)).collect();
        let numbers = written.iter().map(|table| table.number);
        let opened: Result<Vec<_>, _> = numbers
            .zip(&paths)
            .map(|(number, path)| Table::open(vfs, path, number).map(Arc::new))
            .map(|table| table.map(|table| (to as u8, table)))
            .collect();
        opened.map(Some).map_err(|error| {
            host.remove_files(paths);
            CompactionError::Table(error)
        })
    }

    /// Leaves the table alone that can't be read, so that the next pick is another one.
    fn unreadable(
        &mut self,
        inputs: &[Arc<Table>],
        error: ReadError,
    ) -> Result<Option<Leveled>, CompactionError> {
        // Nothing else can be wrong where one waits for the disk and reads everything.
        let ReadError::Table(error) = error else { return Err(CompactionError::Stopped) };
        let is_it = |table: &&Arc<Table>| table.path() == error.path();
        let Some(table) = inputs.iter().find(is_it) else {
            return Err(CompactionError::Table(error));
        };
        let now = self.clock.monotonic_micros();
        self.set_aside.add(table.properties().number, &error, now);
        Ok(None)
    }

    /// What the tables that are written will meet in their own compaction.
    fn neighbours(&self, levels: &Levels<'_>, inputs: &[Arc<Table>], to: usize) -> Neighbours {
        let begin = inputs.iter().map(|table| &table.properties().begin).min();
        let end = inputs.iter().map(|table| &table.properties().end).max();
        let (Some(begin), Some(end)) = (begin, end) else { return Neighbours::default() };
        let met = match to {
            0 => &[][..],
            _ => levels.overlapping(to + 1, begin.as_ref(), end.as_ref()),
        };
        Neighbours {
            tables: met.iter().map(|table| (table.end.clone(), table.bytes)).collect(),
            bytes_max: picker::neighbours_bytes_max(&self.shape()),
        }
    }
}

#[cfg(test)]
mod tests;
