//! The writing half of an import: batches in flight.

use std::{
    collections::{BTreeMap, HashSet},
    io::BufRead,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use plinth_client::{Backend, Database, TransactionOptions};
use plinth_protocol::{Error, ErrorCode, KeyspaceId};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Arguments,
    batches::{Batch, Message, Reader},
};
use crate::cli::{
    Exit,
    progress::{self, float, megabytes},
};

/// How long a batch's commit may take, all its retries together.
const COMMIT_TIMEOUT: Duration = Duration::from_mins(1);

/// Bad rows that are named one by one with --keep-going.
const BAD_ROWS_SHOWN: u64 = 20;

/// A batch that is being committed.
struct InFlight {
    keys: HashSet<Bytes>,
    rows: u64,
    bytes: usize,
}

/// The import under way.
pub(super) struct Import<B: Backend> {
    database: Database<B>,
    keyspace: KeyspaceId,
    in_flight_max: usize,
    commits: JoinSet<(u64, Result<(), Error>)>,
    /// By the number of rows before it.
    in_flight: BTreeMap<u64, InFlight>,
    /// All rows before this are in.
    rows_sent: u64,
    rows_skipped: u64,
    rows_written: u64,
    bytes_written: u64,
    rows_bad: u64,
}

impl<B: Backend> Import<B> {
    pub(super) fn new(database: &Database<B>, keyspace: KeyspaceId, arguments: &Arguments) -> Self {
        let defaults = TransactionOptions { timeout: Some(COMMIT_TIMEOUT), ..database.defaults() };
        Self {
            database: database.with_defaults(defaults),
            keyspace,
            in_flight_max: usize::from(arguments.in_flight),
            commits: JoinSet::new(),
            in_flight: BTreeMap::new(),
            rows_sent: arguments.skip_rows,
            rows_skipped: arguments.skip_rows,
            rows_written: 0,
            bytes_written: 0,
            rows_bad: 0,
        }
    }

    /// Reads and commits to the end. Whatever happens, nothing is in flight afterwards.
    pub(super) async fn run<R: BufRead + Send + 'static>(
        &mut self,
        reader: Reader<R>,
    ) -> Result<(), String> {
        let messages = reader.start();
        let interrupted = tokio::signal::ctrl_c();
        let stopped = tokio::select! {
            stopped = self.write(messages) => stopped,
            _ = interrupted => Err("interrupted".to_owned()),
        };
        let drained = self.wait_until(BTreeMap::is_empty).await;
        stopped.and(drained.map_err(|error| progress::error_text(&error)))
    }

    async fn write(&mut self, mut messages: mpsc::Receiver<Message>) -> Result<(), String> {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Bad(what) => {
                    self.rows_bad += 1;
                    if self.rows_bad <= BAD_ROWS_SHOWN {
                        progress::say(&[format!("left out: {what}")]);
                    }
                }
                Message::Stop(what) => return Err(what),
                Message::Batch(batch) => {
                    self.send(batch).await.map_err(|error| progress::error_text(&error))?;
                }
            }
        }
        Ok(())
    }

    /// Commits a batch in the background, when there is room and no other that is under way holds
    /// one of its keys.
    async fn send(&mut self, batch: Batch) -> Result<(), Error> {
        if batch.rows == 0 {
            return Ok(());
        }
        let in_flight_max = self.in_flight_max;
        let keys: HashSet<Bytes> = batch.pairs.iter().map(|(key, _)| key.clone()).collect();
        self.wait_until(|in_flight| {
            in_flight.len() < in_flight_max
                && in_flight.values().all(|other| other.keys.is_disjoint(&keys))
        })
        .await?;
        let rows = batch.pairs.len() as u64;
        self.in_flight.insert(batch.rows_before, InFlight { keys, rows, bytes: batch.bytes });
        self.rows_sent = batch.rows_before + batch.rows;
        let (database, keyspace) = (self.database.clone(), self.keyspace);
        let pairs = Arc::new(batch.pairs);
        self.commits.spawn(async move {
            let written = database.transact(|transaction| {
                let (transaction, pairs) = (transaction.in_keyspace(keyspace), Arc::clone(&pairs));
                async move {
                    for (key, value) in pairs.iter() {
                        transaction.set(key, value);
                    }
                    Ok(())
                }
            });
            (batch.rows_before, written.await)
        });
        Ok(())
    }

    /// Waits until what is in flight is as wanted; fails as soon as a commit has failed.
    async fn wait_until(
        &mut self,
        is_wanted: impl Fn(&BTreeMap<u64, InFlight>) -> bool,
    ) -> Result<(), Error> {
        let mut failed = None;
        while !is_wanted(&self.in_flight) {
            match self.commits.join_next().await {
                Some(Ok((rows_before, Ok(())))) => {
                    if let Some(done) = self.in_flight.remove(&rows_before) {
                        self.rows_written += done.rows;
                        self.bytes_written += done.bytes as u64;
                    }
                }
                // It stays in flight, so that the rows from it on don't count as being in.
                Some(Ok((_, Err(error)))) => {
                    failed.get_or_insert(error);
                }
                Some(Err(error)) => {
                    let error = Error::new(ErrorCode::INTERNAL_ERROR, error.to_string());
                    failed.get_or_insert(error);
                }
                None => break,
            }
            if failed.is_some() && self.commits.is_empty() {
                break;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// How many rows from the beginning of the file are certainly in.
    fn rows_in(&self) -> u64 {
        self.in_flight.keys().next().copied().unwrap_or(self.rows_sent)
    }

    /// Says how it went, and where to go on if it stopped.
    pub(super) fn report(&self, stopped: &Result<(), String>, elapsed: Duration) -> Exit {
        let seconds = elapsed.as_secs_f64();
        let mut lines = Vec::new();
        if self.rows_bad > BAD_ROWS_SHOWN {
            lines.push(format!("and {} more rows left out", self.rows_bad - BAD_ROWS_SHOWN));
        }
        if let Err(what) = stopped {
            lines.push(format!("plinth: {what}"));
        }
        let counted = |count: u64, what: &str| match count {
            0 => String::new(),
            _ => format!("; {count} {what}"),
        };
        lines.push(format!(
            "imported {} rows, {} of keys and values, in {seconds:.1} s ({:.0} rows a second){}{}",
            self.rows_written,
            megabytes(self.bytes_written),
            float(self.rows_written) / seconds.max(1e-3),
            counted(self.rows_skipped, "skipped"),
            counted(self.rows_bad, "left out"),
        ));
        if stopped.is_err() {
            let rows_in = self.rows_in();
            lines.push(format!(
                "the first {rows_in} rows of the input are in: go on with --skip-rows {rows_in}"
            ));
        }
        progress::say(&lines);
        if stopped.is_ok() && self.rows_bad == 0 { Exit::Success } else { Exit::Failure }
    }
}
