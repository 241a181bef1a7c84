//! A manifest with a record forged by the input, with the right checksums, or with bytes that the
//! input changes. Opening fails or succeeds, and then succeeds again with the same; it never panics.

use std::{path::Path, sync::Arc};

use plinthdb::{
    engine::manifest::{Edit, Manifest, ManifestError, ManifestOptions},
    vfs::{SimVfs, Vfs},
};

const FIRST: &str = "/manifest/0000000000000001.manifest";
const SECTOR: usize = 512;

pub(crate) fn manifest(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let disk = SimVfs::new();
    let mut manifest = open(&disk).expect("an empty directory");
    for _ in 0..3 {
        assert!(manifest.commit(&Edit::default()).is_ok(), "a sound disk");
    }
    drop(manifest);
    let mut bytes = disk.bytes(Path::new(FIRST)).expect("the first manifest");
    if kind % 2 == 0 {
        forge(&mut bytes, *kind, rest);
    } else {
        for change in rest.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
            bytes[at] ^= change[2];
        }
    }
    assert!(disk.put(Path::new(FIRST), &bytes).is_ok());
    let Ok(first) = open(&disk) else { return };
    let found = (first.state().table_count(), first.state().flushed());
    drop(first);
    let again = open(&disk).expect("what opened once");
    assert_eq!((again.state().table_count(), again.state().flushed()), found);
}

fn open(disk: &SimVfs) -> Result<Manifest, ManifestError> {
    let options = ManifestOptions { database_id: [7; 16], seed: 1, bytes_max: 1 << 20 };
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    Manifest::open(&vfs, Path::new("/manifest"), options).map(|(manifest, _)| manifest)
}

/// Puts one record with any body behind the first one. What is written here is what
/// `docs/format.md` says.
fn forge(bytes: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let salt = bytes[40..48].to_vec();
    let previous = bytes[SECTOR + 4..SECTOR + 8].to_vec();
    bytes.truncate(2 * SECTOR);
    let offset = (bytes.len() as u64).to_le_bytes();
    let mut header = Vec::new();
    header.extend_from_slice(&(body.len() as u32).to_le_bytes());
    header.extend_from_slice(&crc(&[body]).to_le_bytes());
    header.extend_from_slice(&previous);
    header.extend_from_slice(&[kind / 2 % 4, 0, 0, 0]);
    bytes.extend_from_slice(b"PLMR");
    bytes.extend_from_slice(&crc(&[&salt, &offset, &header]).to_le_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
}

fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
