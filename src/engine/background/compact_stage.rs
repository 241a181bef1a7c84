//! Compacts what is due, one compaction a step.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use plinth_protocol::Version;

use super::Work;
use crate::{
    engine::{
        compaction::job::{CompactionError, CompactionHost, Compactor},
        manifest::ManifestError,
        options::Pipeline,
        shared::Shared,
        table::{Table, TableNumber},
        table_set::LEVELS,
    },
    vfs::Vfs,
};

/// How long nothing is looked at when nothing is due and nobody says otherwise: the horizon moves
/// by itself, and then garbage may go.
const REST: Duration = Duration::from_secs(1);

/// The stage. One thread at a time.
pub(crate) struct CompactStage {
    shared: Arc<Shared>,
    compactor: Compactor,
    /// After a failure: not before this.
    retry_at_micros: Option<u64>,
}

/// What a step of the stage did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompactStep {
    /// The tables are others than before.
    Compacted,
    /// Nothing; look again after so long, or when something is said to be due.
    Rested(Duration),
}

impl CompactStage {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let clock = Arc::clone(&shared.options.clock);
        let counters = Arc::clone(&shared.counters.compaction);
        let compactor = Compactor::new(&shared.options.storage, clock, counters);
        Self { shared, compactor, retry_at_micros: None }
    }

    /// Does the compaction that is due most, if no failure is too recent.
    pub(crate) fn step_in_time(&mut self) -> CompactStep {
        let now = self.shared.options.clock.monotonic_micros();
        match self.retry_at_micros {
            Some(at) if now < at => CompactStep::Rested(Duration::from_micros(at - now)),
            _ => self.step(),
        }
    }

    /// Does the compaction that is due most.
    pub(crate) fn step(&mut self) -> CompactStep {
        let shared = &self.shared;
        if shared.background.is_stopping() {
            return CompactStep::Rested(REST);
        }
        match self.compactor.run_once(&Tables(shared)) {
            Ok(true) => {
                self.retry_at_micros = None;
                shared.background.succeeded(Work::Compact);
                shared.store.bury();
                CompactStep::Compacted
            }
            Ok(false) | Err(CompactionError::Stopped) => CompactStep::Rested(REST),
            Err(error) => {
                let is_disk_full = error.is_disk_full();
                let failures =
                    shared.background.failed(Work::Compact, &error.to_string(), is_disk_full);
                let wait = shared.options.storage.retry_after(failures);
                let now = shared.options.clock.monotonic_micros();
                self.retry_at_micros = Some(now.saturating_add(wait.as_micros() as u64));
                CompactStep::Rested(wait)
            }
        }
    }
}

/// The tables of an engine.
struct Tables<'a>(&'a Shared);

impl CompactionHost for Tables<'_> {
    fn vfs(&self) -> &dyn Vfs {
        &**self.0.live.vfs()
    }

    fn tables_path(&self) -> &Path {
        self.0.live.tables_path()
    }

    fn tables(&self) -> Vec<Vec<Arc<Table>>> {
        let tables = self.0.store.tables();
        (0..LEVELS).map(|level| tables.level(level).to_vec()).collect()
    }

    fn horizon(&self) -> Version {
        self.0.store.horizon()
    }

    fn is_flushing(&self) -> bool {
        self.0.store.frozen_len() > 0
    }

    fn take_number(&self) -> TableNumber {
        TableNumber(self.0.live.take_number())
    }

    fn replace(
        &self,
        added: &[(u8, Arc<Table>)],
        removed: Vec<TableNumber>,
    ) -> Result<(), ManifestError> {
        self.0.live.replace(&self.0.store, added, removed)
    }

    fn remove_files(&self, files: Vec<PathBuf>) {
        self.0.live.remove_files(files);
    }

    fn wait(&self, duration: Duration) -> ControlFlow<()> {
        if self.0.options.pipeline == Pipeline::Threads {
            self.0.background.pause(duration);
        }
        if self.0.background.is_stopping() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
