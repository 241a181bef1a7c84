//! The crate's retry loops: `run`, `transact_boxed`, and many tasks that get in each other's way.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use foundationdb::{
    Database, FdbBindingError, FdbError, TransactOption, Transaction,
    options::{ConflictRangeType, MutationType, TransactionOption},
    tuple::Subspace,
};
use futures::{FutureExt as _, TryStreamExt as _};

use crate::{Outcome, fails, place};

const KEY: &str = "key";

pub(crate) async fn run(db: &Database) -> Outcome {
    let own = place(db, "loops").await?;
    conflicts_are_retried(db, &own).await?;
    boxed_closures_are_retried(db, &own).await?;
    retries_are_limited(db, &own).await;
    a_timeout_ends_it(db, &own).await;
    unknown_outcomes_are_told(db, &own).await?;
    an_idempotency_id_may_be_asked_for(db, &own).await?;
    Ok("the loops hold".to_owned())
}

async fn number(trx: &Transaction, key: &[u8]) -> Result<u64, FdbError> {
    let value = trx.get(key, false).await?;
    Ok(value.map_or(0, |value| u64::from_le_bytes(value[..].try_into().expect("8 bytes"))))
}

async fn conflicts_are_retried(db: &Database, own: &Subspace) -> Result<(), FdbBindingError> {
    let key = &own.pack(&KEY);
    let attempts = &AtomicU32::new(0);
    let last = db
        .run(|trx, maybe_committed| async move {
            assert!(!bool::from(maybe_committed));
            let seen = number(&trx, key).await?;
            if attempts.fetch_add(1, Ordering::SeqCst) < 3 {
                let other = db.create_trx()?;
                other.set(key, &(seen + 10).to_le_bytes());
                other.commit().await.map_err(FdbError::from)?;
            }
            trx.set(key, &(seen + 1).to_le_bytes());
            Ok(seen)
        })
        .await?;
    assert_eq!((last, attempts.load(Ordering::SeqCst)), (30, 4));
    Ok(())
}

async fn boxed_closures_are_retried(db: &Database, own: &Subspace) -> Result<(), FdbBindingError> {
    let key = own.pack(&"boxed");
    let attempts = AtomicU32::new(0);
    let sum: u64 = db
        .transact_boxed(
            (&key, &attempts),
            |trx, (key, attempts)| {
                async move {
                    if attempts.fetch_add(1, Ordering::SeqCst) < 2 {
                        return Err(FdbError::from_code(1020));
                    }
                    trx.set(key, &7_u64.to_le_bytes());
                    number(trx, key).await
                }
                .boxed()
            },
            TransactOption::default(),
        )
        .await?;
    assert_eq!((sum, attempts.into_inner()), (7, 3));
    Ok(())
}

async fn retries_are_limited(db: &Database, own: &Subspace) {
    let key = &own.pack(&KEY);
    // By the loop of the crate,
    let attempts = AtomicU32::new(0);
    let limit = TransactOption { retry_limit: Some(3), ..TransactOption::default() };
    let result = db.transact_boxed(
        &attempts,
        |_, attempts| {
            attempts.fetch_add(1, Ordering::SeqCst);
            async { Err::<(), _>(FdbError::from_code(1020)) }.boxed()
        },
        limit,
    );
    fails(result.await, 1020);
    assert_eq!(attempts.into_inner(), 3);

    // and by the library's option.
    let attempts = &AtomicU32::new(0);
    let result = db
        .run(|trx, _| async move {
            trx.set_option(TransactionOption::RetryLimit(4))?;
            trx.set_option(TransactionOption::MaxRetryDelay(1))?;
            attempts.fetch_add(1, Ordering::SeqCst);
            number(&trx, key).await?;
            let other = db.create_trx()?;
            other.set(key, &1_u64.to_le_bytes());
            other.commit().await.map_err(FdbError::from)?;
            trx.set(key, &2_u64.to_le_bytes());
            Ok(())
        })
        .await;
    fails(result, 1020);
    assert_eq!(attempts.load(Ordering::SeqCst), 5);
}

async fn a_timeout_ends_it(db: &Database, own: &Subspace) {
    let key = &own.pack(&KEY);
    let result = db
        .run(|trx, _| async move {
            trx.set_option(TransactionOption::Timeout(40))?;
            number(&trx, key).await?;
            Err::<(), _>(FdbError::from_code(1020).into())
        })
        .await;
    fails(result, 1031);
}

