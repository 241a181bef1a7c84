//! Transactions of unknown outcome: wholly there or wholly not, and where, told by later reads.
//!
//! When an answer is lost the client doesn't know whether the transaction happened. If a read found
//! one of its values it did, and then there must be a place in the order where all of it fits: every
//! read of its keys on one side of it found its writes, every read on the other side did not, and
//! what it had read itself was still true there. Places are taken away until none or some are left.
//! Where several are left, and others depend on which, they are tried; this is bounded.

use std::collections::HashMap;

use super::{
    model::{Value, Write},
    place::{Place, Spans},
    real_time::Told,
    replay::{KeyRead, KeyWrite, Replay},
    violation::{Kind, Violation},
};
use crate::cli::bench::history::ReadKind;

/// How many places are tried before the search is given up.
const TRIALS_MAX: usize = 10_000;

/// What counts of a read that another transaction without a place may explain too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubts {
    /// It says nothing.
    Count,
    /// It is taken as though there were no other.
    Dispelled,
}

/// The search for places.
pub(super) struct Placing<'r, 'm> {
    replay: &'r mut Replay<'m>,
    told: &'r Told,
    /// Reads that were wrong at the beginning, or became so by a place that was given.
    wrong: Vec<(usize, KeyRead)>,
    /// Transactions of unknown outcome that have a place now.
    pub(super) placed: HashMap<usize, Place>,
    /// By key, those of unknown outcome that write it.
    unknown: HashMap<usize, Vec<usize>>,
    trials: usize,
}

