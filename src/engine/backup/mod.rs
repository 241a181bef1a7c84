//! Backups: consistent copies of a database, and what is made of them.
//!
//! ```text
//!  a database ──[checkpoint]──▶ a backup ──┐
//!        └─ archive of log segments ───────┴──[restore to a version, a time, the end]──▶ a new database
//! ```
//!
//! A backup is a directory of its own, and no database: nobody can open it by mistake.
//!
//! ```text
//! monday/
//!   tables/     the tables, linked where the file system can: they are never written again
//!   manifest/   which tables count, and the ids of recent commits
//!   log/        the log behind the tables, copied up to where it was durable
//!   BACKUP      what the backup is, and every file of it; written last
//! ```
//!
//! - [`checkpoint`] makes one, of a database that goes on being written to.
//! - [`description`] is the file `BACKUP`: only a directory that has it is a backup.
//! - [`restore`](mod@restore) makes a new database of it, and of archived segments of the log.
//! - [`workplace`] is a directory in the making: one that was cut short is never taken for a whole
//!   one, and what an error leaves is removed.
//! - [`copy`] links and copies files, and says how far it is.

pub mod checkpoint;
mod copy;
pub mod description;
mod error;
pub mod restore;
#[cfg(test)]
mod tests;
mod workplace;

use std::{ops::ControlFlow, path::Path};

pub use checkpoint::CheckpointReport;
pub use description::{BackupDescription, BackupFile};
pub use error::BackupError;
pub use restore::{RestoreOptions, RestoreReport, RestoreTo, restore};

/// The directories of a backup, which are those of a database.
const TABLES: &str = "tables";
const MANIFEST: &str = "manifest";
const LOG: &str = "log";

/// How far a checkpoint or a restore is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupProgress {
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Bytes that there are, as far as is known.
    pub total_bytes: u64,
}

/// Is told how far it is, and says whether it is to go on.
pub type OnProgress<'a> = &'a mut dyn FnMut(BackupProgress) -> ControlFlow<()>;

/// A path within a backup as its description has it: with `/` on every system.
fn relative(directory: &str, name: &Path) -> String {
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    format!("{directory}/{name}")
}
