//! The manifest: which tables count, and how far they reach.
//!
//! A manifest is a file of checksummed records: first everything, then one change behind the other.
//! A change of the set of tables is one record; it has happened when the record is synced. What no
//! record names is of no meaning, whatever files there are.
//!
//! ```text
//! manifest/0000000000000007.manifest   [header][everything][edit][edit][edit]   ← added to
//! manifest/0000000000000008.new        one that is being begun; of no meaning after a crash
//! ```
//!
//! What it promises:
//!
//! - A change that was synced counts ever after, whole, or opening fails and names the file and the
//!   offset. One that was not synced counts wholly or not at all.
//! - Every record begins a sector and is synced before the next is written. So a bad place with a
//!   record behind it is damage, and a bad place at the end is a record that never counted.
//! - After a failed write or sync the file is left, and the next change begins a new one from what
//!   counts. No failed sync is tried again on the same file.
//! - The newest file counts. It gets its name when it is durable, and only then those before it go.
//!
//! `docs/format.md` draws every byte.

#![deny(clippy::indexing_slicing, clippy::string_slice)]

mod body;
mod error;
pub(in crate::engine) mod files;
pub(in crate::engine) mod ids;
pub(in crate::engine) mod look;
mod reader;
mod record;
pub(in crate::engine) mod state;
mod writer;

pub use error::ManifestError;
pub use state::{Edit, Flushed, ManifestState};
pub use writer::{Manifest, ManifestOptions, ManifestReport};

#[cfg(test)]
mod tests;
