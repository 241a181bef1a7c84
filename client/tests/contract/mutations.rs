//! Atomic operations by number, versionstamps with offsets, the metadata version.

use plinth_client::{ErrorCode, TransactionOption as Set};

use super::{Tx, code, database, with_version};

const METADATA_VERSION: &[u8] = b"\xFF/metadataVersion";

#[tokio::test]
async fn operations_have_foundationdbs_numbers() {
    let db = database();
    let tx = db.transaction();
    tx.mutate(2, "sum", [1, 0]);
    tx.mutate(2, "sum", [255, 0]);
    tx.mutate(13, "min", [7]);
    tx.mutate(6, "and", [7]);
    assert_eq!(tx.get("sum").await.unwrap().unwrap(), &[0, 1][..]);
    assert_eq!(tx.get("min").await.unwrap().unwrap(), &[7][..], "a missing key gives the operand");
    assert_eq!(tx.get("and").await.unwrap().unwrap(), &[7][..]);
    tx.commit().await.unwrap();
    let old = with_version(&db, 500).transaction();
    old.mutate(13, "missing", [7]);
    assert_eq!(old.get("missing").await.unwrap().unwrap(), &[0][..], "before 510 it was zeros");
    for unknown in [0, 1, 3, 18, 19, 21, -1] {
        let tx = db.transaction();
        tx.mutate(unknown, "k", "v");
        assert_eq!(code(tx.commit().await), ErrorCode::INVALID_MUTATION_TYPE, "{unknown}");
    }
}

#[tokio::test]
async fn the_offset_of_a_stamp_stands_behind_what_gets_it() {
    for (version, suffix) in [(510, &[2, 0][..]), (520, &[2, 0, 0, 0])] {
        let db = with_version(&database(), version);
        let tx = db.transaction();
        let stamp = tx.get_versionstamp();
        tx.mutate(14, [b"k/", &[0; 10][..], suffix].concat(), "value");
        tx.commit().await.unwrap();
        let key = [b"k/", &stamp.await.unwrap().0[..]].concat();
        assert_eq!(db.transaction().get(key).await.unwrap().unwrap(), "value", "{version}");
    }
    let db = with_version(&database(), 510);
    let tx = db.transaction();
    let stamp = tx.get_versionstamp();
    tx.mutate(15, "k", [b'x'; 12]);
    tx.commit().await.unwrap();
    let expected = [&stamp.await.unwrap().0[..], b"xx"].concat();
    assert_eq!(db.transaction().get("k").await.unwrap().unwrap(), expected);
    let db = with_version(&db, 520);
    let tx = db.transaction();
    let stamp = tx.get_versionstamp();
    tx.mutate(15, "k", [b"xx", &[0; 10][..], b"y", &[2, 0, 0, 0]].concat());
    tx.commit().await.unwrap();
    let expected = [b"xx", &stamp.await.unwrap().0[..], b"y"].concat();
    assert_eq!(db.transaction().get("k").await.unwrap().unwrap(), expected);
}

#[tokio::test]
async fn a_value_without_its_stamp_reads_as_it_was_given() {
    for (version, suffix) in [(510, &[][..]), (520, &[1, 0, 0, 0])] {
        let tx = with_version(&database(), version).transaction();
        tx.set_option(Set::BypassUnreadable);
        let operand = [&[7; 11][..], suffix].concat();
        tx.mutate(15, "k", operand.clone());
        let read = tx.get("k").await.unwrap().unwrap();
        // In the older form the offset was not said.
        let expected = if suffix.is_empty() { [&operand, &[0; 4][..]].concat() } else { operand };
        assert_eq!(read, expected, "{version}");
    }
}

