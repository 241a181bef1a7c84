//! The engine in this process: single requests go straight to it, without a socket or a copy.
//!
//! Reads are done by the thread that receives their answers, one after the other, and wait for the
//! disk if they must. Writes line up with the engine's commits together, when a pipeline is sent.

use std::{mem::take, ops::ControlFlow, path::Path, sync::Arc};

use bytes::Bytes;
use plinth_client::OpenBackend as _;
use plinth_protocol::{Commit, CommitResult, Error, KeyRange, KeyspaceId, Mutation, MutationOp};
use tokio::{sync::Notify, task::coop::consume_budget};

use super::pipe::{Answer, KeyList, Operation, Pipe};
use crate::{
    EngineBackend,
    engine::{CommitSink, DurabilityMode, Engine, EngineOptions, EngineReader},
    sync::Mutex,
};

const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

/// Opens the database in a directory; refused while another process has it open.
pub(crate) fn open(directory: &Path, durability: DurabilityMode) -> Result<crate::Database, Error> {
    let options = EngineOptions { durability, ..EngineOptions::default() };
    EngineBackend::open(directory, options).map(plinth_client::Database::new)
}

/// Who answers.
pub(crate) const SERVER: &str = concat!("plinth/", env!("CARGO_PKG_VERSION"), " in this process");

/// A way into the engine.
pub(crate) struct Connection {
    engine: Engine,
    reads: Vec<Read>,
    /// The keys of the reads, one after the other.
    keys: Vec<u8>,
    commits: Vec<(u32, Commit)>,
    outcomes: Arc<Outcomes>,
    /// Commits that never lined up, and why.
    refused: Vec<(u32, Error)>,
}

/// A read that is to be done; its keys are so many bytes of the connection's.
struct Read {
    id: u32,
    bytes: usize,
    what: What,
}

enum What {
    Nothing,
    Get,
    GetMany {
        key_size: usize,
    },
    /// The first key ends here; the second follows.
    Scan {
        begin_bytes: usize,
        rows: u32,
    },
}

/// Where the outcomes of a connection's commits come in.
#[derive(Default)]
struct Outcomes {
    come: Mutex<Vec<(u64, Result<CommitResult, Error>)>>,
    told: Notify,
}

impl CommitSink for Outcomes {
    fn push(&self, token: u64, outcome: Result<CommitResult, Error>) {
        self.come.lock().push((token, outcome));
    }

    fn wake(&self) {
        self.told.notify_one();
    }
}

fn set(key: &[u8], value: &[u8]) -> Mutation {
    let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    Mutation { keyspace: SPACE, adds_conflict: true, op: MutationOp::Set { key, value } }
}

impl Connection {
    /// A way into this engine.
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            reads: Vec::new(),
            keys: Vec::new(),
            commits: Vec::new(),
            outcomes: Arc::default(),
            refused: Vec::new(),
        }
    }

    fn push_read(&mut self, id: u32, what: What, keys: &[&[u8]]) {
        for key in keys {
            self.keys.extend_from_slice(key);
        }
        self.reads.push(Read { id, bytes: keys.iter().map(|key| key.len()).sum(), what });
    }

    fn push_commit(&mut self, id: u32, mutations: Vec<Mutation>) {
        self.commits.push((id, Commit { mutations, ..Commit::default() }));
    }

    /// Does the reads, all from one look at the database.
    fn read_all(&mut self, visit: &mut impl FnMut(u32, Answer<'_>)) {
        let reader = self.engine.reader();
        let mut rest: &[u8] = &self.keys;
        for Read { id, bytes, what } in self.reads.drain(..) {
            let (keys, after) = rest.split_at(bytes);
            rest = after;
            let done = match what {
                What::Nothing => {
                    visit(id, Answer::Done);
                    Ok(())
                }
                What::Get => get(&reader, keys).map(|answer| visit(id, answer)),
                What::GetMany { key_size } => get_many(&reader, KeyList { bytes: keys, key_size })
                    .map(|values| visit(id, Answer::Values(values))),
                What::Scan { begin_bytes, rows } => {
                    let (begin, end) = keys.split_at(begin_bytes);
                    scan(&reader, begin, end, rows).map(|found| visit(id, found.answer()))
                }
            };
            if let Err(error) = done {
                visit(id, Answer::Failed(error));
            }
        }
        self.keys.clear();
    }
}

