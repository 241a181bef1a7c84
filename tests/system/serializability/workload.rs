//! Clients that run random transactions on a few keys, and write down what they are told.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use plinth_client::{Backend, Database, RangeRead, Transaction};
use plinth_protocol::{AtomicOp, Error, ErrorCode};

use super::history::{Op, Order, Outcome, Record, Row};
use crate::support::random::Random;

/// What transactions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Append to lists and read them.
    Lists,
    /// Set, clear, clear ranges, append, read keys and ranges.
    Mixed,
}

/// How many do how much.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) kind: Kind,
    pub(crate) clients: usize,
    pub(crate) transactions: usize,
}

const LISTS: u64 = 6;

fn key(at: u64) -> Bytes {
    Bytes::from(format!("key/{at}"))
}

/// All keys that hold lists.
pub(crate) fn list_keys() -> impl Iterator<Item = Bytes> {
    (0..LISTS).map(key)
}

/// What the clients of a run share.
#[derive(Default)]
struct Shared {
    order: Order,
    element: AtomicU32,
}

impl Workload {
    /// Empties the keys, then lets all clients run, and gathers their records.
    pub(crate) async fn run<B: Backend>(
        self,
        database: &Database<B>,
        random: &mut Random,
    ) -> Vec<Record> {
        self.clear(database).await;
        let shared = Arc::new(Shared::default());
        let clients: Vec<_> = (0..self.clients)
            .map(|number| {
                let client = Client {
                    number,
                    kind: self.kind,
                    database: database.clone(),
                    random: random.fork(),
                    shared: shared.clone(),
                };
                tokio::spawn(client.run(self.transactions))
            })
            .collect();
        let mut history = Vec::new();
        for client in clients {
            history.extend(client.await.expect("a client that did not panic"));
        }
        history
    }

    /// Empties the keys.
    pub(crate) async fn clear<B: Backend>(self, database: &Database<B>) {
        let clear = async |tx: Transaction<B>| {
            tx.clear_range(&b""[..], &b"\xFF"[..]);
            Ok(())
        };
        database.transact(clear).await.expect("an empty database");
    }

    /// What is there.
    pub(crate) async fn rows<B: Backend>(self, database: &Database<B>) -> Vec<Row> {
        let rows = database
            .transact(async |tx| tx.range(RangeRead::new(&b""[..], &b"\xFF"[..])).collect().await)
            .await
            .expect("the database answers");
        rows.into_iter().map(|row| (row.key, row.value)).collect()
    }
}

struct Client<B: Backend> {
    number: usize,
    kind: Kind,
    database: Database<B>,
    random: Random,
    shared: Arc<Shared>,
}

impl<B: Backend> Client<B> {
    async fn run(mut self, transactions: usize) -> Vec<Record> {
        let mut records = Vec::new();
        for _ in 0..transactions {
            records.push(self.transaction().await);
        }
        records
    }

    /// One transaction, not tried again: a conflict is an outcome like another.
    async fn transaction(&mut self) -> Record {
        let begun = self.shared.order.next();
        let tx = self.database.transaction();
        let mut ops = Vec::new();
        for _ in 0..=self.random.below(3) {
            self.step(&tx, &mut ops).await.expect("a read is answered");
            tokio::task::yield_now().await;
        }
        let read_version = tx.get_read_version().await.expect("a read version");
        let has_written = ops.iter().any(|op| !matches!(op, Op::Get { .. } | Op::Range { .. }));
        let stamp = tx.get_versionstamp();
        let outcome = match tx.commit().await {
            Ok(_) if has_written => Outcome::Committed(stamp.await.expect("a versionstamp")),
            Ok(_) => Outcome::ReadOnly,
            Err(error) => conflict(&error),
        };
        let ended = self.shared.order.next();
        Record { client: self.number, begun, ended, read_version, ops, outcome }
    }

    async fn step(&mut self, tx: &Transaction<B>, ops: &mut Vec<Op>) -> Result<(), Error> {
        let key = key(self.random.below(LISTS));
        let kinds = if self.kind == Kind::Lists { 4 } else { 7 };
        match self.random.below(kinds) {
            0 => self.get(tx, key, ops).await?,
            1 => self.range(tx, ops).await?,
            2 => {
                let element = self.element();
                tx.atomic(AtomicOp::AppendIfFits, key.clone(), element.to_be_bytes().to_vec());
                ops.push(Op::Append { key, element });
            }
            3 => {
                self.get(tx, key.clone(), ops).await?;
                let Some(Op::Get { value, .. }) = ops.last() else { return Ok(()) };
                let (mut list, element) =
                    (value.as_ref().map(|list| list.to_vec()).unwrap_or_default(), self.element());
                list.extend(element.to_be_bytes());
                tx.set(key.clone(), list);
                ops.push(Op::Append { key, element });
            }
            4 => {
                let value = Bytes::from(self.element().to_be_bytes().to_vec());
                tx.set(key.clone(), value.clone());
                ops.push(Op::Set { key, value });
            }
            5 => {
                tx.clear(key.clone());
                ops.push(Op::Clear { key });
            }
            _ => {
                let (begin, end) = self.bounds();
                tx.clear_range(begin.clone(), end.clone());
                ops.push(Op::ClearRange { begin, end });
            }
        }
        Ok(())
    }

    async fn get(&self, tx: &Transaction<B>, key: Bytes, ops: &mut Vec<Op>) -> Result<(), Error> {
        let value = tx.get(key.clone()).await?;
        ops.push(Op::Get { key, value });
        Ok(())
    }

    async fn range(&mut self, tx: &Transaction<B>, ops: &mut Vec<Op>) -> Result<(), Error> {
        let (begin, end) = self.bounds();
        let rows = tx.range(RangeRead::new(begin.clone(), end.clone())).collect().await?;
        let rows = rows.into_iter().map(|row| (row.key, row.value)).collect();
        ops.push(Op::Range { begin, end, rows });
        Ok(())
    }

    fn bounds(&mut self) -> (Bytes, Bytes) {
        let (a, b) = (self.random.below(LISTS), self.random.below(LISTS));
        (key(a.min(b)), key(a.max(b) + 1))
    }

    /// A number that nobody else gets.
    fn element(&self) -> u32 {
        self.shared.element.fetch_add(1, Ordering::Relaxed)
    }
}

fn conflict(error: &Error) -> Outcome {
    assert_eq!(error.code, ErrorCode::NOT_COMMITTED, "{error}");
    Outcome::Conflicted
}
