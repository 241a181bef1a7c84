//! The database as the contract has it: every version it ever had, and who wrote what.

use super::{
    overlay::{Pairs, Write},
    ranges::Ranges,
};

/// A commit: its version, and what it has written as others see it.
struct Commit {
    version: i64,
    writes: Ranges,
}

/// All that has been committed, since everything was cleared.
pub(super) struct World {
    states: Vec<Pairs>,
    commits: Vec<Commit>,
}

/// How many commits a transaction sees.
pub(super) type Seen = usize;

impl World {
    /// A database with these pairs, committed at a version.
    pub(super) fn new(pairs: Pairs, version: i64) -> Self {
        let first = Commit { version, writes: Ranges::default() };
        Self { states: vec![Pairs::new(), pairs], commits: vec![first] }
    }

    /// What the newest reads see.
    pub(super) fn newest(&self) -> Seen {
        self.commits.len()
    }

    /// What is there after so many commits.
    pub(super) fn pairs(&self, seen: Seen) -> &Pairs {
        &self.states[seen]
    }

    /// The version of the `seen`th commit.
    pub(super) fn version(&self, seen: Seen) -> i64 {
        self.commits[seen - 1].version
    }

    /// What was written since.
    pub(super) fn written_since(&self, seen: Seen) -> Ranges {
        let mut written = Ranges::default();
        for commit in &self.commits[seen..] {
            written.extend(&commit.writes);
        }
        written
    }

    /// Carries out a commit.
    pub(super) fn commit(
        &mut self,
        version: i64,
        stamp: &[u8],
        writes: &[Write],
        written: Ranges,
    ) -> Result<(), String> {
        let last = self.version(self.newest());
        if version <= last {
            return Err(format!("version {version} comes after {last}"));
        }
        let mut pairs = self.pairs(self.newest()).clone();
        for write in writes {
            write.carry_out(&mut pairs, stamp);
        }
        self.states.push(pairs);
        self.commits.push(Commit { version, writes: written });
        Ok(())
    }
}
