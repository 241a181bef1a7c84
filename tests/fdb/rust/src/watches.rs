//! Watches, awaited as futures.

use std::time::Duration;

use foundationdb::{Database, FdbBindingError, FdbError, options::TransactionOption};

use crate::{Outcome, fails, place};

const LONG: Duration = Duration::from_secs(30);

pub(crate) async fn run(db: &Database) -> Outcome {
    let own = place(db, "watches").await?;
    let key = &own.pack(&"key");
    let set = |value: &'static [u8]| async move {
        let trx = db.create_trx()?;
        trx.set(key, value);
        trx.commit().await.map_err(FdbError::from)?;
        Ok::<_, FdbBindingError>(())
    };

    // One that outlives its transaction, with another task that waits for it.
    set(b"1").await?;
    let trx = db.create_trx()?;
    let watch = trx.watch(key);
    trx.commit().await.map_err(FdbError::from)?;
    let waiting = tokio::spawn(watch);
    set(b"1").await?;
    set(b"2").await?;
    tokio::time::timeout(LONG, waiting).await.expect("it fires").expect("no panic")?;

    // Its own transaction's write is what it compares with.
    let trx = db.create_trx()?;
    trx.set(key, b"mine");
    let watch = trx.watch(key);
    trx.commit().await.map_err(FdbError::from)?;
    set(b"yours").await?;
    tokio::time::timeout(LONG, watch).await.expect("it fires")?;

    // Without a commit there is nothing to watch.
    let trx = db.create_trx()?;
    let watch = trx.watch(key);
    drop(trx);
    fails(watch.await, 1025);
    let trx = db.create_trx()?;
    trx.set_option(TransactionOption::ReadYourWritesDisable)?;
    fails(trx.watch(key).await, 1034);

    // Many, each fired once; dropped ones are forgotten.
    let mut watches = Vec::new();
    for index in 0..100_i64 {
        let trx = db.create_trx()?;
        watches.push(trx.watch(&own.pack(&("many", index))));
        drop(trx.watch(&own.pack(&("dropped", index))));
        trx.commit().await.map_err(FdbError::from)?;
    }
    let many = &own;
    db.run(|trx, _| async move {
        for index in 0..100_i64 {
            trx.set(&many.pack(&("many", index)), b"x");
            trx.set(&many.pack(&("dropped", index)), b"x");
        }
        Ok(())
    })
    .await?;
    let fired = futures::future::try_join_all(watches);
    let count = tokio::time::timeout(LONG, fired).await.expect("they fire")?.len();
    Ok(format!("{count} watches fired"))
}
