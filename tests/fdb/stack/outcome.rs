//! How a transaction ends, and what it tells of itself.

use super::{
    model::World,
    overlay::Write,
    ranges::Ranges,
    transaction::{CANCELLED, INVALID_OPERATION, Transaction, Verdict, same},
};
use crate::golden::runner::operations::{Answer, Code, Conflicts, Row};

const NOT_COMMITTED: Code = 1020;
const TRANSACTION_INVALID_VERSION: Code = 2020;
const NO_COMMIT_VERSION: Code = 2021;
const TRANSACTION_TOO_LARGE: Code = 2101;
/// The codes after which `on_error` begins again.
const RETRYABLE: [Code; 8] = [1007, 1009, 1020, 1021, 1037, 1038, 1042, 1051];

impl Transaction {
    /// The conflict ranges as the transaction shows them; asked of healthy transactions, and of
    /// those that have just failed for what was hit.
    pub(super) fn conflicts(&self, which: Conflicts, answered: &Answer<Vec<Row>>) -> Verdict {
        let shown = answered.as_ref().map_err(|code| format!("it fails with {code}"))?;
        let shown = Ranges::parse(shown)?;
        let between = |least: &Ranges, most: &Ranges| {
            if least.is_within(&shown) && shown.is_within(most) {
                Ok(())
            } else {
                Err(format!("{shown:?} is not between {least:?} and {most:?}"))
            }
        };
        match which {
            Conflicts::Read => between(&self.must, &self.may),
            Conflicts::Write => {
                let mut all = self.write_conflicts.clone();
                for write in &self.writes {
                    if matches!(write, Write::StampedKey { .. }) {
                        let (begin, end) = write.written(None);
                        all.add(&begin, &end);
                    }
                }
                between(&self.write_conflicts, &all)
            }
            Conflicts::Hit => match &self.hit {
                Some(hit) if self.reports_conflicts => between(hit, &self.may),
                _ => between(&Ranges::default(), &Ranges::default()),
            },
        }
    }

    /// The commit, and the stamp that was asked for before it.
    pub(super) fn commit(
        &mut self,
        world: &mut World,
        answered: Answer<i64>,
        stamp: Option<&Answer<Vec<u8>>>,
    ) -> Verdict {
        if let Some(code) = self.refused() {
            return same(&Err(code), &answered);
        }
        self.is_used_up = true;
        let stamped = |right: Code| stamp.map_or(Ok(()), |stamp| same(&Err(right), stamp));
        if let Some(code) = self.read_failure {
            same(&Err(code), &answered)?;
            return stamped(TRANSACTION_INVALID_VERSION);
        }
        if self.writes.is_empty() && self.write_conflicts == Ranges::default() {
            same(&Ok(-1), &answered)?;
            return stamped(NO_COMMIT_VERSION);
        }
        if self.size_limit.is_some_and(|limit| self.size > limit) {
            same(&Err(TRANSACTION_TOO_LARGE), &answered)?;
            return stamped(TRANSACTION_INVALID_VERSION);
        }
        let seen = self.seen(world);
        let written = world.written_since(seen);
        self.must.extend(&self.unseen);
        self.may.extend(&self.ghosts);
        let version = match answered {
            Ok(_) if self.must.meets(&written) => {
                return Err(format!("it commits in spite of {:?}", self.must.common(&written)));
            }
            Ok(version) => version,
            Err(NOT_COMMITTED) if self.may.meets(&written) => {
                self.hit = Some(self.must.common(&written));
                return stamped(TRANSACTION_INVALID_VERSION);
            }
            Err(code) => return Err(format!("it fails with {code}")),
        };
        let nothing = Ok(vec![0; 10]);
        let stamp = stamp.unwrap_or(&nothing).as_ref();
        let stamp = stamp.map_err(|code| format!("the stamp fails with {code}"))?;
        if stamp.len() != 10 || (self.has_stamps() && stamp[..8] != version.to_be_bytes()) {
            return Err(format!("{stamp:?} is no stamp of version {version}"));
        }
        let mut written = self.write_conflicts.clone();
        for write in self.writes.iter().filter(|write| matches!(write, Write::StampedKey { .. })) {
            let (begin, end) = write.written(Some(stamp));
            written.add(&begin, &end);
        }
        self.committed = version;
        world.commit(version, stamp, &self.writes, written)
    }

    pub(super) fn committed_version(&self, answered: i64) -> Verdict {
        same(&self.committed, &answered)
    }

    /// The size: it never shrinks, and grows with what is written.
    pub(super) fn size(&mut self, answered: Answer<i64>) -> Verdict {
        if let Some(code) = self.refused() {
            return same(&Err(code), &answered);
        }
        let size = answered.map_err(|code| format!("it fails with {code}"))?;
        let least: usize = self.writes.iter().map(|write| write.written(None).0.len()).sum();
        if size < self.size || size < i64::try_from(least).unwrap() {
            return Err(format!("{size} is less than {} and {least}", self.size));
        }
        self.size = size;
        Ok(())
    }

    /// A new one in its place if the error is of the sort that goes away.
    pub(super) fn on_error(&mut self, code: Code, answered: Answer<()>) -> Verdict {
        if let Some(ended) = self.ended {
            return same(&Err(ended), &answered);
        }
        let is_last = self.retry_limit.is_some_and(|limit| self.retries >= limit);
        if !is_last && RETRYABLE.contains(&code) {
            let (retries, retry_limit) = (self.retries + 1, self.retry_limit);
            *self = Self { retries, retry_limit, ..Self::default() };
            return same(&Ok(()), &answered);
        }
        self.ended = Some(CANCELLED);
        same(&Err(if code == 0 { INVALID_OPERATION } else { code }), &answered)
    }

    pub(super) fn cancel(&mut self) {
        self.ended.get_or_insert(CANCELLED);
    }
}
