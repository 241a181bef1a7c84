//! Many threads at the same futures: callbacks, cancellations, waits and destruction, all at once.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    ffi::{self, API_VERSION, Database, Future, alone},
    support::Server,
};

/// Futures of one round; each round has some of every kind.
const FUTURES: usize = 200;
const ROUNDS: usize = 10;

/// A future, and how often each of its callbacks was called.
struct Watched {
    future: Future,
    calls: [AtomicUsize; 2],
}

/// Futures that become ready at once, soon, and never.
fn futures(database: &Database, round: usize) -> Vec<Arc<Watched>> {
    let kinds = 0..FUTURES;
    let of_kind = |kind: usize| {
        let tx = database.transaction();
        match kind % 4 {
            0 => tx.get_approximate_size(),
            1 => tx.get(format!("key {kind} {round}"), false),
            2 => {
                tx.set(format!("key {kind}"), "value");
                tx.commit()
            }
            _ => {
                let watch = tx.watch("a key that nobody writes");
                tx.commit().wait().unwrap();
                watch
            }
        }
    };
    let watched = |future| Arc::new(Watched { future, calls: Default::default() });
    kinds.map(of_kind).map(watched).collect()
}

/// Sets a callback that counts.
fn set_callback(watched: &Arc<Watched>, which: usize) {
    let weak = Arc::downgrade(watched);
    watched.future.on_ready(move |_| {
        // Whoever destroys the last share of a future cancels it, which calls back.
        if let Some(watched) = weak.upgrade() {
            watched.calls[which].fetch_add(1, Ordering::SeqCst);
        }
    });
}

#[test]
fn every_callback_is_called_once_whoever_cancels_meanwhile() {
    alone(|| {
        let server = Server::start();
        let network = ffi::start(API_VERSION);
        let database = Database::create(Some(&server.cluster_file())).unwrap();
        for round in 0..ROUNDS {
            let all = futures(&database, round);
            let begin = Barrier::new(4);
            thread::scope(|scope| {
                for which in 0..2 {
                    let (all, begin) = (&all, &begin);
                    scope.spawn(move || {
                        begin.wait();
                        for watched in all {
                            set_callback(watched, which);
                        }
                    });
                }
                scope.spawn(|| {
                    begin.wait();
                    for watched in all.iter().rev() {
                        watched.future.cancel();
                    }
                });
                scope.spawn(|| {
                    begin.wait();
                    for watched in &all {
                        watched.future.block_until_ready().unwrap();
                        assert!(watched.future.is_ready());
                        // A result or a cancellation, but not "pending".
                        assert_ne!(watched.future.error(), Err(2015));
                    }
                });
            });
            let is_called = |watched: &Arc<Watched>| {
                watched.calls.iter().all(|calls| calls.load(Ordering::SeqCst) >= 1)
            };
            let limit = Instant::now() + Duration::from_secs(30);
            while !all.iter().all(is_called) {
                assert!(Instant::now() < limit, "a callback never comes");
                thread::yield_now();
            }
            // One more turn of the network thread, in which a call too many would come.
            database.transaction().get_read_version().wait().unwrap();
            for watched in &all {
                let calls = watched.calls.each_ref().map(|calls| calls.load(Ordering::SeqCst));
                assert_eq!(calls, [1, 1]);
            }
        }
        ffi::stop_network().unwrap();
        network.join().unwrap().unwrap();
    });
}

#[test]
fn futures_are_destroyed_whatever_they_are_doing() {
    alone(|| {
        let server = Server::start();
        let network = ffi::start(API_VERSION);
        let database = Database::create(Some(&server.cluster_file())).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..ROUNDS {
                        let all = futures(&database, round);
                        for watched in &all {
                            set_callback(watched, 0);
                        }
                        drop(all);
                    }
                });
            }
        });
        // Watches that were destroyed count no more, and one that is set right before the commit is
        // as good as any.
        let held: Vec<Future> = (0..1000)
            .map(|_| {
                let tx = database.transaction();
                let watch = tx.watch("key");
                tx.commit().wait().unwrap();
                watch
            })
            .collect();
        let ready: Vec<_> = held.iter().map(Future::error).filter(|e| *e != Err(2015)).collect();
        assert_eq!(ready, [], "none of them has fired");
        ffi::stop_network().unwrap();
        network.join().unwrap().unwrap();
    });
}

/// The memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn released_memory_is_given_back_while_the_future_stays() {
    alone(|| {
        let server = Server::start();
        let network = ffi::start(API_VERSION);
        let database = Database::create(Some(&server.cluster_file())).unwrap();
        let tx = database.transaction();
        tx.set("key", vec![7; 100_000]);
        tx.commit().wait().unwrap();
        let read = || {
            let future = database.transaction().get("key", false).wait().unwrap();
            assert_eq!(future.value().unwrap().unwrap().len(), 100_000);
            future
        };
        drop(read());
        let before = resident_bytes();
        let released: Vec<Future> = (0..2000)
            .map(|_| {
                let mut future = read();
                future.release_memory();
                future
            })
            .collect();
        for future in &released {
            assert_eq!((future.error(), future.value()), (Ok(()), Err(1102)));
        }
        // The values together would be 200 MB.
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 40 << 20, "{grown} bytes are kept");
        ffi::stop_network().unwrap();
        network.join().unwrap().unwrap();
    });
}
