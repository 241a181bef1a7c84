//! Frames: the unit of the binary protocol.
//!
//! ```text
//!  0        4        5       6            10               4 + length
//!  +--------+--------+-------+------------+----------------+
//!  | length | opcode | flags | request id | payload …      |
//!  |  u32   |   u8   |  u8   |    u32     |  [… crc32 u32] |
//!  +--------+--------+-------+------------+----------------+
//! ```
//!
//! `length` counts everything after itself. With [`Flags::CHECKSUM`] the last four bytes are the
//! CRC-32 (IEEE) of everything between the length and them.

use bytes::Bytes;

use crate::limits::FRAME_HEADER_BYTES;

/// The bits of a frame's flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// The frame ends with a checksum of four bytes.
    pub const CHECKSUM: Self = Self(1);
    /// More frames follow that answer the same request.
    pub const MORE: Self = Self(2);
    /// The bits that have a meaning; any other must be 0.
    pub const KNOWN: Self = Self(3);

    /// Whether all of `bits` are set.
    pub fn contains(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// These and `bits`.
    pub fn with(self, bits: Self) -> Self {
        Self(self.0 | bits.0)
    }

    /// These without `bits`.
    pub fn without(self, bits: Self) -> Self {
        Self(self.0 & !bits.0)
    }
}

/// A frame whose length and checksum have been checked and taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is; see [`crate::request::Opcode`].
    pub opcode: u8,
    /// How it is sent.
    pub flags: Flags,
    /// Chosen by the client, repeated by the answer.
    pub request_id: u32,
    /// The message's fields.
    pub payload: Bytes,
}

impl Frame {
    /// The whole frame on the wire, in bytes.
    pub fn encoded_len(&self) -> usize {
        let checksum = if self.flags.contains(Flags::CHECKSUM) { 4 } else { 0 };
        4 + FRAME_HEADER_BYTES + self.payload.len() + checksum
    }
}
