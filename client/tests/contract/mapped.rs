//! Mapped ranges: an index and the records that it leads to.

use plinth_client::{
    Database, ErrorCode, KeySelector, RangeRead, TransactionOption as Set, testing::MemoryBackend,
};

use super::{code, database};

/// Strings as a packed tuple.
fn tuple(elements: &[&str]) -> Vec<u8> {
    elements.iter().flat_map(|text| [b"\x02", text.as_bytes(), b"\x00"].concat()).collect()
}

/// An index of colours, and records of two parts each.
async fn painted() -> Database<MemoryBackend> {
    let db = database();
    let tx = db.transaction();
    for (colour, id) in [("blue", "1"), ("red", "2"), ("red", "3")] {
        tx.set(tuple(&["index", colour, id]), tuple(&[id]));
        tx.set(tuple(&["record", id, "a"]), format!("a of {id}"));
        tx.set(tuple(&["record", id, "b"]), format!("b of {id}"));
    }
    tx.commit().await.unwrap();
    db
}

fn index() -> RangeRead {
    RangeRead::prefix(tuple(&["index", "red"]))
}

#[tokio::test]
async fn an_index_leads_to_its_records() {
    let db = painted().await;
    let tx = db.transaction();
    let mapper = tuple(&["record", "{K[2]}", "{...}"]);
    let page = tx.get_mapped_range(index(), mapper).await.unwrap();
    assert!(!page.more);
    let found: Vec<Vec<_>> = page
        .rows
        .iter()
        .map(|row| row.found.iter().map(|found| found.value.clone()).collect())
        .collect();
    assert_eq!(found, [["a of 2", "b of 2"], ["a of 3", "b of 3"]]);
    assert_eq!(page.rows[0].row.key, tuple(&["index", "red", "2"]));
    let begin = KeySelector::first_greater_or_equal(tuple(&["record", "2"]));
    assert_eq!(page.rows[0].begin, begin);
    let limited = tx.get_mapped_range(index().rows_max(1), tuple(&["{V[0]}"])).await.unwrap();
    assert!(limited.more && limited.rows.len() == 1);
}

#[tokio::test]
async fn a_mapper_without_dots_leads_to_one_key() {
    let db = painted().await;
    let tx = db.transaction();
    let page = tx.get_mapped_range(index(), tuple(&["record", "{V[0]}", "b"])).await.unwrap();
    let values: Vec<_> = page.rows.iter().map(|row| row.found[0].value.clone()).collect();
    assert_eq!(values, ["b of 2", "b of 3"]);
    let page = tx.get_mapped_range(index(), tuple(&["nothing", "{V[0]}"])).await.unwrap();
    assert!(page.rows.iter().all(|row| row.found.is_empty()));
}

#[tokio::test]
async fn what_was_found_counts_as_read() {
    let db = painted().await;
    for (written, conflicts) in [("2", true), ("1", false)] {
        let tx = db.transaction();
        let mapper = tuple(&["record", "{K[2]}", "{...}"]);
        tx.get_mapped_range(index(), mapper).await.unwrap();
        tx.set("k", "v");
        let other = db.transaction();
        other.set(tuple(&["record", written, "new"]), "");
        other.commit().await.unwrap();
        assert_eq!(tx.commit().await.is_err(), conflicts);
    }
}

#[tokio::test]
async fn own_writes_are_not_mapped() {
    let db = painted().await;
    let mapper = || tuple(&["record", "{K[2]}", "{...}"]);
    for (written, is_read) in [
        (tuple(&["record", "3", "c"]), true),
        (tuple(&["index", "red", "3"]), true),
        (tuple(&["record", "1", "c"]), false),
        (tuple(&["index", "blue", "9"]), false),
    ] {
        let tx = db.transaction();
        tx.set(written, "own");
        let read = tx.get_mapped_range(index(), mapper()).await;
        assert_eq!(read.is_err(), is_read);
        if is_read {
            assert_eq!(code(read), ErrorCode::MAPPED_RANGE_READS_OWN_WRITES);
        }
    }
}

#[tokio::test]
async fn what_can_not_be_mapped_is_said() {
    let db = painted().await;
    let tx = db.transaction();
    let cases = [
        (index(), b"\x7F".to_vec(), ErrorCode::MAPPER_NOT_TUPLE),
        (index(), tuple(&["{K[9]}"]), ErrorCode::MAPPER_BAD_INDEX),
        (index(), tuple(&["{...}", "late"]), ErrorCode::MAPPER_BAD_RANGE_DESCRIPTOR),
        (index().reversed(), tuple(&["x"]), ErrorCode::UNSUPPORTED_OPERATION),
        (RangeRead::prefix("\x02record"), tuple(&["{V[0]}"]), ErrorCode::VALUE_NOT_TUPLE),
    ];
    for (read, mapper, expected) in cases {
        assert_eq!(code(tx.get_mapped_range(read, mapper).await), expected);
    }
    let special = RangeRead::new(b"\xFF\xFF/a", b"\xFF\xFF/b");
    let error = code(tx.get_mapped_range(special, tuple(&["x"])).await);
    assert_eq!(error, ErrorCode::CLIENT_INVALID_OPERATION);
    let tx = db.transaction();
    tx.set_option(Set::ReadYourWritesDisable);
    let error = code(tx.get_mapped_range(index(), tuple(&["x"])).await);
    assert_eq!(error, ErrorCode::UNSUPPORTED_OPERATION);
}
