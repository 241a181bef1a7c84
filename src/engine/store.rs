//! The store: every version of every key that a read may still see.
//!
//! It is a stack of layers. What is new goes into the active memtable. When that is large enough it
//! is frozen, and a new one put on top; what was frozen is written to tables and leaves memory. A
//! read goes down the stack.
//!
//! One writer applies what was committed, in commit order; any number of readers look at any
//! version not below the horizon. The writer moves the horizon first and drops versions
//! afterwards, and a reader looks at the horizon again after it has read: so a read may be too
//! late, and is told so, but is never wrong.

mod reader;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use plinth_protocol::{KeyspaceId, Version};

use super::{
    memtable::{FrozenMemtable, MemtableWriter, ReadGuard, Replaying},
    table::{Patience, Table, TableNumber},
    table_set::TableSet,
    view::{View, Views},
    visible::Stamp,
    write::{CommittedTransaction, Write},
};
pub use reader::Reader;

/// Spans under range tombstones beyond which a memtable is to be rotated whatever its size: each
/// range clear copies a list of them.
const TOMBSTONES_MAX: u64 = 1 << 15;

/// Steps of garbage collection in one call of [`StoreWriter::maintain`]: well below a millisecond.
const MAINTAIN_STEPS: usize = 512;

/// How a store is set up.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Seeds the hash of keys: unguessable where keys come from strangers, fixed where a run must
    /// be repeatable.
    pub seed: u64,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The value.
    pub value: &'a [u8],
    /// The version that wrote it.
    pub version: Version,
}

/// One of several reads that are done side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointRead<'k> {
    /// Where.
    pub keyspace: KeyspaceId,
    /// What.
    pub key: &'k [u8],
    /// When.
    pub version: Version,
}

/// What the memtables of a store hold. Where there are several, keys, versions and range clears are
/// those of the active one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Keys with at least one version.
    pub keys: u64,
    /// Versions of keys, cleared ones included.
    pub entries: u64,
    /// Range clears that a read may still have to know of.
    pub range_tombstones: u64,
    /// About how much memory all this takes.
    pub bytes: u64,
    /// Memtables that are full and wait to be written to tables.
    pub frozen: u64,
    /// About how much memory those take.
    pub frozen_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    horizon: AtomicU64,
    /// The time, so that readers can tell what was read a moment ago.
    seconds: AtomicU64,
    views: Arc<Views>,
    counters: Counters,
}

/// [`StoreStats`], as the writer last knew them.
#[derive(Debug, Default)]
struct Counters {
    keys: AtomicU64,
    entries: AtomicU64,
    range_tombstones: AtomicU64,
    bytes: AtomicU64,
}

/// All versions. Cheap to clone; clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

/// The one writer of a [`Store`].
#[derive(Debug)]
pub struct StoreWriter {
    shared: Arc<Shared>,
    table: MemtableWriter,
    seed: u64,
    horizon: Version,
    /// A log is replayed: readers are not shown the active memtable, but another, which is empty.
    is_hidden: bool,
}

impl Store {
    /// An empty store and its writer.
    pub fn new(options: StoreOptions) -> (Self, StoreWriter) {
        Self::with_tables(options, TableSet::empty(), Version::ZERO)
    }

    /// A store of these tables and its writer. They hold everything that was written at the version
    /// `last` or before; what is applied from now on must have higher versions.
    pub(in crate::engine) fn with_tables(
        options: StoreOptions,
        tables: TableSet,
        last: Version,
    ) -> (Self, StoreWriter) {
        let has_tables = !tables.is_empty();
        let mut table = MemtableWriter::above(options.seed, None, last);
        let active = Arc::clone(table.table());
        let view = View { active, frozen: Vec::new(), tables: Arc::new(tables) };
        let views = Arc::new(Views::new(view));
        if has_tables {
            table.put_above(Arc::clone(&views) as _);
        }
        let shared = Arc::new(Shared {
            horizon: AtomicU64::new(0),
            seconds: AtomicU64::new(0),
            views,
            counters: Counters::default(),
        });
        let store = Self { shared: Arc::clone(&shared) };
        let (seed, horizon, is_hidden) = (options.seed, Version::ZERO, false);
        (store, StoreWriter { shared, table, seed, horizon, is_hidden })
    }

