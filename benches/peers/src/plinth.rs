//! Plinth in process, twice: the engine as its server uses it, and through the transactions that
//! its users write.

use std::{ops::ControlFlow, path::Path};

use bytes::Bytes;
use plinth_client::{RangeRead, StreamingMode, TransactionOptions};
use plinth_protocol::{
    Commit, CommitResult, ConflictRange, Durability, KeyRange, KeyspaceId, Mutation, MutationOp,
    ReadConflict, Version,
};
use plinthdb::{
    Database, EngineBackend,
    engine::{Engine, EngineOptions},
};
use tokio::runtime::Runtime;

use crate::peer::{Key, Peer, Reads, Sync, changed};

const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

fn durability(sync: Sync) -> Durability {
    if sync == Sync::Yes { Durability::Sync } else { Durability::None }
}

/// The engine.
pub struct PlinthEngine(Engine);

impl Peer for PlinthEngine {
    fn open(directory: &Path) -> Self {
        Self(Engine::open(EngineOptions::new(directory)).expect("open"))
    }

    fn load(&self, keys: &[Key], value: &[u8]) {
        let value = Bytes::copy_from_slice(value);
        let set = |key: &Key| Mutation {
            keyspace: SPACE,
            adds_conflict: true,
            op: MutationOp::Set { key: Bytes::copy_from_slice(key), value: value.clone() },
        };
        let commit = Commit {
            mutations: keys.iter().map(set).collect(),
            durability: Some(Durability::None),
            ..Commit::default()
        };
        self.0.commit_blocking(commit).expect("commit");
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Reads)) {
        let pin = self.0.pin(None).expect("pin");
        body(&At { engine: &self.0, version: pin.version() });
    }

    fn read_modify_write(&self, key: &Key, sync: Sync) {
        let key = Bytes::copy_from_slice(key);
        loop {
            let version = self.0.read_version();
            let value = {
                let reader = self.0.reader();
                let found = reader.get(SPACE, &key, version).expect("get").expect("a value");
                changed(found.value).into()
            };
            let commit = Commit {
                read_version: Some(version),
                read_conflicts: vec![ReadConflict {
                    keyspace: SPACE,
                    range: ConflictRange::Key(key.clone()),
                    since: None,
                }],
                mutations: vec![Mutation {
                    keyspace: SPACE,
                    adds_conflict: true,
                    op: MutationOp::Set { key: key.clone(), value },
                }],
                durability: Some(durability(sync)),
                ..Commit::default()
            };
            if let CommitResult::Committed { .. } = self.0.commit_blocking(commit).expect("commit")
            {
                return;
            }
        }
    }
}

struct At<'a> {
    engine: &'a Engine,
    version: Version,
}

impl Reads for At<'_> {
    fn get(&self, key: &Key) -> usize {
        let reader = self.engine.reader();
        reader.get(SPACE, key, self.version).expect("get").expect("a value").value.len()
    }

    fn scan(&self, key: &Key, rows: usize) -> usize {
        let range = KeyRange::new(Bytes::copy_from_slice(key), Bytes::from_static(b"\xff"));
        let (mut left, mut bytes) = (rows, 0);
        let reader = self.engine.reader();
        let visit = &mut |key: &[u8], found: plinthdb::engine::store::Found<'_>| {
            bytes += key.len() + found.value.len();
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        reader.scan(SPACE, &range, self.version, false, visit).expect("scan");
        bytes
    }
}

/// Transactions.
pub struct PlinthTransactions {
    database: Database,
    runtime: Runtime,
}

impl Peer for PlinthTransactions {
    fn open(directory: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        Self { database: Database::open(directory).expect("open"), runtime }
    }

    fn load(&self, keys: &[Key], value: &[u8]) {
        let value = Bytes::copy_from_slice(value);
        let database = self.database.with_defaults(options(Sync::No));
        let work = database.transact(|transaction| {
            for key in keys {
                transaction.set(&key[..], value.clone());
            }
            async { Ok(()) }
        });
        self.runtime.block_on(work).expect("commit");
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Reads)) {
        let transaction = self.database.transaction();
        self.runtime.block_on(transaction.pin()).expect("pin");
        body(&Within { transaction, runtime: &self.runtime });
    }

    fn read_modify_write(&self, key: &Key, sync: Sync) {
        let database = self.database.with_defaults(options(sync));
        let work = database.transact(|transaction| async move {
            let value = transaction.get(&key[..]).await?.expect("a value");
            transaction.set(&key[..], changed(&value));
            Ok(())
        });
        self.runtime.block_on(work).expect("commit");
    }
}

fn options(sync: Sync) -> TransactionOptions {
    TransactionOptions { durability: Some(durability(sync)), ..TransactionOptions::default() }
}

struct Within<'a> {
    transaction: plinth_client::Transaction<EngineBackend>,
    runtime: &'a Runtime,
}

impl Reads for Within<'_> {
    fn get(&self, key: &Key) -> usize {
        let snapshot = self.transaction.snapshot();
        self.runtime.block_on(snapshot.get(&key[..])).expect("get").expect("a value").len()
    }

    fn scan(&self, key: &Key, rows: usize) -> usize {
        let read =
            RangeRead::new(&key[..], &b"\xff"[..]).rows_max(rows as u32).mode(StreamingMode::Exact);
        let snapshot = self.transaction.snapshot();
        let page = self.runtime.block_on(snapshot.get_range(read)).expect("range");
        page.rows.iter().map(|row| row.key.len() + row.value.len()).sum()
    }
}
