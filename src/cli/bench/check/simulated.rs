//! Histories of a simulated database: sound ones pass, and those of a faulty one don't.
//!
//! The database keeps all versions of a few keys. Clients begin, read, write, commit and are told,
//! one step of one client at a time in random order, so that they overlap in every way. Some answers
//! are lost.

use std::collections::BTreeMap;

use bytes::Bytes;
use plinth_protocol::{Version, Versionstamp};
use proptest::prelude::*;

use super::{Checks, check};
use crate::cli::bench::{
    history::{Header, History, Op, Outcome, ReadKind, Transaction, ValueHash},
    keys::Random,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    IgnoresReads,
    ReadsStale,
    CommitsInHalves,
    LosesCommits,
    RepeatsVersions,
    HalvesUnknown,
    LiesAboutVersions,
}

const KEYS: u64 = 4;

fn key(at: u64) -> Bytes {
    Bytes::from(format!("key/{at}"))
}

type Rows = BTreeMap<Bytes, Option<ValueHash>>;

/// A transaction under way.
struct Open {
    transaction: Transaction,
    read_at: u64,
    writes: Rows,
    read: Vec<Bytes>,
    steps: u64,
    is_sent: bool,
}

struct Simulation {
    random: Random,
    fault: Fault,
    /// What each commit wrote, by version.
    commits: Vec<(u64, Rows)>,
    /// Halves of commits that are to come, by time.
    late: Vec<(u64, Rows)>,
    version: u64,
    time: u64,
    value: u64,
    history: Vec<Transaction>,
}

impl Simulation {
    fn value_at(&self, key: &Bytes, version: u64) -> Option<ValueHash> {
        let mut before = self.commits.iter().rev().filter(|(at, _)| *at <= version);
        before.find_map(|(_, rows)| rows.get(key)).copied().flatten()
    }

    fn begin(&mut self, client: u32) -> Open {
        let is_stale = self.fault == Fault::ReadsStale && self.random.below(3) == 0;
        let read_at = if is_stale { self.version.saturating_sub(30) } else { self.version };
        let transaction = Transaction {
            client,
            number: self.time,
            intended: None,
            begin: self.time,
            end: 0,
            read_version: Some(Version(read_at)),
            ops: Vec::new(),
            outcome: Outcome::Failed,
        };
        let (writes, read, is_sent) = (Rows::new(), Vec::new(), false);
        Open { transaction, read_at, writes, read, steps: 1 + self.random.below(4), is_sent }
    }

    fn see(&self, open: &Open, key: &Bytes) -> Option<ValueHash> {
        let own = open.writes.get(key).copied();
        own.unwrap_or_else(|| self.value_at(key, open.read_at))
    }

    fn step(&mut self, open: &mut Open) {
        let key_of_step = key(self.random.below(KEYS));
        match self.random.below(8) {
            0..3 => {
                let found = self.see(open, &key_of_step);
                open.read.push(key_of_step.clone());
                let kind = ReadKind::Serializable;
                open.transaction.ops.push(Op::Get { key: key_of_step, found, kind });
            }
            3 => {
                let [begin, end] = [key(1), key(3)];
                let keys = [key(1), key(2)];
                let rows = keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), self.see(open, key)?)))
                    .collect();
                open.read.extend(keys);
                let kind = ReadKind::Serializable;
                open.transaction.ops.push(Op::Range { begin, end, rows, kind });
            }
            4 => {
                open.writes.insert(key_of_step.clone(), None);
                open.transaction.ops.push(Op::Clear { key: key_of_step });
            }
            _ => {
                self.value += 1;
                let value = ValueHash(self.value);
                open.writes.insert(key_of_step.clone(), Some(value));
                open.transaction.ops.push(Op::Set { key: key_of_step, value });
            }
        }
    }

    /// Commits if nothing speaks against it.
    fn send(&mut self, open: &mut Open) {
        open.is_sent = true;
        let is_hit = |(at, rows): &(u64, Rows)| {
            *at > open.read_at && open.read.iter().any(|key| rows.contains_key(key))
        };
        let ignores_reads = self.fault == Fault::IgnoresReads;
        let is_lost = self.random.below(6) == 0;
        let mut outcome = if open.writes.is_empty() {
            Outcome::Committed(None)
        } else if !ignores_reads && self.commits.iter().any(is_hit) {
            Outcome::Conflicted
        } else {
            self.commit(open, is_lost)
        };
        if is_lost && !open.writes.is_empty() {
            outcome = Outcome::Unknown;
        }
        open.transaction.outcome = outcome;
    }

    fn commit(&mut self, open: &Open, is_lost: bool) -> Outcome {
        let repeats = self.fault == Fault::RepeatsVersions
            && self.version > open.read_at
            && self.random.below(3) == 0;
        self.version += if repeats { 0 } else { 1 + self.random.below(3) };
        let version = self.version;
        let mut rows = open.writes.clone();
        let never_was = self.fault == Fault::LosesCommits || is_lost && self.random.below(2) == 0;
        if never_was && (is_lost || self.random.below(4) == 0) {
            rows.clear();
        }
        let halves =
            self.fault == Fault::CommitsInHalves || self.fault == Fault::HalvesUnknown && is_lost;
        if halves && rows.len() > 1 {
            let middle = rows.keys().nth(rows.len() / 2).unwrap().clone();
            let second = rows.split_off(&middle);
            if self.fault == Fault::CommitsInHalves {
                self.late.push((self.time + 20, second));
            }
        }
        self.commits.push((version, rows));
        self.commits.sort_by_key(|(at, _)| *at);
        let lie = if self.fault == Fault::LiesAboutVersions { self.random.below(9) } else { 0 };
        Outcome::Committed(Some(Versionstamp::new(Version(version + lie), 0)))
    }

    fn run(mut self, steps: u64) -> History {
        let mut clients: Vec<Option<Open>> = (0..5).map(|_| None).collect();
        for _ in 0..steps {
            self.time += 1;
            if let Some((_, half)) = self.late.pop_if(|(due, _)| *due <= self.time) {
                self.version += 1;
                self.commits.push((self.version, half));
            }
            let client = self.random.below(5);
            let slot = &mut clients[client as usize];
            let Some(mut open) = slot.take() else {
                *slot = Some(self.begin(client as u32));
                continue;
            };
            if open.steps > 0 {
                open.steps -= 1;
                self.step(&mut open);
            } else if !open.is_sent {
                self.send(&mut open);
            } else {
                open.transaction.end = self.time;
                self.history.push(open.transaction);
                continue;
            }
            clients[client as usize] = Some(open);
        }
        for mut open in clients.into_iter().flatten() {
            open.transaction.end = self.time + 1;
            if open.is_sent {
                self.history.push(open.transaction);
            }
        }
        let header = Header {
            format_version: 1,
            has_versions: true,
            has_unique_values: true,
            ..Header::default()
        };
        History { header, transactions: self.history }
    }
}

