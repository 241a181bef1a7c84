//! The white box: the history replayed in the order of the versions that the database states.
//!
//! 1. Committed transactions have distinct versionstamps, each above its own read version.
//! 2. Every read, of whatever outcome, equals the snapshot at its read version with the
//!    transaction's own writes over it.
//! 3. Every read of a committed transaction would have answered the same right before its commit:
//!    nothing that it saw was changed in between.
//! 4. Real time: who begins after another was told its version reads, and commits, at that version
//!    or later.
//! 5. Every conflict has a cause: someone wrote to what was read after it was read.
//! 6. What is there in the end is what the replay ends with.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use plinth_protocol::{Version, Versionstamp};

use super::history::{Op, Outcome, Record, Row};

/// What a good history comes to.
pub(crate) struct Replayed {
    pub(crate) committed: usize,
    pub(crate) conflicted: usize,
}

/// Checks a history and what was there after it.
pub(crate) fn check(history: &[Record], last: &[Row]) -> Result<Replayed, String> {
    let order = commit_order(history)?;
    let model = Model::replay(&order);
    for record in history {
        check_reads(&model, &order, record)?;
    }
    check_real_time(history)?;
    let conflicted: Vec<&Record> =
        history.iter().filter(|record| record.outcome == Outcome::Conflicted).collect();
    for record in &conflicted {
        check_cause(&order, record)?;
    }
    let rows = model.range(order.len(), b"", b"\xFF");
    if rows != last {
        return Err(format!("in the end there is {last:?}, by replay there would be {rows:?}"));
    }
    Ok(Replayed { committed: order.len(), conflicted: conflicted.len() })
}

/// The transactions that wrote, by their versionstamps.
fn commit_order(history: &[Record]) -> Result<Vec<(Versionstamp, &Record)>, String> {
    let mut order: Vec<(Versionstamp, &Record)> = history
        .iter()
        .filter_map(|record| match record.outcome {
            Outcome::Committed(stamp) => Some((stamp, record)),
            _ => None,
        })
        .collect();
    order.sort_by_key(|(stamp, _)| *stamp);
    for pair in order.windows(2) {
        if pair[0].0 == pair[1].0 {
            return Err(format!("one versionstamp twice: {:?} and {:?}", pair[0].1, pair[1].1));
        }
    }
    for (stamp, record) in &order {
        if stamp.version() <= record.read_version {
            return Err(format!("committed at its read version or before: {record:?}"));
        }
    }
    Ok(order)
}

/// Every value that a key has had, by the number of commits before it.
#[derive(Default)]
struct Model(BTreeMap<Bytes, Vec<(usize, Option<Bytes>)>>);

impl Model {
    fn replay(order: &[(Versionstamp, &Record)]) -> Self {
        let mut model = Self::default();
        for (at, (_, record)) in order.iter().enumerate() {
            let mut overlay = Overlay::new(&model, at);
            for op in &record.ops {
                overlay.write(op);
            }
            for (key, value) in overlay.own {
                model.0.entry(key).or_default().push((at + 1, value));
            }
        }
        model
    }

    /// A key's value after so many commits.
    fn get(&self, commits: usize, key: &[u8]) -> Option<Bytes> {
        let values = self.0.get(key)?;
        let count = values.partition_point(|(at, _)| *at <= commits);
        values.get(count.checked_sub(1)?)?.1.clone()
    }

    fn range(&self, commits: usize, begin: &[u8], end: &[u8]) -> Vec<Row> {
        self.keys(begin, end)
            .filter_map(|key| Some((key.clone(), self.get(commits, key)?)))
            .collect()
    }

    /// All keys of a range that were ever written.
    fn keys(&self, begin: &[u8], end: &[u8]) -> impl Iterator<Item = &Bytes> {
        let bounds = (Bound::Included(begin), Bound::Excluded(end.max(begin)));
        self.0.range::<[u8], _>(bounds).map(|(key, _)| key)
    }
}

/// A snapshot with a transaction's own writes over it.
struct Overlay<'a> {
    model: &'a Model,
    commits: usize,
    own: BTreeMap<Bytes, Option<Bytes>>,
}

