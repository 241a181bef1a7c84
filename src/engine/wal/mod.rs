//! The log: what is committed, on disk, in order.
//!
//! A log is a directory of numbered segments without gaps. A segment is a preallocated file: a
//! header, then records one behind the other, then zeros. [`RecordEncoder`] turns batches of
//! transactions into records, [`Log::append`] writes them with one call, [`Log::sync`] makes them
//! durable, [`Log::recover`] gives them back after whatever has happened. `docs/format.md` draws
//! every byte.
//!
//! ```text
//! log/0000000000000001.log   [header][record][record]··[record]····0000000
//! log/0000000000000002.log   [header][record]··[record]0000000000000000000   ← appended to
//! ```
//!
//! Segments that are not needed any more become spares, and spares the next segments; [`Segments`] knows
//! how much can be appended for sure. With an archive, no segment goes before that has it.
//!
//! What it promises:
//!
//! - A record whose append was synced is given back by every later recovery, whole, once, and in
//!   order, or recovery fails and names the file and the offset. Never is there a wrong record, and
//!   never a gap.
//! - A tail that was not synced may be torn: recovery cuts it and counts it. It tells a torn tail
//!   from damage by what the records say of each other. Each carries the offset before which its
//!   segment was durable when it was written; so a bad place is damage if a record behind it says
//!   that the place was durable, and the end of the log otherwise.
//! - After a write or a sync has failed, the log refuses to go on. What a failed sync leaves in the
//!   operating system's cache may look well and not be on the disk; therefore recovery writes the
//!   last segment anew from what it has read and checked, and syncs it, before anything is added.
//! - A record never shares a sector of 512 bytes with one that was synced before it was written, so
//!   that a write that tears can't harm what is durable.
//!
//! What it doesn't do: it doesn't detect that its newest records are missing where nothing says
//! that they were there (a last segment that is replaced by an older copy of itself), and it
//! doesn't mend damage.

#![deny(clippy::indexing_slicing, clippy::string_slice)]

mod archive;
mod body;
mod chain;
mod encoder;
mod error;
mod keeper;
mod log;
mod reader;
mod record;
mod recovery;
mod room;
mod scan;
mod segment;
mod segments;
mod spare;
mod survey;

pub(in crate::engine) use body::decode::{CheckedBatch, CheckedRecord, EncodedTransaction};
pub(crate) use body::{BATCH_BYTES, TRANSACTION_BYTES, WRITE_BYTES};
pub use encoder::RecordEncoder;
pub use error::LogError;
pub(crate) use keeper::Keeper;
pub use log::{Log, LogOptions};
pub use record::LogRecord;
pub use recovery::{LogStart, RecoveryReport, TornTail};
pub(crate) use room::{Admission, footprint};
pub use scan::{
    LogMark, LogScan, ScannedRecord, ScannedSegment, path_of_segment, segments_in, version_before,
};
pub use segments::{SegmentStats, Segments, SegmentsHold};
pub use survey::{LogSurvey, RecordPlace, SegmentSummary, survey};

#[cfg(test)]
mod tests;