fn simulate(seed: u64, steps: u64, fault: Fault) -> History {
    let simulation = Simulation {
        random: Random::new(seed),
        fault,
        commits: Vec::new(),
        late: Vec::new(),
        version: 100,
        time: 0,
        value: 0,
        history: Vec::new(),
    };
    simulation.run(steps)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_sound_database_does_is_sound(seed: u64, steps in 10_u64..600) {
        let history = simulate(seed, steps, Fault::None);
        for checks in [Checks::All, Checks::WithoutVersions] {
            let verdict = check(&history, checks);
            prop_assert!(
                verdict.is_sound(),
                "{:?} {:#?} {:?}", checks, verdict.violations, history.transactions
            );
        }
    }

    #[test]
    fn any_history_at_all_is_judged_without_a_panic(
        seed: u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..7, 0_u64..40), 1..12),
    ) {
        let mut history = simulate(seed, 150, Fault::None);
        for (at, what, number) in changes {
            if history.transactions.is_empty() {
                break;
            }
            let index = at.index(history.transactions.len());
            let transaction = &mut history.transactions[index];
            match what {
                0 => transaction.outcome = Outcome::Unknown,
                1 => transaction.outcome = Outcome::Failed,
                2 => {
                    let stamp = Versionstamp::new(Version(number * 7), number as u16);
                    transaction.outcome = Outcome::Committed(Some(stamp));
                }
                3 => transaction.read_version = Some(Version(100 + number)),
                4 => transaction.ops.push(Op::Mutate { key: key(number % KEYS) }),
                5 => {
                    let [begin, end] = [key(number % 5), key(2)];
                    transaction.ops.push(Op::ClearRange { begin, end });
                }
                _ => (transaction.begin, transaction.end) = (number, 2 * number),
            }
        }
        for checks in [Checks::All, Checks::WithoutVersions] {
            let verdict = check(&history, checks);
            prop_assert_eq!(verdict.is_sound(), verdict.violations.is_empty());
        }
    }
}

/// How many runs each fault is given.
const RUNS: u64 = 100;

/// In how many runs a fault is found, by versions and by values.
fn catches(fault: Fault) -> [usize; 2] {
    [Checks::All, Checks::WithoutVersions].map(|checks| {
        let is_caught = |seed: &u64| !check(&simulate(*seed, 400, fault), checks).is_sound();
        (0..RUNS).filter(is_caught).count()
    })
}

#[test]
fn every_fault_of_a_database_is_caught() {
    for (fault, least_by_versions, least_by_values) in [
        (Fault::None, 0, 0),
        (Fault::IgnoresReads, 39, 30),
        (Fault::ReadsStale, 39, 20),
        (Fault::CommitsInHalves, 36, 20),
        (Fault::LosesCommits, 36, 20),
        (Fault::RepeatsVersions, 36, 0),
        (Fault::HalvesUnknown, 4, 1),
        (Fault::LiesAboutVersions, 36, 0),
    ] {
        let [by_versions, by_values] = catches(fault);
        println!("{fault:?}: caught {by_versions} times, {by_values} times by values alone");
        assert!(by_versions >= least_by_versions && by_values >= least_by_values, "{fault:?}");
        assert!(fault != Fault::None || by_versions + by_values == 0, "nothing is wrong");
    }
}
