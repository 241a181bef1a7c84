//! How an engine is set up.

use std::{path::PathBuf, sync::Arc, time::Duration};

use plinth_protocol::{Durability, limits::Limits};

use super::{RecoveryProgress, StorageOptions, directory::DatabaseId, wal::LogOptions};
use crate::{
    clock::{Clock, SystemClock},
    random::Random,
    vfs::{MemoryVfs, OsVfs, Vfs},
};

/// When a commit is answered, and visible to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilityMode {
    /// When it is on the disk.
    Sync,
    /// When it is handed to the operating system; the disk is synced this often. The operating
    /// system's crash may lose what was committed since the last sync, the process's crash nothing.
    Interval(Duration),
    /// When it is in memory; the log is written behind it, and synced at close. A crash may lose
    /// the last commits.
    None,
}

impl DurabilityMode {
    /// The strongest durability that a commit gets.
    pub(crate) fn level(self) -> Durability {
        match self {
            Self::Sync => Durability::Sync,
            Self::Interval(_) => Durability::Interval,
            Self::None => Durability::None,
        }
    }
}

/// Who drives the commit pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    /// Two threads of the engine's own: the sequencer and the log.
    Threads,
    /// The caller, by [`Engine::step`](super::Engine::step): everything happens on its thread, in
    /// an order that it chooses, for simulation.
    Manual,
}

/// How an engine is set up. Every queue, buffer and memory has its bound here.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where files are.
    pub vfs: Arc<dyn Vfs>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The data directory; created if it isn't there.
    pub directory: PathBuf,
    /// When a commit counts as done.
    pub durability: DurabilityMode,
    /// How often commits are synced that asked for less than `durability`.
    pub lowered_sync_interval: Duration,
    /// How long a read version can be read and committed at without a pin.
    pub window: Duration,
    /// What a commit may hold.
    pub limits: Limits,
    /// Keys the hashes of what comes from strangers; unguessable in a server, fixed in a simulation.
    pub seed: u64,
    /// The name of the database, should the directory have to be created.
    pub new_database_id: DatabaseId,
    /// How the log is cut into files; what it says of ids and seeds is overridden.
    pub log: LogOptions,
    /// When memory goes to tables, and how these are kept.
    pub storage: StorageOptions,
    /// Says how far opening is, to whoever has kept it.
    pub recovery_progress: Arc<RecoveryProgress>,
    /// Who drives commits.
    pub pipeline: Pipeline,
    /// The most commits that wait for the sequencer.
    pub queue_items_max: usize,
    /// The most bytes of commits that wait for the sequencer.
    pub queue_bytes_max: usize,
    /// The most commits of a batch.
    pub batch_items_max: usize,
    /// The most bytes of a batch, unless one commit alone is larger.
    pub batch_bytes_max: usize,
    /// How often the read version of an idle database moves.
    pub tick: Duration,
    /// How far ahead of use versions are reserved on disk: a restart goes on above.
    pub ceiling_ahead: Duration,
    /// The most watches at a time.
    pub watches_max: usize,
    /// The most memory for the keys and values that watches know.
    pub watches_bytes_max: usize,
    /// The most pinned snapshots at a time.
    pub pins_max: usize,
    /// How long the outcome of a commit with an idempotency id is remembered.
    pub idempotency_keep: Duration,
    /// The most memory for remembered outcomes; the oldest are forgotten beyond it.
    pub idempotency_bytes_max: usize,
}

impl EngineOptions {
    /// A durable engine on the real disk in `directory`, with FoundationDB's limits.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            vfs: Arc::new(OsVfs),
            clock: Arc::new(SystemClock::new()),
            directory: directory.into(),
            durability: DurabilityMode::Sync,
            lowered_sync_interval: Duration::from_secs(1),
            window: Duration::from_secs(5),
            limits: Limits::DEFAULT,
            seed: u64::from_le_bytes(unguessable()),
            new_database_id: DatabaseId(unguessable()),
            log: LogOptions::default(),
            storage: StorageOptions::default(),
            recovery_progress: Arc::default(),
            pipeline: Pipeline::Threads,
            queue_items_max: 1 << 16,
            queue_bytes_max: 64 << 20,
            batch_items_max: 1024,
            batch_bytes_max: 4 << 20,
            tick: Duration::from_millis(10),
            ceiling_ahead: Duration::from_mins(1),
            watches_max: 100_000,
            watches_bytes_max: 256 << 20,
            pins_max: 10_000,
            idempotency_keep: Duration::from_mins(10),
            idempotency_bytes_max: 64 << 20,
        }
    }

    /// A new, empty engine in memory, which ends with the process. Besides what users store it takes
    /// memory for the log of what was written last, so that goes to tables sooner.
    pub fn in_memory() -> Self {
        Self {
            vfs: Arc::new(MemoryVfs::new()),
            durability: DurabilityMode::None,
            log: LogOptions {
                segment_bytes: 4 << 20,
                zero_fill_bytes: 64 << 10,
                spares_max: 1,
                reads_ahead: false,
                ..LogOptions::default()
            },
            storage: StorageOptions {
                memtable_bytes: 64 << 20,
                log_bytes_max: 64 << 20,
                level1_bytes: 64 << 20,
                ..StorageOptions::default()
            },
            ..Self::new("/memory")
        }
    }
}

impl Default for EngineOptions {
    /// [`EngineOptions::new`] without a directory; whoever opens the engine names one.
    fn default() -> Self {
        Self::new(PathBuf::new())
    }
}

/// Bytes from the system's randomness; should it have none, those of where things are in memory
/// and of the moment, which still differ from one start to the next.
fn unguessable<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() {
        let place = Box::new(0_u8);
        let clock = SystemClock::new();
        Random::new((&raw const *place).addr() as u64 ^ clock.wall_millis()).fill(&mut bytes);
    }
    bytes
}
