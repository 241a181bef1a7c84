//! A record: a header of 48 bytes, a body, and zeros up to the next multiple of eight.
//!
//! The header's checksum also covers what isn't in it: the segment's salt and the record's offset.
//! So a record counts in its segment and at its place alone; a copy elsewhere is not a record. The
//! header names the checksum of the record before it, which makes a chain, also across segments.
//! Nothing is read by a length whose header has not passed its checksum.

use plinth_protocol::Version;

use crate::engine::write::CommittedTransaction;

/// What the log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRecord {
    /// Transactions that were committed together, in order.
    Batch(Vec<CommittedTransaction>),
    /// No version above this one has been handed out; a ceiling is logged before it is needed.
    Ceiling(Version),
}

/// Bytes of a record's header.
pub(super) const RECORD_HEADER_BYTES: usize = 48;
/// Every record begins at a multiple of this.
pub(super) const RECORD_ALIGNMENT: usize = 8;
/// The longest body. A batch has less than a few frames, so this is far away.
pub(super) const RECORD_BODY_BYTES_MAX: usize = 1 << 30;

/// The first four bytes of a record, `PLRC`.
pub(super) const RECORD_MAGIC: [u8; 4] = *b"PLRC";

/// The type of a batch.
pub(super) const TYPE_BATCH: u8 = 1;
/// The type of a ceiling.
pub(super) const TYPE_CEILING: u8 = 2;

/// What a record's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) body_bytes: u32,
    pub(super) body_crc: u32,
    /// The header checksum of the record before this one in the log; zero for the first one.
    pub(super) previous: u32,
    pub(super) record_type: u8,
    /// What lies before this offset of the segment was durable when this record was written.
    pub(super) durable_to: u64,
    pub(super) first_version: Version,
    pub(super) last_version: Version,
}

/// Where a record is, which its checksum covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its segment's.
    pub(super) salt: u64,
    /// Its first byte in the segment.
    pub(super) offset: u64,
}

impl RecordHeader {
    /// The header's bytes and their checksum, by which the next record names this one.
    pub(super) fn encode(&self, place: Place) -> ([u8; RECORD_HEADER_BYTES], u32) {
        let mut bytes = Vec::with_capacity(RECORD_HEADER_BYTES);
        bytes.extend_from_slice(&RECORD_MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.body_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.body_crc.to_le_bytes());
        bytes.extend_from_slice(&self.previous.to_le_bytes());
        bytes.extend_from_slice(&[self.record_type, 0, 0, 0]);
        bytes.extend_from_slice(&self.durable_to.to_le_bytes());
        bytes.extend_from_slice(&self.first_version.0.to_le_bytes());
        bytes.extend_from_slice(&self.last_version.0.to_le_bytes());
        let mut bytes: [u8; RECORD_HEADER_BYTES] =
            bytes.try_into().expect("the fields above are 48 bytes");
        let crc = checksum(&bytes, place);
        if let Some(field) = bytes.get_mut(4..8) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        (bytes, crc)
    }

    /// The header at this place with its checksum, if these bytes are one.
    pub(super) fn decode(bytes: &[u8; RECORD_HEADER_BYTES], place: Place) -> Option<(Self, u32)> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let crc = u32::from_le_bytes(*crc);
        if *magic != RECORD_MAGIC || crc != checksum(bytes, place) {
            return None;
        }
        let (body_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (body_crc, rest) = rest.split_first_chunk::<4>()?;
        let (previous, rest) = rest.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (durable_to, rest) = rest.split_first_chunk::<8>()?;
        let (first_version, rest) = rest.split_first_chunk::<8>()?;
        let (last_version, _) = rest.split_first_chunk::<8>()?;
        let [record_type, 0, 0, 0] = *kind else { return None };
        let header = Self {
            body_bytes: u32::from_le_bytes(*body_bytes),
            body_crc: u32::from_le_bytes(*body_crc),
            previous: u32::from_le_bytes(*previous),
            record_type,
            durable_to: u64::from_le_bytes(*durable_to),
            first_version: Version(u64::from_le_bytes(*first_version)),
            last_version: Version(u64::from_le_bytes(*last_version)),
        };
        let is_within_bounds = header.body_bytes as usize <= RECORD_BODY_BYTES_MAX;
        is_within_bounds.then_some((header, crc))
    }

    /// Bytes of the whole record, with the zeros behind it.
    pub(super) fn record_bytes(&self) -> usize {
        padded(RECORD_HEADER_BYTES + self.body_bytes as usize)
    }
}

/// The next multiple of eight.
pub(super) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(RECORD_ALIGNMENT)
}

/// Of the salt, the offset, and the header but for its magic and its checksum.
fn checksum(header: &[u8; RECORD_HEADER_BYTES], place: Place) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.salt.to_le_bytes());
    hasher.update(&place.offset.to_le_bytes());
    hasher.update(header.get(8..).unwrap_or_default());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_counts_at_its_place_alone_and_no_bit_may_change() {
        let header = RecordHeader {
            body_bytes: 300,
            body_crc: 7,
            previous: 9,
            record_type: TYPE_BATCH,
            durable_to: 1024,
            first_version: Version(5),
            last_version: Version(6),
        };
        let place = Place { salt: 3, offset: 2048 };
        let (bytes, crc) = header.encode(place);
        assert_eq!(RecordHeader::decode(&bytes, place), Some((header, crc)));
        assert_eq!(header.record_bytes(), 352);
        assert_eq!(RecordHeader::decode(&bytes, Place { offset: 2056, ..place }), None);
        assert_eq!(RecordHeader::decode(&bytes, Place { salt: 4, ..place }), None);
        for bit in 0..RECORD_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&flipped, place), None, "bit {bit}");
        }
    }
}
