//! The check without versions: what must have come before what, from the values alone.
//!
//! No two writes have the same bytes, so a value that was read tells who wrote it. From that follow
//! the dependencies of Adya: who read what comes behind who wrote it; who read a value and wrote
//! over it comes right behind its writer, and behind all who read it too; and what had ended before
//! something else began comes before it. If the transactions can be put in one order these
//! dependencies have no circle. A circle is a proof of the opposite.
//!
//! The reverse doesn't hold: where values were written blindly and not read, their order stays
//! unknown, and some violations leave no circle. What the database says about versions plays no
//! part, so a database that misstates them is caught here.

use std::collections::HashMap;

use super::{
    graph::{Because, Graph, Step},
    model::{Model, Read, Value, described},
    violation::{Kind, Violation},
};
use crate::cli::bench::history::{Outcome, ValueHash};

/// How many others a read is compared with on each side: enough for all that ran at the same time
/// as it, and a bound where a broken history has no end of them.
const NEIGHBOURS_MAX: usize = 64;

/// What the check without versions has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) violations: Vec<Violation>,
    /// Reads whose writer is known, or of what was there before.
    pub(super) traced: u64,
    /// Reads that don't tell who wrote.
    pub(super) untraced: u64,
}

/// A writer of a key: when it began and ended, and who it is.
type Span = (u64, u64, usize);

/// Who wrote a key.
#[derive(Default)]
struct Writers {
    by_begin: Vec<Span>,
    by_end: Vec<Span>,
    /// Whether somebody left what a read can't tell from anybody else's.
    is_opaque: bool,
    is_cleared: bool,
}

/// Where a value that was read came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Before,
    Transaction(usize),
    Untold,
}

struct Search<'m> {
    model: &'m Model<'m>,
    /// Who wrote a value; more than one, and it tells nothing.
    of_value: HashMap<(usize, ValueHash), Option<usize>>,
    writers: Vec<Writers>,
    /// Which transactions happened.
    happened: Vec<bool>,
    found: Found,
}

/// Checks a history whose values are unique.
pub(super) fn check(model: &Model<'_>) -> Found {
    let mut search = Search::new(model);
    search.find_out_what_happened();
    let sources = search.sources();
    search.gather_writers();
    let mut graph = search.graph();
    search.link(&sources, &mut graph);
    for circle in graph.circles() {
        let violation = search.explain(&circle);
        search.found.violations.push(violation);
    }
    search.found
}

impl<'m> Search<'m> {
    fn new(model: &'m Model<'m>) -> Self {
        let mut of_value: HashMap<(usize, ValueHash), Option<usize>> = HashMap::new();
        let mut writers: Vec<Writers> = model.keys.iter().map(|_| Writers::default()).collect();
        for (index, node) in model.nodes.iter().enumerate() {
            for write in &node.writes {
                match write.value {
                    Value::Opaque => writers[write.key].is_opaque = true,
                    Value::Known(None) => writers[write.key].is_cleared = true,
                    Value::Known(Some(hash)) => {
                        of_value
                            .entry((write.key, hash))
                            .and_modify(|writer| *writer = None)
                            .or_insert(Some(index));
                    }
                }
            }
        }
        let happened = model.nodes.iter().map(super::model::Node::is_committed).collect();
        Self { model, of_value, writers, happened, found: Found::default() }
    }

    /// Whose a value is that was read.
    fn source(&self, read: &Read) -> Source {
        let writers = &self.writers[read.key];
        if writers.is_opaque {
            return Source::Untold;
        }
        match read.seen {
            None if writers.is_cleared => Source::Untold,
            None => Source::Before,
            Some(hash) => match self.of_value.get(&(read.key, hash)) {
                None => Source::Before,
                Some(None) => Source::Untold,
                Some(Some(writer)) => Source::Transaction(*writer),
            },
        }
    }

