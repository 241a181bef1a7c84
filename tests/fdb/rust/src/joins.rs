//! Mapped ranges: an index is read, and the records that it points at come along.

use foundationdb::{Database, FdbError, RangeOption, tuple::pack};
use futures::TryStreamExt as _;

use crate::{Outcome, fails, place};

const RECORDS: i64 = 60;

fn colour(record: i64) -> &'static str {
    ["blue", "green", "red"][usize::try_from(record % 3).expect("small")]
}

pub(crate) async fn run(db: &Database) -> Outcome {
    let own = place(db, "joins").await?;
    let filled = &own;
    db.run(|trx, _| async move {
        for record in 0..RECORDS {
            trx.set(&filled.pack(&("index", colour(record), record)), b"");
            for part in 0..2_i64 {
                let value =
                    [u8::try_from(record).expect("small"), u8::try_from(part).expect("small")];
                trx.set(&filled.pack(&("record", record, part)), &value);
            }
        }
        Ok(())
    })
    .await?;

    // The record's number is the fourth part of an index key: place, "index", colour, number.
    let mapper = pack(&("joins", "record", "{K[3]}", "{...}"));
    let blue = own.subspace(&("index", "blue"));
    let trx = db.create_trx()?;
    let pages: Vec<_> =
        trx.get_mapped_ranges(RangeOption::from(&blue), &mapper, false).try_collect().await?;
    let mut found = Vec::new();
    for row in pages.iter().flat_map(|page| page.iter()) {
        let (_, _, record): (String, String, i64) = own.unpack(row.parent_key()).expect("a key");
        let parts: Vec<_> = row.key_values().iter().map(|part| part.value().to_vec()).collect();
        let number = u8::try_from(record).expect("small");
        assert_eq!(parts, [[number, 0], [number, 1]]);
        let wanted = own.subspace(&("record", record));
        assert!(row.key_values().iter().all(|part| wanted.is_start_of(part.key())));
        found.push(record);
    }
    assert_eq!(found, (0..RECORDS).step_by(3).collect::<Vec<_>>());

    // What it may not be asked.
    let option = RangeOption::from(&blue);
    let trx = db.create_trx()?;
    fails(trx.get_mapped_range(&option, b"no tuple", 1, false).await, 2043);
    let trx = db.create_trx()?;
    let wrong = pack(&("joins", "{K[9]}", "{...}"));
    fails(trx.get_mapped_range(&option, &wrong, 1, false).await, 2030);
    let trx = db.create_trx()?;
    trx.set(&own.pack(&("record", 0_i64, 0_i64)), b"mine");
    fails(trx.get_mapped_range(&option, &mapper, 1, false).await, 2039);

    // The records conflict as if they had been read one by one.
    let trx = db.create_trx()?;
    trx.get_mapped_range(&option, &mapper, 1, false).await?;
    trx.set(&own.pack(&"elsewhere"), b"");
    let other = db.create_trx()?;
    other.set(&own.pack(&("record", 0_i64, 1_i64)), b"changed");
    other.commit().await.map_err(FdbError::from)?;
    fails(trx.commit().await.map_err(FdbError::from), 1020);
    Ok(format!("{} records were joined", found.len()))
}