    /// Begins a batch of reads, which may wait for the disk.
    pub fn reader(&self) -> Reader {
        self.reader_with(Patience::Wait)
    }

    /// Begins a batch of reads, which wait for the disk or fail where they would have to.
    pub fn reader_with(&self, patience: Patience) -> Reader {
        Reader::new(Arc::clone(&self.shared), patience)
    }

    /// The tables of now.
    pub(in crate::engine) fn tables(&self) -> Arc<TableSet> {
        Arc::clone(&self.shared.views.load(&ReadGuard::pin()).tables)
    }

    /// Puts tables, new at level 0, in place of the oldest frozen memtable, whose content they hold.
    pub(in crate::engine) fn install_flushed(
        &self,
        flushed: &Arc<FrozenMemtable>,
        tables: Vec<Arc<Table>>,
    ) {
        let added: Vec<(u8, Arc<Table>)> = tables.into_iter().map(|table| (0, table)).collect();
        self.shared.views.change(|view| {
            let oldest = view.frozen.pop();
            debug_assert!(
                oldest.is_some_and(|oldest| Arc::ptr_eq(&oldest, flushed)),
                "memtables are flushed in the order of their age"
            );
            view.tables = Arc::new(view.tables.with(&added, &[]));
        });
    }

    /// Takes tables out and puts others in, at their levels, which hold the same as far as anyone
    /// may still read it. A table that only moves is in both lists. The files of those that are gone
    /// may be removed at once: who still reads them has them mapped.
    pub(in crate::engine) fn install(&self, added: &[(u8, Arc<Table>)], removed: &[TableNumber]) {
        self.shared.views.change(|view| view.tables = Arc::new(view.tables.with(added, removed)));
    }

    /// How many memtables are frozen.
    pub fn frozen_len(&self) -> usize {
        self.shared.views.load(&ReadGuard::pin()).frozen.len()
    }

    /// The frozen memtable that is to be written to tables next, the oldest.
    pub(in crate::engine) fn oldest_frozen(&self) -> Option<Arc<FrozenMemtable>> {
        self.shared.views.load(&ReadGuard::pin()).frozen.last().cloned()
    }

    /// Drops what has left the layers and nobody reads any more, on this thread. True if something
    /// is left that is still being read.
    pub fn bury(&self) -> bool {
        self.shared.views.bury()
    }

    /// The oldest version that can be read.
    pub fn horizon(&self) -> Version {
        self.shared.horizon()
    }

