//! A history as the checkers look at it: keys by number, ranges taken apart into the keys in them.
//!
//! A read of a range has read every key in it that the history knows, also those that were not
//! there; so a row that appears where none was is a change of a key like any other. What a
//! transaction reads of its own writes says nothing about others, and is checked here.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    place::Place,
    violation::{Kind, Violation},
};
use crate::cli::bench::history::{History, Op, Outcome, ReadKind, Transaction, ValueHash};

/// What a write leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A value, or none.
    Known(Option<ValueHash>),
    /// Something that only a read can tell.
    Opaque,
}

/// A read of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) key: usize,
    pub(super) seen: Option<ValueHash>,
    pub(super) kind: ReadKind,
    /// Whether the key was in a range that was read.
    pub(super) in_range: bool,
}

/// The last of a transaction's writes of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) key: usize,
    pub(super) value: Value,
}

/// A transaction, its ops taken apart.
#[derive(Debug)]
pub(super) struct Node<'h> {
    pub(super) source: &'h Transaction,
    /// Where it reads, in a history with versions.
    pub(super) read_place: Option<Place>,
    /// Where it commits, if it does and is known to.
    pub(super) commit_place: Option<Place>,
    /// What it read of others' writes.
    pub(super) reads: Vec<Read>,
    pub(super) writes: Vec<Write>,
    /// Values that it wrote and wrote over again.
    pub(super) passing: Vec<(usize, ValueHash)>,
}

impl Node<'_> {
    pub(super) fn is_committed(&self) -> bool {
        matches!(self.source.outcome, Outcome::Committed(_))
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.source.outcome == Outcome::Unknown
    }

    /// What it leaves at a key, if it writes that.
    pub(super) fn written(&self, key: usize) -> Option<Value> {
        let at = self.writes.binary_search_by_key(&key, |write| write.key).ok()?;
        Some(self.writes[at].value)
    }

    /// What it read at a key, if it did.
    pub(super) fn read_of(&self, key: usize) -> Option<&Read> {
        self.reads.iter().find(|read| read.key == key)
    }
}

/// The history.
#[derive(Debug)]
pub(super) struct Model<'h> {
    /// Every key that any transaction names, in order.
    pub(super) keys: Vec<&'h Bytes>,
    pub(super) nodes: Vec<Node<'h>>,
}

impl<'h> Model<'h> {
    /// Takes the history apart; also tells which transactions didn't see their own writes.
    pub(super) fn new(history: &'h History) -> (Self, Vec<Violation>) {
        let mut model = Self { keys: known_keys(history), nodes: Vec::new() };
        let mut violations = Vec::new();
        for (index, source) in history.transactions.iter().enumerate() {
            let mut node = Node {
                source,
                read_place: source.read_version.map(Place::of_reads_at),
                commit_place: source.stamp().map(Place::of_commit),
                reads: Vec::new(),
                writes: Vec::new(),
                passing: Vec::new(),
            };
            let blind = model.take_apart(&mut node);
            model.nodes.push(node);
            if let Some((key, seen)) = blind {
                let text = format!(
                    "{} read {} at {}, which is not what it had written there before",
                    model.name(index),
                    described(seen),
                    model.key(key),
                );
                violations.push(Violation::new(Kind::OwnWriteLost, text, &[index], &[key]));
            }
        }
        (model, violations)
    }

