//! The store: every version of every key that a read may still see.
//!
//! One writer applies what was committed, in commit order; any number of readers look at any
//! version not below the horizon. The writer moves the horizon first and drops versions
//! afterwards, and a reader looks at the horizon again after it has read: so a read may be too
//! late, and is told so, but is never wrong.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use plinth_protocol::{
    ConflictRange, KeyRange, KeySelector, KeyspaceId, Version, range::key_after,
};

use super::{
    key::KeyRef,
    memtable::{Direction, Memtable, MemtableWriter, ReadGuard, bounds},
    read_error::ReadError,
    visible::Stamp,
    write::Write,
};

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

/// What a store holds.
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
}

#[derive(Debug)]
struct Shared {
    horizon: AtomicU64,
    table: Arc<Memtable>,
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

/// All versions in memory. Cheap to clone; clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

/// The one writer of a [`Store`].
#[derive(Debug)]
pub struct StoreWriter {
    shared: Arc<Shared>,
    table: MemtableWriter,
}

/// A look into a [`Store`], for a batch of reads. Each read sees all that was applied before it
/// began. What is dropped meanwhile stays in memory until the reader is gone, so it is not for
/// keeping.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    guard: ReadGuard,
}

impl Store {
    /// An empty store and its writer.
    pub fn new(options: StoreOptions) -> (Self, StoreWriter) {
        let table = MemtableWriter::new(options.seed);
        let shared = Arc::new(Shared {
            horizon: AtomicU64::new(0),
            table: Arc::clone(table.table()),
            counters: Counters::default(),
        });
        (Self { shared: Arc::clone(&shared) }, StoreWriter { shared, table })
    }

    /// Begins a batch of reads. Never waits.
    pub fn reader(&self) -> Reader {
        Reader { shared: Arc::clone(&self.shared), guard: ReadGuard::pin() }
    }

    /// The oldest version that can be read.
    pub fn horizon(&self) -> Version {
        self.shared.horizon()
    }

    /// What is held now.
    pub fn stats(&self) -> StoreStats {
        let Counters { keys, entries, range_tombstones, bytes } = &self.shared.counters;
        StoreStats {
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
        self.table.apply(Stamp { version, order }, writes);
        self.count();
    }

    /// Refuses reads below `horizon` from now on, so that what only they could see may go.
    pub fn set_horizon(&mut self, horizon: Version) {
        // First the word to the readers, then the deed: a reader that misses something finds the
        // new horizon when it looks again.
        self.shared.horizon.fetch_max(horizon.0, Ordering::SeqCst);
        self.table.set_horizon(horizon);
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

    fn count(&self) {
        let stats = self.table.stats();
        let counters = &self.shared.counters;
        counters.keys.store(stats.keys, Ordering::Relaxed);
        counters.entries.store(stats.records, Ordering::Relaxed);
        counters.range_tombstones.store(stats.tombstones, Ordering::Relaxed);
        counters.bytes.store(stats.bytes, Ordering::Relaxed);
    }
}

impl Reader {
    fn check_horizon(&self, version: Version) -> Result<(), ReadError> {
        let horizon = self.shared.horizon();
        if version < horizon {
            return Err(ReadError::TooOld { version, horizon });
        }
        Ok(())
    }

    /// The value of a key.
    pub fn get(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        version: Version,
    ) -> Result<Option<Found<'_>>, ReadError> {
        let row = self.shared.table.get(KeyRef::new(keyspace, key), version, &self.guard);
        // Only now: what the writer has dropped for a new horizon, it dropped after it had set it.
        self.check_horizon(version)?;
        Ok(row.map(|row| Found { value: row.value, version: row.version }))
    }

    /// Shows the rows of a range, in order or in reverse, until `visit` breaks. What was shown
    /// before an error is void.
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        version: Version,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], Found<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.check_horizon(version)?;
        let direction = if reverse { Direction::Reverse } else { Direction::Forward };
        let range = bounds(keyspace, &range.begin, &range.end);
        self.shared.table.scan(range, version, direction, &self.guard, &mut |row| {
            visit(row.key, Found { value: row.value, version: row.version })
        });
        self.check_horizon(version)
    }

    /// Resolves a key selector among the keys before `end`: to `""` off the beginning, to `end`
    /// off the end.
    pub fn get_key(
        &self,
        keyspace: KeyspaceId,
        selector: &KeySelector,
        end: &[u8],
        version: Version,
    ) -> Result<Bytes, ReadError> {
        let end = Bytes::copy_from_slice(end);
        let mut pivot = selector.key.clone();
        if selector.or_equal {
            pivot = key_after(&pivot);
        }
        let pivot = pivot.min(end.clone());
        let forward = selector.offset > 0;
        let mut steps = if forward {
            selector.offset.unsigned_abs()
        } else {
            selector.offset.unsigned_abs().saturating_add(1)
        };
        let (range, mut resolved) = if forward {
            (KeyRange::new(pivot, end.clone()), end)
        } else {
            (KeyRange::new(Bytes::new(), pivot), Bytes::new())
        };
        self.scan(keyspace, &range, version, !forward, &mut |key, _| {
            steps -= 1;
            if steps == 0 {
                resolved = Bytes::copy_from_slice(key);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(resolved)
    }

    /// Whether anything that `range` holds was changed after `since`, by whatever kind of write;
    /// `since` must not be below the horizon. Clearing what isn't there changes nothing, and need
    /// not be noticed; nothing else goes unnoticed.
    pub fn written_since(
        &self,
        keyspace: KeyspaceId,
        range: &ConflictRange,
        since: Version,
    ) -> bool {
        let (table, guard) = (&self.shared.table, &self.guard);
        match range {
            ConflictRange::Key(key) => {
                table.key_written_since(KeyRef::new(keyspace, key), since, guard)
            }
            ConflictRange::Range(range) => {
                let range = bounds(keyspace, &range.begin, &range.end);
                table.range_written_since(range, since, guard)
            }
        }
    }

    /// About how many bytes of keys and values the range holds now. Counts some rows and takes
    /// their neighbours to be alike.
    pub fn estimate_size(&self, keyspace: KeyspaceId, range: &KeyRange) -> u64 {
        let mut bytes = 0;
        let range = bounds(keyspace, &range.begin, &range.end);
        self.shared.table.measure(range, &self.guard, &mut |_, piece| bytes += piece);
        bytes
    }

    /// Keys that cut the range into pieces of about `chunk_bytes`; its ends are the first and the
    /// last. Pieces may be some thousand bytes longer.
    pub fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        chunk_bytes: u64,
    ) -> Vec<Bytes> {
        let mut points = vec![range.begin.clone()];
        let mut bytes = 0;
        let within = bounds(keyspace, &range.begin, &range.end);
        self.shared.table.measure(within, &self.guard, &mut |key, piece| {
            if bytes >= chunk_bytes.max(1) {
                points.push(Bytes::copy_from_slice(key));
                bytes = 0;
            }
            bytes += piece;
        });
        points.push(range.end.clone());
        points
    }
}

#[cfg(test)]
mod tests;
