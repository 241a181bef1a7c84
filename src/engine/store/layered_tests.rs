//! The store with tables below, against the same model: memtables are flushed, tables compacted,
//! and the whole is dropped and opened again, in any order.
//!
//! `PLINTH_MODEL_CASES=100000 cargo test --release --lib layered` runs for long; a failure prints
//! what to do to see it again.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use proptest::prelude::*;

use super::{
    tests::{Check, Model, any_check, any_write},
    *,
};
use crate::{
    engine::{
        key::KeyBuf,
        layer::{Entry, EntryStream, RangeTombstone},
        memtable::fragmented,
        read_error::ReadError,
        table::{TableOptions, TableWriter},
    },
    vfs::{SimVfs, Vfs},
};

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Write>, u64),
    Horizon(u64),
    Maintain,
    Rotate,
    Flush,
    Compact(usize, prop::sample::Index),
    Reopen,
    Check(Check),
}

fn any_step() -> impl Strategy<Value = Step> {
    let writes = prop_oneof![
        3 => prop::collection::vec(any_write(), 1..8),
        1 => prop::collection::vec(any_write(), 50..150),
    ];
    prop_oneof![
        6 => (writes, 1u64..3).prop_map(|(writes, step)| Step::Apply(writes, step)),
        1 => (0u64..20).prop_map(Step::Horizon),
        1 => Just(Step::Maintain),
        2 => Just(Step::Rotate),
        2 => Just(Step::Flush),
        1 => (0usize..3, any::<prop::sample::Index>())
            .prop_map(|(level, table)| Step::Compact(level, table)),
        1 => Just(Step::Reopen),
        5 => any_check().prop_map(Step::Check),
    ]
}

/// A store on a disk, with somebody who writes its tables.
struct Storage {
    vfs: SimVfs,
    store: Store,
    writer: StoreWriter,
    model: Model,
    next_number: u64,
    version: u64,
    horizon: u64,
    /// What the tables hold, all of it, up to here.
    flushed: u64,
}

