//! What the script did and what it was told: all that a client could hold against the database.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, Commit, CommitResult, Error, ErrorCode, MutationOp, Version, Versionstamp,
};
use plinthdb::engine::{CommitSink, CompactionStats};

pub(crate) type Rows = BTreeMap<Bytes, Bytes>;

/// What a client was told of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing: the power failed before, or the outcome is said to be unknown.
    Nothing,
    Committed(Version),
    Conflicted,
    /// It certainly did not happen.
    Refused(ErrorCode),
}

/// A commit, in the order in which they were submitted; its place there is its token.
pub(crate) struct Submitted {
    pub(crate) commit: Commit,
    /// Whether an acknowledgement promises that it survives.
    pub(crate) is_durable: bool,
    pub(crate) told: Told,
}

#[derive(Default)]
pub(crate) struct History {
    pub(crate) submitted: Vec<Submitted>,
    /// The newest version that anyone was told of, by a commit or as a read version.
    pub(crate) newest: Version,
    /// Versions at which everything was read, when only durable commits were about.
    pub(crate) read_at: Vec<Version>,
    /// Whether the engine could be opened.
    pub(crate) is_opened: bool,
    /// Whether it had given up writing at the end.
    pub(crate) is_poisoned: bool,
    /// What compactions had done at the end.
    pub(crate) compaction: CompactionStats,
    /// The commits that were told to have happened, in order, and the rows after each.
    states: Vec<(usize, Version, Rows)>,
    /// The first promise that was broken before any crash.
    pub(crate) complaint: Option<String>,
}

/// The key that says that the commit with this token happened.
pub(crate) fn marker(token: usize) -> Bytes {
    format!("marker/{token:04}").into()
}

/// The idempotency id of the commit with this token.
pub(crate) fn id_of(token: usize) -> Bytes {
    format!("idempotent commit {token:04}").into()
}

impl History {
    pub(crate) fn acknowledged(&self) -> usize {
        self.states.len()
    }

    /// Notes a broken promise.
    pub(crate) fn complain(&mut self, complaint: String) {
        self.complaint.get_or_insert(complaint);
    }

    /// Why commits were refused that would not have lost against others.
    pub(crate) fn refusals(&self) -> BTreeSet<ErrorCode> {
        let codes = self.submitted.iter().filter_map(|submitted| match submitted.told {
            Told::Refused(code) => Some(code),
            _ => None,
        });
        codes.collect()
    }

    pub(crate) fn saw(&mut self, version: Version) {
        self.newest = self.newest.max(version);
    }

    /// Whether the commit with this token must have lost against an earlier one.
    pub(crate) fn must_conflict(&self, token: usize) -> bool {
        let commit = &self.submitted[token].commit;
        let Some(read_version) = commit.read_version else { return false };
        (0..token).any(|earlier| {
            let is_seen = |version: Version| version <= read_version;
            let other = &self.submitted[earlier];
            let is_new = match other.told {
                Told::Committed(version) => !is_seen(version),
                Told::Nothing => !self.must_conflict(earlier),
                Told::Conflicted | Told::Refused(_) => false,
            };
            is_new && commit.read_conflicts.iter().any(|read| writes(&other.commit, &read.range))
        })
    }

    /// Takes in what a client was told of a commit.
    pub(crate) fn tell(&mut self, token: usize, told: Told) {
        if let Told::Committed(version) = told {
            self.saw(version);
            let (before, at, mut rows) = match self.states.last() {
                Some((before, at, rows)) => (Some(*before), *at, rows.clone()),
                None => (None, Version::ZERO, Rows::new()),
            };
            if before >= Some(token) || at >= version {
                self.complain(format!("commit {token} at {version} is out of order"));
            }
            self.carry_out(token, version, &mut rows);
            self.states.push((token, version, rows));
        }
        self.submitted[token].told = told;
    }

    fn carry_out(&self, token: usize, version: Version, rows: &mut Rows) {
        for mutation in &self.submitted[token].commit.mutations {
            carry_out(&mutation.op, version, rows);
        }
    }

    /// The rows after the commits with these tokens, at these versions.
    pub(crate) fn rows_after(&self, happened: &BTreeMap<usize, Version>) -> Rows {
        let told = self.states.iter().map(|(token, version, _)| (token, version));
        let same = told.zip(happened).take_while(|(told, happened)| told == happened).count();
        let mut rows = match same {
            0 => Rows::new(),
            same => self.states[same - 1].2.clone(),
        };
        for (&token, &version) in happened.iter().skip(same) {
            self.carry_out(token, version, &mut rows);
        }
        rows
    }