async fn unknown_outcomes_are_told(db: &Database, own: &Subspace) -> Result<(), FdbBindingError> {
    // Where an outcome isn't known, only what is called idempotent goes on.
    for (option, wanted) in [(TransactOption::default(), 1), (TransactOption::idempotent(), 2)] {
        let tries = AtomicU32::new(0);
        let result: Result<(), FdbError> = db
            .transact_boxed(
                &tries,
                |_, tries| {
                    let is_first = tries.fetch_add(1, Ordering::SeqCst) == 0;
                    async move { if is_first { Err(FdbError::from_code(1021)) } else { Ok(()) } }
                        .boxed()
                },
                option,
            )
            .await;
        assert_eq!((result.is_ok(), tries.into_inner()), (wanted == 2, wanted));
    }

    let key = &own.pack(&"told");
    let told = &AtomicU32::new(0);
    db.run(|trx, maybe_committed| async move {
        trx.set(key, b"x");
        if bool::from(maybe_committed) {
            told.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        Err(FdbError::from_code(1021).into())
    })
    .await?;
    assert_eq!(told.load(Ordering::SeqCst), 1);
    Ok(())
}

async fn an_idempotency_id_may_be_asked_for(
    db: &Database,
    own: &Subspace,
) -> Result<(), FdbBindingError> {
    let key = &own.pack(&"idempotent");
    for _ in 0..5 {
        db.run(|trx, _| async move {
            trx.set_option(TransactionOption::AutomaticIdempotency)?;
            trx.atomic_op(key, &1_u64.to_le_bytes(), MutationType::Add);
            Ok(())
        })
        .await?;
    }
    let sum = db.run(|trx, _| async move { Ok(number(&trx, key).await?) }).await?;
    assert_eq!(sum, 5);
    // A conflict is one all the same.
    let trx = db.create_trx()?;
    trx.set_option(TransactionOption::AutomaticIdempotency)?;
    number(&trx, key).await?;
    trx.set(&own.pack(&"elsewhere"), b"");
    let other = db.create_trx()?;
    other.add_conflict_range(key, &own.pack(&("idempotent", 1)), ConflictRangeType::Write)?;
    other.commit().await.map_err(FdbError::from)?;
    fails(trx.commit().await.map_err(FdbError::from), 1020);
    Ok(())
}

/// 64 tasks move money between few accounts; the sum stays what it was.
pub(crate) async fn contention(db: Database) -> Outcome {
    const TASKS: u64 = 64;
    const ACCOUNTS: u64 = 6;
    const START: u64 = 1000;
    let own = Arc::new(place(&db, "contention").await?);
    let db = Arc::new(db);
    let accounts = &own;
    db.run(|trx, _| async move {
        for account in 0..ACCOUNTS {
            trx.set(&accounts.pack(&("account", account)), &START.to_le_bytes());
        }
        Ok(())
    })
    .await?;

    let attempts = Arc::new(AtomicU32::new(0));
    let tasks = (0..TASKS).map(|task| {
        let (db, own, attempts) = (Arc::clone(&db), Arc::clone(&own), Arc::clone(&attempts));
        tokio::spawn(async move {
            for round in 0..3 {
                let giver = own.pack(&("account", (task * 7 + round) % ACCOUNTS));
                let taker = own.pack(&("account", (task * 5 + round * 3 + 1) % ACCOUNTS));
                let (giver, taker, attempts) = (&giver, &taker, &attempts);
                let done = own.pack(&"done");
                let done = &done;
                db.run(|trx, _| async move {
                    attempts.fetch_add(1, Ordering::SeqCst);
                    let amount = (number(&trx, giver).await?).min(100);
                    // One after the other: the two accounts may be the same.
                    trx.set(giver, &(number(&trx, giver).await? - amount).to_le_bytes());
                    trx.set(taker, &(number(&trx, taker).await? + amount).to_le_bytes());
                    trx.atomic_op(done, &1_u64.to_le_bytes(), MutationType::Add);
                    Ok(())
                })
                .await?;
            }
            Ok::<(), FdbBindingError>(())
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.expect("no task panics")?;
    }
    let accounts = &own;
    let (sum, done) = db
        .run(|trx, _| async move {
            let range = (&accounts.subspace(&"account")).into();
            let rows: Vec<_> = trx.get_ranges_keyvalues(range, false).try_collect().await?;
            let amount = |value: &[u8]| u64::from_le_bytes(value.try_into().expect("8 bytes"));
            let sum: u64 = rows.iter().map(|row| amount(row.value())).sum();
            Ok((sum, number(&trx, &accounts.pack(&"done")).await?))
        })
        .await?;
    assert_eq!((sum, done), (ACCOUNTS * START, TASKS * 3));
    let retries = u64::from(attempts.load(Ordering::SeqCst)) - TASKS * 3;
    assert!(retries > 0, "the tasks never met");
    Ok(format!("{TASKS} tasks made {done} transfers with {retries} retries"))
}