fn get<'a>(reader: &'a EngineReader, key: &[u8]) -> Result<Answer<'a>, Error> {
    let found = reader.get(SPACE, key, reader.newest())?;
    Ok(found.map_or(Answer::Missing, |found| Answer::Value(found.value)))
}

fn get_many<'a>(
    reader: &'a EngineReader,
    keys: KeyList<'_>,
) -> Result<Vec<Option<&'a [u8]>>, Error> {
    let get = |key| {
        let found = reader.get(SPACE, key, reader.newest())?;
        Ok(found.map(|found| found.value))
    };
    keys.iter().map(get).collect()
}

/// Rows that a scan has found, copied: they are only shown while it goes by.
#[derive(Default)]
struct Scanned {
    bytes: Vec<u8>,
    /// Of each row, how long key and value are.
    rows: Vec<(usize, usize)>,
}

impl Scanned {
    fn answer(&self) -> Answer<'_> {
        let mut rest: &[u8] = &self.bytes;
        let row = |&(key_bytes, value_bytes)| {
            let (key, after) = rest.split_at(key_bytes);
            let (value, after) = after.split_at(value_bytes);
            rest = after;
            (key, value)
        };
        Answer::Rows(self.rows.iter().map(row).collect())
    }
}

fn scan(reader: &EngineReader, begin: &[u8], end: &[u8], rows: u32) -> Result<Scanned, Error> {
    let mut found = Scanned::default();
    if rows == 0 {
        return Ok(found);
    }
    let range = KeyRange::new(Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end));
    reader.scan(SPACE, &range, reader.newest(), false, &mut |key, value| {
        found.bytes.extend_from_slice(key);
        found.bytes.extend_from_slice(value.value);
        found.rows.push((key.len(), value.value.len()));
        if found.rows.len() < rows as usize {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(found)
}

impl Pipe for Connection {
    fn push(&mut self, id: u32, operation: &Operation<'_>) {
        match *operation {
            Operation::Ping => self.push_read(id, What::Nothing, &[]),
            Operation::Get { key } => self.push_read(id, What::Get, &[key]),
            Operation::GetMany { keys } => {
                self.push_read(id, What::GetMany { key_size: keys.key_size }, &[keys.bytes]);
            }
            Operation::Scan { begin, end, rows } => {
                let what = What::Scan { begin_bytes: begin.len(), rows };
                self.push_read(id, what, &[begin, end]);
            }
            Operation::Set { key, value } => self.push_commit(id, vec![set(key, value)]),
            Operation::SetMany { keys, values } => {
                let rows = keys.iter().zip(values);
                self.push_commit(id, rows.map(|(key, value)| set(key, value)).collect());
            }
        }
    }

    async fn send(&mut self) -> Result<(), Error> {
        if self.commits.is_empty() {
            return Ok(());
        }
        for (id, commit) in self.commits.drain(..) {
            let sink = Arc::clone(&self.outcomes);
            if let Err((_, error)) = self.engine.line_up(commit, sink, id.into()) {
                self.refused.push((id, error));
            }
        }
        self.engine.drive();
        Ok(())
    }

    async fn receive(
        &mut self,
        mut visit: impl FnMut(u32, Answer<'_>) + Send,
    ) -> Result<(), Error> {
        // Answers come without waiting: the tasks beside this one have their turn all the same.
        consume_budget().await;
        if !self.reads.is_empty() {
            self.read_all(&mut visit);
            return Ok(());
        }
        if !self.refused.is_empty() {
            for (id, error) in take(&mut self.refused) {
                visit(id, Answer::Failed(error));
            }
            return Ok(());
        }
        self.outcomes.told.notified().await;
        for (token, outcome) in take(&mut *self.outcomes.come.lock()) {
            let answer = match outcome {
                Ok(CommitResult::Committed { .. }) => Answer::Done,
                Ok(_) => Answer::Conflict,
                Err(error) => Answer::Failed(error),
            };
            visit(token as u32, answer);
        }
        Ok(())
    }
}
