//! Random transactions against a model that keeps every state: each outcome is predicted exactly,
//! each read is compared with the state at its version, and the end with a replay.

use std::collections::BTreeMap;

use super::*;
use crate::{
    engine::{DurabilityMode, Pin, Stage},
    random::Random,
};

type State = BTreeMap<Bytes, Bytes>;

/// A transaction between its first read and its outcome.
struct Pending {
    read_version: Version,
    draft: Draft,
    _pin: Option<Pin>,
}

/// What a transaction that happened has written.
struct Happened {
    version: Version,
    written: Vec<KeyRange>,
    /// The keys that had another value afterwards. Beyond the window, a write that changes nothing
    /// may go unnoticed.
    changed: Vec<KeyRange>,
}

struct Run {
    bench: Bench,
    engine: Engine,
    outcomes: Arc<Outcomes>,
    random: Random,
    /// Every state, by the version that made it.
    states: BTreeMap<Version, State>,
    history: Vec<Happened>,
    submitted: BTreeMap<u64, Pending>,
    next_token: u64,
    next_outcome: u64,
    commits: u64,
    conflicts: u64,
    pins_everything: bool,
}

fn key_of(random: &mut Random) -> Bytes {
    let letters = [b'a' + random.below(4) as u8, b'a' + random.below(4) as u8];
    Bytes::copy_from_slice(&letters[..=random.below(2) as usize])
}

fn range_of(random: &mut Random) -> KeyRange {
    let (one, other) = (key_of(random), key_of(random));
    KeyRange::new(one.clone().min(other.clone()), one.max(other))
}

fn overlaps(one: &KeyRange, other: &KeyRange) -> bool {
    !one.is_empty() && !other.is_empty() && one.begin < other.end && other.begin < one.end
}

impl Run {
    fn new(seed: u64, pins_everything: bool) -> Self {
        let mut random = Random::new(seed);
        let bench = Bench::new();
        let engine = bench.open_with(|options| {
            options.batch_items_max = 1 + random.below(4) as usize;
            options.durability = match random.below(3) {
                0 => DurabilityMode::Interval(Duration::from_millis(1)),
                1 => DurabilityMode::None,
                _ => DurabilityMode::Sync,
            };
            if pins_everything {
                options.window = Duration::from_micros(40);
            }
        });
        let first = engine.read_version();
        Self {
            bench,
            engine,
            outcomes: Arc::default(),
            random,
            states: BTreeMap::from([(first, State::new())]),
            history: Vec::new(),
            submitted: BTreeMap::new(),
            next_token: 0,
            next_outcome: 0,
            commits: 0,
            conflicts: 0,
            pins_everything,
        }
    }

    fn state_at(&self, version: Version) -> &State {
        self.states.range(..=version).next_back().unwrap().1
    }

    /// Begins a transaction, reads, and lets it rest for a while.
    fn begin(&mut self) -> Pending {
        let pin = self.pins_everything.then(|| self.engine.pin(None).unwrap());
        let read_version = pin.as_ref().map_or_else(|| self.engine.read_version(), Pin::version);
        let mut draft = at(read_version);
        draft.0.reports_conflicts = true;
        for _ in 0..self.random.below(3) {
            draft = if self.random.one_in(2) {
                let key = key_of(&mut self.random);
                let reader = self.engine.reader();
                let found = reader.get(SPACE, &key, read_version).unwrap();
                let expected = self.state_at(read_version).get(&key);
                assert_eq!(found.map(|found| found.value), expected.map(Bytes::as_ref));
                draft.reads(ConflictRange::Key(key))
            } else {
                draft.reads(range_of(&mut self.random).into())
            };
        }
        for _ in 0..=self.random.below(3) {
            draft = self.write(draft);
        }
        Pending { read_version, draft, _pin: pin }
    }

    fn write(&mut self, draft: Draft) -> Draft {
        let key = key_of(&mut self.random);
        let value = Bytes::copy_from_slice(&self.random.next_u64().to_be_bytes()[..4]);
        draft.op(match self.random.below(6) {
            0 => MutationOp::Clear { key },
            1 => {
                let KeyRange { begin, end } = range_of(&mut self.random);
                MutationOp::ClearRange { begin, end }
            }
            2 => MutationOp::Atomic {
                op: AtomicOp::AppendIfFits,
                key,
                operand: Bytes::from_static(b"+"),
            },
            3 => MutationOp::Atomic { op: AtomicOp::Add, key, operand: vec![1, 0, 0, 0].into() },
            _ => MutationOp::Set { key, value },
        })
    }

    fn submit(&mut self, pending: Pending) {
        let token = self.next_token;
        self.next_token += 1;
        self.outcomes.submit(&self.engine, token, pending.draft.clone());
        self.submitted.insert(token, pending);
    }

