//! One transaction as the contract has it. Each method is told what a client answered, says what is
//! wrong with that, and goes on from there.

use plinth_client::KeySelector;

use super::{
    model::{Seen, World},
    operation::{RETRY_LIMIT, SIZE_LIMIT},
    overlay::{self, Local, View, Write, local, pieces, view},
    page::{check_page, scanned},
    ranges::{END, Key, Ranges, after},
    selectors::{folded, resolve},
};
use crate::golden::runner::operations::{Answer, Code, Range, Row};

pub(super) const CANCELLED: Code = 1025;
const ACCESSED_UNREADABLE: Code = 1036;
pub(super) const INVALID_OPERATION: Code = 2000;
const KEY_OUTSIDE_LEGAL_RANGE: Code = 2004;
const INVERTED_RANGE: Code = 2005;
const INVALID_OPTION_VALUE: Code = 2006;
const READ_VERSION_ALREADY_SET: Code = 2010;
const VERSION_INVALID: Code = 2011;
const USED_DURING_COMMIT: Code = 2017;
const KEY_TOO_LARGE: Code = 2102;
const VALUE_TOO_LARGE: Code = 2103;
const EXACT_MODE_WITHOUT_LIMITS: Code = 2210;

const SIZE_LIMIT_MIN: i64 = 32;
const KEY_BYTES_MAX: usize = 10_000;
const VALUE_BYTES_MAX: usize = 100_000;

/// Whether an answer is right, and if not, why.
pub(super) type Verdict = Result<(), String>;

/// An answer that must be this one.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(right: &T, answered: &T) -> Verdict {
    if right == answered {
        Ok(())
    } else {
        Err(format!("the answer is {answered:?} instead of {right:?}"))
    }
}

/// A transaction.
#[expect(clippy::struct_excessive_bools, reason = "each is one fact, independent of the others")]
pub(super) struct Transaction {
    /// It has committed, or tried to.
    pub(super) is_used_up: bool,
    /// What everything answers until a reset.
    pub(super) ended: Option<Code>,
    pub(super) seen: Option<Seen>,
    /// The version that it reads at, as far as it was told.
    pub(super) version: Option<i64>,
    pub(super) writes: Vec<Write>,
    /// What is certain to be in its read conflicts, and what may be.
    pub(super) must: Ranges,
    pub(super) may: Ranges,
    /// What is in them at the commit at last: reads that nobody waits for.
    pub(super) unseen: Ranges,
    /// What may be in them at the commit without being shown: around keys that selectors counted
    /// though an operation has taken their values away.
    pub(super) ghosts: Ranges,
    /// There were such reads. Where pages end depends on how far they have come.
    pub(super) has_unseen: bool,
    pub(super) write_conflicts: Ranges,
    pub(super) stored: Option<Code>,
    pub(super) read_failure: Option<Code>,
    pub(super) hit: Option<Ranges>,
    pub(super) committed: i64,
    pub(super) size: i64,
    pub(super) sees_writes: bool,
    pub(super) snapshot_sees_writes: i32,
    pub(super) is_next_write_silent: bool,
    pub(super) is_touched: bool,
    pub(super) reports_conflicts: bool,
    /// Whether use after the commit ends everything.
    pub(super) is_protected: bool,
    pub(super) retries: i64,
    pub(super) retry_limit: Option<i64>,
    pub(super) size_limit: Option<i64>,
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            is_used_up: false,
            ended: None,
            seen: None,
            version: None,
            writes: Vec::new(),
            must: Ranges::default(),
            may: Ranges::default(),
            unseen: Ranges::default(),
            ghosts: Ranges::default(),
            has_unseen: false,
            write_conflicts: Ranges::default(),
            stored: None,
            read_failure: None,
            hit: None,
            committed: -1,
            size: 0,
            sees_writes: true,
            snapshot_sees_writes: 1,
            is_next_write_silent: false,
            is_touched: false,
            reports_conflicts: false,
            is_protected: true,
            retries: 0,
            retry_limit: None,
            size_limit: None,
        }
    }
}