#[tokio::test]
async fn a_stamp_that_does_not_fit_is_a_stored_error() {
    let db = database();
    let refused = |version: u16, mutation_type: i32, bytes: Vec<u8>| {
        let tx = with_version(&db, version).transaction();
        if mutation_type == 14 {
            tx.mutate(14, bytes, "");
        } else {
            tx.mutate(15, "k", bytes);
        }
        code(tx.approximate_size())
    };
    let stamped = |offset: u32| [&[0; 12][..], &offset.to_le_bytes()].concat();
    for mutation_type in [14, 15] {
        for bytes in [vec![], vec![0; 3], vec![0; 13], stamped(3), stamped(u32::MAX)] {
            let length = bytes.len();
            let error = refused(730, mutation_type, bytes);
            assert_eq!(error, ErrorCode::CLIENT_INVALID_OPERATION, "{length} bytes");
        }
    }
    assert_eq!(refused(510, 14, vec![0; 11]), ErrorCode::CLIENT_INVALID_OPERATION);
    assert_eq!(refused(510, 15, vec![0; 9]), ErrorCode::CLIENT_INVALID_OPERATION);
}

#[tokio::test]
async fn what_is_wrong_with_an_operation_is_said_in_foundationdbs_order() {
    let db = database();
    let long = vec![b'k'; 10_001];
    let cases: [(i32, &[u8], usize, ErrorCode); 5] = [
        (99, METADATA_VERSION, 100_001, ErrorCode::CLIENT_INVALID_OPERATION),
        (99, b"\xFFx", 100_001, ErrorCode::KEY_OUTSIDE_LEGAL_RANGE),
        (99, &long, 100_001, ErrorCode::INVALID_MUTATION_TYPE),
        (2, &long, 100_001, ErrorCode::KEY_TOO_LARGE),
        (15, b"k", 100_001, ErrorCode::VALUE_TOO_LARGE),
    ];
    for (mutation_type, key, operand_bytes, expected) in cases {
        let tx = db.transaction();
        tx.mutate(mutation_type, key, vec![0xFF; operand_bytes]);
        assert_eq!(code(tx.commit().await), expected);
    }
}

#[tokio::test]
async fn only_one_form_sets_the_metadata_version() {
    let db = database();
    let wrong: [fn(&Tx); 5] = [
        |tx| tx.mutate(15, METADATA_VERSION, [0; 13]),
        |tx| tx.mutate(15, METADATA_VERSION, [1; 14]),
        |tx| tx.mutate(14, METADATA_VERSION, [0; 14]),
        |tx| tx.mutate(2, METADATA_VERSION, [0; 14]),
        |tx| tx.set(METADATA_VERSION, [0; 14]),
    ];
    for write in wrong {
        let tx = db.transaction();
        tx.set_option(plinth_client::TransactionOption::AccessSystemKeys);
        write(&tx);
        assert_eq!(code(tx.commit().await), ErrorCode::CLIENT_INVALID_OPERATION);
    }
    let tx = db.transaction();
    tx.clear(METADATA_VERSION);
    assert_eq!(code(tx.commit().await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);

    let tx = db.transaction();
    tx.mutate(15, METADATA_VERSION, [0; 14]);
    assert_eq!(code(tx.get(METADATA_VERSION).await), ErrorCode::ACCESSED_UNREADABLE);
    let tx = db.transaction();
    let stamp = tx.get_versionstamp();
    tx.mutate(15, METADATA_VERSION, [0; 14]);
    tx.commit().await.unwrap();
    let value = db.transaction().get(METADATA_VERSION).await.unwrap().unwrap();
    assert_eq!(value, &stamp.await.unwrap().0[..], "ten bytes, the newest stamp");
}

#[tokio::test]
async fn reading_the_metadata_version_conflicts_with_its_writers() {
    let db = database();
    let tx = db.transaction();
    tx.get(METADATA_VERSION).await.unwrap();
    tx.set("k", "v");
    let other = db.transaction();
    other.mutate(15, METADATA_VERSION, [0; 14]);
    other.commit().await.unwrap();
    assert_eq!(code(tx.commit().await), ErrorCode::NOT_COMMITTED);
}

#[tokio::test]
async fn sizes_count_the_offset_and_no_conflict_of_a_stamped_key() {
    let db = database();
    let tx = db.transaction();
    tx.mutate(14, [b"k/", &[0; 10][..], &[2, 0, 0, 0]].concat(), "val");
    assert_eq!(tx.approximate_size().unwrap(), 16 + 3 + 44);
    let tx = db.transaction();
    tx.mutate(15, "key", [0; 14]);
    assert_eq!(tx.approximate_size().unwrap(), 3 + 14 + 44 + 24 + 2 * 3 + 1);
}
