//! redb: one writer at a time, copy on write.

use std::path::Path;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};

use crate::peer::{Key, Peer, Reads, Sync, changed};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

pub struct Redb(Database);

impl Redb {
    fn write(&self, sync: Sync, body: impl FnOnce(&mut redb::Table<'_, &[u8], &[u8]>)) {
        let mut transaction = self.0.begin_write().expect("begin");
        let durability = if sync == Sync::Yes { Durability::Immediate } else { Durability::None };
        transaction.set_durability(durability).expect("set the durability");
        body(&mut transaction.open_table(TABLE).expect("open the table"));
        transaction.commit().expect("commit");
    }
}

impl Peer for Redb {
    fn open(directory: &Path) -> Self {
        let database = Database::builder().create(directory.join("redb")).expect("open");
        Self(database)
    }

    fn load(&self, keys: &[Key], value: &[u8]) {
        self.write(Sync::No, |table| {
            for key in keys {
                table.insert(&key[..], value).expect("insert");
            }
        });
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Reads)) {
        let transaction = self.0.begin_read().expect("begin");
        body(&transaction.open_table(TABLE).expect("open the table"));
    }

    fn read_modify_write(&self, key: &Key, sync: Sync) {
        self.write(sync, |table| {
            let value = changed(table.get(&key[..]).expect("get").expect("a value").value());
            table.insert(&key[..], &value[..]).expect("insert");
        });
    }
}

impl Reads for ReadOnlyTable<&[u8], &[u8]> {
    fn get(&self, key: &Key) -> usize {
        ReadOnlyTable::get(self, &key[..]).expect("get").expect("a value").value().len()
    }

    fn scan(&self, key: &Key, rows: usize) -> usize {
        self.range(&key[..]..)
            .expect("range")
            .take(rows)
            .map(|row| row.expect("a row"))
            .map(|(key, value)| key.value().len() + value.value().len())
            .sum()
    }
}
