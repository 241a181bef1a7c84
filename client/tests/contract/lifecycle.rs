//! How transactions fail, end and begin again.

use std::time::Duration;

use plinth_client::{ErrorCode, RangeRead, TransactionOption as Set};

use super::{code, database, with_version, write};

#[tokio::test]
async fn success_is_no_error_to_begin_again_after() {
    let db = database();
    let tx = db.transaction();
    assert_eq!(code(tx.on_error(ErrorCode(0)).await), ErrorCode::CLIENT_INVALID_OPERATION);
    assert_eq!(code(tx.get("k").await), ErrorCode::TRANSACTION_CANCELLED);
}

#[tokio::test]
async fn an_error_that_can_not_be_mended_began_anew_before_610() {
    let db = database();
    for (version, ends) in [(600, false), (610, true)] {
        let tx = with_version(&db, version).transaction();
        assert_eq!(code(tx.on_error(ErrorCode::KEY_TOO_LARGE).await), ErrorCode::KEY_TOO_LARGE);
        assert_eq!(tx.get("k").await.is_err(), ends, "{version}");
    }
}

#[tokio::test]
async fn what_is_mended_depends_on_the_version() {
    let db = database();
    let mends = async |version, number| {
        with_version(&db, version).transaction().on_error(ErrorCode(number)).await.is_ok()
    };
    assert!(mends(710, 2137).await && !mends(730, 2137).await);
    assert!(mends(740, 1235).await && !mends(730, 1235).await);
}

#[tokio::test]
async fn the_read_version_outlives_the_commit_since_700() {
    let db = database();
    write(&db, "k", "1").await;
    for (version, outlives) in [(630, false), (700, true)] {
        let tx = with_version(&db, version).transaction();
        let read_version = tx.get_read_version().await.unwrap();
        tx.set("k", "2");
        tx.commit().await.unwrap();
        write(&db, "k", "3").await;
        assert_eq!(tx.get_read_version().await.unwrap() == read_version, outlives, "{version}");
    }
}

#[tokio::test]
async fn misuse_takes_everything_with_it_unless_the_protection_is_off() {
    let db = database();
    let tx = db.transaction();
    tx.commit().await.unwrap();
    tx.set("k", "v");
    assert_eq!(code(tx.on_error(ErrorCode::NOT_COMMITTED).await), ErrorCode::USED_DURING_COMMIT);
    assert_eq!(code(tx.get_read_version().await), ErrorCode::USED_DURING_COMMIT);
    let tx = db.transaction();
    tx.set_option(Set::UsedDuringCommitProtectionDisable);
    tx.commit().await.unwrap();
    assert_eq!(code(tx.get("k").await), ErrorCode::USED_DURING_COMMIT);
    assert_eq!(code(tx.commit().await), ErrorCode::USED_DURING_COMMIT);
    tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
    assert_eq!(tx.get("k").await.unwrap(), None);
    tx.commit().await.unwrap();
    assert!(tx.approximate_size().is_ok(), "looking does no harm");
    assert_eq!(tx.committed_version(), None);
}

#[tokio::test]
async fn misuse_is_said_before_the_end_of_the_transaction() {
    let db = database();
    let tx = db.transaction();
    tx.commit().await.unwrap();
    tx.cancel();
    assert_eq!(code(tx.get("k").await), ErrorCode::USED_DURING_COMMIT);
    assert_eq!(code(tx.on_error(ErrorCode::NOT_COMMITTED).await), ErrorCode::TRANSACTION_CANCELLED);
}

#[tokio::test]
async fn a_commit_after_reads_waits_for_them_and_counts_what_they_read() {
    let db = database();
    write(&db, "k", "v").await;
    let read_then_commit = async |written: &str| {
        let tx = db.transaction();
        tx.get_read_version().await.unwrap();
        write(&db, written, "by another").await;
        db.backend().hold_reads();
        let read = tx.clone();
        let reading =
            tokio::spawn(async move { read.get_range(RangeRead::new("a", "z").rows_max(1)).await });
        tokio::task::yield_now().await;
        tx.set("other", "v");
        let committing = tokio::spawn(async move { tx.commit_after_reads().await });
        tokio::task::yield_now().await;
        assert!(!committing.is_finished());
        db.backend().release_reads();
        assert_eq!(reading.await.unwrap().unwrap().rows.len(), 1);
        committing.await.unwrap()
    };
    assert!(read_then_commit("l").await.is_ok(), "the page ended at k");
    assert_eq!(code(read_then_commit("b").await), ErrorCode::NOT_COMMITTED);
}

