//! The file of ids.

use bytes::Bytes;

use super::{
    super::ids::{read_ids, write_ids},
    *,
};
use crate::engine::idempotency::{Place, RememberedId};

const ID: [u8; 16] = *b"the test's own d";

fn remembered() -> Vec<RememberedId> {
    let remembered = |id: &'static [u8], version| RememberedId {
        id: Bytes::from_static(id),
        place: Place { version: Version(version), order: 1 },
        committed_at_ms: 1_700_000_000_000,
    };
    vec![remembered(b"", 7), remembered(b"0123456789abcdef", 1_000_001), remembered(&[5; 255], 9)]
}

fn read(vfs: &SimVfs) -> Result<Vec<RememberedId>, ManifestError> {
    read_ids(vfs, Path::new(DIRECTORY), 3, ID)
}

fn ids_path() -> PathBuf {
    numbered(Path::new(DIRECTORY), 3, "ids")
}

#[test]
fn ids_come_back_and_no_bit_may_change() {
    let vfs = SimVfs::new();
    vfs.create_directory(Path::new(DIRECTORY)).unwrap();
    write_ids(&vfs, Path::new(DIRECTORY), 3, ID, &remembered()).unwrap();
    assert_eq!(read(&vfs).unwrap(), remembered());
    let bytes = vfs.bytes(&ids_path()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let vfs = vfs.duplicate();
        vfs.flip_bit(&ids_path(), bit / 8, bit as u8).unwrap();
        let error = read(&vfs).unwrap_err();
        let expected = if bit < 56 * 8 { 0 } else { 56 };
        let is_named =
            matches!(&error, ManifestError::Damaged { offset, .. } if *offset == expected);
        assert!(is_named, "bit {bit}: {error}");
    }
    for len in 0..bytes.len() {
        vfs.put(&ids_path(), &bytes[..len]).unwrap();
        assert!(matches!(read(&vfs), Err(ManifestError::Damaged { offset: 0, .. })), "{len} bytes");
    }
}

#[test]
fn ids_of_others_and_of_newer_programs_are_named() {
    let vfs = SimVfs::new();
    vfs.create_directory(Path::new(DIRECTORY)).unwrap();
    write_ids(&vfs, Path::new(DIRECTORY), 3, [1; 16], &remembered()).unwrap();
    assert!(matches!(read(&vfs), Err(ManifestError::Foreign { .. })));
    let mut bytes = vfs.bytes(&ids_path()).unwrap();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..52]);
    bytes[52..56].copy_from_slice(&crc.to_le_bytes());
    vfs.put(&ids_path(), &bytes).unwrap();
    assert!(matches!(read(&vfs), Err(ManifestError::UnknownFormat { format: 2, .. })));
}
