//! The file of ids: which commits that are in tables are still known by their idempotency ids.
//!
//! The log has the ids of its commits; when a part of it goes, the ids that are still remembered
//! are written to a file first, which the manifest names. It is written once, synced, and never
//! changed.

use std::path::Path;

use bytes::{Buf, Bytes};
use plinth_protocol::Version;

use super::{ManifestError, files::numbered};
use crate::{
    engine::idempotency::{Place, RememberedId},
    vfs::Vfs,
};

/// Of the file's name.
pub(in crate::engine) const IDS_EXTENSION: &str = "ids";

const HEADER_BYTES: usize = 56;
const MAGIC: [u8; 8] = *b"PLINTHID";
const FORMAT: u32 = 1;
/// The bytes of an id's entry but for the id.
const ENTRY_BYTES: usize = 19;

/// Writes the file with this number and makes it durable, but for its name.
pub(in crate::engine) fn write_ids(
    vfs: &dyn Vfs,
    directory: &Path,
    number: u64,
    database_id: [u8; 16],
    ids: &[RememberedId],
) -> Result<(), ManifestError> {
    let mut body = Vec::with_capacity(ids.len() * (ENTRY_BYTES + 16));
    for RememberedId { id, place, committed_at_ms } in ids {
        let len =
            u8::try_from(id.len()).map_err(|_| ManifestError::TooLarge { bytes: id.len() })?;
        body.extend_from_slice(&place.version.0.to_le_bytes());
        body.extend_from_slice(&place.order.to_le_bytes());
        body.extend_from_slice(&committed_at_ms.to_le_bytes());
        body.push(len);
        body.extend_from_slice(id);
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&database_id);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes.append(&mut body);
    let file = vfs.create(&numbered(directory, number, IDS_EXTENSION))?;
    file.write_all_at(&bytes, 0)?;
    file.sync_all()?;
    Ok(())
}

/// The ids of the file with this number, in the order in which they were committed.
pub(in crate::engine) fn read_ids(
    vfs: &dyn Vfs,
    directory: &Path,
    number: u64,
    database_id: [u8; 16],
) -> Result<Vec<RememberedId>, ManifestError> {
    let path = numbered(directory, number, IDS_EXTENSION);
    let damaged = |offset, what| ManifestError::Damaged { path: path.clone(), offset, what };
    let file = vfs.open_for_reading(&path)?;
    let file_bytes = file.len()?;
    let mut bytes = [0; HEADER_BYTES];
    if file_bytes < HEADER_BYTES as u64 {
        return Err(damaged(0, "the file is shorter than the header of a file of ids"));
    }
    file.read_exact_at(&mut bytes, 0)?;
    let header = match Header::decode(&bytes) {
        Some(header) if header.format == FORMAT => header,
        Some(Header { format, .. }) => return Err(ManifestError::UnknownFormat { path, format }),
        None => return Err(damaged(0, "the header of the file of ids is damaged")),
    };
    if header.database_id != database_id {
        return Err(ManifestError::Foreign { path });
    }
    if header.number != number || header.body_bytes != file_bytes - HEADER_BYTES as u64 {
        return Err(damaged(0, "the file has another number or another length than it says"));
    }
    let mut body = vec![0; header.body_bytes as usize];
    file.read_exact_at(&mut body, HEADER_BYTES as u64)?;
    if crc32fast::hash(&body) != header.body_crc {
        return Err(damaged(HEADER_BYTES as u64, "the ids are damaged"));
    }
    let ids = decode_body(&mut &body[..]);
    ids.ok_or_else(|| damaged(HEADER_BYTES as u64, "the ids end in the middle of one"))
}

struct Header {
    format: u32,
    body_crc: u32,
    database_id: [u8; 16],
    number: u64,
    body_bytes: u64,
}

impl Header {
    /// `None` if it is damaged.
    fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        let (magic, mut rest) = bytes.split_first_chunk::<8>()?;
        if *magic != MAGIC || u32::from_le_bytes(*crc) != crc32fast::hash(covered) {
            return None;
        }
        let format = rest.try_get_u32_le().ok()?;
        let body_crc = rest.try_get_u32_le().ok()?;
        let (database_id, mut rest) = rest.split_first_chunk::<16>()?;
        let number = rest.try_get_u64_le().ok()?;
        let body_bytes = rest.try_get_u64_le().ok()?;
        Some(Self { format, body_crc, database_id: *database_id, number, body_bytes })
    }
}

fn decode_body(body: &mut &[u8]) -> Option<Vec<RememberedId>> {
    let mut ids = Vec::new();
    while !body.is_empty() {
        let version = Version(body.try_get_u64_le().ok()?);
        let order = body.try_get_u16_le().ok()?;
        let committed_at_ms = body.try_get_u64_le().ok()?;
        let len = body.try_get_u8().ok()?;
        let (id, rest) = body.split_at_checked(usize::from(len))?;
        *body = rest;
        let id = Bytes::copy_from_slice(id);
        ids.push(RememberedId { id, place: Place { version, order }, committed_at_ms });
    }
    Some(ids)
}
