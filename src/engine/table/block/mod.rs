//! A data block: neighbouring keys with their versions.
//!
//! ```text
//!   keys (2) │ prefix (2) │ width (1) │ 0 0 0 │ least version (8)
//!   │ prefix bytes │ head (4) … │ place (2) … │ records
//! ```
//!
//! All keys begin with the prefix. A key's *head* is the four bytes behind it, as a number that
//! compares as they do; heads lie side by side, so that a search costs few cache lines. A *place* is
//! where the key's record is among the records.
//!
//! ```text
//!   record   suffix length │ suffix from its fifth byte on │ versions, newest first
//!   version  tag │ version less the least, `width` bytes │ order (2), if flagged │ value
//!   tag      length of the value × 8, + 1 if cleared, + 2 if the order is not zero,
//!            + 4 if an older version of the key follows
//! ```
//!
//! Every key can be reached by its number, so that to go back is as cheap as to go on, and a block
//! has no restart points. When a key's versions don't fit, the next block begins with the key anew.

mod builder;
mod view;

pub(super) use builder::BlockBuilder;
pub(super) use view::{BlockView, KeyVersion, Layout};

/// Bytes before the prefix.
const HEADER_BYTES: usize = 16;
/// Bytes of a head.
const HEAD_BYTES: usize = 4;
const FLAG_CLEARED: u64 = 1;
const FLAG_ORDER: u64 = 2;
const FLAG_MORE: u64 = 4;
const FLAG_BITS: u32 = 3;
/// The longest prefix: its length has two bytes.
const PREFIX_MAX: usize = u16::MAX as usize;

#[cfg(test)]
mod tests;