impl Transaction {
    /// Whether nothing has gone wrong with it and it may still be used.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_open() && self.read_failure.is_none()
    }

    /// Whether it has neither committed nor ended.
    pub(super) fn is_open(&self) -> bool {
        !self.is_used_up && self.ended.is_none() && self.stored.is_none()
    }

    /// Whether it has committed, or tried to.
    pub(super) fn is_used_up(&self) -> bool {
        self.is_used_up
    }

    /// Whether its reads see its writes, but for snapshots.
    pub(super) fn sees_writes(&self) -> bool {
        self.sees_writes
    }

    /// Whether it reads at a version already.
    pub(super) fn has_version(&self) -> bool {
        self.seen.is_some()
    }

    pub(super) fn has_stamps(&self) -> bool {
        self.writes.iter().any(Write::is_stamped)
    }

    /// What a call answers that may not be made, or comes after an error. A call that may not be
    /// made after the commit ends the transaction.
    pub(super) fn refused(&mut self) -> Option<Code> {
        if self.stored.is_none() && self.is_used_up {
            if self.is_protected {
                self.ended.get_or_insert(USED_DURING_COMMIT);
            }
            return Some(USED_DURING_COMMIT);
        }
        self.stored.or(self.ended)
    }

    /// Whether a call that answers nothing has no effect. What is wrong with it is still seen after
    /// a cancel.
    fn is_ignored(&mut self) -> bool {
        if self.stored.is_none() && self.is_used_up {
            self.stored = self.refused();
        }
        self.stored.is_some()
    }

    pub(super) fn seen(&mut self, world: &World) -> Seen {
        *self.seen.get_or_insert(world.newest())
    }

    /// The writes that a read sees.
    fn visible(&self, snapshot: bool) -> &[Write] {
        let sees = self.sees_writes && (!snapshot || self.snapshot_sees_writes > 0);
        if sees { &self.writes } else { &[] }
    }

    /// Adds what is read of the database in a range to the conflicts.
    fn conflict(&mut self, begin: &[u8], end: &[u8]) {
        self.conflict_at_most(begin, end);
        for (begin, end, local) in pieces(self.visible(false), begin, end) {
            if matches!(local, Local::Untouched | Local::Pending(_)) {
                self.must.add(&begin, &end);
            }
        }
    }

    /// Adds what may have been read. What is unreadable wasn't, but an explicit conflict with it may
    /// or may not count.
    fn conflict_at_most(&mut self, begin: &[u8], end: &[u8]) {
        for (begin, end, local) in pieces(self.visible(false), begin, end) {
            if !matches!(local, Local::Known(_)) {
                self.may.add(&begin, &end);
            }
        }
    }

    /// Whether a read of a key is sure to succeed.
    pub(super) fn may_read(&self, key: &[u8]) -> bool {
        let is_legal = key < END && key.len() <= KEY_BYTES_MAX;
        self.is_healthy() && is_legal && local(self.visible(false), key) != Local::Unreadable
    }

    /// A read whose answer nobody has seen.
    pub(super) fn read_unseen(&mut self, key: &[u8]) {
        self.is_touched = true;
        let mut rest = std::mem::take(&mut self.must);
        self.conflict(key, &after(key));
        std::mem::swap(&mut rest, &mut self.must);
        self.unseen.extend(&rest);
        self.has_unseen = true;
    }

    pub(super) fn get(
        &mut self,
        world: &World,
        key: &[u8],
        snapshot: bool,
        answered: &Answer<Option<Vec<u8>>>,
    ) -> Verdict {
        if let Some(code) = self.refused() {
            return same(&Err(code), answered);
        }
        if key >= END {
            return same(&Err(KEY_OUTSIDE_LEGAL_RANGE), answered);
        }
        if key.len() > KEY_BYTES_MAX {
            return same(&Ok(None), answered);
        }
        self.is_touched = true;
        let writes = self.visible(snapshot).to_vec();
        let right = match local(&writes, key) {
            Local::Known(value) => Ok(value),
            Local::Unreadable => {
                self.read_failure.get_or_insert(ACCESSED_UNREADABLE);
                Err(ACCESSED_UNREADABLE)
            }
            Local::Untouched | Local::Pending(_) => {
                let seen = self.seen(world);
                Ok(overlay::value(world.pairs(seen), &writes, key))
            }
        };
        if !snapshot {
            self.conflict(key, &after(key));
        }
        same(&right, answered)
    }

    pub(super) fn get_key(
        &mut self,
        world: &World,
        selector: &KeySelector,
        snapshot: bool,
        answered: &Answer<Key>,
    ) -> Verdict {
        if let Some(code) = self.refused() {
            return same(&Err(code), answered);
        }
        if selector.key.as_ref() > END {
            return same(&Err(KEY_OUTSIDE_LEGAL_RANGE), answered);
        }
        self.is_touched = true;
        if self.is_excused(snapshot, answered) {
            return Ok(());
        }
        let seen = self.seen(world);
        let view = view(world.pairs(seen), self.visible(snapshot));
        // A key that only counts is not what is found: the next one is, away from where it began.
        let right = resolve(&view.counted, selector).key;
        let is_ghost = view.counted.contains(&right) && !view.pairs.contains_key(&right);
        let mut pairs = view.pairs.into_keys();
        let right = match (is_ghost, selector.offset > 0) {
            (false, _) => right,
            (true, true) => pairs.find(|key| *key > right).unwrap_or(END.to_vec()),
            (true, false) => pairs.rfind(|key| *key < right).unwrap_or_default(),
        };
        if !snapshot {
            let key = folded(selector);
            if selector.offset <= 0 {
                self.conflict(&right, &key);
            } else {
                self.conflict(&key, &after(&right));
            }
        }
        same(&Ok(right), answered)
    }

    /// Whether an answer says that something unreadable was met, and that can be.
    fn is_excused<T>(&mut self, snapshot: bool, answered: &Answer<T>) -> bool {
        let excused = answered.as_ref().err() == Some(&ACCESSED_UNREADABLE)
            && pieces(self.visible(snapshot), b"", END)
                .iter()
                .any(|(_, _, local)| *local == Local::Unreadable);
        if excused {
            self.read_failure.get_or_insert(ACCESSED_UNREADABLE);
        }
        excused
    }

    pub(super) fn get_range(
        &mut self,
        world: &World,
        range: &Range,
        answered: &Answer<(Vec<Row>, bool)>,
    ) -> Verdict {
        // What can't be meant is refused before the transaction is looked at.
        if range.mode == 0 && range.limit == 0 && range.target_bytes == 0 {
            return same(&Err(EXACT_MODE_WITHOUT_LIMITS), answered);
        }
        if range.mode == -1 && range.iteration == 0 {
            return same(&Err(INVALID_OPERATION), answered);
        }
        if let Some(code) = self.refused() {
            return same(&Err(code), answered);
        }
        if range.begin.key.as_ref() > END || range.end.key.as_ref() > END {
            return same(&Err(KEY_OUTSIDE_LEGAL_RANGE), answered);
        }
        let (begin, end) = (folded(&range.begin), folded(&range.end));
        if range.begin.offset >= range.end.offset && begin >= end {
            return same(&Ok((Vec::new(), false)), answered);
        }
        self.is_touched = true;
        if self.is_excused(range.snapshot, answered) {
            return Ok(());
        }
        let seen = self.seen(world);
        let View { pairs, counted } = view(world.pairs(seen), self.visible(range.snapshot));
        let (first, last) = (resolve(&counted, &range.begin), resolve(&counted, &range.end));
        let is_inside = |key: &Key| first.key <= *key && *key < last.key;
        let ghosts: Vec<Key> =
            counted.iter().filter(|key| !pairs.contains_key(*key)).cloned().collect();
        let mut rows: Vec<Row> = pairs.into_iter().filter(|(key, _)| is_inside(key)).collect();
        if range.reverse {
            rows.reverse();
        }
        let (page, more) = answered.as_ref().map_err(|code| format!("it fails with {code}"))?;
        check_page(range, &rows, page, *more)?;
        if !range.snapshot {
            // A page that a limit ended may not have come to know that all keys lie behind it. An
            // empty one may be known to be so before.
            let is_unsure = *more || page.is_empty();
            let ran_off = (
                first.key.is_empty() || last.key.is_empty(),
                first.is_after_all || last.is_after_all,
            );
            let (low, high) = scanned(range, page, *more, ran_off);
            self.conflict_at_most(&low, &high);
            for ghost in &ghosts {
                self.ghosts.add(ghost.min(&low), &after(ghost).max(high.clone()));
            }
            let ran_off = (first.is_before_all && !is_unsure, last.lacks_keys && !is_unsure);
            let (low, high) = scanned(range, page, *more, ran_off);
            self.conflict(&low, &high);
        }
        Ok(())
    }

    pub(super) fn get_read_version(&mut self, world: &World, answered: Answer<i64>) -> Verdict {
        if let Some(code) = self.stored {
            return same(&Err(code), &answered);
        }
        if let Some(code) = self.ended {
            return same(&Err(code), &answered);
        }
        let version = answered.map_err(|code| format!("it fails with {code}"))?;
        let seen = self.seen(world);
        let (least, beyond) =
            (world.version(seen), (seen < world.newest()).then(|| world.version(seen + 1)));
        if version < least || beyond.is_some_and(|beyond| version >= beyond) {
            return Err(format!("{version} is not between the commits {least} and {beyond:?}"));
        }
        if let Some(known) = self.version {
            same(&known, &version)?;
        }
        self.version = Some(version);
        Ok(())
    }

    /// Chooses the version of an earlier commit, or 0.
    pub(super) fn set_read_version(&mut self, seen: Option<Seen>, version: i64) {
        if self.is_ignored() {
            return;
        }
        match seen {
            None => self.stored = Some(VERSION_INVALID),
            Some(_) if self.seen.is_some() => self.stored = Some(READ_VERSION_ALREADY_SET),
            Some(_) => {
                self.seen = seen;
                self.version = Some(version);
            }
        }
    }

    pub(super) fn write(&mut self, write: Write) {
        if matches!(&write, Write::Clear { begin, end } if begin > end) {
            self.stored.get_or_insert(INVERTED_RANGE);
            return;
        }
        if self.is_ignored() {
            return;
        }
        let is_silent = std::mem::take(&mut self.is_next_write_silent);
        let code = match &write {
            Write::Clear { begin, end } if begin.as_slice() > END || end.as_slice() > END => {
                KEY_OUTSIDE_LEGAL_RANGE
            }
            Write::Clear { begin, end } if begin == end => return,
            Write::Clear { .. } => 0,
            Write::Set { key, value }
            | Write::Atomic { key, operand: value, .. }
            | Write::StampedKey { key, value, .. }
            | Write::StampedValue { key, value, .. } => {
                if key.as_slice() >= END {
                    KEY_OUTSIDE_LEGAL_RANGE
                } else if key.len() > KEY_BYTES_MAX {
                    KEY_TOO_LARGE
                } else if value.len() > VALUE_BYTES_MAX {
                    VALUE_TOO_LARGE
                } else {
                    0
                }
            }
        };
        if code != 0 {
            self.stored = Some(code);
            return;
        }
        self.is_touched = true;
        // A stamped key conflicts as what it becomes, silent or not.
        if !is_silent && !matches!(write, Write::StampedKey { .. }) {
            let (begin, end) = write.written(None);
            self.write_conflicts.add(&begin, &end);
        }
        self.writes.push(write);
    }

    /// Clears one key: refused where a range would still be allowed.
    pub(super) fn clear(&mut self, key: &[u8]) {
        if key >= END {
            if !self.is_ignored() {
                self.is_next_write_silent = false;
                self.stored = Some(KEY_OUTSIDE_LEGAL_RANGE);
            }
        } else if key.len() > KEY_BYTES_MAX {
            if !self.is_ignored() {
                self.is_next_write_silent = false;
            }
        } else {
            self.write(Write::Clear { begin: key.to_vec(), end: after(key) });
        }
    }

    pub(super) fn add_conflict_range(
        &mut self,
        begin: &[u8],
        end: &[u8],
        kind: i32,
        answered: Answer<()>,
    ) -> Verdict {
        if begin > end {
            return same(&Err(INVERTED_RANGE), &answered);
        }
        if !self.is_ignored() {
            if begin > END || end > END {
                self.stored = Some(KEY_OUTSIDE_LEGAL_RANGE);
            } else {
                self.is_touched = true;
                if kind == 0 {
                    self.conflict(begin, end);
                } else {
                    self.write_conflicts.add(begin, end);
                }
            }
        }
        same(&Ok(()), &answered)
    }

    pub(super) fn set_value(&mut self, option: i32, value: i64) {
        if self.stored.is_some() {
            return;
        }
        match option {
            RETRY_LIMIT => self.retry_limit = (value >= 0).then_some(value),
            SIZE_LIMIT if value < SIZE_LIMIT_MIN => self.stored = Some(INVALID_OPTION_VALUE),
            SIZE_LIMIT => self.size_limit = Some(value),
            other => unreachable!("option {other} is not in the programs"),
        }
    }

    pub(super) fn set_option(&mut self, option: i32) {
        if self.stored.is_some() {
            return;
        }
        match option {
            30 => self.is_next_write_silent = true,
            51 if self.is_touched => self.stored = Some(INVALID_OPERATION),
            51 => self.sees_writes = false,
            600 => self.snapshot_sees_writes += 1,
            601 => self.snapshot_sees_writes -= 1,
            701 => self.is_protected = false,
            712 => self.reports_conflicts = true,
            other => unreachable!("option {other} is not in the programs"),
        }
    }
}