    /// What was seen by those that happened has happened too.
    fn find_out_what_happened(&mut self) {
        let mut open: Vec<usize> =
            (0..self.happened.len()).filter(|index| self.happened[*index]).collect();
        while let Some(reader) = open.pop() {
            for read in &self.model.nodes[reader].reads {
                let Source::Transaction(writer) = self.source(read) else { continue };
                if self.happened[writer] {
                    continue;
                }
                if self.model.nodes[writer].is_unknown() {
                    self.happened[writer] = true;
                    open.push(writer);
                    continue;
                }
                let text = format!(
                    "{} read {} at {}, which {} wrote, and that did not happen",
                    self.model.name(reader),
                    described(read.seen),
                    self.model.key(read.key),
                    self.model.name(writer),
                );
                let all = [reader, writer];
                let violation = Violation::new(Kind::AbortedRead, text, &all, &[read.key]);
                self.found.violations.push(violation);
            }
        }
    }

    /// When a transaction ended, as far as order goes: what nobody knows the end of has none.
    fn span(&self, index: usize) -> Span {
        let source = self.model.nodes[index].source;
        let end = if source.outcome == Outcome::Unknown { u64::MAX } else { source.end };
        (source.begin, end, index)
    }

    fn those_that_happened(&self) -> impl Iterator<Item = usize> {
        (0..self.happened.len()).filter(|index| self.happened[*index])
    }

    fn gather_writers(&mut self) {
        for index in self.those_that_happened().collect::<Vec<_>>() {
            let span = self.span(index);
            for write in &self.model.nodes[index].writes {
                self.writers[write.key].by_begin.push(span);
                self.writers[write.key].by_end.push(span);
            }
        }
        for writers in &mut self.writers {
            writers.by_begin.sort_unstable();
            writers.by_end.sort_unstable_by_key(|(_, end, _)| *end);
        }
    }

    fn graph(&self) -> Graph {
        let spans: Vec<(usize, u64, u64)> = self
            .those_that_happened()
            .map(|index| {
                let (begin, end, _) = self.span(index);
                (index, begin, end)
            })
            .collect();
        Graph::new(self.model.nodes.len(), &spans)
    }

    /// All reads of those that happened, with whose value each found.
    fn sources(&mut self) -> Vec<(usize, Read, Source)> {
        let mut sources = Vec::new();
        // What was there before is one value, whoever reads it.
        let mut before: HashMap<usize, (Read, usize)> = HashMap::new();
        for reader in self.those_that_happened().collect::<Vec<_>>() {
            for read in &self.model.nodes[reader].reads {
                let source = self.source(read);
                match source {
                    Source::Untold => self.found.untraced += 1,
                    _ => self.found.traced += 1,
                }
                sources.push((reader, *read, source));
                if source != Source::Before {
                    continue;
                }
                let (first, other) = *before.entry(read.key).or_insert((*read, reader));
                if first.seen != read.seen {
                    let text = format!(
                        "{} read {} at {} and {} read {}, and nobody wrote either",
                        self.model.name(other),
                        described(first.seen),
                        self.model.key(read.key),
                        self.model.name(reader),
                        described(read.seen),
                    );
                    let all = [other, reader];
                    let violation = Violation::new(Kind::UnwrittenRead, text, &all, &[read.key]);
                    self.found.violations.push(violation);
                }
            }
        }
        sources
    }

    /// Draws the edges.
    fn link(&self, sources: &[(usize, Read, Source)], graph: &mut Graph) {
        // Who read a value and wrote over it.
        let mut next: HashMap<(usize, Option<usize>), Vec<usize>> = HashMap::new();
        let origin = |source| match source {
            Source::Before => Some(None),
            Source::Transaction(writer) => Some(Some(writer)),
            Source::Untold => None,
        };
        for (reader, read, source) in sources {
            let Some(origin) = origin(*source) else { continue };
            if self.model.nodes[*reader].written(read.key).is_some() {
                let next = next.entry((read.key, origin)).or_default();
                if next.len() < NEIGHBOURS_MAX {
                    next.push(*reader);
                }
            }
        }
        for (reader, read, source) in sources {
            let Some(origin) = origin(*source) else { continue };
            if let Some(writer) = origin {
                graph.link(writer, *reader, Because::Read(read.key));
            }
            for writer in next.get(&(read.key, origin)).into_iter().flatten() {
                graph.link(*reader, *writer, Because::OverwroteRead(read.key));
                if let Some(first) = origin {
                    graph.link(first, *writer, Because::Overwrote(read.key));
                }
            }
            self.link_by_time(*reader, read.key, origin, graph);
        }
    }

