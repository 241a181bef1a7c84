//! The check by versions: the history replayed in the order that the database states.
//!
//! 1. Committed transactions have distinct versionstamps, each above its own read version.
//! 2. Every read, of whatever outcome, found what the last commit at or below its read version had
//!    left there.
//! 3. Every read of a committed transaction would have found the same right before its commit:
//!    nothing that it depended on was changed in between.
//! 4. Real time, in [`super::real_time`].
//!
//! Each key is looked at on its own, as the list of its writes and reads in the order of versions.
//! What was there before the first write is not in the history; the first read tells it, and all
//! others must agree. The same goes for writes whose result their client doesn't know.

use std::{collections::HashMap, fmt::Write as _};

use super::{
    model::{Model, Value, described},
    place::Place,
    violation::{Kind, Violation},
};
use crate::cli::bench::history::{Outcome, ReadKind, ValueHash};

/// A write of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyWrite {
    pub(super) place: Place,
    pub(super) value: Value,
    /// Whose; `None` for what was there before.
    pub(super) node: Option<usize>,
    /// Who told what the value is, if not the writer.
    pub(super) told_by: Option<usize>,
}

/// A read of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyRead {
    pub(super) place: Place,
    pub(super) seen: Option<ValueHash>,
    pub(super) node: usize,
    pub(super) kind: ReadKind,
}

/// The history by keys.
#[derive(Debug)]
pub(super) struct Replay<'m> {
    pub(super) model: &'m Model<'m>,
    /// By key, in order; the first is what was there before.
    pub(super) writes: Vec<Vec<KeyWrite>>,
    /// By key, in order.
    pub(super) reads: Vec<Vec<KeyRead>>,
    /// Who wrote a value, whatever became of it.
    writers: HashMap<(usize, ValueHash), usize>,
    has_unique_values: bool,
}

impl<'m> Replay<'m> {
    pub(super) fn new(model: &'m Model<'m>, has_unique_values: bool) -> Self {
        let before =
            KeyWrite { place: Place::BEGINNING, value: Value::Opaque, node: None, told_by: None };
        let mut replay = Self {
            model,
            writes: vec![vec![before]; model.keys.len()],
            reads: vec![Vec::new(); model.keys.len()],
            writers: HashMap::new(),
            has_unique_values,
        };
        for (index, node) in model.nodes.iter().enumerate() {
            for write in &node.writes {
                if let Some(place) = node.commit_place {
                    let (value, node, told_by) = (write.value, Some(index), None);
                    replay.writes[write.key].push(KeyWrite { place, value, node, told_by });
                }
                if let Value::Known(Some(hash)) = write.value {
                    replay.writers.entry((write.key, hash)).or_insert(index);
                }
            }
            if let Some(place) = node.read_place {
                for read in &node.reads {
                    let (seen, node, kind) = (read.seen, index, read.kind);
                    replay.reads[read.key].push(KeyRead { place, seen, node, kind });
                }
            }
        }
        for key in 0..model.keys.len() {
            replay.writes[key].sort_by_key(|write| write.place);
            replay.reads[key].sort_by_key(|read| read.place);
            replay.tell_opaque(key);
        }
        replay
    }

    /// Lets the first read of a value that its writer doesn't know tell what it is.
    fn tell_opaque(&mut self, key: usize) {
        let (writes, reads) = (&mut self.writes[key], &self.reads[key]);
        let mut last = 0;
        for read in reads {
            while writes.get(last + 1).is_some_and(|write| write.place <= read.place) {
                last += 1;
            }
            let is_anothers = self.has_unique_values
                && read.seen.is_some_and(|hash| self.writers.contains_key(&(key, hash)));
            let write = &mut writes[last];
            if write.value == Value::Opaque && !is_anothers {
                write.value = Value::Known(read.seen);
                write.told_by = Some(read.node);
            }
        }
    }

    /// Where the last write at or below `place` is among the writes of a key.
    pub(super) fn last_write(&self, key: usize, place: Place) -> usize {
        self.writes[key].partition_point(|write| write.place <= place) - 1
    }

