//! Versionstamps in tuples, in values, and of the metadata.

use foundationdb::{
    Database, FdbError, RangeOption,
    options::MutationType,
    tuple::{Versionstamp, pack_with_versionstamp, unpack},
};
use futures::TryStreamExt as _;

use crate::{Outcome, fails, place};

pub(crate) async fn run(db: &Database) -> Outcome {
    let own = place(db, "stamps").await?;

    // Three commits of two keys each, in the order of the commits and of the numbers within them.
    let mut stamps = Vec::new();
    for commit in 0..3_i64 {
        let trx = db.create_trx()?;
        for order in 0..2 {
            let key = own.pack_with_versionstamp(&("log", &Versionstamp::incomplete(order)));
            trx.atomic_op(&key, &commit.to_le_bytes(), MutationType::SetVersionstampedKey);
        }
        let stamp = trx.get_versionstamp();
        trx.commit().await.map_err(FdbError::from)?;
        stamps.push(stamp.await?.to_vec());
    }
    assert!(stamps.is_sorted() && stamps.iter().all(|stamp| stamp.len() == 10));
    let trx = db.create_trx()?;
    let log = RangeOption::from(&own.subspace(&"log"));
    let rows: Vec<_> = trx.get_ranges_keyvalues(log, false).try_collect().await?;
    assert_eq!(rows.len(), 6);
    for (index, row) in rows.iter().enumerate() {
        let (_, stamp): (String, Versionstamp) = own.unpack(row.key()).expect("a log key");
        assert!(stamp.is_complete());
        assert_eq!(stamp.transaction_version(), &stamps[index / 2][..]);
        assert_eq!(usize::from(stamp.user_version()), index % 2);
        assert_eq!(row.value(), &(index as i64 / 2).to_le_bytes());
    }

    // In a value.
    let key = own.pack(&"value");
    let trx = db.create_trx()?;
    let value = pack_with_versionstamp(&("text", Versionstamp::incomplete(9)));
    trx.atomic_op(&key, &value, MutationType::SetVersionstampedValue);
    fails(trx.get(&key, false).await, 1036);
    let trx = db.create_trx()?;
    trx.atomic_op(&key, &value, MutationType::SetVersionstampedValue);
    let stamp = trx.get_versionstamp();
    let committed = trx.commit().await.map_err(FdbError::from)?;
    let version = committed.committed_version()?;
    let stamp = stamp.await?;
    assert_eq!(stamp[..8], version.to_be_bytes());
    let trx = db.create_trx()?;
    let value = trx.get(&key, false).await?.expect("it was committed");
    let (_, found): (String, Versionstamp) = unpack(&value).expect("a tuple");
    assert_eq!(found.transaction_version(), &stamp[..]);

    // Of the metadata.
    let trx = db.create_trx()?;
    trx.update_metadata_version();
    let version = trx.commit().await.map_err(FdbError::from)?.committed_version()?;
    let trx = db.create_trx()?;
    assert_eq!(trx.get_metadata_version(false).await?, Some(version));

    let trx = db.create_trx()?;
    let stamp = trx.get_versionstamp();
    trx.commit().await.map_err(FdbError::from)?;
    fails(stamp.await, 2021);
    Ok("the stamps hold".to_owned())
}
