//! Every interleaving of the pipeline's hand-offs, by loom's model checker:
//!
//! ```text
//! RUSTFLAGS="--cfg plinth_loom" cargo test --release -p plinthdb --lib loom
//! ```

use std::time::Duration;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};
use plinth_protocol::Version;

use super::{
    hand_off::{HandOff, Handed, Wake},
    publish::{BatchNumber, Publisher},
    queue::{Bounds, Queue, Taken},
};

pub(super) fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_batch_is_visible_once_logged_and_applied_and_never_before() {
    check(|| {
        let publisher = Arc::new(Publisher::new(Version(0)));
        let logged = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let applied = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let visible = Arc::new(AtomicU64::new(0));
        let numbers = [10, 20].map(|version| {
            publisher.begin(Version(version), (version / 10 - 1) as usize, false).unwrap()
        });
        let see = {
            let (logged, applied) = (Arc::clone(&logged), Arc::clone(&applied));
            let (visible, publisher) = (Arc::clone(&visible), Arc::clone(&publisher));
            move |batches: Vec<usize>| {
                for batch in batches {
                    assert!(logged[batch].load(Ordering::Relaxed));
                    assert!(applied[batch].load(Ordering::Relaxed));
                    assert!(publisher.published() >= Version((batch as u64 + 1) * 10));
                    visible.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let log = {
            let (publisher, see) = (Arc::clone(&publisher), see.clone());
            thread::spawn(move || {
                for (number, flag) in numbers.into_iter().zip(logged.iter()) {
                    flag.store(true, Ordering::Relaxed);
                    see(publisher.logged(number));
                }
            })
        };
        let reader = {
            let publisher = Arc::clone(&publisher);
            thread::spawn(move || {
                let earlier = publisher.published();
                assert!(publisher.published() >= earlier);
            })
        };
        for (number, flag) in numbers.into_iter().zip(applied.iter()) {
            flag.store(true, Ordering::Relaxed);
            see(publisher.applied(number, |_| ()));
        }
        log.join().unwrap();
        reader.join().unwrap();
        assert_eq!(visible.load(Ordering::Relaxed), 2);
        assert_eq!(publisher.published(), Version(20));
    });
}

#[test]
fn a_batch_is_either_published_or_handed_back() {
    check(|| {
        let publisher = Arc::new(Publisher::new(Version(0)));
        let first = publisher.begin(Version(10), 'a', false).unwrap();
        let log = {
            let publisher = Arc::clone(&publisher);
            thread::spawn(move || {
                let published = publisher.logged(first);
                let failed = publisher.fail(BatchNumber(first.0 + 1));
                (published, failed)
            })
        };
        let mut mine = publisher.applied(first, |_| ());
        let refused = match publisher.begin(Version(20), 'b', true) {
            Ok(second) => {
                mine.extend(publisher.applied(second, |_| ()));
                None
            }
            Err(batch) => Some(batch),
        };
        let (published, failed) = log.join().unwrap();
        let mut all = [mine, published, failed].concat();
        all.extend(refused);
        all.sort_unstable();
        assert_eq!(all, ['a', 'b']);
        assert!(publisher.published() >= Version(10));
    });
}

#[test]
fn nothing_in_the_queue_is_forgotten_and_its_consumer_wakes() {
    const BOUNDS: Bounds = Bounds { items_max: 10, bytes_max: 10 };
    check(|| {
        let queue = Arc::new(Queue::new(BOUNDS));
        let producers = [1, 2].map(|item| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.push(item, 1).unwrap();
                queue.wake();
            })
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            // Loom's clock stands still: a wait that nobody ends is reported as a deadlock.
            queue.wait(Duration::from_secs(1));
            queue.take(&mut taken, BOUNDS);
        }
        for producer in producers {
            producer.join().unwrap();
        }
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn closing_the_queue_wakes_its_consumer() {
    const BOUNDS: Bounds = Bounds { items_max: 10, bytes_max: 10 };
    check(|| {
        let queue = Arc::new(Queue::new(BOUNDS));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let pushed = queue.push(1, 1).is_ok();
                queue.wake();
                queue.close();
                pushed
            })
        };
        let mut taken = Vec::new();
        while queue.take(&mut taken, BOUNDS) != Taken::Closed {
            queue.wait(Duration::from_secs(1));
        }
        assert!(producer.join().unwrap());
        assert_eq!(taken, [1]);
    });
}

#[test]
fn a_job_is_taken_whole_and_once() {
    check(|| {
        let hand_off = Arc::new(HandOff::<Vec<u32>>::new());
        let log = {
            let hand_off = Arc::clone(&hand_off);
            thread::spawn(move || {
                let mut written = Vec::new();
                loop {
                    hand_off.wait(None);
                    match hand_off.take() {
                        Handed::Job(mut job) => {
                            written.append(&mut job);
                            hand_off.give_back(job);
                        }
                        // It was taken back, to be added to.
                        Handed::Nothing | Handed::Out => {}
                        Handed::Closed => return written,
                    }
                }
            })
        };
        for batch in 1..=3 {
            let mut job = hand_off.reclaim().unwrap_or_default();
            job.push(batch);
            hand_off.put(job, Wake::Taker);
        }
        hand_off.close();
        assert_eq!(log.join().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn the_sequencer_wakes_when_there_is_room() {
    check(|| {
        let hand_off = Arc::new(HandOff::<Vec<u32>>::new());
        let log = {
            let hand_off = Arc::clone(&hand_off);
            thread::spawn(move || {
                let mut written = 0;
                loop {
                    hand_off.wait(None);
                    let Handed::Job(job) = hand_off.take() else { break written };
                    written += job.len();
                }
            })
        };
        for batch in 0..2 {
            while !hand_off.wait_for_room(Vec::is_empty, Duration::from_secs(1)) {}
            hand_off.put(vec![batch], Wake::Taker);
        }
        hand_off.close();
        assert_eq!(log.join().unwrap(), 2);
    });
}

#[test]
fn a_change_is_seen_by_the_watch_or_by_its_own_read() {
    use bytes::Bytes;
    use plinth_protocol::KeyspaceId;

    use crate::engine::{
        watch::{WatchBounds, Watches},
        write::{CommittedTransaction, Write},
    };

    check(|| {
        let watches = Arc::new(Watches::new(WatchBounds { count_max: 9, bytes_max: 1_000 }));
        let publisher = Arc::new(Publisher::<()>::new(Version(0)));
        let fired = Arc::new(AtomicBool::new(false));
        let commit = {
            let (watches, publisher) = (Arc::clone(&watches), Arc::clone(&publisher));
            thread::spawn(move || {
                assert!(publisher.tick(Version(10)));
                watches.published(&[CommittedTransaction {
                    version: Version(10),
                    order: 0,
                    idempotency_id: None,
                    committed_at_ms: 0,
                    writes: vec![Write::Clear {
                        keyspace: KeyspaceId::DEFAULT,
                        key: Bytes::from_static(b"k"),
                    }],
                }]);
            })
        };
        let notify = {
            let fired = Arc::clone(&fired);
            Box::new(move |_| fired.store(true, Ordering::Relaxed))
        };
        let value = Some(Bytes::from_static(b"v"));
        watches.enter(KeyspaceId::DEFAULT, Bytes::from_static(b"k"), value, notify).unwrap();
        let is_seen = publisher.published() == Version(10);
        commit.join().unwrap();
        assert!(is_seen || fired.load(Ordering::Relaxed));
    });
}
