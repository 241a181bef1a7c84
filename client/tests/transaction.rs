//! What transactions promise beyond what the golden programs show: options, sizes, time, stamps,
//! watches, and use from several places at once.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::time::Duration;

use plinth_client::{
    AtomicOp, Database, Error, ErrorCode, KeyRange, KeySelector, RangeRead, StreamingMode,
    Transaction, TransactionOption, Version, testing::MemoryBackend,
};

fn database() -> Database<MemoryBackend> {
    Database::new(MemoryBackend::new())
}

fn code<T>(result: Result<T, Error>) -> ErrorCode {
    result.map(|_| ()).unwrap_err().code
}

async fn write(db: &Database<MemoryBackend>, key: &str, value: &str) -> Version {
    let tx = db.transaction();
    tx.set(key, value);
    tx.commit().await.unwrap().unwrap()
}

#[tokio::test]
async fn first_reads_that_run_together_agree_on_one_version() {
    let db = database();
    write(&db, "a", "1").await;
    let tx = db.transaction();
    let (a, version, missing) = tokio::join!(
        tx.get("a"),
        tx.get_read_version(),
        tx.get_key(KeySelector::first_greater_than("a"))
    );
    assert_eq!(a.unwrap().unwrap(), "1");
    assert_eq!(missing.unwrap(), &b"\xFF"[..]);
    write(&db, "a", "2").await;
    assert_eq!(tx.get_read_version().await.unwrap(), version.unwrap());
    assert_eq!(tx.get("a").await.unwrap().unwrap(), "1");
}

#[tokio::test]
async fn using_a_transaction_after_its_commit_fails_until_a_reset() {
    let db = database();
    let tx = db.transaction();
    tx.set("k", "v");
    let version = tx.commit().await.unwrap();
    assert_eq!(tx.committed_version(), version);
    assert_eq!(code(tx.get("k").await), ErrorCode::USED_DURING_COMMIT);
    assert_eq!(code(tx.on_error(ErrorCode::NOT_COMMITTED).await), ErrorCode::USED_DURING_COMMIT);
    tx.reset();
    assert_eq!(tx.get("k").await.unwrap().unwrap(), "v");
}

type Write = fn(&Transaction<MemoryBackend>);

#[tokio::test]
async fn the_first_error_of_a_void_call_comes_out_of_every_later_one() {
    let db = database();
    let tx = db.transaction();
    tx.set(vec![b'k'; 10_001], "v");
    tx.set("k", vec![0; 100_001]);
    assert_eq!(code(tx.get("k").await), ErrorCode::KEY_TOO_LARGE);
    assert_eq!(code(tx.approximate_size()), ErrorCode::KEY_TOO_LARGE);
    assert_eq!(code(tx.get_versionstamp().await), ErrorCode::KEY_TOO_LARGE);
    assert_eq!(code(tx.commit().await), ErrorCode::KEY_TOO_LARGE);
    let writes: [(Write, ErrorCode); 6] = [
        (|tx| tx.set(b"\xFF", ""), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE),
        (|tx| tx.clear_range("b", "a"), ErrorCode::INVERTED_RANGE),
        (|tx| tx.set("k", vec![0; 100_001]), ErrorCode::VALUE_TOO_LARGE),
        (|tx| tx.set_versionstamped_key("short", "", 0), ErrorCode::CLIENT_INVALID_OPERATION),
        (|tx| tx.set(b"\xFF/metadataVersion", ""), ErrorCode::CLIENT_INVALID_OPERATION),
        (|tx| tx.set_read_version(Version::ZERO), ErrorCode::VERSION_INVALID),
    ];
    for (write, expected) in writes {
        tx.reset();
        write(&tx);
        assert_eq!(code(tx.commit().await), expected);
    }
}

#[tokio::test]
async fn sizes_are_counted_as_foundationdb_counts_them() {
    let db = database();
    let size = |change: &dyn Fn(&Transaction<MemoryBackend>)| {
        let tx = db.transaction();
        change(&tx);
        tx.approximate_size().unwrap()
    };
    assert_eq!(size(&|tx| tx.set("key", "value")), 44 + 8 + 24 + 7);
    assert_eq!(size(&|tx| tx.clear("key")), 24 + 7 + 24 + 7);
    assert_eq!(size(&|tx| tx.clear_range("a", "bc")), 44 + 3 + 24 + 3);
    assert_eq!(size(&|tx| tx.atomic(AtomicOp::Add, "k", [1])), 44 + 2 + 24 + 3);
    let tx = db.transaction();
    tx.get("key").await.unwrap();
    tx.snapshot().get("other").await.unwrap();
    assert_eq!(tx.approximate_size().unwrap(), 24 + 7);
    tx.set_option(TransactionOption::SizeLimit(50));
    tx.set("key", "value");
    assert_eq!(code(tx.commit().await), ErrorCode::TRANSACTION_TOO_LARGE);
}

