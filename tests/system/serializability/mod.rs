//! Strict serializability, over real sockets against the real binary.
//!
//! Concurrent clients run transactions and record everything they are told. Three checkers look at
//! the record, and none trusts another: [`replay`] goes by the versions that the database states,
//! [`black_box`] ignores them and infers what must have come before what from the values alone (the
//! `adya` crate, after Elle), and [`ring`] only asks whether an invariant still holds.
//!
//! A checker that finds nothing proves nothing until it has found something: [`planted`] puts a
//! fault between the clients and the server – conflicts that are not looked for, reads that are
//! stale, commits that come in two – and each must be caught.

mod black_box;
mod history;
mod planted;
mod replay;
mod ring;
mod workload;

use plinth_client::{Backend, Database, TcpBackend};

use self::{
    planted::{Fault, Planted},
    replay::Replayed,
    ring::Ring,
    workload::{Kind, Workload},
};
use crate::support::{process::Plinth, random::Random};

/// A runtime, a server on an empty directory, and a connection to it.
fn with_server<T>(test: impl AsyncFnOnce(Database<TcpBackend>) -> T) -> T {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Plinth::serve(directory.path(), &["--durability", "none"]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let address = server.address.to_string();
        test(Database::connect(&address).await.expect("a connection")).await
    })
}

/// The same backend with a fault before it.
fn with_fault<B: Backend>(database: &Database<B>, fault: Fault) -> Database<Planted<B>> {
    Database::new(Planted::new(database.backend().clone(), fault))
}

#[test]
fn transactions_are_strictly_serializable() {
    let (mut random, seed) = Random::from_environment();
    println!("PLINTH_TEST_SEED={seed}");
    with_server(async |database| {
        for kind in [Kind::Lists, Kind::Mixed, Kind::Lists] {
            let workload = Workload { kind, clients: 16, transactions: 120 };
            let history = workload.run(&database, &mut random).await;
            let rows = workload.rows(&database).await;
            let replayed =
                replay::check(&history, &rows).unwrap_or_else(|fault| panic!("{fault:.5000}"));
            let Replayed { committed, conflicted, .. } = replayed;
            println!("{kind:?}: {committed} committed, {conflicted} conflicted");
            assert!(committed > 100 && conflicted > 20, "there was enough to look at");
            if kind == Kind::Lists {
                black_box::check(&history).unwrap_or_else(|fault| panic!("{fault:.5000}"));
            }
        }
    });
}

#[test]
fn a_ring_stays_a_ring() {
    let (mut random, seed) = Random::from_environment();
    println!("PLINTH_TEST_SEED={seed}");
    with_server(async |database| {
        let ring = Ring { nodes: 12, clients: 12, turns: 60 };
        ring.create(&database).await;
        ring.turn(&database, &mut random).await.unwrap_or_else(|fault| panic!("{fault:.5000}"));
        ring.check(&database).await.unwrap_or_else(|fault| panic!("{fault:.5000}"));
    });
}

/// Runs the lists with a fault until both checkers have caught it.
fn catch(fault: Fault) {
    const ATTEMPTS: usize = 20;
    let (mut random, seed) = Random::from_environment();
    println!("PLINTH_TEST_SEED={seed}");
    with_server(async |database| {
        let (mut by_replay, mut by_black_box) = (None, None);
        for _ in 0..ATTEMPTS {
            let faulty = with_fault(&database, fault);
            let workload = Workload { kind: Kind::Lists, clients: 16, transactions: 40 };
            workload.clear(&database).await;
            let history = workload.run(&faulty, &mut random).await;
            let rows = workload.rows(&database).await;
            by_replay = by_replay.or(replay::check(&history, &rows).err());
            by_black_box = by_black_box.or(black_box::check(&history).err());
            if let (Some(replay), Some(black_box)) = (&by_replay, &by_black_box) {
                println!("replay: {replay:.500}\nblack box: {black_box:.500}");
                return;
            }
        }
        panic!("{fault:?} was not caught: {by_replay:?} {by_black_box:?}");
    });
}

#[test]
fn a_database_that_does_not_look_for_conflicts_is_caught() {
    catch(Fault::IgnoresReads);
}

#[test]
fn a_database_that_reads_stale_snapshots_is_caught() {
    catch(Fault::ReadsStale);
}

#[test]
fn a_database_that_commits_in_two_steps_is_caught() {
    catch(Fault::CommitsInHalves);
}

#[test]
fn a_ring_breaks_where_conflicts_are_not_looked_for() {
    let (mut random, seed) = Random::from_environment();
    println!("PLINTH_TEST_SEED={seed}");
    with_server(async |database| {
        let faulty = with_fault(&database, Fault::IgnoresReads);
        for _ in 0..20 {
            let ring = Ring { nodes: 6, clients: 12, turns: 40 };
            ring.create(&database).await;
            let turned = ring.turn(&faulty, &mut random).await;
            if turned.is_err() || ring.check(&database).await.is_err() {
                return;
            }
        }
        panic!("the ring never broke");
    });
}
