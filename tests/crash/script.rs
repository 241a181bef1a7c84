//! Some sixty commits of all kinds, on an engine whose every bound is small: segments, windows,
//! batches and reserves of versions are passed many times.

use std::{ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, Commit, ConflictRange, Durability, KeyRange, KeyspaceId, Mutation, MutationOp,
    ReadConflict, Version,
};
use plinthdb::{
    clock::ManualClock,
    engine::{Engine, EngineOptions, OpenError, Pipeline, Stage, wal::LogOptions},
    random::Random,
    vfs::SimVfs,
};

use crate::history::{History, Outcomes, Rows, Submitted, Told, id_of, marker, told_by};

const ROUNDS: usize = 60;

pub(crate) const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

/// Opens an engine on a simulated disk, at a time of its own.
pub(crate) fn open_at(disk: &SimVfs, clock: &Arc<ManualClock>) -> Result<Engine, OpenError> {
    Engine::open(EngineOptions {
        vfs: Arc::new(disk.clone()),
        clock: Arc::clone(clock) as _,
        seed: 11,
        pipeline: Pipeline::Manual,
        window: Duration::from_millis(20),
        ceiling_ahead: Duration::from_millis(12),
        batch_items_max: 3,
        lowered_sync_interval: Duration::from_millis(3),
        log: LogOptions {
            segment_bytes: 8 << 10,
            zero_fill_bytes: 2 << 10,
            ..LogOptions::default()
        },
        ..EngineOptions::new(Path::new("/data"))
    })
}

pub(crate) fn open(disk: &SimVfs) -> Result<Engine, OpenError> {
    open_at(disk, &Arc::new(ManualClock::new(1_000_000)))
}

/// Every row at a version, markers and all.
pub(crate) fn rows_at(engine: &Engine, version: Version) -> Rows {
    let mut rows = Rows::new();
    let all = KeyRange::new(Bytes::new(), Bytes::from_static(b"\xFF"));
    engine
        .reader()
        .scan(SPACE, &all, version, false, &mut |key, found| {
            rows.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(found.value));
            ControlFlow::Continue(())
        })
        .expect("the newest version is readable");
    rows
}

/// A run of commits that follows from its seed.
pub(crate) struct Script {
    random: Random,
    /// Whether some commits ask for less than durability.
    lowers: bool,
    history: History,
    outcomes: Arc<Outcomes>,
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            lowers: seed % 2 == 1,
            history: History::default(),
            outcomes: Arc::default(),
        }
    }

    /// Runs until its end, or until the disk stops it; says what happened.
    pub(crate) fn run(mut self, disk: &SimVfs) -> History {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let Ok(engine) = open_at(disk, &clock) else { return self.history };
        for round in 0..ROUNDS {
            for _ in 0..=self.random.below(2) {
                self.submit(&engine, round);
            }
            for _ in 0..self.random.below(9) {
                let stage = if self.random.one_in(2) { Stage::Sequence } else { Stage::Log };
                engine.step_stage(stage);
                self.look(&engine);
            }
            clock.advance(Duration::from_micros(self.random.below(1_000)));
            if disk.is_cut() || engine.is_poisoned() {
                break;
            }
        }
        while !disk.is_cut() && engine.step() {}
        self.look(&engine);
        if !disk.is_cut() {
            engine.close();
            self.look(&engine);
        }
        self.history
    }

    /// Takes in what was told, and reads everything now and then.
    fn look(&mut self, engine: &Engine) {
        for (token, outcome) in self.outcomes.take() {
            let told = told_by(&outcome);
            if let Told::Committed(version) = told {
                assert!(version <= engine.read_version(), "told of what can't be read");
                self.history.saw(version);
            }
            self.history.submitted[token as usize].told = told;
        }
        let version = engine.read_version();
        self.history.saw(version);
        if self.random.one_in(4) {
            let known = self.history.known();
            assert_eq!(rows_at(engine, version), self.history.rows_after(&known));
            if !self.lowers {
                self.history.read_at.push(version);
            }
        }
    }

    fn submit(&mut self, engine: &Engine, round: usize) {
        let token = self.history.submitted.len();
        let is_durable = !(self.lowers && self.random.one_in(3));
        let mut commit = Commit {
            idempotency_id: self.random.one_in(2).then(|| id_of(token)),
            durability: (!is_durable).then_some(if self.random.one_in(2) {
                Durability::None
            } else {
                Durability::Interval
            }),
            ..Commit::default()
        };
        if self.random.one_in(3) {
            commit.read_version = Some(engine.read_version());
            let range = ConflictRange::Key(self.key());
            commit.read_conflicts = vec![ReadConflict { keyspace: SPACE, range, since: None }];
        }
        commit.mutations = self
            .operations(token, round)
            .into_iter()
            .map(|op| Mutation { keyspace: SPACE, adds_conflict: true, op })
            .collect();
        let sink = Arc::clone(&self.outcomes) as Arc<_>;
        let told = match engine.submit(commit.clone(), sink, token as u64) {
            Ok(()) => Told::Nothing,
            Err(_) => Told::Refused,
        };
        self.history.submitted.push(Submitted { commit, is_durable, told });
    }

    fn key(&mut self) -> Bytes {
        format!("key/{}", self.random.below(6)).into()
    }

    fn operations(&mut self, token: usize, round: usize) -> Vec<MutationOp> {
        let mut operations =
            vec![MutationOp::Set { key: marker(token), value: token.to_string().into() }];
        if round == 30 {
            // A commit that is larger than a segment.
            let value = Bytes::from(vec![b'x'; 20 << 10]);
            operations.push(MutationOp::Set { key: self.key(), value });
        }
        for _ in 0..self.random.below(4) {
            let key = self.key();
            operations.push(match self.random.below(6) {
                0 => MutationOp::Clear { key },
                1 => {
                    let (one, other) = (key, self.key());
                    MutationOp::ClearRange {
                        begin: one.clone().min(other.clone()),
                        end: one.max(other),
                    }
                }
                2 => MutationOp::SetVersionstampedKey {
                    key: Bytes::from_static(b"stamped/0123456789"),
                    offset: 8,
                    value: token.to_string().into(),
                },
                3 => MutationOp::SetVersionstampedValue {
                    key,
                    value: Bytes::from_static(b"at 0123456789"),
                    offset: 3,
                },
                4 => MutationOp::Atomic {
                    op: AtomicOp::AppendIfFits,
                    key,
                    operand: format!("+{token}").into(),
                },
                _ => {
                    let value = vec![b'v'; self.random.below(300) as usize];
                    MutationOp::Set { key, value: value.into() }
                }
            });
        }
        operations
    }
}
