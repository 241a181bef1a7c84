//! The crate's directory layer, and its allocator under many tasks.

use std::{collections::BTreeSet, sync::Arc};

use foundationdb::{
    Database, FdbBindingError,
    directory::{Directory as _, DirectoryLayer, DirectoryOutput},
    tuple::{Subspace, hca::HighContentionAllocator},
};
use futures::FutureExt as _;

use crate::{Outcome, place};

fn path(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

pub(crate) async fn run(db: Database) -> Outcome {
    let own = place(&db, "directories").await?;
    let layer = DirectoryLayer::new(own.subspace(&"nodes"), own.subspace(&"content"), false);
    they_live_and_die(&db, &layer).await?;
    let count = many_tasks_make_some(db, own, layer).await?;
    Ok(format!("{count} prefixes were allocated"))
}

async fn they_live_and_die(db: &Database, layer: &DirectoryLayer) -> Result<(), FdbBindingError> {
    let made = db
        .run(|trx, _| async move {
            let made = layer.create(&trx, &path(&["app", "users"]), None, Some(b"people")).await?;
            trx.set(&made.pack(&42_i64)?, b"Ada");
            Ok(made.bytes()?.to_vec())
        })
        .await?;
    let prefix = &made;
    db.run(|trx, _| async move {
        let opened = layer.open(&trx, &path(&["app", "users"]), Some(b"people")).await?;
        assert_eq!(opened.bytes()?, &prefix[..]);
        assert!(layer.create(&trx, &path(&["app", "users"]), None, None).await.is_err());
        assert!(layer.open(&trx, &path(&["app", "users"]), Some(b"beasts")).await.is_err());
        assert!(layer.open(&trx, &path(&["nobody"]), None).await.is_err());
        Ok(())
    })
    .await?;
    db.run(|trx, _| async move {
        let moved = layer.move_to(&trx, &path(&["app", "users"]), &path(&["people"])).await?;
        assert_eq!(moved.bytes()?, &prefix[..]);
        assert_eq!(layer.list(&trx, &[]).await?, ["app", "people"]);
        assert!(!layer.exists(&trx, &path(&["app", "users"])).await?);
        let row = trx.get(&moved.pack(&42_i64)?, false).await?;
        assert_eq!(row.as_deref(), Some(&b"Ada"[..]));
        Ok(())
    })
    .await?;
    db.run(|trx, _| async move {
        assert!(layer.remove(&trx, &path(&["people"])).await?);
        assert!(!layer.remove_if_exists(&trx, &path(&["people"])).await?);
        let row = trx.get(&Subspace::from_bytes(&prefix[..]).pack(&42_i64), false).await?;
        assert!(row.is_none());
        Ok(())
    })
    .await
}

async fn many_tasks_make_some(
    db: Database,
    own: Subspace,
    layer: DirectoryLayer,
) -> Result<usize, FdbBindingError> {
    const TASKS: usize = 24;
    const EACH: usize = 4;
    let (db, layer) = (Arc::new(db), Arc::new(layer));
    let parent = &layer;
    db.run(|trx, _| async move {
        parent.create_or_open(&trx, &path(&["wide"]), None, None).await?;
        Ok(())
    })
    .await?;
    let allocator = Arc::new(HighContentionAllocator::new(own.subspace(&"allocator")));
    let tasks = (0..TASKS).map(|task| {
        let (db, layer, allocator) = (Arc::clone(&db), Arc::clone(&layer), Arc::clone(&allocator));
        tokio::spawn(async move {
            let (mut prefixes, mut numbers) = (Vec::new(), Vec::new());
            for index in 0..EACH {
                let (layer, name) = (&layer, &format!("{task}-{index}"));
                prefixes.push(
                    db.run(|trx, _| async move {
                        let made = layer.create(&trx, &path(&["wide", name]), None, None).await?;
                        Ok(bytes(&made)?)
                    })
                    .await?,
                );
                let allocate = db.transact_boxed(
                    &*allocator,
                    |trx, allocator| allocator.allocate(trx).boxed(),
                    foundationdb::TransactOption::default(),
                );
                numbers.push(allocate.await?);
            }
            Ok::<_, FdbBindingError>((prefixes, numbers))
        })
    });
    let (mut prefixes, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for task in futures::future::join_all(tasks).await {
        let (some, others) = task.expect("no task panics")?;
        prefixes.extend(some);
        numbers.extend(others);
    }
    assert_eq!((prefixes.len(), numbers.len()), (TASKS * EACH, TASKS * EACH), "none comes twice");
    Ok(prefixes.len() + numbers.len())
}

fn bytes(directory: &DirectoryOutput) -> Result<Vec<u8>, FdbBindingError> {
    Ok(directory.bytes()?.to_vec())
}
