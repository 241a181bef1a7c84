//! Streams of rows, in every mode and both directions, compared with what was written.

use foundationdb::{
    Database, FdbBindingError, KeySelector, RangeOption,
    options::{MutationType, StreamingMode},
    tuple::Subspace,
};
use futures::TryStreamExt as _;

use crate::{Outcome, fails, place};

const ROWS: i64 = 400;

type Rows = Vec<(i64, usize)>;

pub(crate) async fn run(db: &Database) -> Outcome {
    let own = place(db, "ranges").await?;
    let filled = &own;
    db.run(|trx, _| async move {
        for row in 0..ROWS {
            trx.set(&filled.pack(&row), &vec![7; length(row)]);
        }
        Ok(())
    })
    .await?;
    let streamed = every_mode_streams_the_same(db, &own).await?;
    pages_say_whether_there_is_more(db, &own).await?;
    own_writes_are_streamed(db, &own).await?;
    sizes_are_known(db, &own).await?;
    Ok(format!("{streamed} rows were streamed"))
}

fn length(row: i64) -> usize {
    usize::try_from(row * 31 % 500).expect("small")
}

async fn stream(
    db: &Database,
    own: &Subspace,
    option: RangeOption<'_>,
) -> Result<Rows, FdbBindingError> {
    let trx = db.create_trx()?;
    let rows: Vec<_> = trx.get_ranges_keyvalues(option, false).try_collect().await?;
    let unpacked =
        rows.iter().map(|row| (own.unpack(row.key()).expect("a number"), row.value().len()));
    Ok(unpacked.collect())
}

async fn every_mode_streams_the_same(
    db: &Database,
    own: &Subspace,
) -> Result<usize, FdbBindingError> {
    let all: Rows = (0..ROWS).map(|row| (row, length(row))).collect();
    let mut streamed = 0;
    for mode in [
        StreamingMode::WantAll,
        StreamingMode::Iterator,
        StreamingMode::Small,
        StreamingMode::Medium,
        StreamingMode::Large,
        StreamingMode::Serial,
        StreamingMode::Exact,
    ] {
        for reverse in [false, true] {
            for limit in [None, Some(1), Some(33), Some(400), Some(1000)] {
                let option = RangeOption { mode, reverse, limit, ..RangeOption::from(own) };
                if matches!(mode, StreamingMode::Exact) && limit.is_none() {
                    fails(stream(db, own, option).await, 2210);
                    continue;
                }
                let rows = stream(db, own, option).await?;
                let count = limit.unwrap_or(1000).min(all.len());
                let wanted: Rows = if reverse {
                    all.iter().rev().take(count).copied().collect()
                } else {
                    all[..count].to_vec()
                };
                assert_eq!(rows, wanted, "{mode:?} {reverse} {limit:?}");
                streamed += rows.len();
            }
        }
    }
    Ok(streamed)
}

async fn pages_say_whether_there_is_more(
    db: &Database,
    own: &Subspace,
) -> Result<(), FdbBindingError> {
    let page = async |option: RangeOption<'_>, iteration| {
        let trx = db.create_trx()?;
        let values = trx.get_range(&option, iteration, false).await?;
        Ok::<_, FdbBindingError>((values.len(), values.more()))
    };
    let option = RangeOption { mode: StreamingMode::Iterator, ..RangeOption::from(own) };
    let (first, is_more) = page(option.clone(), 1).await?;
    let (fifth, _) = page(option.clone(), 5).await?;
    assert!(is_more && 0 < first && first < fifth, "{first} rows, then {fifth}");
    fails(page(option.clone(), 0).await, 2000);
    // A limit of rows that is met exactly leaves open whether there is more.
    let count = usize::try_from(ROWS).expect("small");
    let exact = RangeOption { limit: Some(count), mode: StreamingMode::Exact, ..option.clone() };
    assert_eq!(page(exact, 1).await?, (count, true));
    let few = RangeOption { target_bytes: 1, mode: StreamingMode::WantAll, ..option };
    assert_eq!(page(few, 1).await?, (1, true));

    let (begin, end) = (own.pack(&10_i64), own.pack(&14_i64));
    let between = RangeOption::from(
        KeySelector::first_greater_than(&begin[..])..KeySelector::first_greater_than(&end[..]),
    );
    let rows = stream(db, own, between).await?;
    assert_eq!(rows.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [11, 12, 13, 14]);
    Ok(())
}

async fn own_writes_are_streamed(db: &Database, own: &Subspace) -> Result<(), FdbBindingError> {
    let trx = db.create_trx()?;
    trx.clear_range(&own.pack(&100_i64), &own.pack(&300_i64));
    trx.set(&own.pack(&200_i64), b"new");
    trx.atomic_op(&own.pack(&0_i64), &[1], MutationType::AppendIfFits);
    for snapshot in [false, true] {
        let rows: Vec<_> =
            trx.get_ranges_keyvalues(RangeOption::from(own), snapshot).try_collect().await?;
        assert_eq!(rows.len(), 201);
        assert_eq!((rows[0].value(), rows[100].value()), (&[1][..], &b"new"[..]));
        let rows: Vec<_> =
            trx.get_ranges_keyvalues(RangeOption::from(own).rev(), snapshot).try_collect().await?;
        assert_eq!(rows.len(), 201);
    }
    let next = trx.get_key(&KeySelector::first_greater_than(own.pack(&99_i64)), false).await?;
    assert_eq!(own.unpack::<i64>(&next).ok(), Some(200));
    Ok(())
}

async fn sizes_are_known(db: &Database, own: &Subspace) -> Result<(), FdbBindingError> {
    let (begin, end) = own.range();
    let trx = db.create_trx()?;
    assert!(trx.get_estimated_range_size_bytes(&begin, &end).await? > 0);
    let points = trx.get_range_split_points(&begin, &end, 20_000).await?;
    let points: Vec<Vec<u8>> = points.iter().map(|point| point.key().to_vec()).collect();
    assert!(points.len() > 2 && points.is_sorted(), "{} points", points.len());
    assert_eq!((points.first(), points.last()), (Some(&begin), Some(&end)));
    let addresses = trx.get_addresses_for_key(&begin).await?;
    assert_eq!(addresses.len(), 1);
    Ok(())
}