    /// What is held now.
    pub fn stats(&self) -> StoreStats {
        let Counters { keys, entries, range_tombstones, bytes } = &self.shared.counters;
        let guard = ReadGuard::pin();
        let frozen = &self.shared.views.load(&guard).frozen;
        StoreStats {
            frozen: frozen.len() as u64,
            frozen_bytes: frozen.iter().map(|frozen| frozen.bytes()).sum(),
            keys: keys.load(Ordering::Relaxed),
            entries: entries.load(Ordering::Relaxed),
            range_tombstones: range_tombstones.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn horizon(&self) -> Version {
        Version(self.horizon.load(Ordering::Acquire))
    }
}

impl StoreWriter {
    /// Applies the writes of one transaction, in order. Versions, and orders within a version,
    /// strictly increase from call to call. A little garbage is collected on the way.
    pub fn apply(&mut self, version: Version, order: u16, writes: &[Write]) {
        self.table.apply([(Stamp { version, order }, writes)]);
        self.count();
    }

    /// Applies transactions one after the other, as if each were [applied](Self::apply) alone, but
    /// cheaper.
    pub fn apply_all(&mut self, transactions: &[CommittedTransaction]) {
        let stamped = transactions.iter().map(|transaction| {
            let &CommittedTransaction { version, order, .. } = transaction;
            (Stamp { version, order }, transaction.writes.as_slice())
        });
        self.table.apply(stamped);
        self.count();
    }

    /// Hides what is written from now on until [`show`](Self::show): nobody reads before that, which
    /// makes it cheaper. Nothing was written yet.
    pub(in crate::engine) fn hide(&mut self) {
        self.is_hidden = true;
        self.table = self.new_memtable(self.table.last());
    }

    /// Shows readers what was written while it was hidden.
    pub(in crate::engine) fn show(&mut self) {
        if std::mem::take(&mut self.is_hidden) {
            self.table.put_in_order();
            let active = Arc::clone(self.table.table());
            self.shared.views.change(|view| view.active = active);
        }
    }

    /// Begins to apply transactions that lie elsewhere.
    pub(in crate::engine) fn replay<'a>(&mut self) -> Replaying<'_, 'a> {
        self.table.replay()
    }

    /// Refuses reads below `horizon` from now on, so that what only they could see may go.
    pub fn set_horizon(&mut self, horizon: Version) {
        // First the word to the readers, then the deed: a reader that misses something finds the
        // new horizon when it looks again.
        self.shared.horizon.fetch_max(horizon.0, Ordering::SeqCst);
        self.table.set_horizon(horizon);
        self.horizon = self.horizon.max(horizon);
    }

    /// Tells readers that it is so many seconds since any moment.
    pub fn set_time(&mut self, seconds: u64) {
        self.shared.seconds.store(seconds, Ordering::Relaxed);
    }

    /// About how much memory the active memtable takes.
    pub fn memtable_bytes(&self) -> u64 {
        self.shared.counters.bytes.load(Ordering::Relaxed)
    }

    /// Whether the active memtable takes at least so much memory, or has become slow to write to.
    pub fn should_rotate(&self, memtable_bytes: u64) -> bool {
        let counters = &self.shared.counters;
        counters.bytes.load(Ordering::Relaxed) >= memtable_bytes
            || counters.range_tombstones.load(Ordering::Relaxed) >= TOMBSTONES_MAX
    }

    /// Freezes the active memtable and puts an empty one on top. What is applied from now on must
    /// have higher versions than all before. Does nothing, and returns false, if nothing was written
    /// since the last time.
    pub fn rotate(&mut self) -> bool {
        let is_written = self.table.is_written();
        if is_written {
            self.freeze();
        }
        is_written
    }

    /// Does so in any case: an empty memtable, too, says how far history is in tables when it is
    /// flushed.
    pub fn freeze(&mut self) {
        let mut table = self.new_memtable(self.table.last());
        table.set_horizon(self.horizon);
        let active = (!self.is_hidden).then(|| Arc::clone(table.table()));
        let frozen = Arc::new(std::mem::replace(&mut self.table, table).freeze());
        self.shared.views.change(|view| {
            if let Some(active) = active {
                view.active = active;
            }
            view.frozen.insert(0, frozen);
        });
        self.count();
    }

    /// An empty memtable for what comes after `last`, above all that there is.
    fn new_memtable(&self, last: Version) -> MemtableWriter {
        let beneath = Arc::clone(&self.shared.views);
        let table = MemtableWriter::above(self.seed, Some(beneath), last);
        if self.is_hidden { table.unordered() } else { table }
    }

    /// Does a bounded bit of garbage collection; true if there is more to do.
    pub fn maintain(&mut self) -> bool {
        let is_more = self.table.collect(MAINTAIN_STEPS);
        if !is_more {
            ReadGuard::pin().flush();
        }
        self.count();
        is_more
    }

    /// Counts what the active memtable holds, for whoever asks.
    pub(in crate::engine) fn count(&self) {
        let stats = self.table.stats();
        let counters = &self.shared.counters;
        counters.keys.store(stats.keys, Ordering::Relaxed);
        counters.entries.store(stats.records, Ordering::Relaxed);
        counters.range_tombstones.store(stats.tombstones, Ordering::Relaxed);
        counters.bytes.store(stats.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod layered_tests;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;