    /// The rows at a version, after all that was told to have happened by then.
    pub(crate) fn rows_at(&self, version: Version) -> Cow<'_, Rows> {
        let happened = self.states.partition_point(|(_, at, _)| *at <= version);
        match happened {
            0 => Cow::Owned(Rows::new()),
            happened => Cow::Borrowed(&self.states[happened - 1].2),
        }
    }

    /// The versions of the commits that were told to have happened.
    pub(crate) fn versions(&self) -> impl DoubleEndedIterator<Item = Version> {
        self.states.iter().map(|(_, version, _)| *version)
    }

    /// After nothing, and after each commit that was told to have happened.
    pub(crate) fn states(&self) -> impl Iterator<Item = Rows> {
        [Rows::new()].into_iter().chain(self.states.iter().map(|(_, _, rows)| rows.clone()))
    }

    /// The tokens that were told to have happened.
    pub(crate) fn known(&self) -> BTreeMap<usize, Version> {
        self.states.iter().map(|(token, version, _)| (*token, *version)).collect()
    }

    /// The tokens whose commits must survive: those that were promised to, and all before them.
    pub(crate) fn promised(&self) -> BTreeSet<usize> {
        let known = self.known();
        let last = known.keys().rev().find(|&&token| self.submitted[token].is_durable);
        last.map_or_else(BTreeSet::new, |&last| known.range(..=last).map(|(&t, _)| t).collect())
    }
}

fn writes(commit: &Commit, range: &plinth_protocol::ConflictRange) -> bool {
    let range = range.to_range();
    commit.mutations.iter().any(|mutation| match &mutation.op {
        MutationOp::ClearRange { begin, end } => *begin < range.end && range.begin < *end,
        MutationOp::Set { key, .. }
        | MutationOp::Clear { key }
        | MutationOp::Atomic { key, .. }
        | MutationOp::SetVersionstampedKey { key, .. }
        | MutationOp::SetVersionstampedValue { key, .. } => range.contains(key),
    })
}

fn stamped(bytes: &Bytes, offset: u32, version: Version) -> Bytes {
    let mut stamped = bytes.to_vec();
    let offset = offset as usize;
    stamped[offset..offset + Versionstamp::LEN].copy_from_slice(&Versionstamp::new(version, 0).0);
    stamped.into()
}

fn carry_out(op: &MutationOp, version: Version, rows: &mut Rows) {
    match op {
        MutationOp::Set { key, value } => drop(rows.insert(key.clone(), value.clone())),
        MutationOp::Clear { key } => drop(rows.remove(key)),
        MutationOp::ClearRange { begin, end } => rows.retain(|key, _| key < begin || key >= end),
        MutationOp::Atomic { op, key, operand } => {
            // Written out, not asked of the code under test.
            assert_eq!(*op, AtomicOp::AppendIfFits, "the only one in the script");
            let joined = [rows.get(key).map_or(&[][..], Bytes::as_ref), operand].concat();
            rows.insert(key.clone(), joined.into());
        }
        MutationOp::SetVersionstampedKey { key, offset, value } => {
            rows.insert(stamped(key, *offset, version), value.clone());
        }
        MutationOp::SetVersionstampedValue { key, value, offset } => {
            rows.insert(key.clone(), stamped(value, *offset, version));
        }
    }
}

/// Where outcomes go until the script looks.
#[derive(Default)]
pub(crate) struct Outcomes(std::sync::Mutex<Vec<(u64, Result<CommitResult, Error>)>>);

impl Outcomes {
    pub(crate) fn take(&self) -> Vec<(u64, Result<CommitResult, Error>)> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }
}

impl CommitSink for Outcomes {
    fn push(&self, token: u64, outcome: Result<CommitResult, Error>) {
        self.0.lock().expect("nobody panics with it").push((token, outcome));
    }

    fn wake(&self) {}
}

/// What an outcome says.
pub(crate) fn told_by(outcome: &Result<CommitResult, Error>) -> Told {
    match outcome {
        Ok(CommitResult::Committed { version, .. }) => Told::Committed(*version),
        Ok(CommitResult::Conflicted { .. }) => Told::Conflicted,
        Err(error) if error.code == ErrorCode::COMMIT_UNKNOWN_RESULT => Told::Nothing,
        Err(error) => Told::Refused(error.code),
    }
}
