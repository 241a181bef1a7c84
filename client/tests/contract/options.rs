//! What options do, and how long they last.

use std::time::Duration;

use plinth_client::{ErrorCode, TransactionOption as Set, TransactionOptions};

use super::{code, database, with_version, write};

#[tokio::test]
async fn a_wrong_value_comes_out_of_the_next_call_and_stops_the_ones_after() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::SizeLimit(31));
    tx.set_option(Set::Tag("x".repeat(256).into()));
    assert_eq!(code(tx.get("k").await), ErrorCode::INVALID_OPTION_VALUE, "the first one stays");
    tx.reset();
    tx.set_option(Set::SizeLimit(32));
    tx.set("k", "a value that is long enough");
    assert_eq!(code(tx.commit().await), ErrorCode::TRANSACTION_TOO_LARGE);
}

#[tokio::test]
async fn tags_are_few_and_short() {
    let db = database();
    let tx = db.transaction();
    for tag in ["a", "b", "c", "d", "e", "a"] {
        tx.set_option(Set::Tag(tag.into()));
    }
    assert!(tx.approximate_size().is_ok(), "a tag counts once");
    tx.set_option(Set::Tag("f".into()));
    assert_eq!(code(tx.commit().await), ErrorCode::TOO_MANY_TAGS);
    tx.reset();
    tx.set_option(Set::Tag("x".repeat(255).into()));
    tx.commit().await.unwrap();
    tx.reset();
    tx.set_option(Set::Tag("x".repeat(256).into()));
    assert_eq!(code(tx.commit().await), ErrorCode::TAG_TOO_LONG);
}

#[tokio::test]
async fn a_transaction_is_logged_under_one_name() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::LogTransaction);
    assert_eq!(code(tx.commit().await), ErrorCode::CLIENT_INVALID_OPERATION);
    tx.reset();
    tx.set_option(Set::DebugTransactionIdentifier("name".into()));
    tx.set_option(Set::DebugTransactionIdentifier("name".into()));
    tx.set_option(Set::LogTransaction);
    assert!(tx.approximate_size().is_ok());
    tx.set_option(Set::DebugTransactionIdentifier("another".into()));
    assert_eq!(code(tx.commit().await), ErrorCode::CLIENT_INVALID_OPERATION);
    for name in ["", &"x".repeat(101)] {
        tx.reset();
        tx.set_option(Set::DebugTransactionIdentifier(name.to_owned().into()));
        assert_eq!(code(tx.commit().await), ErrorCode::INVALID_OPTION_VALUE);
    }
}

#[tokio::test]
async fn who_reads_locked_databases_writes_nothing() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::ReadLockAware);
    assert_eq!(tx.get("k").await.unwrap(), None);
    tx.set("k", "v");
    assert_eq!(code(tx.commit().await), ErrorCode::LOCK_AWARE_READ_ONLY);
    for first in [Set::LockAware, Set::ReadLockAware] {
        tx.reset();
        tx.set_option(first);
        tx.set_option(Set::LockAware);
        tx.set_option(Set::ReadLockAware);
        tx.set("k", "v");
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn limits_last_through_retries_since_610_and_everything_else_goes() {
    let db = database();
    for (version, lasts) in [(600, false), (610, true), (730, true)] {
        let tx = with_version(&db, version).transaction();
        tx.set_option(Set::RetryLimit(Some(1)));
        tx.set_option(Set::SizeLimit(32));
        tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
        tx.set("key", "longer than 32 bytes in all");
        tx.commit().await.unwrap();
        let again = tx.on_error(ErrorCode::NOT_COMMITTED).await;
        assert_eq!(again.is_err(), lasts, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_the_timeout_begins_anew_with_each_try_before_610() {
    let db = database();
    for (version, runs_out) in [(600, false), (610, true)] {
        let tx = with_version(&db, version).transaction();
        tokio::time::advance(Duration::from_millis(90)).await;
        tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
        tx.set_option(Set::Timeout(Some(Duration::from_millis(80))));
        assert_eq!(tx.get("k").await.is_err(), runs_out, "{version}");
    }
}

#[tokio::test]
async fn defaults_come_back_with_every_try() {
    let db = database();
    let defaults = TransactionOptions {
        size_limit: Some(40),
        retry_limit: Some(2),
        ..TransactionOptions::default()
    };
    let tx = db.with_defaults(defaults).transaction();
    tx.set_option(Set::SizeLimit(10_000));
    tx.set("key", "value");
    tx.commit().await.unwrap();
    tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
    tx.set("key", "value");
    assert_eq!(code(tx.commit().await), ErrorCode::TRANSACTION_TOO_LARGE);
    tx.set_option(Set::RetryLimit(None));
    for _ in 0..3 {
        tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
    }
    tx.reset();
    tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
    tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
    assert_eq!(code(tx.on_error(ErrorCode::NOT_COMMITTED).await), ErrorCode::NOT_COMMITTED);
}

#[tokio::test]
async fn a_limit_of_retries_meets_those_that_were_before() {
    let db = database();
    let tx = db.transaction();
    tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
    tx.set_option(Set::RetryLimit(Some(1)));
    assert_eq!(code(tx.on_error(ErrorCode::NOT_COMMITTED).await), ErrorCode::NOT_COMMITTED);
    tx.reset();
    tx.set_option(Set::RetryLimit(Some(0)));
    assert_eq!(code(tx.on_error(ErrorCode::NOT_COMMITTED).await), ErrorCode::NOT_COMMITTED);
}

#[tokio::test]
async fn read_your_writes_can_be_disabled_only_at_first() {
    let db = database();
    write(&db, "k", "before").await;
    let tx = db.transaction();
    tx.set_option(Set::ReadYourWritesDisable);
    tx.set("k", "after");
    assert_eq!(tx.get("k").await.unwrap().unwrap(), "before");
    let tx = db.transaction();
    tx.get("k").await.unwrap();
    tx.set_option(Set::ReadYourWritesDisable);
    assert_eq!(code(tx.commit().await), ErrorCode::CLIENT_INVALID_OPERATION);
}

#[tokio::test]
async fn a_new_database_is_initialized_before_anything_is_read() {
    let db = database();
    let tx = db.transaction();
    tx.get_read_version().await.unwrap();
    tx.set_option(Set::InitializeNewDatabase);
    assert_eq!(code(tx.commit().await), ErrorCode::READ_VERSION_ALREADY_SET);
    let tx = db.transaction();
    tx.set_option(Set::InitializeNewDatabase);
    tx.set("k", "v");
    tx.commit().await.unwrap();
}
