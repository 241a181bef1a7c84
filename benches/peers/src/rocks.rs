//! RocksDB's optimistic transactions, with the options that its own tuning guide asks for: a Bloom
//! filter, LZ4, a block cache that holds the data.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, ErrorKind, IteratorMode, OptimisticTransactionDB,
    OptimisticTransactionOptions, Options, SnapshotWithThreadMode, WriteOptions,
};

use crate::peer::{Key, Peer, Reads, Sync, changed};

pub struct Rocks(OptimisticTransactionDB);

fn options(sync: Sync) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(sync == Sync::Yes);
    options
}

impl Peer for Rocks {
    fn open(directory: &Path) -> Self {
        let mut table = BlockBasedOptions::default();
        table.set_bloom_filter(10.0, false);
        table.set_block_cache(&Cache::new_lru_cache(1 << 30));
        let mut options = Options::default();
        options.create_if_missing(true);
        options.increase_parallelism(2);
        options.optimize_level_style_compaction(512 << 20);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_block_based_table_factory(&table);
        Self(OptimisticTransactionDB::open(&options, directory).expect("open"))
    }

    fn load(&self, keys: &[Key], value: &[u8]) {
        let transaction = self.0.transaction();
        for key in keys {
            transaction.put(key, value).expect("put");
        }
        transaction.commit().expect("commit");
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Reads)) {
        body(&self.0.snapshot());
    }

    fn read_modify_write(&self, key: &Key, sync: Sync) {
        loop {
            let mut transaction_options = OptimisticTransactionOptions::default();
            transaction_options.set_snapshot(true);
            let transaction = self.0.transaction_opt(&options(sync), &transaction_options);
            let value = transaction.get_for_update(key, true).expect("get").expect("a value");
            transaction.put(key, changed(&value)).expect("put");
            match transaction.commit() {
                Ok(()) => return,
                Err(error) if [ErrorKind::Busy, ErrorKind::TryAgain].contains(&error.kind()) => {}
                Err(error) => panic!("commit: {error}"),
            }
        }
    }
}

impl Reads for SnapshotWithThreadMode<'_, OptimisticTransactionDB> {
    fn get(&self, key: &Key) -> usize {
        self.get_pinned(key).expect("get").expect("a value").len()
    }

    fn scan(&self, key: &Key, rows: usize) -> usize {
        let mode = IteratorMode::From(key, rocksdb::Direction::Forward);
        self.iterator(mode)
            .take(rows)
            .map(|row| row.expect("a row"))
            .map(|(key, value)| key.len() + value.len())
            .sum()
    }
}
