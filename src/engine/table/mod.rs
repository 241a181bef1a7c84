//! Tables: immutable sorted files that hold what memory no longer does.
//!
//! ```text
//!   block │ block │ … │ range tombstones │ filter │ index │ properties │ footer
//! ```
//!
//! A point read asks the [`filter`], which costs one cache line; the [`index`], whose digests lie
//! side by side; and one [`block`], of which it reads what it compares and the value. Blocks that
//! are not packed are read where they are mapped, and values are not copied. A [`cursor`] goes
//! either way at the same cost. `docs/format.md` draws every byte.
//!
//! What is promised:
//!
//! - Order is always keyspace and key ascending, stamp descending.
//! - Every byte is under a checksum that also covers where it is ([`frame`]). Opening reads the
//!   footer and the properties alone; anything else is checked when it is read first ([`source`]).
//!   What was damaged is an error that names the file and the offset, for those reads that touch it.
//! - A reader that doesn't want to wait for the disk need not ([`ReadIo`]), but for the few blocks
//!   that go from memory soon after they were seen there ([`source`]).
//! - No length is believed that has not passed its checksum and its bounds, and no bytes, whatever
//!   they are, make a reader panic.
//!
//! A file is written once, by a [`TableWriter`], and never changed.

#![deny(clippy::indexing_slicing, clippy::string_slice)]

mod alone;
mod block;
mod coding;
mod cursor;
mod entries;
mod error;
mod filter;
mod footer;
mod frame;
mod index;
mod loaded;
mod options;
mod probe;
mod properties;
mod ranges;
mod read_io;
mod reader;
mod sorted_keys;
mod source;
mod tombstones;
mod verify;
mod writer;

pub use alone::{LoneTable, RowVisitor, TableReader};
pub use error::TableError;
pub use options::{Compression, TableNumber, TableOptions};
pub use properties::TableProperties;
pub use read_io::Patience;

pub(super) use cursor::TableCursor;
pub(super) use entries::TableEntries;
pub(super) use filter::hash as filter_hash;
pub(super) use read_io::ReadIo;
pub(super) use reader::Table;
pub(super) use writer::TableWriter;

#[cfg(test)]
mod tests;