#[tokio::test]
async fn a_commit_after_reads_activates_the_watches_that_have_begun() {
    let db = database();
    for writes in [false, true] {
        write(&db, "k", "v").await;
        db.backend().hold_reads();
        let tx = db.transaction();
        let watching = tokio::spawn({
            let tx = tx.clone();
            async move { tx.watch("k").await?.changed().await }
        });
        tokio::task::yield_now().await;
        if writes {
            tx.set("other", "v");
        }
        let committing = tokio::spawn(async move { tx.commit_after_reads().await });
        tokio::task::yield_now().await;
        assert!(!committing.is_finished());
        db.backend().release_reads();
        committing.await.unwrap().unwrap();
        assert!(!watching.is_finished());
        write(&db, "k", "changed").await;
        watching.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_commit_fails_with_its_reads() {
    let db = database();
    for waits in [false, true] {
        let tx = db.transaction();
        let stamped = [b"q/", &[0; 10][..]].concat();
        tx.set_versionstamped_key(stamped.clone(), "", 2);
        assert_eq!(code(tx.get(stamped).await), ErrorCode::ACCESSED_UNREADABLE);
        let committed = if waits { tx.commit_after_reads().await } else { tx.commit().await };
        assert_eq!(code(committed), ErrorCode::ACCESSED_UNREADABLE);
    }
}

#[tokio::test]
async fn misuse_during_a_commit_fails_the_commit() {
    let db = database();
    for (option, is_taken_along) in [(None, true), (Some(()), false)] {
        let tx = db.transaction();
        if option.is_some() {
            tx.set_option(Set::UsedDuringCommitProtectionDisable);
        }
        db.backend().hold_reads();
        let reading = tokio::spawn({
            let tx = tx.clone();
            async move { tx.get("k").await }
        });
        tokio::task::yield_now().await;
        let committing = tokio::spawn({
            let tx = tx.clone();
            async move { tx.commit_after_reads().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(code(tx.commit().await), ErrorCode::USED_DURING_COMMIT);
        db.backend().release_reads();
        let (read, committed) = (reading.await.unwrap(), committing.await.unwrap());
        assert_eq!((read.is_err(), committed.is_err()), (is_taken_along, is_taken_along));
        if is_taken_along {
            assert_eq!(code(committed), ErrorCode::USED_DURING_COMMIT);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_commit_ends_with_the_timeout() {
    let db = database();
    let tx = db.transaction();
    let stamp = tx.get_versionstamp();
    let watch = tx.watch("k").await.unwrap();
    tx.set_option(Set::Timeout(Some(Duration::from_millis(100))));
    let both = async { tokio::join!(stamp, watch.changed()) };
    let ended = tokio::time::timeout(Duration::from_secs(1), both).await;
    let (stamp, watch) = ended.unwrap();
    assert_eq!(code(stamp), ErrorCode::TRANSACTION_TIMED_OUT);
    assert_eq!(code(watch), ErrorCode::TRANSACTION_TIMED_OUT);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_active_outlives_timeout_and_reset() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(Set::Timeout(Some(Duration::from_millis(100))));
    let watch = tx.watch("k").await.unwrap();
    tx.commit().await.unwrap();
    let watching = tokio::spawn(watch.changed());
    tokio::time::advance(Duration::from_secs(1)).await;
    tx.reset();
    tokio::task::yield_now().await;
    assert!(!watching.is_finished());
    write(&db, "k", "v").await;
    watching.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_inverted_range_is_said_before_everything_else() {
    let db = database();
    let tx = db.transaction();
    tx.clear_range(b"\xFFb", b"\xFFa");
    assert_eq!(code(tx.commit().await), ErrorCode::INVERTED_RANGE);
    let tx = db.transaction();
    assert_eq!(code(tx.add_read_conflict_range("b", "a")), ErrorCode::INVERTED_RANGE);
    assert_eq!(code(tx.add_write_conflict_range("b", "a")), ErrorCode::INVERTED_RANGE);
    tx.commit().await.unwrap();
}
