//! The engine: a multi-version store in memory and the commits that change it.
//!
//! Blocking, without async, ignorant of sockets and sessions; embeddable. [`Engine`] is what its
//! users hold. Inside, a commit goes through [`commit`](mod@commit) into the log and the store; a
//! read looks at the store alone, at a version that has been published.

mod back_pressure;
pub(crate) mod background;
pub mod backup;
pub(crate) mod commit;
mod compaction;
pub mod conflict;
mod damage;
pub mod directory;
mod facade;
mod file_header;
mod flush;
pub(crate) mod idempotency;
pub mod inspect;
mod key;
mod layer;
mod live_tables;
pub mod manifest;
mod memtable;
mod merge;
mod options;
mod pin;
mod planted;
mod prefetch;
pub mod read_error;
mod reader;
mod recovery;
mod recovery_progress;
pub mod repair;
pub(crate) mod reserve;
mod shared;
mod stats;
mod storage_options;
pub mod store;
pub mod table;
mod table_set;
pub mod verify;
pub(crate) mod version_clock;
mod view;
mod visible;
pub mod wal;
pub(crate) mod watch;
mod watching;
pub mod write;

#[cfg(test)]
mod format_page;
#[cfg(test)]
mod tests;

pub use commit::{CommitSink, threads::Stage};
pub use compaction::stats::CompactionStats;
pub use facade::Engine;
#[cfg(feature = "server")]
pub(crate) use memtable::TOGETHER_MAX;
pub use options::{DurabilityMode, EngineOptions, Pipeline};
pub use pin::Pin;
pub use reader::{EngineReader, NotRead, TryReader};
pub use recovery::OpenError;
pub use recovery_progress::RecoveryProgress;
pub use stats::{BackgroundStats, EngineStats, LatencyHistogram, LevelStats, RecoveryStats};
pub use storage_options::StorageOptions;
pub use store::PointRead;
pub use watching::{UncheckedWatch, WatchHandle};
