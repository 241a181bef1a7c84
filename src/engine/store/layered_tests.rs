//! The store with tables below, against the same model: memtables are flushed, tables compacted,
//! and the whole is dropped and opened again, in any order.
//!
//! `PLINTH_MODEL_CASES=100000 cargo test --release --lib layered` runs for long; a failure prints
//! what to do to see it again.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use proptest::prelude::*;

use super::{
    tests::{Check, Model, any_check, any_write},
    *,
};
use crate::{
    engine::{
        compaction::rewrite::{Neighbours, RewriteInput, rewrite, table_path},
        key::KeyRef,
        layer::{EntryStream, RangeTombstone},
        table::TableOptions,
    },
    vfs::{SimVfs, Vfs},
};

const TABLES: &str = "/tables";

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
        vfs.create_directory(Path::new(TABLES)).unwrap();
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

    /// Rewrites layers, newest first, at the horizon, to small tables.
    fn rewrite(
        &mut self,
        streams: Vec<Box<dyn EntryStream + '_>>,
        tombstones: Vec<Vec<RangeTombstone>>,
        is_last: &dyn Fn(KeyRef<'_>, KeyRef<'_>) -> bool,
    ) -> Vec<Arc<Table>> {
        let input = RewriteInput {
            streams,
            tombstones,
            horizon: Version(self.horizon),
            is_last,
            table_bytes_max: 2048,
            neighbours: Neighbours { tables: Vec::new(), bytes_max: u64::MAX },
            options: TableOptions { block_bytes: 256, ..TableOptions::default() },
        };
        let next_number = &mut || {
            self.next_number += 1;
            TableNumber(self.next_number)
        };
        let pace = &mut |_| ControlFlow::Continue(());
        let written = rewrite(&self.vfs, Path::new(TABLES), input, next_number, pace).unwrap();
        written.iter().map(|properties| Arc::new(self.open(properties.number))).collect()
    }

    fn open(&self, number: TableNumber) -> Table {
        Table::open(&self.vfs, &table_path(Path::new(TABLES), number), number).unwrap()
    }

    fn flush(&mut self) {
        let Some(frozen) = self.store.oldest_frozen() else { return };
        let contents = frozen.contents();
        let beneath = self.store.tables();
        let is_last = |begin: KeyRef<'_>, end: KeyRef<'_>| !beneath.may_hold(begin, end);
        let entries = Box::new(contents.entries());
        let tables = self.rewrite(vec![entries], vec![contents.tombstones()], &is_last);
        self.store.install_flushed(&frozen, tables);
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
        let mut streams: Vec<Box<dyn EntryStream + '_>> = Vec::new();
        for table in &inputs {
            streams.push(Box::new(table.entries().unwrap()));
        }
        let tombstones = inputs.iter().map(|table| table.tombstones().unwrap()).collect();
        let deeper: Vec<(u8, Arc<Table>)> = tables
            .iter()
            .filter(|(of, _)| usize::from(*of) > level + 1)
            .map(|(of, table)| (of, Arc::clone(table)))
            .collect();
        let deeper = TableSet::empty().with(&deeper, &[]);
        let is_last = |begin: KeyRef<'_>, end: KeyRef<'_>| !deeper.may_hold(begin, end);
        let gone: Vec<_> = inputs.iter().map(|table| table.properties().number).collect();
        let output = self.rewrite(streams, tombstones, &is_last);
        let added: Vec<_> = output.into_iter().map(|table| (level as u8 + 1, table)).collect();
        self.store.install(&added, &gone);
        for number in gone {
            self.vfs.remove(&table_path(Path::new(TABLES), number)).unwrap();
        }
        self.store.bury();
    }

    /// Opens the store again with the tables that it had; the rest comes from the log.
    fn reopen(&mut self) {
        let mut tables = TableSet::empty();
        for (level, table) in self.store.tables().iter() {
            let table = self.open(table.properties().number);
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