#[tokio::test]
async fn stamped_keys_are_unreadable_until_the_commit_says_what_they_are() {
    let db = database();
    let tx = db.transaction();
    let stamp = tx.get_versionstamp();
    tx.set_versionstamped_key([b"q/", &[0; 10][..]].concat(), "item", 2);
    assert_eq!(tx.get("p").await.unwrap(), None);
    assert_eq!(code(tx.get_range(RangeRead::prefix("q/")).await), ErrorCode::ACCESSED_UNREADABLE);
    assert_eq!(code(tx.commit().await), ErrorCode::ACCESSED_UNREADABLE, "a failed read sticks");
    assert_eq!(code(stamp.await), ErrorCode::TRANSACTION_INVALID_VERSION);

    let tx = db.transaction();
    let stamp = tx.get_versionstamp();
    tx.set_versionstamped_key([b"q/", &[0; 10][..]].concat(), "item", 2);
    let version = tx.commit().await.unwrap().unwrap();
    let stamp = stamp.await.unwrap();
    assert_eq!(stamp.version(), version);
    let key = [b"q/", &stamp.0[..]].concat();
    assert_eq!(db.transaction().get(key).await.unwrap().unwrap(), "item");
}

#[tokio::test]
async fn a_stamp_is_refused_where_there_will_be_none() {
    let db = database();
    let tx = db.transaction();
    let read_only = tx.get_versionstamp();
    tx.commit().await.unwrap();
    assert_eq!(code(read_only.await), ErrorCode::NO_COMMIT_VERSION);
    assert_eq!(code(tx.get_versionstamp().await), ErrorCode::USED_DURING_COMMIT);
    let tx = db.transaction();
    let never = tx.get_versionstamp();
    drop(tx);
    assert_eq!(code(never.await), ErrorCode::TRANSACTION_CANCELLED);
}

