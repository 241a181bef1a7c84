//! What every block and section of a table ends with, by which it is known to be whole and in its
//! place.
//!
//! ```text
//!   content │ unpacked length (4) │ type (1) │ 0 0 0 │ CRC-32 (4)
//! ```
//!
//! The checksum covers the content, the fields behind it, the table's number and the offset of the
//! content in the file. So a block of another table, or of another place, is not mistaken for this
//! one.

use super::{coding::Input, options::TableNumber};
use crate::engine::planted::{Bug, is_planted};

/// Bytes behind the content.
pub(super) const TRAILER_BYTES: usize = 12;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameType {
    Data,
    /// Data packed with LZ4.
    PackedData,
    Tombstones,
    Filter,
    Index,
    Properties,
}

impl FrameType {
    fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::PackedData => 2,
            Self::Tombstones => 3,
            Self::Filter => 4,
            Self::Index => 5,
            Self::Properties => 6,
        }
    }

    fn of(code: u8) -> Option<Self> {
        let all = [
            Self::Data,
            Self::PackedData,
            Self::Tombstones,
            Self::Filter,
            Self::Index,
            Self::Properties,
        ];
        all.into_iter().find(|known| known.code() == code)
    }
}

/// What was between a place and the trailer there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) content: &'a [u8],
    pub(super) kind: FrameType,
    /// How long the content is when it is unpacked.
    pub(super) unpacked_bytes: usize,
}

/// Puts the trailer behind the content that `out` has from `from` on, which will be at `offset`.
pub(super) fn seal(
    out: &mut Vec<u8>,
    from: usize,
    kind: FrameType,
    unpacked_bytes: usize,
    number: TableNumber,
    offset: u64,
) {
    // Lengths are below: blocks by their options, sections by the limits of keys and tables.
    let unpacked_bytes = u32::try_from(unpacked_bytes).unwrap_or(u32::MAX);
    out.extend_from_slice(&unpacked_bytes.to_le_bytes());
    out.extend_from_slice(&[kind.code(), 0, 0, 0]);
    let crc = checksum(out.get(from..).unwrap_or_default(), number, offset);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Takes a frame apart; its checksum is not looked at.
pub(super) fn split(bytes: &[u8]) -> Option<Frame<'_>> {
    let (content, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER_BYTES)?)?;
    let mut trailer = Input::new(trailer);
    let unpacked_bytes = trailer.u32()? as usize;
    let [code, 0, 0, 0] = trailer.array()? else { return None };
    Some(Frame { content, kind: FrameType::of(code)?, unpacked_bytes })
}

/// Whether these are the bytes that were sealed for this place.
pub(super) fn is_sound(bytes: &[u8], number: TableNumber, offset: u64) -> bool {
    bytes.split_last_chunk::<4>().is_some_and(|(covered, crc)| {
        checksum(covered, number, offset) == u32::from_le_bytes(*crc)
            || is_planted(Bug::TableChecksumIgnored)
    })
}

fn checksum(covered: &[u8], number: TableNumber, offset: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(&number.0.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_counts_at_its_place_alone_and_no_bit_may_change() {
        let mut bytes = b"before content".to_vec();
        seal(&mut bytes, 7, FrameType::Index, 7, TableNumber(3), 4096);
        let sealed = &bytes[7..];
        assert!(is_sound(sealed, TableNumber(3), 4096));
        assert!(!is_sound(sealed, TableNumber(4), 4096));
        assert!(!is_sound(sealed, TableNumber(3), 4095));
        let frame = split(sealed).unwrap();
        assert_eq!((frame.content, frame.unpacked_bytes), (&b"content"[..], 7));
        assert_eq!(frame.kind, FrameType::Index);
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_sound(&flipped, TableNumber(3), 4096), "bit {bit}");
        }
        assert!(split(&sealed[..11]).is_none());
    }
}