    /// Draws what real time tells about the other writers of a key that was read: who began after
    /// the value was written came behind the read, who ended before the read came before the value.
    fn link_by_time(&self, reader: usize, key: usize, origin: Option<usize>, graph: &mut Graph) {
        let Writers { by_begin, by_end, .. } = &self.writers[key];
        let (begin, end, _) = self.span(reader);
        let written = origin.map(|writer| self.span(writer));
        let from = match written {
            Some((_, written_end, _)) => {
                by_begin.partition_point(|(begin, ..)| *begin <= written_end)
            }
            None => 0,
        };
        let later = by_begin[from..].iter().take_while(|(begin, ..)| *begin <= end);
        for (.., writer) in later.take(NEIGHBOURS_MAX) {
            graph.link(reader, *writer, Because::OverwroteRead(key));
        }
        let Some((written_begin, _, first)) = written else { return };
        let until = by_end.partition_point(|(_, end, _)| *end < begin);
        let earlier = by_end[..until].iter().rev().take_while(|(_, end, _)| *end >= written_begin);
        for (.., writer) in earlier.take(NEIGHBOURS_MAX) {
            graph.link(*writer, first, Because::Overwrote(key));
        }
    }

    /// Names a circle, and says why each comes before the next.
    fn explain(&self, circle: &[Step]) -> Violation {
        let mut lines = Vec::new();
        let (mut keys, mut all) = (Vec::new(), Vec::new());
        for Step { from, to, because } in circle {
            let (first, second) = (self.model.name(*from), self.model.name(*to));
            let key = match because {
                Because::Read(key) | Because::Overwrote(key) | Because::OverwroteRead(key) => {
                    keys.push(*key);
                    self.model.key(*key)
                }
                Because::Time => String::new(),
            };
            lines.push(match because {
                Because::Read(_) => format!("{second} read what {first} wrote at {key}"),
                Because::Overwrote(_) => format!("{first} wrote {key} before {second} did"),
                Because::OverwroteRead(_) => {
                    format!("{first} read {key} before {second} wrote over it")
                }
                Because::Time => format!("{first} had ended before {second} began"),
            });
            all.push(*from);
        }
        keys.sort_unstable();
        keys.dedup();
        let text = format!("each comes before the next, in a circle: {}", lines.join("; "));
        Violation::new(self.kind(circle), text, &all, &keys)
    }

    fn kind(&self, circle: &[Step]) -> Kind {
        use Because::{Overwrote, OverwroteRead, Read, Time};
        let [one, two] = circle else {
            return if circle.iter().any(|step| step.because == Time) {
                Kind::RealTime
            } else {
                Kind::Cycle
            };
        };
        let is_phantom = |step: &Step, key| {
            let read = self.model.nodes[step.from].read_of(key);
            let cleared = self.model.nodes[step.to].written(key) == Some(Value::Known(None));
            read.is_some_and(|read| read.in_range && (read.seen.is_none() || cleared))
        };
        match (one.because, two.because) {
            (OverwroteRead(a), OverwroteRead(b)) if a == b => Kind::LostUpdate,
            (OverwroteRead(a), OverwroteRead(b)) if is_phantom(one, a) || is_phantom(two, b) => {
                Kind::Phantom
            }
            (OverwroteRead(_), OverwroteRead(_)) => Kind::WriteSkew,
            (Overwrote(a), OverwroteRead(b)) | (OverwroteRead(b), Overwrote(a)) if a == b => {
                Kind::LostUpdate
            }
            (Read(_), OverwroteRead(_)) | (OverwroteRead(_), Read(_)) => Kind::HalfCommit,
            (Time, OverwroteRead(_)) | (OverwroteRead(_), Time) => Kind::StaleRead,
            (Time, Read(_)) | (Read(_), Time) => Kind::FutureRead,
            (Time, _) | (_, Time) => Kind::RealTime,
            _ => Kind::Cycle,
        }
    }
}
