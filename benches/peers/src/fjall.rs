//! fjall's optimistic transactions.

use std::path::Path;

use fjall::{
    KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, PersistMode, Readable,
    Snapshot,
};

use crate::peer::{Key, Peer, Reads, Sync, changed};

pub struct Fjall {
    database: OptimisticTxDatabase,
    rows: OptimisticTxKeyspace,
}

struct At<'a> {
    snapshot: Snapshot,
    rows: &'a OptimisticTxKeyspace,
}

impl Peer for Fjall {
    fn open(directory: &Path) -> Self {
        let database =
            OptimisticTxDatabase::builder(directory).cache_size(1 << 30).open().expect("open");
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default).expect("keyspace");
        Self { database, rows }
    }

    fn load(&self, keys: &[Key], value: &[u8]) {
        let mut transaction = self.database.write_tx().expect("begin");
        for key in keys {
            transaction.insert(&self.rows, key, value);
        }
        transaction.commit().expect("commit").expect("no conflict");
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Reads)) {
        body(&At { snapshot: self.database.read_tx(), rows: &self.rows });
    }

    fn read_modify_write(&self, key: &Key, sync: Sync) {
        let mode = if sync == Sync::Yes { Some(PersistMode::SyncData) } else { None };
        loop {
            let mut transaction = self.database.write_tx().expect("begin").durability(mode);
            let value = transaction.get(&self.rows, key).expect("get").expect("a value");
            transaction.insert(&self.rows, key, changed(&value));
            if transaction.commit().expect("commit").is_ok() {
                return;
            }
        }
    }
}

impl Reads for At<'_> {
    fn get(&self, key: &Key) -> usize {
        self.snapshot.get(self.rows, key).expect("get").expect("a value").len()
    }

    fn scan(&self, key: &Key, rows: usize) -> usize {
        self.snapshot
            .range(self.rows, &key[..]..)
            .take(rows)
            .map(|row| row.into_inner().expect("a row"))
            .map(|(key, value)| key.len() + value.len())
            .sum()
    }
}