#[tokio::test]
async fn watches_begin_with_the_commit_and_fire_once() {
    let db = database();
    let tx = db.transaction();
    let watch = tx.watch("k").await.unwrap();
    let own = tx.watch("mine").await.unwrap();
    tx.set("mine", "changed here");
    own.changed().await.unwrap();
    tx.commit().await.unwrap();
    let watching = tokio::spawn(watch.changed());
    tokio::task::yield_now().await;
    assert!(!watching.is_finished());
    write(&db, "k", "v").await;
    watching.await.unwrap().unwrap();

    let tx = db.transaction();
    let watch = tx.watch("k").await.unwrap();
    tx.cancel();
    assert_eq!(code(watch.changed().await), ErrorCode::TRANSACTION_CANCELLED);
    let tx = db.transaction();
    tx.set_option(TransactionOption::ReadYourWritesDisable);
    assert_eq!(code(tx.watch("k").await), ErrorCode::WATCHES_DISABLED);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_runs_through_retries_and_ends_with_a_reset() {
    let db = database();
    let tx = db.transaction();
    tx.set_option(TransactionOption::Timeout(Some(Duration::from_millis(100))));
    tx.on_error(ErrorCode::NOT_COMMITTED).await.unwrap();
    tokio::time::advance(Duration::from_millis(101)).await;
    assert_eq!(code(tx.get("k").await), ErrorCode::TRANSACTION_TIMED_OUT);
    assert_eq!(code(tx.on_error(ErrorCode::NOT_COMMITTED).await), ErrorCode::TRANSACTION_TIMED_OUT);
    tx.reset();
    tokio::time::advance(Duration::from_hours(1)).await;
    assert_eq!(tx.get("k").await.unwrap(), None);
}

#[tokio::test]
async fn an_error_against_which_nothing_helps_ends_the_transaction() {
    let db = database();
    let tx = db.transaction();
    assert_eq!(code(tx.on_error(ErrorCode::KEY_TOO_LARGE).await), ErrorCode::KEY_TOO_LARGE);
    assert_eq!(code(tx.get("k").await), ErrorCode::TRANSACTION_CANCELLED);
    tx.reset();
    tx.set_option(TransactionOption::RetryLimit(Some(1)));
    tx.on_error(ErrorCode::TRANSACTION_TOO_OLD).await.unwrap();
    assert_eq!(code(tx.on_error(ErrorCode::NOT_COMMITTED).await), ErrorCode::NOT_COMMITTED);
}

#[tokio::test]
async fn the_metadata_version_is_read_by_all_and_written_as_a_stamp() {
    let db = database();
    let tx = db.transaction();
    let key = b"\xFF/metadataVersion";
    assert_eq!(tx.get(key).await.unwrap(), None);
    tx.set_versionstamped_value(key, [0; 10], 0);
    let version = tx.commit().await.unwrap().unwrap();
    let value = db.transaction().get(key).await.unwrap().unwrap();
    assert_eq!(value.get(..8).unwrap(), version.0.to_be_bytes());
    let range = KeyRange::new(&b"\xFF"[..], &b"\xFF\xFF"[..]);
    assert_eq!(
        code(db.transaction().get_range(range.clone()).await),
        ErrorCode::KEY_OUTSIDE_LEGAL_RANGE
    );
    let tx = db.transaction();
    tx.set_option(TransactionOption::ReadSystemKeys);
    assert_eq!(tx.get_range(range).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn a_stream_goes_through_all_pages_in_both_directions() {
    let db = database();
    let tx = db.transaction();
    for n in 0..3000_u32 {
        tx.set(format!("{n:05}"), [0; 40]);
    }
    assert_eq!(tx.range(RangeRead::new("", "1")).collect().await.unwrap().len(), 3000);
    tx.commit().await.unwrap();
    let tx = db.transaction();
    let rows = tx.range(RangeRead::new("", "1").reversed()).collect().await.unwrap();
    assert!(rows.len() == 3000 && rows.is_sorted_by(|a, b| a.key > b.key));
    let mut some = tx.snapshot().range(RangeRead::new("", "1").rows_max(777));
    let mut count = 0;
    while some.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 777);
}

#[tokio::test]
async fn a_page_asks_for_what_is_not_known_and_no_more() {
    let backend = MemoryBackend::new();
    let db = Database::new(backend.clone());
    let tx = db.transaction();
    for key in ["a", "b", "c", "d", "e", "f"] {
        tx.set(key, "1");
    }
    tx.commit().await.unwrap();
    let tx = db.transaction();
    let asked = async |range: RangeRead| {
        let before = backend.reads_asked();
        let rows = tx.get_range(range).await.unwrap().rows.len();
        (rows, backend.reads_asked() - before)
    };
    assert_eq!(asked(RangeRead::new("b", "d")).await, (2, 1), "one question, and no other");
    assert_eq!(asked(RangeRead::new("b", "d").reversed()).await, (2, 0), "known");
    assert_eq!(asked(RangeRead::new("e", "z").rows_max(1)).await, (1, 1));
    let all = RangeRead::new("a", "z").rows_max(9);
    let bound = asked(all.clone()).await;
    assert_eq!(bound, (3, 1), "a page that bytes bound ends where the unknown begins");
    assert_eq!(asked(all.mode(StreamingMode::Exact)).await, (6, 1), "over a known key");
    tx.set("bb", "1");
    tx.clear("e");
    assert_eq!(asked(RangeRead::new("a", "z")).await, (6, 0), "own writes over it");
}

#[tokio::test]
async fn a_stored_error_comes_before_the_end_of_the_transaction() {
    let tx = database().transaction();
    tx.set(b"\xFF", "outside");
    tx.cancel();
    assert_eq!(code(tx.get("a").await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
    assert_eq!(code(tx.get_read_version().await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
}

#[tokio::test]
async fn selectors_with_longest_keys_leave_conflicts_that_a_server_takes() {
    let db = database();
    let key_bytes_max = db.limits().key_bytes_max;
    let too_long = KeySelector::first_greater_than(vec![b'k'; key_bytes_max + 1]);
    for is_range in [false, true] {
        let tx = db.transaction();
        if is_range {
            let end = KeySelector::first_greater_or_equal("z");
            tx.get_range(RangeRead::between(too_long.clone(), end)).await.unwrap();
        } else {
            tx.get_key(too_long.clone()).await.unwrap();
        }
        let [range] = tx.read_conflict_ranges().unwrap().try_into().unwrap();
        assert_eq!(range.begin.len(), key_bytes_max + 1);
    }
}
