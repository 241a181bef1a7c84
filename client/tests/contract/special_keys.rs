//! Special keys: what is there, who may read and write it, and when.

use plinth_client::{
    ErrorCode, KeySelector, KeyValue, Page, RangeRead, StreamingMode, TransactionOption as Set,
};

use super::{Tx, code, database, with_version, write};

fn key(rest: &str) -> Vec<u8> {
    [b"\xFF\xFF/", rest.as_bytes()].concat()
}

fn module(prefix: &str) -> RangeRead {
    let (begin, mut end) = (key(prefix), key(prefix));
    end.extend(b"\xFF\xFF");
    RangeRead::new(begin, end)
}

fn shown(page: &Page, prefix: &str) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let row = |row: &KeyValue| {
        (text(row.key.strip_prefix(key(prefix).as_slice()).unwrap()), text(&row.value))
    };
    page.rows.iter().map(row).collect()
}

async fn conflicts(tx: &Tx, kind: &str) -> Vec<(String, String)> {
    let prefix = format!("transaction/{kind}/");
    shown(&tx.get_range(module(&prefix)).await.unwrap(), &prefix)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn conflict_ranges_are_rows_of_their_beginnings_and_ends() {
    let db = database();
    let tx = db.transaction();
    tx.get("c").await.unwrap();
    tx.add_read_conflict_range("d", "f").unwrap();
    tx.set("x", "");
    tx.clear_range("y", "z");
    let read = pairs(&[("c", "1"), ("c\0", "0"), ("d", "1"), ("f", "0")]);
    assert_eq!(conflicts(&tx, "read_conflict_range").await, read);
    let write = pairs(&[("x", "1"), ("x\0", "0"), ("y", "1"), ("z", "0")]);
    assert_eq!(conflicts(&tx, "write_conflict_range").await, write);
    assert_eq!(conflicts(&tx, "conflicting_keys").await, []);
    assert_eq!(tx.get(key("transaction/read_conflict_range/d")).await.unwrap().unwrap(), "1");
    assert_eq!(tx.get(key("transaction/read_conflict_range/e")).await.unwrap(), None);
}

#[tokio::test]
async fn a_conflict_names_what_was_hit_on_the_used_transaction() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::ReportConflictingKeys);
    tx.get("hit").await.unwrap();
    tx.get("missed").await.unwrap();
    tx.set("k", "v");
    write(&db, "hit", "v").await;
    assert_eq!(code(tx.commit().await), ErrorCode::NOT_COMMITTED);
    let expected = pairs(&[("hit", "1"), ("hit\0", "0")]);
    assert_eq!(conflicts(&tx, "conflicting_keys").await, expected);
    tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
    assert_eq!(conflicts(&tx, "conflicting_keys").await, []);
}

#[tokio::test]
async fn pages_of_special_keys_have_limits_and_directions() {
    let db = database();
    let tx = db.transaction();
    for name in ["a", "b", "c"] {
        tx.add_write_conflict_key(name).unwrap();
    }
    let prefix = "transaction/write_conflict_range/";
    let page = tx.get_range(module(prefix).rows_max(2)).await.unwrap();
    assert_eq!((shown(&page, prefix), page.more), (pairs(&[("a", "1"), ("a\0", "0")]), true));
    let page = tx.get_range(module(prefix).reversed().rows_max(1)).await.unwrap();
    assert_eq!((shown(&page, prefix), page.more), (pairs(&[("c\0", "0")]), true));
    let page = tx.get_range(module(prefix).mode(StreamingMode::WantAll)).await.unwrap();
    assert_eq!((page.rows.len(), page.more), (6, false));
    let after = KeySelector { offset: 3, ..KeySelector::first_greater_than(key(prefix)) };
    let end = KeySelector::first_greater_or_equal([&key(prefix)[..], b"\xFF\xFF"].concat());
    let page = tx.get_range(RangeRead::between(after, end)).await.unwrap();
    assert_eq!(shown(&page, prefix)[0].0, "b");
}

#[tokio::test]
async fn one_read_stays_in_one_module() {
    let db = database();
    let tx = db.transaction();
    let all = RangeRead::new(b"\xFF\xFF/", b"\xFF\xFF\xFF");
    let across = RangeRead::new(key("tracing/"), key("transaction0"));
    assert_eq!(code(tx.get(key("nothing/here")).await), ErrorCode::SPECIAL_KEYS_NO_MODULE_FOUND);
    for read in [&all, &across] {
        let error = code(tx.get_range(read.clone()).await);
        assert_eq!(error, ErrorCode::SPECIAL_KEYS_CROSS_MODULE_READ);
    }
    tx.set_option(Set::SpecialKeysRelaxed);
    assert_eq!(tx.get(key("nothing/here")).await.unwrap(), None);
    assert_eq!(tx.get_range(across).await.unwrap().rows.len(), 2);
    let rows = tx.range(all).collect().await.unwrap();
    assert!(rows.iter().any(|row| row.key == key("status/json")));
    assert!(rows.is_sorted_by(|a, b| a.key < b.key));
}

