//! SurrealKV.

use std::path::Path;

use surrealkv::{Durability, LSMIterator, Mode, Transaction, Tree, TreeBuilder};
use tokio::runtime::Runtime;

use crate::peer::{Key, Peer, Reads, Sync, changed};

pub struct Surreal {
    tree: Tree,
    runtime: Runtime,
}

impl Surreal {
    fn begin(&self, mode: Mode) -> Transaction {
        self.tree.begin_with_mode(mode).expect("begin")
    }
}

impl Peer for Surreal {
    fn open(directory: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let tree = {
            let _entered = runtime.enter();
            let builder = TreeBuilder::new().with_path(directory.to_path_buf());
            builder.with_block_cache_capacity(1 << 30).build().expect("open")
        };
        Self { tree, runtime }
    }

    fn load(&self, keys: &[Key], value: &[u8]) {
        let mut transaction = self.begin(Mode::WriteOnly);
        for key in keys {
            transaction.set(&key[..], value).expect("set");
        }
        self.runtime.block_on(transaction.commit()).expect("commit");
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Reads)) {
        body(&self.begin(Mode::ReadOnly));
    }

    fn read_modify_write(&self, key: &Key, sync: Sync) {
        let durability =
            if sync == Sync::Yes { Durability::Immediate } else { Durability::Eventual };
        loop {
            let mut transaction = self.begin(Mode::ReadWrite).with_durability(durability);
            let value = transaction.get_for_update(&key[..]).expect("get").expect("a value");
            transaction.set(&key[..], &changed(&value)[..]).expect("set");
            match self.runtime.block_on(transaction.commit()) {
                Ok(()) => return,
                Err(surrealkv::Error::TransactionWriteConflict) => {}
                Err(error) => panic!("commit: {error}"),
            }
        }
    }
}

impl Reads for Transaction {
    fn get(&self, key: &Key) -> usize {
        Transaction::get(self, &key[..]).expect("get").expect("a value").len()
    }

    fn scan(&self, key: &Key, rows: usize) -> usize {
        let mut iterator = self.range(&key[..], &[0xff_u8][..]).expect("range");
        let mut is_valid = iterator.seek_first().expect("a row");
        let mut bytes = 0;
        for _ in 0..rows {
            if !is_valid {
                break;
            }
            bytes += iterator.key().user_key().len() + iterator.value().expect("a value").len();
            is_valid = iterator.next().expect("a row");
        }
        bytes
    }
}
