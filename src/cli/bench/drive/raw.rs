//! The workloads of single requests: `get`, `set` and `ping`, one task a connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use plinth_protocol::{
    Commit, Error, ErrorCode, KeyspaceId, Mutation, MutationOp,
    request::{Opcode, Request},
};

use super::tally::{Run, SharedTally};
use crate::cli::bench::{
    arguments::{RunArguments, Workload},
    keys::{KEY_BYTES, KEYS_MAX, Random, check_value, key_bytes, value_of, value_pattern},
    target::plinth::{Answer, Connection, Template},
};

/// Where the length of a get's value stands in the answer: after the read version, whether there is
/// a value, and the version that wrote it.
const GET_VALUE_AT: usize = 8 + 1 + 8;

/// A blind write of these keys: what the native client sends for a transaction that only sets.
pub(crate) fn blind_commit(rows: impl IntoIterator<Item = (Bytes, Bytes)>) -> Request {
    let mutations = rows
        .into_iter()
        .map(|(key, value)| Mutation {
            keyspace: KeyspaceId::DEFAULT,
            adds_conflict: true,
            op: MutationOp::Set { key, value },
        })
        .collect();
    Request::Commit(Commit { mutations, ..Commit::default() })
}

/// A worker: its connection, and what it asks over and over.
pub(crate) struct Worker {
    connection: Connection,
    workload: Workload,
    template: Template,
    /// The keys of the pipeline's requests, by request id.
    keys: Vec<[u8; KEY_BYTES]>,
    key_count: u64,
    value_bytes: usize,
    random: Random,
    tally: Arc<SharedTally>,
}

impl Worker {
    pub(crate) fn new(
        arguments: &RunArguments,
        connection: Connection,
        number: u64,
        tally: &Arc<SharedTally>,
    ) -> Self {
        let workload = arguments.workload;
        let template =
            Template::new(&value_pattern(arguments.value_size), |key, value| match workload {
                Workload::Set => blind_commit([(key, value)]),
                Workload::Get => Request::Get { version: None, keyspace: KeyspaceId::DEFAULT, key },
                Workload::Ping | Workload::Rmw => Request::Ping { payload: Bytes::new() },
            });
        Self {
            connection,
            workload,
            template,
            keys: vec![key_bytes(0); arguments.pipeline],
            key_count: arguments.keys.min(KEYS_MAX),
            value_bytes: arguments.value_size,
            random: arguments.random(number),
            tally: Arc::clone(tally),
        }
    }

    /// Works until the run is over or the connection fails.
    pub(crate) async fn work(mut self, run: Arc<Run>) {
        while !run.is_over() {
            if let Err(error) = self.round().await {
                self.tally.lock().fail(error);
                break;
            }
        }
    }

    /// A pipeline of requests in one write, and their answers.
    async fn round(&mut self) -> Result<(), Error> {
        for (request_id, key) in self.keys.iter_mut().enumerate() {
            *key = key_bytes(self.random.below(self.key_count));
            self.template.write(&mut self.connection.output, request_id as u32, key);
        }
        let begun = Instant::now();
        self.connection.send().await?;
        let mut open = self.keys.len();
        while open > 0 {
            let (mut answered, mut good, mut misses, mut conflicts) = (0, 0, 0, 0);
            let mut errors = Vec::new();
            let keys = &self.keys;
            let (workload, value_bytes) = (self.workload, self.value_bytes);
            self.connection
                .receive(|answer| {
                    answered += 1;
                    let key = keys.get(answer.request_id as usize);
                    match check(workload, answer, key, value_bytes) {
                        Ok(Outcome::Good) => good += 1,
                        Ok(Outcome::Missing) => {
                            good += 1;
                            misses += 1;
                        }
                        Ok(Outcome::Conflict) => conflicts += 1,
                        Err(error) => errors.push(error),
                    }
                })
                .await?;
            if answered > open {
                let message = "there are more answers than requests";
                return Err(Error::new(ErrorCode::PROTOCOL_VIOLATION, message));
            }
            open -= answered;
            let mut tally = self.tally.lock();
            tally.misses += misses;
            tally.conflicts += conflicts;
            for error in errors {
                tally.fail(error);
            }
            if good > 0 {
                tally.complete(good, begun.elapsed());
            }
        }
        Ok(())
    }
}

enum Outcome {
    Good,
    Missing,
    Conflict,
}

fn check(
    workload: Workload,
    answer: &Answer<'_>,
    key: Option<&[u8; KEY_BYTES]>,
    value_bytes: usize,
) -> Result<Outcome, Error> {
    let short = || Error::new(ErrorCode::MALFORMED_PAYLOAD, "an answer is shorter than its fields");
    let key = key.ok_or_else(|| {
        Error::new(ErrorCode::PROTOCOL_VIOLATION, "an answer has an id that no request had")
    })?;
    match workload {
        Workload::Ping | Workload::Rmw => answer.expect(Opcode::Ping).map(|()| Outcome::Good),
        Workload::Set => {
            answer.expect(Opcode::Commit)?;
            match answer.payload.first().ok_or_else(short)? {
                0 => Ok(Outcome::Good),
                _ => Ok(Outcome::Conflict),
            }
        }
        Workload::Get => {
            answer.expect(Opcode::Get)?;
            if answer.payload.get(8).ok_or_else(short)? == &0 {
                return Ok(Outcome::Missing);
            }
            let value = answer.payload.get(GET_VALUE_AT + 4..).ok_or_else(short)?;
            check_value(value, key, value_bytes).map(|()| Outcome::Good)
        }
    }
}

/// Rows in one of the commits that fill the database.
const LOAD_ROWS: u64 = 500;

/// Fills the database with keys `next..count`, taken off `next` by as many callers as there are.
pub(crate) async fn load(
    connection: &mut Connection,
    next: &AtomicU64,
    arguments: &RunArguments,
) -> Result<(), Error> {
    let pattern = value_pattern(arguments.value_size);
    // Far below the limit of a transaction's size, whatever the size of a value.
    let rows = (1_000_000 / (arguments.value_size as u64 + 64)).clamp(1, LOAD_ROWS);
    loop {
        let begin = next.fetch_add(rows, Ordering::Relaxed);
        if begin >= arguments.keys {
            return Ok(());
        }
        let end = (begin + rows).min(arguments.keys);
        let request = blind_commit((begin..end).map(|number| {
            let key = key_bytes(number);
            (Bytes::copy_from_slice(&key), value_of(&pattern, &key).into())
        }));
        connection.ask(&request).await?;
    }
}
