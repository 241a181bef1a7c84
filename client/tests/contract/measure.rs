//! Sizes: of the transaction by FoundationDB's formulas, and of what it asks about.

use plinth_client::{AtomicOp, ErrorCode, KeyRange, RangeRead, TransactionOption as Set};

use super::{Tx, code, database, with_version, write};

/// A mutation counts this beside its key and value.
const MUTATION: usize = 44;
/// A conflict range, or the clear of one key, counts this beside its ends.
const CONFLICT: usize = 24;

type Write = fn(&Tx);

#[tokio::test]
async fn a_transaction_is_as_large_as_the_formulas_say() {
    let db = database();
    write(&db, "key", "value").await;
    let writes: [(Write, usize); 8] = [
        (|tx| tx.set("key", "value"), MUTATION + 8 + CONFLICT + 7),
        (|tx| tx.atomic(AtomicOp::Add, "key", [1; 8]), MUTATION + 11 + CONFLICT + 7),
        (|tx| tx.clear("key"), CONFLICT + 7 + CONFLICT + 7),
        (|tx| tx.clear_range("aa", "bbb"), MUTATION + 5 + CONFLICT + 5),
        (|tx| tx.add_write_conflict_range("aa", "bbb").unwrap(), CONFLICT + 5),
        (|tx| tx.add_read_conflict_range("aa", "bbb").unwrap(), CONFLICT + 5),
        (|tx| tx.add_read_conflict_key("key").unwrap(), CONFLICT + 7),
        (
            |tx| {
                tx.set_option(Set::NextWriteNoWriteConflictRange);
                tx.set("key", "value");
            },
            MUTATION + 8,
        ),
    ];
    for (write, expected) in writes {
        let tx = db.transaction();
        assert_eq!(tx.approximate_size().unwrap(), 0);
        write(&tx);
        assert_eq!(tx.approximate_size().unwrap(), expected);
        write(&tx);
        assert_eq!(tx.approximate_size().unwrap(), 2 * expected, "each call counts");
    }
}

#[tokio::test]
async fn reads_count_what_they_add_to_the_conflicts() {
    let db = database();
    write(&db, "key", "value").await;
    let tx = db.transaction();
    tx.get("key").await.unwrap();
    assert_eq!(tx.approximate_size().unwrap(), CONFLICT + 7);
    tx.snapshot().get("other").await.unwrap();
    assert_eq!(tx.approximate_size().unwrap(), CONFLICT + 7);
    tx.get_range(RangeRead::new("a", "b")).await.unwrap();
    assert_eq!(tx.approximate_size().unwrap(), 2 * CONFLICT + 7 + 2);
}

#[tokio::test]
async fn the_largest_transaction_is_a_little_under_ten_million_bytes() {
    let db = database();
    let fill = |limit: usize| {
        let tx = db.transaction();
        let value = vec![0_u8; 90_000];
        for n in 0_u32.. {
            if tx.approximate_size().unwrap() + value.len() + 200 > limit {
                break;
            }
            tx.set(n.to_be_bytes(), value.clone());
        }
        tx
    };
    fill(10_000_000).commit().await.unwrap();
    let tx = fill(10_000_000);
    tx.set("the one", vec![0; 100_000]);
    assert_eq!(code(tx.commit().await), ErrorCode::TRANSACTION_TOO_LARGE);
}

#[tokio::test]
async fn ranges_are_measured_without_being_read() {
    let db = database();
    let tx = db.transaction();
    for n in 0..100_u8 {
        tx.set([b'k', n], [0; 98]);
    }
    tx.commit().await.unwrap();
    let tx = db.transaction();
    let all = || KeyRange::new("", "\u{7F}");
    assert_eq!(tx.estimate_size(all()).await.unwrap(), 10_000);
    assert_eq!(tx.estimate_size(KeyRange::new("x", "y")).await.unwrap(), 0);
    let points = tx.split_points(all(), 2_000).await.unwrap();
    assert!(points.len() > 3 && points.is_sorted());
    assert_eq!(
        (points.first().unwrap().as_ref(), points.last().unwrap().as_ref()),
        (&b""[..], &b"\x7F"[..])
    );
    assert_eq!(tx.approximate_size().unwrap(), 0, "no conflicts");
    let inverted = KeyRange { begin: "b".into(), end: "a".into() };
    assert_eq!(code(tx.estimate_size(inverted.clone()).await), ErrorCode::INVERTED_RANGE);
    assert_eq!(code(tx.split_points(inverted, 1).await), ErrorCode::INVERTED_RANGE);
    let beyond = KeyRange::new("a", &b"\xFF\xFF"[..]);
    assert_eq!(code(tx.split_points(beyond.clone(), 1).await), ErrorCode::KEY_OUTSIDE_LEGAL_RANGE);
    tx.set_option(Set::ReadSystemKeys);
    assert!(tx.split_points(beyond, 1).await.is_ok());
    tx.commit().await.unwrap();
    assert_eq!(code(tx.estimate_size(all()).await), ErrorCode::USED_DURING_COMMIT);
}

#[tokio::test]
async fn addresses_have_ports_since_630_or_when_asked_for() {
    let db = database();
    assert!(!with_version(&db, 620).transaction().shows_ports());
    assert!(with_version(&db, 630).transaction().shows_ports());
    let tx = with_version(&db, 620).transaction();
    tx.set_option(Set::IncludePortInAddress);
    assert!(tx.shows_ports());
}
