//! A manifest's header, and the headers of its records.
//!
//! A record's checksum also covers what isn't in it: the manifest's salt and the record's offset.
//! So a record counts in its manifest and at its place alone, whatever bytes keys may hold. It
//! names the checksum of the record before it, which makes a chain. Nothing is read by a length
//! whose header has not passed its checksum.

use crate::engine::file_header::{FILE_HEADER_BYTES, FileKind, HeaderError};

/// Bytes of a manifest's header: one sector.
pub(super) const MANIFEST_HEADER_BYTES: usize = FILE_HEADER_BYTES;
/// What a disk writes as one. Every record begins one, since every record is synced by itself.
pub(super) const SECTOR_BYTES: u64 = 512;
/// Bytes of a record's header.
pub(super) const RECORD_HEADER_BYTES: usize = 24;
/// The longest body: over a hundred thousand tables with keys of any length.
pub(super) const RECORD_BODY_BYTES_MAX: usize = 1 << 30;

/// The type of a record that has everything; the first one of a manifest.
pub(super) const TYPE_SNAPSHOT: u8 = 1;
/// The type of a record that has what changed.
pub(super) const TYPE_EDIT: u8 = 2;

const KIND: FileKind = FileKind { magic: *b"PLINTHMF", format: 1 };
const RECORD_MAGIC: [u8; 4] = *b"PLMR";

/// What a manifest's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ManifestHeader {
    pub(super) database_id: [u8; 16],
    pub(super) number: u64,
    /// Unguessable where keys come from strangers.
    pub(super) salt: u64,
}

impl ManifestHeader {
    pub(super) fn encode(&self) -> [u8; MANIFEST_HEADER_BYTES] {
        KIND.encode(&[
            &[0; 4],
            &self.database_id,
            &self.number.to_le_bytes(),
            &self.salt.to_le_bytes(),
        ])
    }

    pub(super) fn decode(bytes: &[u8; MANIFEST_HEADER_BYTES]) -> Result<Self, HeaderError> {
        KIND.decode(bytes, |fields| {
            let (_, rest) = fields.split_first_chunk::<4>()?;
            let (database_id, rest) = rest.split_first_chunk::<16>()?;
            let (number, rest) = rest.split_first_chunk::<8>()?;
            let (salt, _) = rest.split_first_chunk::<8>()?;
            Some(Self {
                database_id: *database_id,
                number: u64::from_le_bytes(*number),
                salt: u64::from_le_bytes(*salt),
            })
        })
    }
}

/// What a record's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) body_bytes: u32,
    pub(super) body_crc: u32,
    /// The header checksum of the record before; zero for the first one.
    pub(super) previous: u32,
    pub(super) record_type: u8,
}

/// Where a record is, which its checksum covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its manifest's.
    pub(super) salt: u64,
    /// Its first byte in the manifest.
    pub(super) offset: u64,
}

impl RecordHeader {
    /// The header's bytes and their checksum, by which the next record names this one.
    pub(super) fn encode(&self, place: Place) -> ([u8; RECORD_HEADER_BYTES], u32) {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        let fields = [
            (0, RECORD_MAGIC),
            (8, self.body_bytes.to_le_bytes()),
            (12, self.body_crc.to_le_bytes()),
            (16, self.previous.to_le_bytes()),
            (20, [self.record_type, 0, 0, 0]),
        ];
        for (at, field) in fields {
            put(&mut bytes, at, field);
        }
        let crc = checksum(&bytes, place);
        put(&mut bytes, 4, crc.to_le_bytes());
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
        let (kind, _) = rest.split_first_chunk::<4>()?;
        let [record_type, 0, 0, 0] = *kind else { return None };
        let header = Self {
            body_bytes: u32::from_le_bytes(*body_bytes),
            body_crc: u32::from_le_bytes(*body_crc),
            previous: u32::from_le_bytes(*previous),
            record_type,
        };
        (header.body_bytes as usize <= RECORD_BODY_BYTES_MAX).then_some((header, crc))
    }
}

fn put(bytes: &mut [u8; RECORD_HEADER_BYTES], at: usize, field: [u8; 4]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(field) {
        *to = from;
    }
}

/// Of the salt, the offset, and the header but for its magic and its checksum.
fn checksum(header: &[u8; RECORD_HEADER_BYTES], place: Place) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.salt.to_le_bytes());
    hasher.update(&place.offset.to_le_bytes());
    hasher.update(header.get(8..).unwrap_or_default());
    hasher.finalize()
}