    /// Whether a read found what the order says.
    pub(super) fn is_right(&self, key: usize, read: &KeyRead) -> bool {
        match self.writes[key][self.last_write(key, read.place)].value {
            Value::Known(value) => value == read.seen,
            Value::Opaque => false,
        }
    }

    /// All reads that found something else than the order says, by key.
    pub(super) fn wrong_reads(&self) -> Vec<(usize, KeyRead)> {
        let keys = 0..self.model.keys.len();
        keys.flat_map(|key| self.reads[key].iter().map(move |read| (key, *read)))
            .filter(|(key, read)| !self.is_right(*key, read))
            .collect()
    }

    /// Explains a read that found something else than the order says.
    pub(super) fn explain(&self, key: usize, read: &KeyRead) -> Violation {
        let model = self.model;
        let last = &self.writes[key][self.last_write(key, read.place)];
        let (reader, seen) = (model.name(read.node), described(read.seen));
        let key_name = model.key(key);
        let expected = match (last.node, last.told_by) {
            (Some(writer), _) => {
                format!("the last write before was that of {}", model.name(writer))
            }
            (None, Some(other)) => format!(
                "nobody had written it yet, and {} found {}",
                model.name(other),
                last_value(last.value),
            ),
            (None, None) => "nobody had written it yet".to_owned(),
        };
        let told = |kind, what: String, who: &[Option<usize>]| {
            let mut all = vec![read.node];
            all.extend(who.iter().flatten().copied());
            all.dedup();
            let text = format!("{reader} read {seen} at {key_name}, {what}");
            Violation::new(kind, text, &all, &[key])
        };
        let writer = read.seen.and_then(|hash| self.writers.get(&(key, hash)).copied());
        if let Some(writer) = writer.filter(|_| self.has_unique_values) {
            let name = model.name(writer);
            return match model.nodes[writer].source.outcome {
                Outcome::Conflicted | Outcome::Failed => {
                    let what = format!("which {name} wrote, and that did not happen");
                    told(Kind::AbortedRead, what, &[Some(writer)])
                }
                _ if model.nodes[writer].commit_place.is_some_and(|at| at > read.place) => {
                    let what = format!("which {name} wrote later");
                    told(Kind::FutureRead, what, &[Some(writer)])
                }
                _ => {
                    let what = format!("which {name} wrote, although {expected}");
                    self.stale(key, read, last.node, told, what, Some(writer))
                }
            };
        }
        let wrote_in_passing = |hash| {
            let is_passing = |node: &super::model::Node<'_>| node.passing.contains(&(key, hash));
            model.nodes.iter().position(is_passing)
        };
        if let Some(writer) = read.seen.and_then(wrote_in_passing) {
            let name = model.name(writer);
            let what = format!("which {name} wrote and then wrote over itself");
            return told(Kind::IntermediateRead, what, &[Some(writer)]);
        }
        // What was there before may have been seen by nobody who was right.
        let was_there = |write: &KeyWrite| match write.value {
            Value::Known(value) => value == read.seen,
            Value::Opaque => true,
        };
        let was_there = self.writes[key].iter().any(was_there);
        let what = format!("although {expected}");
        if was_there || read.seen.is_none() {
            return self.stale(key, read, last.node, told, what, None);
        }
        told(Kind::UnwrittenRead, what, &[last.node.or(last.told_by)])
    }

    /// A read that missed the write that it should have seen: stale, or half of a commit, if it saw
    /// the other half.
    fn stale(
        &self,
        key: usize,
        read: &KeyRead,
        missed: Option<usize>,
        told: impl Fn(Kind, String, &[Option<usize>]) -> Violation,
        what: String,
        writer: Option<usize>,
    ) -> Violation {
        let other_half = missed.and_then(|missed| {
            let missed = &self.model.nodes[missed];
            self.model.nodes[read.node].reads.iter().find(|other| {
                other.key != key
                    && other.seen.is_some()
                    && missed.written(other.key) == Some(Value::Known(other.seen))
            })
        });
        match other_half {
            Some(other) => {
                let other_key = self.model.key(other.key);
                let what = format!("{what}, whose write of {other_key} it did see");
                told(Kind::HalfCommit, what, &[missed])
            }
            None => told(Kind::StaleRead, what, &[missed, writer]),
        }
    }