    /// Which reads of a transaction meet what was written after its read version.
    fn hits(&self, pending: &Pending, of: impl Fn(&Happened) -> &Vec<KeyRange>) -> Vec<u32> {
        let is_hit = |range: &KeyRange| {
            self.history
                .iter()
                .filter(|happened| happened.version > pending.read_version)
                .flat_map(&of)
                .any(|written| overlaps(written, range))
        };
        let reads = pending.draft.0.read_conflicts.iter();
        (0..)
            .zip(reads)
            .filter(|(_, conflict)| is_hit(&conflict.range.to_range()))
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether the reported hits are right: exactly those that were written, where the window
    /// reaches; else at least those that were changed.
    fn are_right(&self, pending: &Pending, reported: &[u32]) -> bool {
        let written = self.hits(pending, |happened| &happened.written);
        let changed = self.hits(pending, |happened| &happened.changed);
        if self.pins_everything {
            changed.iter().all(|hit| reported.contains(hit))
                && reported.iter().all(|hit| written.contains(hit))
        } else {
            reported == written
        }
    }

    fn take_outcomes(&mut self) {
        for (token, outcome) in self.outcomes.take() {
            assert_eq!(token, self.next_outcome, "answers come in order");
            self.next_outcome += 1;
            let pending = self.submitted.remove(&token).unwrap();
            match outcome.unwrap() {
                CommitResult::Conflicted { read_conflicts } => {
                    assert!(!read_conflicts.is_empty());
                    assert!(
                        self.are_right(&pending, &read_conflicts),
                        "{read_conflicts:?}, not {:?} of {:?}",
                        self.hits(&pending, |happened| &happened.written),
                        pending.draft.0.read_conflicts
                    );
                    self.conflicts += 1;
                }
                CommitResult::Committed { version, .. } => {
                    assert!(self.are_right(&pending, &[]), "a conflict was missed");
                    assert!(version > *self.states.last_key_value().unwrap().0);
                    assert!(version <= self.engine.read_version());
                    self.happen(version, &pending.draft.0.mutations);
                    self.commits += 1;
                }
            }
        }
    }

    fn happen(&mut self, version: Version, mutations: &[Mutation]) {
        let mut state = self.states.last_key_value().unwrap().1.clone();
        let before = state.clone();
        let mut written = Vec::new();
        for Mutation { op, .. } in mutations {
            match op {
                MutationOp::Set { key, value } => {
                    written.push(KeyRange::point(key));
                    state.insert(key.clone(), value.clone());
                }
                MutationOp::Clear { key } => {
                    written.push(KeyRange::point(key));
                    state.remove(key);
                }
                MutationOp::ClearRange { begin, end } => {
                    let range = KeyRange { begin: begin.clone(), end: end.clone() };
                    state.retain(|key, _| !range.contains(key));
                    written.push(range);
                }
                MutationOp::Atomic { op, key, operand } => {
                    written.push(KeyRange::point(key));
                    let before = state.get(key).map(Bytes::as_ref);
                    let after = op.apply(before, operand, 100_000).unwrap();
                    state.insert(key.clone(), after);
                }
                other => panic!("not in this test: {other:?}"),
            }
        }
        let changed = before
            .keys()
            .chain(state.keys())
            .filter(|&key| before.get(key) != state.get(key))
            .map(|key| KeyRange::point(key))
            .collect();
        self.states.insert(version, state);
        self.history.push(Happened { version, written, changed });
    }

    fn play(mut self) -> (u64, u64) {
        let mut open = Vec::new();
        for _ in 0..300 {
            match self.random.below(8) {
                0 | 1 if open.len() < 6 => open.push(self.begin()),
                2 | 3 if !open.is_empty() => {
                    let one = self.random.below(open.len() as u64) as usize;
                    let pending = open.swap_remove(one);
                    self.submit(pending);
                }
                4 | 5 => drop(self.engine.step_stage(Stage::Sequence)),
                6 => drop(self.engine.step_stage(Stage::Log)),
                _ => self.bench.clock.advance(Duration::from_micros(self.random.below(30))),
            }
            self.take_outcomes();
        }
        settle(&self.engine);
        self.take_outcomes();
        assert!(self.submitted.is_empty(), "everything is answered");
        let newest = self.engine.read_version();
        let expected: Vec<_> = self.state_at(newest).clone().into_iter().collect();
        assert_eq!(rows_at(&self.engine, newest).unwrap(), expected);
        drop(self.engine);
        let again = self.bench.open();
        assert_eq!(rows_at(&again, again.read_version()).unwrap(), expected);
        (self.commits, self.conflicts)
    }
}

fn play_seeds(pins_everything: bool) {
    let (mut commits, mut conflicts) = (0, 0);
    for seed in 0..150 {
        let run = std::panic::catch_unwind(|| Run::new(seed, pins_everything).play());
        let Ok((more_commits, more_conflicts)) = run else {
            panic!("seed {seed} with pins_everything: {pins_everything} fails");
        };
        commits += more_commits;
        conflicts += more_conflicts;
    }
    assert!(commits > 1_000 && conflicts > 200, "{commits} commits, {conflicts} conflicts");
}

#[test]
fn histories_are_strictly_serializable_and_conflicts_exact() {
    play_seeds(false);
}

#[test]
fn histories_of_pinned_transactions_beyond_the_window_are_as_well() {
    play_seeds(true);
}
