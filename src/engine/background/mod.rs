//! The background: writes frozen memtables to tables, and compacts tables.
//!
//! Nothing that it does can fail a commit. An error is counted and told, what was begun is taken
//! back, and the same is tried again after a while, longer with every failure. Commits are held back
//! meanwhile by what waits for the disk; the background itself never waits for a commit.

mod compact_stage;
mod flush_stage;
mod signals;
mod threads;

pub(crate) use compact_stage::{CompactStage, CompactStep};
pub(crate) use flush_stage::{FlushStage, FlushStep};
pub(crate) use signals::{Background, Trouble, Work};
pub(crate) use threads::BackgroundThreads;