    /// The checks of the order itself: that it is one.
    pub(super) fn check_order(&self) -> Vec<Violation> {
        let nodes = &self.model.nodes;
        let mut order: Vec<(Place, usize)> = (0..nodes.len())
            .filter_map(|index| Some((nodes[index].commit_place?, index)))
            .collect();
        order.sort_unstable();
        let mut violations = Vec::new();
        for pair in order.windows(2) {
            let [(place, one), (other_place, other)] = [pair[0], pair[1]];
            if place == other_place {
                let (one_name, other_name) = (self.model.name(one), self.model.name(other));
                let text = format!("{one_name} and {other_name} have the same version and order");
                let kind = Kind::DuplicatedVersion;
                violations.push(Violation::new(kind, text, &[one, other], &[]));
            }
        }
        for (place, index) in order {
            if nodes[index].read_place.is_some_and(|read| read >= place) {
                let text =
                    format!("{} committed at its read version or before", self.model.name(index));
                violations.push(Violation::new(Kind::VersionOutOfOrder, text, &[index], &[]));
            }
        }
        violations
    }

    /// Whether what committed transactions read was still there when they committed.
    pub(super) fn check_commits(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (index, node) in self.model.nodes.iter().enumerate() {
            let (Some(begin), Some(commit)) = (node.read_place, node.commit_place) else {
                continue;
            };
            for read in node.reads.iter().filter(|read| read.kind == ReadKind::Serializable) {
                let writes = &self.writes[read.key];
                let before = writes.partition_point(|write| write.place < commit);
                let last = &writes[before - 1];
                if last.place <= begin || last.value == Value::Known(read.seen) {
                    continue;
                }
                let first = self.last_write(read.key, begin) + 1;
                if let Some(writer) = writes[first].node {
                    violations.push(self.overwritten(index, read.key, writer));
                }
            }
        }
        violations
    }

    /// Explains a read of `reader` that `writer` made untrue before the reader committed.
    fn overwritten(&self, reader: usize, key: usize, writer: usize) -> Violation {
        let model = self.model;
        let [reading, writing] = [&model.nodes[reader], &model.nodes[writer]];
        let crossed = writing.reads.iter().find(|read| {
            read.kind == ReadKind::Serializable && reading.written(read.key).is_some()
        });
        let is_of_range = reading.read_of(key).is_some_and(|read| {
            let changes_rows =
                read.seen.is_none() || writing.written(key) == Some(Value::Known(None));
            read.in_range && changes_rows
        });
        let kind = match crossed {
            _ if reading.written(key).is_some() => Kind::LostUpdate,
            _ if is_of_range => Kind::Phantom,
            Some(_) => Kind::WriteSkew,
            None => Kind::ReadOverwritten,
        };
        let mut text = format!(
            "{} read {}, and {} changed it before the first committed",
            model.name(reader),
            model.key(key),
            model.name(writer),
        );
        let mut keys = vec![key];
        match (kind, crossed) {
            (Kind::LostUpdate, _) => {
                text.push_str("; the first wrote over it without having seen it");
            }
            (Kind::WriteSkew, Some(read)) => {
                keys.push(read.key);
                let other = model.key(read.key);
                let _ = write!(text, "; the second had read {other}, which the first changed");
            }
            (Kind::Phantom, _) => text.push_str(", in a range that it had read"),
            _ => {}
        }
        Violation::new(kind, text, &[reader, writer], &keys)
    }
}

fn last_value(value: Value) -> String {
    match value {
        Value::Known(seen) => described(seen),
        Value::Opaque => "something else".to_owned(),
    }
}