impl<'a> Overlay<'a> {
    fn new(model: &'a Model, commits: usize) -> Self {
        Self { model, commits, own: BTreeMap::new() }
    }

    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.own.get(key).cloned().unwrap_or_else(|| self.model.get(self.commits, key))
    }

    fn range(&self, begin: &[u8], end: &[u8]) -> Vec<Row> {
        let mut rows: BTreeMap<Bytes, Bytes> =
            self.model.range(self.commits, begin, end).into_iter().collect();
        for (key, value) in &self.own {
            if begin <= key.as_ref() && key.as_ref() < end {
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
        rows.into_iter().collect()
    }

    fn write(&mut self, op: &Op) {
        match op {
            Op::Get { .. } | Op::Range { .. } => {}
            Op::Set { key, value } => drop(self.own.insert(key.clone(), Some(value.clone()))),
            Op::Clear { key } => drop(self.own.insert(key.clone(), None)),
            Op::ClearRange { begin, end } => {
                for (key, _) in self.range(begin, end) {
                    self.own.insert(key, None);
                }
            }
            Op::Append { key, element } => {
                let mut list = self.get(key).map(|list| list.to_vec()).unwrap_or_default();
                list.extend(element.to_be_bytes());
                self.own.insert(key.clone(), Some(list.into()));
            }
        }
    }

    /// Goes through a transaction's ops; says where a read differs.
    fn follow(mut self, record: &Record) -> Result<(), String> {
        for op in &record.ops {
            match op {
                Op::Get { key, value } => {
                    let expected = self.get(key);
                    if expected != *value {
                        return Err(format!("{key:?} was {value:?} where it is {expected:?}"));
                    }
                }
                Op::Range { begin, end, rows } => {
                    let expected = self.range(begin, end);
                    if expected != *rows {
                        let range = format!("{begin:?}..{end:?}");
                        return Err(format!("{range} was {rows:?} where it is {expected:?}"));
                    }
                }
                write => self.write(write),
            }
        }
        Ok(())
    }
}

fn commits_until(order: &[(Versionstamp, &Record)], version: Version) -> usize {
    order.partition_point(|(stamp, _)| stamp.version() <= version)
}

fn check_reads(
    model: &Model,
    order: &[(Versionstamp, &Record)],
    record: &Record,
) -> Result<(), String> {
    let snapshot = commits_until(order, record.read_version);
    Overlay::new(model, snapshot)
        .follow(record)
        .map_err(|fault| format!("not its snapshot: {fault}, in {record:?}"))?;
    if let Outcome::Committed(stamp) = record.outcome {
        let before = order.partition_point(|(other, _)| *other < stamp);
        Overlay::new(model, before)
            .follow(record)
            .map_err(|fault| format!("not serializable: {fault} at its commit, in {record:?}"))?;
    }
    Ok(())
}

/// The greatest version told to anyone before each beginning, by a sweep over real time.
fn check_real_time(history: &[Record]) -> Result<(), String> {
    let mut ends: Vec<(u64, Version)> = history
        .iter()
        .filter_map(|record| match record.outcome {
            Outcome::Committed(stamp) => Some((record.ended, stamp.version())),
            _ => None,
        })
        .collect();
    ends.sort_unstable();
    let mut begins: Vec<&Record> = history.iter().collect();
    begins.sort_by_key(|record| record.begun);
    let (mut told, mut ends) = (Version::ZERO, ends.into_iter().peekable());
    for record in begins {
        while let Some((_, version)) = ends.next_if(|(ended, _)| *ended < record.begun) {
            told = told.max(version);
        }
        if record.read_version < told {
            return Err(format!(
                "read before {told}, which someone knew when it began: {record:?}"
            ));
        }
    }
    Ok(())
}

/// Whether a write of `op` touches what `read` read.
fn touches(op: &Op, read: &Op) -> bool {
    let (begin, end) = match op {
        Op::Get { .. } | Op::Range { .. } => return false,
        Op::Set { key, .. } | Op::Clear { key } | Op::Append { key, .. } => (key, None),
        Op::ClearRange { begin, end } => (begin, Some(end)),
    };
    let is_before = |key: &Bytes| end.map_or(key <= begin, |end| key < end);
    match read {
        Op::Get { key, .. } => begin <= key && is_before(key),
        Op::Range { begin: first, end: after, .. } => {
            begin < after && is_before_end(begin, end, first)
        }
        _ => false,
    }
}

/// Whether the write `begin..end` (one key if there is no end) reaches beyond `first`.
fn is_before_end(begin: &Bytes, end: Option<&Bytes>, first: &Bytes) -> bool {
    end.map_or(first <= begin, |end| first < end)
}

fn check_cause(order: &[(Versionstamp, &Record)], record: &Record) -> Result<(), String> {
    let snapshot = commits_until(order, record.read_version);
    let has_cause = order.iter().skip(snapshot).any(|(_, other)| {
        other.begun < record.ended
            && other.ops.iter().any(|op| record.ops.iter().any(|read| touches(op, read)))
    });
    if has_cause { Ok(()) } else { Err(format!("a conflict without a cause: {record:?}")) }
}
