//! Error codes, their texts and classes, and where a transaction stands after them.

use foundationdb::{
    Database, FdbError,
    options::{ConflictRangeType, MutationType, TransactionOption},
};

use crate::{Outcome, fails, place};

pub(crate) async fn run(db: &Database) -> Outcome {
    let own = place(db, "errors").await?;
    let key = &own.pack(&"key");

    for (code, text) in [
        (0, "Success"),
        (1007, "Transaction is too old to perform reads or be committed"),
        (1020, "Transaction not committed due to conflict with another transaction"),
        (1021, "Transaction may or may not have committed"),
        (2017, "Operation issued while a commit was outstanding"),
        (2101, "Transaction exceeds byte limit"),
    ] {
        assert_eq!(FdbError::from_code(code).message(), text, "{code}");
    }
    let conflict = FdbError::from_code(1020);
    let text = "Transaction not committed due to conflict with another transaction";
    assert_eq!(conflict.to_string(), text);
    assert!(conflict.is_retryable() && conflict.is_retryable_not_committed());
    assert!(FdbError::from_code(1021).is_maybe_committed());
    assert!(!FdbError::from_code(2101).is_retryable());

    // A conflict says which keys it was about, and the next attempt goes on from there.
    let trx = db.create_trx()?;
    trx.set_option(TransactionOption::ReportConflictingKeys)?;
    trx.get(key, false).await?;
    trx.get(&own.pack(&"quiet"), false).await?;
    trx.set(&own.pack(&"elsewhere"), b"");
    let other = db.create_trx()?;
    other.set(key, b"other");
    other.commit().await.map_err(FdbError::from)?;
    let error = trx.commit().await.err().expect("a conflict");
    assert_eq!((error.code(), error.to_string().as_str()), (1020, text));
    let ranges = error.conflicting_keys().await?;
    assert_eq!(ranges.len(), 1);
    assert_eq!((ranges[0].begin(), ranges[0].end()), (&key[..], &[&key[..], &[0]].concat()[..]));
    let trx = error.on_error().await?;
    assert_eq!(trx.get(key, false).await?.as_deref(), Some(&b"other"[..]));

    // Misuse.
    let trx = db.create_trx()?;
    fails(trx.set_raw_option(0, None), 2007);
    fails(trx.add_conflict_range(b"b", b"a", ConflictRangeType::Read), 2005);
    trx.set(&[b'k'; 10_001], b"");
    fails(trx.commit().await.map_err(FdbError::from), 2102);
    let trx = db.create_trx()?;
    trx.atomic_op(key, &[0; 100_001], MutationType::Add);
    fails(trx.commit().await.map_err(FdbError::from), 2103);
    let trx = db.create_trx()?;
    fails(trx.get(b"\xff/x", false).await, 2004);
    let trx = db.create_trx()?;
    trx.set_option(TransactionOption::SizeLimit(100))?;
    trx.set(key, &[0; 200]);
    fails(trx.commit().await.map_err(FdbError::from), 2101);
    let trx = db.create_trx()?;
    trx.set_read_version(i64::MAX - 1);
    fails(trx.get(key, false).await, 1009);
    let cancelled = db.create_trx()?.cancel();
    let trx = cancelled.reset();
    trx.get(key, false).await?;
    fails(trx.on_error(FdbError::from_code(2101)).await.map(drop), 2101);

    // A commit's object can be used again.
    let trx = db.create_trx()?;
    trx.set(key, b"once");
    let committed = trx.commit().await.map_err(FdbError::from)?;
    let version = committed.committed_version()?;
    let trx = committed.reset();
    assert!(trx.get_read_version().await? >= version);
    assert_eq!(trx.get(key, false).await?.as_deref(), Some(&b"once"[..]));
    trx.set(key, b"");
    assert_eq!(trx.get(key, false).await?.as_deref(), Some(&b""[..]));
    db.perform_no_op().await?;
    Ok("the errors hold".to_owned())
}
