//! System keys: who may read and write them, how long they may be, and those that are always there.

use plinth_client::{ErrorCode, RangeRead, TransactionOption as Set};

use super::{Tx, code, database};

const KEY: &[u8] = b"\xFF/mine";

#[tokio::test]
async fn they_open_for_reading_and_for_writing() {
    let db = database();
    let open = |option: Option<Set>| {
        let tx = db.transaction();
        if let Some(option) = option {
            tx.set_option(option);
        }
        tx
    };
    for (option, reads, writes) in [
        (None, false, false),
        (Some(Set::RawAccess), false, false),
        (Some(Set::ReadSystemKeys), true, false),
        (Some(Set::AccessSystemKeys), true, true),
    ] {
        assert_eq!(open(option.clone()).get(KEY).await.is_ok(), reads, "{option:?}");
        let watched = open(option.clone()).watch(KEY).await;
        assert_eq!(watched.is_ok(), reads);
        let page = open(option.clone()).get_range(RangeRead::new("", b"\xFF/z")).await;
        assert_eq!(page.is_ok(), reads);
        let write: [fn(&Tx); 4] = [
            |tx| tx.set(KEY, "v"),
            |tx| tx.clear(KEY),
            |tx| tx.clear_range("a", KEY),
            |tx| tx.add_write_conflict_key(KEY).unwrap(),
        ];
        for write in write {
            let tx = open(option.clone());
            write(&tx);
            let committed = tx.commit().await;
            assert_eq!(committed.is_ok(), writes, "{option:?}");
            if !writes {
                assert_eq!(code(committed), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
            }
        }
    }
    let tx = db.transaction();
    tx.clear_range("", b"\xFF");
    tx.commit().await.unwrap();
    let tx = open(Some(Set::AccessSystemKeys));
    assert_eq!(code(tx.get(b"\xFF\xFF").await), ErrorCode::SPECIAL_KEYS_NO_MODULE_FOUND);
}

#[tokio::test]
async fn they_may_be_longer_than_others() {
    let db = database();
    let fits = async |option: Option<Set>, first: u8, length: usize| {
        let tx = db.transaction();
        if let Some(option) = option {
            tx.set_option(option);
        }
        let mut key = vec![b'k'; length];
        key[0] = first;
        tx.set(key, "");
        match tx.commit().await {
            Ok(_) => true,
            Err(error) if error.code == ErrorCode::KEY_TOO_LARGE => false,
            Err(error) => unreachable!("{error}"),
        }
    };
    let access = || Some(Set::AccessSystemKeys);
    assert!(fits(None, b'k', 10_000).await && !fits(None, b'k', 10_001).await);
    for option in [access(), Some(Set::RawAccess)] {
        assert!(fits(option.clone(), b'k', 10_008).await);
        assert!(!fits(option, b'k', 10_009).await);
    }
    assert!(fits(access(), 0xFF, 30_000).await && !fits(access(), 0xFF, 30_001).await);
}

#[tokio::test]
async fn there_is_one_shard_and_it_begins_at_the_first_key() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::ReadSystemKeys);
    let shards = |begin: &str, end: &[u8]| {
        let begin = [b"\xFF/keyServers/", begin.as_bytes()].concat();
        RangeRead::new(begin, [b"\xFF/keyServers/", end].concat())
    };
    let page = tx.snapshot().get_range(shards("", b"\xFF")).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.rows[0].key, &b"\xFF/keyServers/"[..]);
    let page = tx.snapshot().get_range(shards("a", b"z")).await.unwrap();
    assert!(page.rows.is_empty() && !page.more);
    assert_eq!(tx.get(b"\xFF/coordinators").await.unwrap().unwrap(), "", "not in a cluster file");
    let closed = db.transaction().get_range(shards("", b"\xFF")).await;
    assert_eq!(code(closed), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
}
