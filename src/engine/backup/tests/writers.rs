//! Checkpoints while others write.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use super::*;
use crate::vfs::OsVfs;

const ACCOUNTS: u64 = 20;
const MONEY: u64 = 1000;

fn account(number: u64) -> String {
    format!("account{number:03}")
}

/// How often a teller moves money while a backup is made, at most: what a slow machine has to copy
/// stays small.
const MOVES_MAX: u64 = 5_000;

/// Moves money about until it is told to stop; how often it did.
fn move_money(engine: &Engine, seed: u64, round: &AtomicU64, stop: &AtomicBool) -> u64 {
    let mut random = crate::random::Random::new(seed);
    let mut moves = 0;
    while !stop.load(Ordering::Relaxed) {
        if moves >= (round.load(Ordering::Relaxed) + 1) * MOVES_MAX {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
        let version = engine.read_version();
        let read = |number| -> u64 {
            let reader = engine.reader();
            let found = reader.get(SPACE, account(number).as_bytes(), version).unwrap().unwrap();
            String::from_utf8_lossy(found.value).parse().unwrap()
        };
        let amount = random.below(10).min(read(from));
        if from == to {
            continue;
        }
        let set = |number, money: u64| Mutation {
            keyspace: SPACE,
            adds_conflict: true,
            op: MutationOp::Set {
                key: Bytes::from(account(number)),
                value: Bytes::from(money.to_string()),
            },
        };
        let reads = [from, to].map(|number| plinth_protocol::ReadConflict {
            keyspace: SPACE,
            range: plinth_protocol::ConflictRange::Key(Bytes::from(account(number))),
            since: None,
        });
        let commit = Commit {
            read_version: Some(version),
            read_conflicts: reads.to_vec(),
            mutations: vec![set(from, read(from) - amount), set(to, read(to) + amount)],
            ..Commit::default()
        };
        let outcome = engine.commit_blocking(commit);
        moves += u64::from(matches!(outcome, Ok(CommitResult::Committed { .. })));
    }
    moves
}

/// Stops the tellers, also when an assertion fails: the scope waits for them.
struct StopAtLast<'a>(&'a AtomicBool);

impl Drop for StopAtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_banks_money_is_all_there_in_a_backup_made_under_its_tellers() {
    let directory = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        log: LogOptions { segment_bytes: 64 << 10, ..LogOptions::default() },
        durability: DurabilityMode::None,
        ..EngineOptions::new(directory.path().join("data"))
    };
    let engine = Engine::open(options).unwrap();
    let all: Vec<_> = (0..ACCOUNTS).map(|number| (account(number), MONEY.to_string())).collect();
    let all: Vec<_> = all.iter().map(|(key, value)| (&**key, &**value)).collect();
    set(&engine, &all);
    let (now, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let at_last = StopAtLast(&stop);
        let tellers: Vec<_> = (0..3)
            .map(|seed| {
                scope.spawn({
                    let (engine, now, stop) = (&engine, &now, &stop);
                    move || move_money(engine, seed, now, stop)
                })
            })
            .collect();
        for round in 0..5_u64 {
            now.store(round, Ordering::Relaxed);
            let backup = directory.path().join(format!("backup{round}"));
            // A commit that was answered before is in it; one that begins after it is not.
            let before = set(&engine, &[("before", &round.to_string())]);
            let report = engine.checkpoint(&backup, &mut on()).unwrap();
            let after = set(&engine, &[("after", &round.to_string())]);
            let version = report.version;
            assert!(before <= version && version < after, "{before:?}, {version:?}, {after:?}");
            let new = directory.path().join(format!("new{round}"));
            let options = RestoreOptions {
                vfs: Arc::new(OsVfs),
                clock: Arc::new(crate::clock::SystemClock::new()),
                archives: vec![],
                to: RestoreTo::End,
                new_database_id: NEW_ID,
                log: LogOptions::default(),
            };
            let restored = restore(&backup, &new, &options, &mut on()).unwrap();
            assert_eq!(restored.version, version);
            let copy = Engine::open(EngineOptions::new(&new)).unwrap();
            let rows = rows(&copy);
            let money: u64 = rows
                .iter()
                .filter(|(key, _)| key.starts_with("account"))
                .map(|(_, money)| money.parse::<u64>().unwrap())
                .sum();
            assert_eq!(money, ACCOUNTS * MONEY);
            assert!(rows.contains(&row("before", &round.to_string())));
            assert!(!rows.contains(&row("after", &round.to_string())));
            copy.close();
        }
        drop(at_last);
        for teller in tellers {
            assert!(teller.join().unwrap() > 0, "a teller has moved nothing");
        }
    });
    engine.close();
}
