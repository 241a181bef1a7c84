//! The bytes that `docs/format.md` shows are the bytes that are written.

use bytes::Bytes;

use super::{super::ids::write_ids, *};
use crate::engine::{
    format_page::check,
    idempotency::{Place, RememberedId},
};

const ID: [u8; 16] = *b"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";

#[test]
fn the_page_shows_a_file_of_ids() {
    let vfs = SimVfs::new();
    vfs.create_directory(Path::new(DIRECTORY)).unwrap();
    let id = RememberedId {
        id: Bytes::from_static(b"0123456789abcdef"),
        place: Place { version: Version(1_000_001), order: 0 },
        committed_at_ms: 1_700_000_000_000,
    };
    write_ids(&vfs, Path::new(DIRECTORY), 2, ID, &[id]).unwrap();
    check("ids", &vfs.bytes(&numbered(Path::new(DIRECTORY), 2, "ids")).unwrap());
}

#[test]
fn the_page_shows_a_manifest_with_its_first_record_and_an_edit() {
    let vfs = SimVfs::new();
    let (mut manifest, _) =
        open_with(&vfs, ManifestOptions { database_id: ID, ..options() }).unwrap();
    let properties = TableProperties {
        number: TableNumber(1),
        bytes: 8192,
        begin: key(b"greeting"),
        end: key(b"greeting\0"),
        least_version: Version(1_000_001),
        greatest_version: Version(1_000_001),
        entries: 1,
        clears: 0,
        superseded: 0,
        range_tombstones: 0,
        key_bytes: 8,
        value_bytes: 5,
    };
    let flushed = Flushed { version: Version(1_000_002), log_start: 3, ids: Some(2) };
    let edit = Edit {
        added: vec![(0, properties)],
        removed: vec![],
        flushed: Some(flushed),
        ceiling: Some(Version(5_000_000)),
    };
    manifest.commit(&edit).unwrap();
    let edit = Edit { removed: vec![TableNumber(1)], ..Edit::default() };
    manifest.commit(&edit).unwrap();
    let bytes = vfs.bytes(&path(1)).unwrap();
    assert_eq!(bytes.len(), 4 * 512);
    check("manifest-header", &bytes[..512]);
    for (name, sector) in [("manifest-first", 1), ("manifest-flush", 2), ("manifest-removal", 3)] {
        check(name, &bytes[sector * 512..(sector + 1) * 512]);
    }
}
