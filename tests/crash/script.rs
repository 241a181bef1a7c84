//! Some sixty commits of all kinds, on an engine whose every bound is small: segments, windows,
//! batches and reserves of versions are passed many times.
//!
//! What can be read meanwhile is looked at too: at the newest version, at older ones, and at one
//! that is held by a pin.

use std::{ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, Commit, ConflictRange, Durability, Error, ErrorCode, KeyRange, KeyspaceId, Mutation,
    MutationOp, ReadConflict, Version,
};
use plinthdb::{
    clock::ManualClock,
    engine::{
        Engine, EngineOptions, OpenError, Pin, Pipeline, Stage, StorageOptions, wal::LogOptions,
    },
    random::Random,
    vfs::{SimVfs, Vfs},
};

use super::history::{History, Outcomes, Rows, Submitted, Told, id_of, marker, told_by};

const ROUNDS: usize = 60;

/// What is stepped; commits come most often.
const STAGES: [Stage; 7] = [
    Stage::Sequence,
    Stage::Log,
    Stage::Sequence,
    Stage::Log,
    Stage::Sequence,
    Stage::Flush,
    Stage::Compact,
];

/// In these rounds everything but the markers is cleared.
const WIDE_CLEARS: [usize; 2] = [36, 46];

pub(crate) const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

/// Opens an engine on a simulated disk, at a time of its own.
pub(crate) fn open_at(vfs: Arc<dyn Vfs>, clock: &Arc<ManualClock>) -> Result<Engine, OpenError> {
    Engine::open(EngineOptions {
        vfs,
        clock: Arc::clone(clock) as _,
        seed: 11,
        pipeline: Pipeline::Manual,
        window: Duration::from_millis(6),
        ceiling_ahead: Duration::from_millis(12),
        batch_items_max: 3,
        lowered_sync_interval: Duration::from_millis(3),
        log: LogOptions {
            segment_bytes: 8 << 10,
            zero_fill_bytes: 2 << 10,
            ..LogOptions::default()
        },
        storage: StorageOptions {
            memtable_bytes: 64 << 10,
            log_bytes_max: 4 << 10,
            level0_tables: 2,
            level1_bytes: 2 << 10,
            level_ratio: 2,
            table_bytes_max: 2 << 10,
            manifest_bytes_max: 1 << 10,
            retry_min: Duration::from_micros(100),
            retry_max: Duration::from_millis(1),
            ..StorageOptions::default()
        },
        ..EngineOptions::new(Path::new("/data"))
    })
}

pub(crate) fn open(disk: &SimVfs) -> Result<Engine, OpenError> {
    open_at(Arc::new(disk.clone()), &Arc::new(ManualClock::new(1_000_000)))
}

/// Every row at a version, markers and all.
pub(crate) fn rows_at(engine: &Engine, version: Version) -> Result<Rows, Error> {
    let mut rows = Rows::new();
    let all = KeyRange::new(Bytes::new(), Bytes::from_static(b"\xFF"));
    engine.reader().scan(SPACE, &all, version, false, &mut |key, found| {
        rows.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(found.value));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// A run of commits that follows from its seed.
pub(crate) struct Script {
    random: Random,
    /// Whether some commits ask for less than durability.
    lowers: bool,
    history: History,
    outcomes: Arc<Outcomes>,
    /// A snapshot that is held.
    pin: Option<Pin>,
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            lowers: seed % 2 == 1,
            history: History::default(),
            outcomes: Arc::default(),
            pin: None,
        }
    }

    /// Runs until its end, or until the disk stops it; says what happened.
    pub(crate) fn run(self, disk: &SimVfs) -> History {
        self.run_on(Arc::new(disk.clone()), disk)
    }

    /// The same through something in front of the disk.
    pub(crate) fn run_on(mut self, vfs: Arc<dyn Vfs>, disk: &SimVfs) -> History {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let Ok(engine) = open_at(vfs, &clock) else { return self.history };
        self.history.is_opened = true;
        for round in 0..ROUNDS {
            for _ in 0..=self.random.below(2) {
                self.submit(&engine, round);
            }
            for _ in 0..self.random.below(9) {
                engine.step_stage(STAGES[self.random.below(STAGES.len() as u64) as usize]);
                self.look(&engine);
            }
            clock.advance(Duration::from_micros(self.random.below(1_000)));
            if disk.is_cut() || engine.is_poisoned() {
                break;
            }
        }
        while !disk.is_cut() && engine.step() {}
        self.look(&engine);
        self.history.is_poisoned = engine.is_poisoned();
        self.history.compaction = engine.stats().compaction;
        self.pin = None;
        if !disk.is_cut() {
            engine.close();
            self.look(&engine);
        }
        self.history
    }

    /// Takes in what was told, and reads now and then.
    fn look(&mut self, engine: &Engine) {
        for (token, outcome) in self.outcomes.take() {
            let told = told_by(&outcome);
            if let Told::Committed(version) = told
                && version > engine.read_version()
            {
                self.history.complain(format!("told of {version}, which can't be read"));
            }
            self.history.tell(token as usize, told);
        }
        let version = engine.read_version();
        self.history.saw(version);
        if self.random.one_in(4) {
            self.read(engine, version);
            if !self.lowers {
                self.history.read_at.push(version);
            }
        }
        if self.random.one_in(8) {
            self.read_older(engine);
        }
        self.hold_or_let_go(engine);
    }

    /// Everything at a version that can be read is what was committed up to then.
    fn read(&mut self, engine: &Engine, version: Version) {
        match rows_at(engine, version) {
            Ok(rows) if rows == *self.history.rows_at(version) => {}
            Ok(_) => self.history.complain(format!("the rows at {version} are wrong")),
            Err(error) => {
                self.history.complain(format!("{version} can't be read: {error}"));
            }
        }
    }

    /// A version that a commit was told of may be too old to read; if it isn't, it reads right.
    fn read_older(&mut self, engine: &Engine) {
        let back = self.random.below(12) as usize;
        let Some(version) = self.history.versions().rev().nth(back) else { return };
        match rows_at(engine, version) {
            Err(error) if error.code == ErrorCode::TRANSACTION_TOO_OLD => {}
            _ => self.read(engine, version),
        }
    }

    /// Takes a pin now and then, reads what it holds, and gives it back much later.
    fn hold_or_let_go(&mut self, engine: &Engine) {
        match &self.pin {
            None if self.random.one_in(16) => self.pin = engine.pin(None).ok(),
            Some(_) if self.random.one_in(40) => self.pin = None,
            Some(pin) if self.random.one_in(6) => {
                let version = pin.version();
                self.read(engine, version);
            }
            None | Some(_) => {}
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
            Err((_, error)) => Told::Refused(error.code),
        };
        self.history.submitted.push(Submitted { commit, is_durable, told });
    }

    fn key(&mut self) -> Bytes {
        format!("key/{:02}", self.random.below(12)).into()
    }

    fn operations(&mut self, token: usize, round: usize) -> Vec<MutationOp> {
        let mut operations =
            vec![MutationOp::Set { key: marker(token), value: token.to_string().into() }];
        if round == 30 {
            // A commit that is larger than a segment.
            let value = Bytes::from(vec![b'x'; 20 << 10]);
            operations.push(MutationOp::Set { key: self.key(), value });
        }
        if WIDE_CLEARS.contains(&round) {
            // Whole tables that nothing of is read any more.
            let (begin, end) = (Bytes::from_static(b"key/"), Bytes::from_static(b"key0"));
            operations.push(MutationOp::ClearRange { begin, end });
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
