//! The bytes that `docs/format.md` shows are the bytes that are written.

use super::*;
use crate::engine::{
    directory::{DataDirectory, DatabaseId},
    format_page::{check, drawn},
};

const ID: DatabaseId =
    DatabaseId(*b"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f");

/// What the page shows: a database of this id, and a log with a ceiling and a batch.
fn example() -> SimVfs {
    let sim = SimVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let directory = DataDirectory::open(&vfs, Path::new("/data"), ID).unwrap();
    let options = LogOptions { database_id: ID.0, ..options() };
    let (mut log, _) =
        Log::recover(&vfs, &directory.log_path(), options, LogStart::default(), &mut |_| Ok(()))
            .unwrap();
    let mut encoder = RecordEncoder::new();
    encoder.ceiling(Version(5_000_000)).unwrap();
    log.append(&mut encoder).unwrap();
    log.sync().unwrap();
    encoder.clear();
    let (keyspace, other) = (KeyspaceId::DEFAULT, KeyspaceId(16));
    let set = Write::Set {
        keyspace,
        key: Bytes::from_static(b"greeting"),
        value: Bytes::from_static(b"hello"),
    };
    let clear = Write::Clear { keyspace: other, key: Bytes::from_static(b"old") };
    let (begin, end) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
    let clear_range = Write::ClearRange { keyspace: other, begin, end };
    let transactions = [
        CommittedTransaction {
            version: Version(1_000_001),
            order: 0,
            idempotency_id: Some(Bytes::from_static(b"0123456789abcdef")),
            committed_at_ms: 1_700_000_000_000,
            writes: vec![set],
        },
        CommittedTransaction {
            version: Version(1_000_001),
            order: 1,
            idempotency_id: None,
            committed_at_ms: 1_700_000_000_000,
            writes: vec![clear, clear_range],
        },
    ];
    encoder.batch(&transactions).unwrap();
    log.append(&mut encoder).unwrap();
    log.sync().unwrap();
    sim
}

#[test]
fn the_page_shows_the_identity() {
    check("identity", &example().bytes(Path::new("/data/IDENTITY")).unwrap());
}

#[test]
fn the_page_shows_a_segment_with_both_records() {
    let segment = example().bytes(&segment_path(Path::new("/data/log"), 1)).unwrap();
    assert_eq!(segment.len(), 4096);
    check("segment-header", &segment[..512]);
    check("ceiling", &segment[512..568]);
    assert!(segment[568..1024].iter().all(|&byte| byte == 0), "up to the next sector");
    let end = 1024 + drawn("batch").len();
    check("batch", &segment[1024..end]);
    assert!(segment[end..].iter().all(|&byte| byte == 0), "the rest");
}