impl Storage {
    fn new() -> Self {
        let vfs = SimVfs::new();
        vfs.create_directory(&PathBuf::from("/tables")).unwrap();
        let (store, writer) = Store::new(StoreOptions { seed: 1 });
        let model = Model::default();
        Self { vfs, store, writer, model, next_number: 1, version: 0, horizon: 0, flushed: 0 }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Apply(writes, ahead) => {
                self.version += ahead;
                self.writer.apply(Version(self.version), 0, &writes);
                self.model.apply(self.version, &writes);
            }
            Step::Horizon(behind) => {
                self.horizon = self.horizon.max(self.version.saturating_sub(behind));
                self.writer.set_horizon(Version(self.horizon));
            }
            Step::Maintain => {
                self.writer.maintain();
            }
            Step::Rotate => {
                self.writer.rotate();
            }
            Step::Flush => self.flush(),
            Step::Compact(level, table) => self.compact(level, table),
            Step::Reopen => self.reopen(),
            Step::Check(check) => check.run(&self.store, &self.model, self.version)?,
        }
        Ok(())
    }

    fn path(number: TableNumber) -> PathBuf {
        PathBuf::from(format!("/tables/{number}.table"))
    }

    /// Writes a table; none of nothing.
    fn write(
        &mut self,
        mut entries: impl EntryStream,
        tombstones: &[RangeTombstone],
    ) -> Option<Arc<Table>> {
        if entries.head().is_none() && tombstones.is_empty() {
            return None;
        }
        let number = TableNumber(self.next_number);
        self.next_number += 1;
        let options = TableOptions { block_bytes: 256, ..TableOptions::default() };
        let path = Self::path(number);
        let mut writer = TableWriter::create(&self.vfs, &path, number, &options).unwrap();
        while let Some(entry) = entries.head() {
            writer.add(entry).unwrap();
            entries.advance().unwrap();
        }
        for tombstone in tombstones {
            writer.add_tombstone(tombstone).unwrap();
        }
        writer.finish().unwrap();
        Some(Arc::new(Table::open(&self.vfs, &path, number).unwrap()))
    }

    fn flush(&mut self) {
        let Some(frozen) = self.store.oldest_frozen() else { return };
        let contents = frozen.contents();
        let table = self.write(contents.entries(), &contents.tombstones());
        self.store.install_flushed(&frozen, table.into_iter().collect());
        self.flushed = frozen.last().0;
    }

    /// Merges all of level 0, or one table of another, with what it overlaps of the next.
    fn compact(&mut self, level: usize, pick: prop::sample::Index) {
        let tables = self.store.tables();
        let mut upper = tables.level(level).to_vec();
        if level > 0 && !upper.is_empty() {
            upper = vec![upper.swap_remove(pick.index(upper.len()))];
        }
        let overlaps = |lower: &&Arc<Table>| {
            upper.iter().any(|table| {
                let lower = lower.properties();
                table.properties().overlaps(lower.begin.as_ref(), lower.end.as_ref())
            })
        };
        let lower: Vec<_> = tables.level(level + 1).iter().filter(overlaps).cloned().collect();
        let inputs: Vec<_> = upper.iter().chain(&lower).collect();
        let mut entries = BTreeMap::new();
        let mut clears = Vec::new();
        for table in &inputs {
            let mut stream = table.entries().unwrap();
            while let Some(entry) = stream.head() {
                let place = (KeyBuf::from(entry.key), Reverse(entry.stamp));
                entries.insert(place, entry.value.map(<[u8]>::to_vec));
                stream.advance().unwrap();
            }
            for RangeTombstone { begin, end, stamps } in table.tombstones().unwrap() {
                let ends = (Arc::new(begin), Arc::new(end));
                clears.extend(
                    stamps.into_iter().map(|stamp| (ends.0.clone(), ends.1.clone(), stamp)),
                );
            }
        }
        let gone: Vec<_> = inputs.iter().map(|table| table.properties().number).collect();
        let output = self.write(Entries(entries.into_iter().collect()), &fragmented(clears));
        let added: Vec<_> = output.into_iter().map(|table| (level as u8 + 1, table)).collect();
        self.store.install(&added, &gone);
    }

    /// Opens the store again with the tables that it had; the rest comes from the log.
    fn reopen(&mut self) {
        let mut tables = TableSet::empty();
        for (level, table) in self.store.tables().iter() {
            let number = table.properties().number;
            let table = Table::open(&self.vfs, &Self::path(number), number).unwrap();
            tables = tables.with(&[(level, Arc::new(table))], &[]);
        }
        let options = StoreOptions { seed: 1 };
        (self.store, self.writer) = Store::with_tables(options, tables, Version(self.flushed));
        let later = self.model.history.iter().filter(|(version, _)| *version > self.flushed);
        let later: Vec<_> = later.cloned().collect();
        for of_version in later.chunk_by(|one, other| one.0 == other.0) {
            let writes: Vec<Write> = of_version.iter().map(|(_, write)| write.clone()).collect();
            self.writer.apply(Version(of_version[0].0), 0, &writes);
        }
        self.writer.set_horizon(Version(self.horizon));
    }
}

type OwnedEntry = ((KeyBuf, Reverse<Stamp>), Option<Vec<u8>>);

/// Entries in order.
struct Entries(VecDeque<OwnedEntry>);

impl EntryStream for Entries {
    fn head(&self) -> Option<Entry<'_>> {
        let ((key, Reverse(stamp)), value) = self.0.front()?;
        Some(Entry { key: key.as_ref(), stamp: *stamp, value: value.as_deref() })
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        self.0.pop_front();
        Ok(())
    }
}

/// How many sequences of steps are tried.
fn cases() -> u32 {
    let wanted = std::env::var("PLINTH_MODEL_CASES").ok();
    wanted.and_then(|cases| cases.parse().ok()).unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100_000, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn the_store_with_tables_is_its_model(steps in prop::collection::vec(any_step(), 1..100)) {
        let mut storage = Storage::new();
        for step in steps {
            storage.take(step)?;
        }
    }
}
