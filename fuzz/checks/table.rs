//! Any bytes as a table: they open and read, or fail, and nothing panics, runs on without end, or
//! takes memory without bound.
//!
//! With an odd first byte all checksums are made right before, wherever the bytes say that blocks
//! and sections are; so what lies behind the checksums is reached.

use std::{ops::ControlFlow, ops::Range, path::Path};

use plinth_protocol::{KeyspaceId, Version};
use plinthdb::{
    engine::table::{LoneTable, Patience, TableNumber, TableReader},
    vfs::{SimVfs, Vfs},
};

/// So many rows of a scan are looked at.
const ROWS_MAX: usize = 10_000;
const FOOTER: usize = 64;
const TRAILER: usize = 12;
/// What a footer's place for its checksum is, from the footer's beginning.
const FOOTER_CRC: usize = 48;

pub(crate) fn table(data: &[u8]) {
    let Some((&mode, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mode % 2 == 1 {
        let _ = seal(&mut bytes);
    }
    read(&bytes);
}

fn read(bytes: &[u8]) {
    let (vfs, path) = (SimVfs::new(), Path::new("/1.table"));
    let file = vfs.create(path).expect("an empty disk");
    file.write_all_at(bytes, 0).expect("a disk that works");
    let own = bytes.len().checked_sub(FOOTER).and_then(|at| number(bytes, at)).unwrap_or(1);
    let Ok(table) = LoneTable::open(&vfs, path, TableNumber(own as u64)) else { return };
    let reader = TableReader::new(Patience::Wait, 1);
    let keys: [&[u8]; 6] = [b"", b"a", b"green", b"greeting", b"key 004", b"key 007"];
    for keyspace in [KeyspaceId(0), KeyspaceId(16)] {
        for version in [Version::ZERO, Version(1_000_003), Version::MAX] {
            for key in keys {
                drop(table.get(keyspace, key, version, &reader));
            }
            for is_reverse in [false, true] {
                // Forged blocks may overlap, and give the same rows again and again.
                let mut rows = 0;
                let from: &[u8] = if is_reverse { &[0xFF] } else { b"" };
                drop(table.scan(keyspace, from, is_reverse, version, &reader, &mut |_, _| {
                    rows += 1;
                    if rows < ROWS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                }));
            }
        }
    }
    drop(table.count());
    drop(table.verify());
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
}

/// Makes right the checksums of all that the footer and the index say.
fn seal(bytes: &mut [u8]) -> Option<()> {
    let end = bytes.len().checked_sub(FOOTER)?;
    let mut sections = Vec::new();
    for field in 2..6 {
        sections.push(number(bytes, end + 8 * field)?);
    }
    let crc = {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[end..end + FOOTER_CRC]);
        hasher.update(&bytes[end + FOOTER_CRC + 4..]);
        hasher.finalize()
    };
    bytes[end + FOOTER_CRC..end + FOOTER_CRC + 4].copy_from_slice(&crc.to_le_bytes());
    let id: [u8; 8] = bytes[end..end + 8].try_into().ok()?;
    let (data_end, properties) = (sections[0], sections[3]);
    let blocks = number(bytes, properties)?.min(bytes.len());
    let places = properties.checked_sub(TRAILER + 24 * blocks)?;
    let mut pieces = sections;
    pieces.push(end);
    for block in 0..blocks {
        pieces.push(number(bytes, places + 24 * block)?);
    }
    let sections = pieces[..5].windows(2).map(|ends| ends[0]..ends[1]).collect::<Vec<_>>();
    for section in sections {
        seal_piece(bytes, section, id);
    }
    for block in 5..pieces.len() {
        let after = pieces.get(block + 1).copied().unwrap_or(data_end);
        seal_piece(bytes, pieces[block]..after, id);
    }
    Some(())
}

fn seal_piece(bytes: &mut [u8], range: Range<usize>, id: [u8; 8]) {
    let begin = range.start as u64;
    let Some(piece) = bytes.get_mut(range).filter(|piece| piece.len() >= TRAILER) else { return };
    let (covered, crc) = piece.split_at_mut(piece.len() - 4);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(&id);
    hasher.update(&begin.to_le_bytes());
    crc.copy_from_slice(&hasher.finalize().to_le_bytes());
}