#[tokio::test]
async fn special_keys_are_no_keys_for_selectors_and_conflicts() {
    let db = database();
    let tx = db.transaction();
    let selector = KeySelector::first_greater_or_equal(key("status/json"));
    assert_eq!(code(tx.get_key(selector).await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
    tx.get(key("status/json")).await.unwrap();
    assert_eq!(conflicts(&tx, "read_conflict_range").await, []);
    assert_eq!(tx.approximate_size().unwrap(), 0);
}

#[tokio::test]
async fn they_can_be_read_when_the_transaction_is_over_but_not_after_a_stored_error() {
    let db = database();
    let tx = db.transaction();
    tx.set("k", "v");
    tx.commit().await.unwrap();
    assert!(tx.get(key("status/json")).await.unwrap().is_some());
    tx.cancel();
    assert!(tx.get(key("status/json")).await.unwrap().is_some());
    let tx = db.transaction();
    tx.set(b"\xFF", "");
    assert_eq!(code(tx.get(key("status/json")).await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
}

#[tokio::test]
async fn writes_have_to_be_allowed_and_to_have_a_place() {
    let db = database();
    let tx = db.transaction();
    tx.set(key("management/tenant/map/a"), "");
    assert_eq!(code(tx.commit().await), ErrorCode::SPECIAL_KEYS_WRITE_DISABLED);
    let refused = |write: fn(&Tx)| {
        let tx = db.transaction();
        tx.set_option(Set::SpecialKeysWritable);
        write(&tx);
        code(tx.approximate_size())
    };
    let set: fn(&Tx) = |tx| tx.set(key("status/json"), "");
    assert_eq!(refused(set), ErrorCode::SPECIAL_KEYS_NO_WRITE_MODULE_FOUND);
    let clear: fn(&Tx) = |tx| tx.clear(key("status/json"));
    assert_eq!(refused(clear), ErrorCode::SPECIAL_KEYS_NO_WRITE_MODULE_FOUND);
    let across: fn(&Tx) = |tx| tx.clear_range(key("management/excluded/"), key("management0"));
    assert_eq!(refused(across), ErrorCode::SPECIAL_KEYS_CROSS_MODULE_CLEAR);
    let traces: fn(&Tx) = |tx| tx.clear(key("tracing/token"));
    assert_eq!(refused(traces), ErrorCode::SPECIAL_KEYS_API_FAILURE);
    let tx = with_version(&db, 630).transaction();
    tx.set(key("management/options/excluded/force"), "");
    assert_eq!(code(tx.commit().await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
}

#[tokio::test]
async fn tenants_that_are_not_there_can_be_cleared_but_not_made() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::SpecialKeysWritable);
    tx.clear_range(key("management/tenant/map/"), key("management/tenant/map0"));
    tx.clear_range(key("management/tenant/map/a"), key("management/tenant/map/b"));
    assert_eq!(tx.get_range(module("management/tenant/map/")).await.unwrap().rows, []);
    assert_eq!(tx.commit().await.unwrap(), None);
    let tx = db.transaction();
    tx.set_option(Set::SpecialKeysWritable);
    tx.set(key("management/tenant/map/a"), "");
    assert_eq!(code(tx.commit().await), ErrorCode::TENANTS_DISABLED);
}

#[tokio::test]
async fn a_command_that_can_not_be_says_why() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::SpecialKeysWritable);
    tx.set(key("management/options/excluded/force"), "");
    tx.set(key("management/options/unknown"), "");
    let options = "management/options/";
    let page = tx.get_range(module(options)).await.unwrap();
    assert_eq!(shown(&page, options), pairs(&[("excluded/force", "")]));
    tx.set(key("management/excluded/127.0.0.1:4500"), "");
    assert_eq!(tx.get(key("error_message")).await.unwrap(), None);
    assert_eq!(code(tx.commit().await), ErrorCode::SPECIAL_KEYS_API_FAILURE);
    let message = tx.get(key("error_message")).await.unwrap().unwrap();
    let message: serde_json::Value = serde_json::from_slice(&message).unwrap();
    assert_eq!((&message["command"], &message["retriable"]), (&"exclude".into(), &false.into()));
}

#[tokio::test]
async fn the_numbers_of_a_trace_are_set_before_anything_else() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::SpecialKeysWritable);
    assert_eq!(tx.get(key("tracing/token")).await.unwrap().unwrap(), "0");
    tx.set(key("tracing/token"), "true");
    assert_ne!(tx.get(key("tracing/token")).await.unwrap().unwrap(), "0");
    tx.set(key("tracing/transaction_id"), "1234");
    assert_eq!(tx.get(key("tracing/transaction_id")).await.unwrap().unwrap(), "1234");
    assert_eq!(tx.get_range(module("tracing/")).await.unwrap().rows.len(), 2);
    tx.set("k", "v");
    tx.set(key("tracing/transaction_id"), "5");
    assert_eq!(tx.get(key("tracing/transaction_id")).await.unwrap().unwrap(), "1234");
    assert_eq!(code(tx.commit().await), ErrorCode::SPECIAL_KEYS_API_FAILURE);
    let tx = db.transaction();
    tx.set_option(Set::SpecialKeysWritable);
    tx.set(key("tracing/token"), "perhaps");
    assert_eq!(code(tx.commit().await), ErrorCode::SPECIAL_KEYS_API_FAILURE);
}

#[tokio::test]
async fn before_630_there_were_few_and_no_modules() {
    let db = with_version(&database(), 620);
    let tx = db.transaction();
    assert!(tx.get(key("status/json")).await.unwrap().is_some());
    assert_eq!(tx.get(key("connection_string")).await.unwrap(), None, "no cluster file here");
    assert_eq!(code(tx.get(key("tracing/token")).await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
    let workers = RangeRead::new(key("worker_interfaces"), b"\xFF\xFF\xFF");
    assert!(tx.get_range(workers).await.is_ok());
    let conflicts = module("transaction/read_conflict_range/");
    assert_eq!(code(tx.get_range(conflicts).await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
}