impl<'r, 'm> Placing<'r, 'm> {
    pub(super) fn new(replay: &'r mut Replay<'m>, told: &'r Told) -> Self {
        let wrong = replay.wrong_reads();
        let mut unknown: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, node) in replay.model.nodes.iter().enumerate() {
            for write in node.writes.iter().filter(|_| node.is_unknown()) {
                unknown.entry(write.key).or_default().push(index);
            }
        }
        Self { replay, told, wrong, placed: HashMap::new(), unknown, trials: 0 }
    }

    /// Gives a place to each transaction that reads show to have happened, or tells for which there
    /// is none. What stays wrong then is for others to explain.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        let Some(seen_by) = self.next() else { return Ok(()) };
        let mut first_failure = None;
        // Only one can have written a value; several may have cleared a key.
        for node in self.explaining(seen_by.0, &seen_by.1).collect::<Vec<_>>() {
            match self.settle_with(node, &seen_by) {
                Ok(()) => return Ok(()),
                Err(failure) if failure.kind == Kind::Undecided => return Err(failure),
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    /// Settles everything with a place for `node`, which may have written what was read.
    fn settle_with(&mut self, node: usize, seen_by: &(usize, KeyRead)) -> Result<(), Violation> {
        let mut first_failure = None;
        for place in self.candidates(node, seen_by)? {
            self.trials += 1;
            if self.trials > TRIALS_MAX {
                let text = format!(
                    "there are too many ways to order the transactions of unknown outcome, among \
                     them {}",
                    self.replay.model.name(node)
                );
                return Err(Violation::new(Kind::Undecided, text, &[node], &[]));
            }
            let wrong_before = self.wrong.len();
            self.insert(node, place);
            let Err(failure) = self.settle() else { return Ok(()) };
            self.remove(node);
            self.wrong.truncate(wrong_before);
            let has_to_do_with_it =
                failure.transactions.iter().any(|other| self.touch(node, *other));
            if failure.kind == Kind::Undecided || !has_to_do_with_it {
                return Err(failure);
            }
            first_failure.get_or_insert(failure);
        }
        first_failure.map_or(Ok(()), Err)
    }

    /// The first wrong read that a transaction without a place explains.
    fn next(&self) -> Option<(usize, KeyRead)> {
        self.wrong
            .iter()
            .filter(|(key, read)| !self.replay.is_right(*key, read))
            .filter(|(key, read)| self.explaining(*key, read).next().is_some())
            .min_by_key(|(_, read)| read.place)
            .copied()
    }

    /// The transactions without a place that may have written what was read.
    fn explaining(&self, key: usize, read: &KeyRead) -> impl Iterator<Item = usize> {
        let explains = move |index: &usize| {
            let is_it = match self.replay.model.nodes[*index].written(key) {
                Some(Value::Known(value)) => value == read.seen,
                Some(Value::Opaque) => read.seen.is_some(),
                None => false,
            };
            is_it && *index != read.node && !self.placed.contains_key(index)
        };
        self.unknown.get(&key).into_iter().flatten().copied().filter(explains)
    }

    /// The reads that are wrong wherever transactions of unknown outcome have their places.
    pub(super) fn wrong_reads(&self) -> Vec<(usize, KeyRead)> {
        let mut wrong = self.replay.wrong_reads();
        wrong.retain(|(key, read)| self.explaining(*key, read).next().is_none());
        wrong
    }

    /// Places to try: those at which no read needs another transaction to explain it, and then
    /// those at which some do.
    fn candidates(&self, node: usize, seen_by: &(usize, KeyRead)) -> Result<Vec<Place>, Violation> {
        let mut candidates = Vec::new();
        let allowed = self.allowed(node, seen_by, Doubts::Count)?;
        if let Ok(best) = self.allowed(node, seen_by, Doubts::Dispelled) {
            candidates.extend(best.candidates());
        }
        candidates.extend(allowed.candidates());
        Ok(candidates)
    }

    /// Where the transaction may have committed, if `seen_by` saw it.
    fn allowed(
        &self,
        index: usize,
        seen_by: &(usize, KeyRead),
        doubts: Doubts,
    ) -> Result<Spans, Violation> {
        let (replay, model) = (&*self.replay, self.replay.model);
        let node = &model.nodes[index];
        let told = self.told.before(node.source.begin).map_or(Place::BEGINNING, |(told, _)| told);
        let begin = node.read_place.unwrap_or(Place::BEGINNING).max(told);
        let mut spans = Spans::new(begin, seen_by.1.place);
        let refused = |key: usize, other: usize, what: &str| {
            let text = format!(
                "{} did happen: {} read what it wrote at {}; but {} {what} {}, and there is no \
                 place in the order where it is wholly there or wholly not",
                model.name(index),
                model.name(seen_by.1.node),
                model.key(seen_by.0),
                model.name(other),
                model.key(key),
            );
            let (all, keys) = ([index, seen_by.1.node, other], [seen_by.0, key]);
            Violation::new(Kind::HalfCommit, text, &all, &keys)
        };
        if spans.is_empty() {
            return Err(refused(seen_by.0, seen_by.1.node, "read, before it began,"));
        }
        for write in &node.writes {
            for read in replay.reads[write.key].iter().filter(|read| read.node != index) {
                self.narrow(&mut spans, (index, write), read, seen_by, doubts);
                if spans.is_empty() {
                    return Err(refused(write.key, read.node, "read as though it had not"));
                }
            }
        }
        let Some(begin) = node.read_place else { return Ok(spans) };
        for read in node.reads.iter().filter(|read| read.kind == ReadKind::Serializable) {
            let next = replay.writes[read.key].get(replay.last_write(read.key, begin) + 1);
            let Some(KeyWrite { place, node: Some(writer), value, .. }) = next else { continue };
            if *value != Value::Known(read.seen) {
                spans.keep(Place::BEGINNING, Place(place.0 - 1));
            }
            if spans.is_empty() {
                return Err(refused(read.key, *writer, "changed, before it could commit,"));
            }
        }
        Ok(spans)
    }

    /// Takes away the places at which the transaction's write contradicts a read of that key.
    fn narrow(
        &self,
        spans: &mut Spans,
        (index, write): (usize, &Write),
        read: &KeyRead,
        seen_by: &(usize, KeyRead),
        doubts: Doubts,
    ) {
        let key = write.key;
        let last = &self.replay.writes[key][self.replay.last_write(key, read.place)];
        let is_seen_by =
            key == seen_by.0 && (read.node, read.place) == (seen_by.1.node, seen_by.1.place);
        let leaves_what_was_read = match write.value {
            Value::Known(value) => value == read.seen,
            Value::Opaque => read.seen.is_some(),
        };
        if is_seen_by {
            spans.keep(last.place, read.place);
        } else if doubts == Doubts::Dispelled
            || self.explaining(key, read).all(|other| other == index)
        {
            if !self.replay.is_right(key, read) {
                if leaves_what_was_read {
                    spans.keep(last.place, read.place);
                }
            } else if write.value != Value::Known(read.seen) {
                // At the very place of the last write it would come right behind that.
                spans.remove(Place(last.place.0.saturating_sub(1)), read.place);
            }
        }
        // Between a read and the commit that depends on it nothing is written.
        let commit = self.replay.model.nodes[read.node].commit_place;
        let commit = commit.or_else(|| self.placed.get(&read.node).copied());
        if let Some(commit) = commit
            && read.kind == ReadKind::Serializable
            && write.value != Value::Known(read.seen)
        {
            spans.remove(read.place, Place(commit.0.saturating_sub(1)));
        }
    }

    /// Whether two transactions have to do with the same keys.
    fn touch(&self, one: usize, other: usize) -> bool {
        let nodes = &self.replay.model.nodes;
        let touches = |a: usize, b: usize| {
            nodes[a].writes.iter().any(|write| {
                nodes[b].written(write.key).is_some() || nodes[b].read_of(write.key).is_some()
            })
        };
        touches(one, other) || touches(other, one)
    }

    fn insert(&mut self, node: usize, place: Place) {
        self.placed.insert(node, place);
        for write in &self.replay.model.nodes[node].writes {
            let writes = &mut self.replay.writes[write.key];
            let at = writes.partition_point(|other| other.place <= place);
            let until = writes.get(at).map_or(Place::END, |next| next.place);
            let mut written =
                KeyWrite { place, value: write.value, node: Some(node), told_by: None };
            let reads = &self.replay.reads[write.key];
            let first = reads.partition_point(|read| read.place < place);
            if let Some(read) = reads.get(first).filter(|read| read.place < until)
                && write.value == Value::Opaque
            {
                written.value = Value::Known(read.seen);
                written.told_by = Some(read.node);
            }
            writes.insert(at, written);
            let reads = &self.replay.reads[write.key][first..];
            let seen = reads.iter().take_while(|read| read.place < until);
            let wrong = seen.filter(|read| !self.replay.is_right(write.key, read));
            self.wrong.extend(wrong.map(|read| (write.key, *read)));
        }
    }

    fn remove(&mut self, node: usize) {
        self.placed.remove(&node);
        for write in &self.replay.model.nodes[node].writes {
            self.replay.writes[write.key].retain(|other| other.node != Some(node));
        }
    }
}