    /// Fills in a node's reads and writes; tells the first read that doesn't show an own write.
    fn take_apart(&self, node: &mut Node<'h>) -> Option<(usize, Option<ValueHash>)> {
        let mut own: BTreeMap<usize, Value> = BTreeMap::new();
        let mut blind = None;
        let mut passing = Vec::new();
        for op in &node.source.ops {
            let mut read = |key, seen, kind, in_range| match own.get(&key) {
                None => node.reads.push(Read { key, seen, kind, in_range }),
                Some(Value::Known(value)) if *value != seen => {
                    blind.get_or_insert((key, seen));
                }
                Some(_) => {}
            };
            match op {
                Op::Get { key, found, kind } => read(self.number(key), *found, *kind, false),
                Op::Range { begin, end, rows, kind } => {
                    let rows: BTreeMap<&Bytes, ValueHash> =
                        rows.iter().map(|(key, hash)| (key, *hash)).collect();
                    for key in self.range(begin, end) {
                        read(key, rows.get(self.keys[key]).copied(), *kind, true);
                    }
                }
                Op::Set { key, value } => {
                    let before = own.insert(self.number(key), Value::Known(Some(*value)));
                    if let Some(Value::Known(Some(before))) = before {
                        passing.push((self.number(key), before));
                    }
                }
                Op::Mutate { key } => {
                    own.insert(self.number(key), Value::Opaque);
                }
                Op::Clear { key } => {
                    own.insert(self.number(key), Value::Known(None));
                }
                Op::ClearRange { begin, end } => {
                    own.extend(self.range(begin, end).map(|key| (key, Value::Known(None))));
                }
            }
        }
        node.writes = own.into_iter().map(|(key, value)| Write { key, value }).collect();
        node.passing = passing;
        blind
    }

    /// The number of a key that the history names.
    fn number(&self, key: &Bytes) -> usize {
        self.keys.partition_point(|known| *known < key)
    }

    /// The numbers of the known keys of a range.
    fn range(&self, begin: &Bytes, end: &Bytes) -> std::ops::Range<usize> {
        let begin = self.number(begin);
        begin..self.number(end).max(begin)
    }

    /// A key for people.
    pub(super) fn key(&self, key: usize) -> String {
        format!("\"{}\"", self.keys[key].escape_ascii())
    }

    /// A transaction for people.
    pub(super) fn name(&self, index: usize) -> String {
        let Transaction { client, number, read_version, outcome, .. } = self.nodes[index].source;
        let mut facts = vec![format!("line {}", line_of(index))];
        if let Some(version) = read_version {
            facts.push(format!("reading at {version}"));
        }
        facts.push(match (outcome, self.nodes[index].source.stamp()) {
            (Outcome::Committed(_), Some(stamp)) => {
                format!("committed at {}", stamp_text(stamp))
            }
            (Outcome::Committed(_), None) => "committed".to_owned(),
            (Outcome::Conflicted, _) => "refused".to_owned(),
            (Outcome::Failed, _) => "failed".to_owned(),
            (Outcome::Unknown, _) => "of unknown outcome".to_owned(),
        });
        format!("transaction {client}.{number} ({})", facts.join(", "))
    }
}

/// A versionstamp for people.
pub(super) fn stamp_text(stamp: plinth_protocol::Versionstamp) -> String {
    format!("{}/{}", stamp.version(), crate::cli::bench::history::order_of(stamp))
}

/// The line of the file on which a transaction is: the first is the header.
pub(super) fn line_of(index: usize) -> usize {
    index + 2
}

/// What was read, for people.
pub(super) fn described(seen: Option<ValueHash>) -> String {
    match seen {
        Some(hash) => format!("value {:016x}", hash.0),
        None => "nothing".to_owned(),
    }
}

fn known_keys(history: &History) -> Vec<&Bytes> {
    let (mut keys, mut many) = (Vec::new(), 1 << 20);
    for op in history.transactions.iter().flat_map(|transaction| &transaction.ops) {
        match op {
            Op::Get { key, .. } | Op::Set { key, .. } | Op::Mutate { key } | Op::Clear { key } => {
                keys.push(key);
            }
            Op::Range { rows, .. } => keys.extend(rows.iter().map(|(key, _)| key)),
            Op::ClearRange { .. } => {}
        }
        // A hot key is named again and again: what is named twice goes before it fills memory.
        if keys.len() >= many {
            keys.sort_unstable();
            keys.dedup();
            many = many.max(2 * keys.len());
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}
