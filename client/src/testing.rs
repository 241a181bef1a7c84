//! A backend in memory, as simple as it can be, against which transactions are tested.
//!
//! It keeps every version of every key and every commit's writes, for ever, behind one lock. What it
//! answers is plainly right; it is neither fast nor small. Chunks of ranges are short on purpose, so
//! that whoever reads has to go on.

use std::{
    collections::{BTreeMap, HashMap},
    future::{Future, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    Commit, CommitResult, Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, Mutation,
    MutationOp, Version, Versionstamp,
    limits::Limits,
    request::RangeOptions,
    response::{KeyValue, VersionedValue},
};
use tokio::sync::Notify;

use crate::{Backend, RangeChunk, Read, Snapshot, lock::lock};

/// The most rows of a chunk.
const CHUNK_ROWS_MAX: usize = 50;

type Place = (KeyspaceId, Bytes);

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct MemoryBackend {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    data: Mutex<Data>,
    committed: Notify,
    /// Whether reads wait.
    is_held: AtomicBool,
    released: Notify,
    reads_asked: AtomicU64,
}

#[derive(Debug, Default)]
struct Data {
    version: u64,
    /// Each key's values by the version that wrote them, ascending; `None` where it was cleared.
    keys: BTreeMap<Place, Vec<(Version, Option<Bytes>)>>,
    /// What was written when, for the conflict check.
    written: Vec<(Version, KeyspaceId, KeyRange)>,
    by_id: HashMap<Bytes, CommitResult>,
}

/// A version of a [`MemoryBackend`]; all of them stay readable.
#[derive(Clone, Copy, Debug)]
pub struct MemorySnapshot(Version);

impl Snapshot for MemorySnapshot {
    fn version(&self) -> Version {
        self.0
    }
}

impl MemoryBackend {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the reads that begin from now on wait until [`MemoryBackend::release_reads`].
    pub fn hold_reads(&self) {
        self.shared.is_held.store(true, Ordering::Relaxed);
    }

    /// How many reads of any kind have been asked of it.
    pub fn reads_asked(&self) -> u64 {
        self.shared.reads_asked.load(Ordering::Relaxed)
    }

    /// Lets all reads go on.
    pub fn release_reads(&self) {
        self.shared.is_held.store(false, Ordering::Relaxed);
        self.shared.released.notify_waiters();
    }

    async fn released(&self) {
        loop {
            let released = self.shared.released.notified();
            if !self.shared.is_held.load(Ordering::Relaxed) {
                return;
            }
            released.await;
        }
    }

    fn read<T>(
        &self,
        at: Option<&MemorySnapshot>,
        work: impl FnOnce(&Data, Version) -> T,
    ) -> Result<Read<T, MemorySnapshot>, Error> {
        self.shared.reads_asked.fetch_add(1, Ordering::Relaxed);
        let data = lock(&self.shared.data);
        let version = at.map_or(data.newest(), |at| at.0);
        if version > data.newest() {
            return Err(ErrorCode::FUTURE_VERSION.into());
        }
        let value = work(&data, version);
        Ok(Read { value, snapshot: MemorySnapshot(version) })
    }
}

impl Data {
    /// The first commit has version 2, so that nothing is read at version 0, which means none.
    fn newest(&self) -> Version {
        Version(self.version + 1)
    }

    fn get(&self, place: &Place, at: Version) -> Option<VersionedValue> {
        let versions = self.keys.get(place)?;
        let (version, value) = versions.iter().rev().find(|(version, _)| *version <= at)?;
        value.clone().map(|value| VersionedValue { value, version: *version })
    }

    fn rows(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        at: Version,
    ) -> impl DoubleEndedIterator<Item = KeyValue> {
        let begin = (keyspace, range.begin.clone());
        let end = (keyspace, range.end.clone().max(range.begin.clone()));
        self.keys.range(begin..end).filter_map(move |(place, _)| {
            let value = self.get(place, at)?.value;
            Some(KeyValue { key: place.1.clone(), value })
        })
    }

    fn chunk(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        options: RangeOptions,
        at: Version,
    ) -> RangeChunk {
        let rows = self.rows(keyspace, range, at);
        if options.reverse { fill(rows.rev(), options) } else { fill(rows, options) }
    }

    fn get_key(
        &self,
        keyspace: KeyspaceId,
        selector: &KeySelector,
        end: &Bytes,
        at: Version,
    ) -> Bytes {
        let all = KeyRange { begin: Bytes::new(), end: end.clone() };
        let keys: Vec<_> = self.rows(keyspace, &all, at).map(|row| row.key).collect();
        let before = keys.partition_point(|key| {
            *key < selector.key || (selector.or_equal && *key == selector.key)
        });
        let offset = selector.offset as isize;
        match before.checked_add_signed(offset).and_then(|position| position.checked_sub(1)) {
            None => Bytes::new(),
            Some(index) => keys.get(index).unwrap_or(end).clone(),
        }
    }

    fn commit(&mut self, commit: Commit) -> CommitResult {
        if let Some(result) = commit.idempotency_id.as_ref().and_then(|id| self.by_id.get(id)) {
            return result.clone();
        }
        let read_version = commit.read_version.unwrap_or(self.newest());
        let hit: Vec<u32> = (0_u32..)
            .zip(&commit.read_conflicts)
            .filter(|(_, conflict)| {
                let since = conflict.since.unwrap_or(read_version);
                let range = conflict.range.to_range();
                self.written.iter().any(|(version, keyspace, written)| {
                    *version > since
                        && *keyspace == conflict.keyspace
                        && written.begin < range.end
                        && range.begin < written.end
                })
            })
            .map(|(index, _)| index)
            .collect();
        let result = if hit.is_empty() {
            self.version += 1;
            let version = self.newest();
            for mutation in &commit.mutations {
                self.apply(mutation, version);
            }
            for conflict in commit.write_conflicts {
                self.written.push((version, conflict.keyspace, conflict.range.to_range()));
            }
            CommitResult::Committed { version, order: 0 }
        } else {
            let read_conflicts = if commit.reports_conflicts { hit } else { Vec::new() };
            CommitResult::Conflicted { read_conflicts }
        };
        if let Some(id) = commit.idempotency_id {
            self.by_id.insert(id, result.clone());
        }
        result
    }

    fn apply(&mut self, mutation: &Mutation, version: Version) {
        let keyspace = mutation.keyspace;
        let stamp = Versionstamp::new(version, 0);
        let range = match &mutation.op {
            MutationOp::Set { key, value } => {
                self.put(keyspace, key, Some(value.clone()), version);
                KeyRange::point(key)
            }
            MutationOp::Clear { key } => {
                self.put(keyspace, key, None, version);
                KeyRange::point(key)
            }
            MutationOp::ClearRange { begin, end } => {
                let range = KeyRange { begin: begin.clone(), end: end.clone() };
                let keys: Vec<_> =
                    self.rows(keyspace, &range, version).map(|row| row.key).collect();
                for key in keys {
                    self.put(keyspace, &key, None, version);
                }
                range
            }
            MutationOp::Atomic { op, key, operand } => {
                let old = self.get(&(keyspace, key.clone()), version).map(|found| found.value);
                let new = op.apply(old.as_deref(), operand, Limits::DEFAULT.value_bytes_max);
                self.put(keyspace, key, new, version);
                KeyRange::point(key)
            }
            MutationOp::SetVersionstampedKey { key, offset, value } => {
                let key = stamped(key, *offset, stamp);
                self.put(keyspace, &key, Some(value.clone()), version);
                KeyRange::point(&key)
            }
            MutationOp::SetVersionstampedValue { key, value, offset } => {
                self.put(keyspace, key, Some(stamped(value, *offset, stamp)), version);
                KeyRange::point(key)
            }
        };
        if mutation.adds_conflict {
            self.written.push((version, keyspace, range));
        }
    }

    fn put(&mut self, keyspace: KeyspaceId, key: &Bytes, value: Option<Bytes>, version: Version) {
        let versions = self.keys.entry((keyspace, key.clone())).or_default();
        match versions.last_mut() {
            Some((last, present)) if *last == version => *present = value,
            _ => versions.push((version, value)),
        }
    }
}

fn fill(mut rows: impl Iterator<Item = KeyValue>, options: RangeOptions) -> RangeChunk {
    let mut chunk = RangeChunk::default();
    let mut bytes = 0;
    for mut row in rows.by_ref() {
        bytes += row.key.len() + row.value.len();
        if options.keys_only {
            row.value = Bytes::new();
        }
        chunk.rows.push(row);
        let is_full = chunk.rows.len() == options.rows_max as usize
            || chunk.rows.len() == CHUNK_ROWS_MAX
            || (options.bytes_target > 0 && bytes >= options.bytes_target as usize);
        if is_full {
            chunk.more = rows.next().is_some();
            break;
        }
    }
    chunk
}

fn stamped(bytes: &Bytes, offset: u32, stamp: Versionstamp) -> Bytes {
    let mut bytes = BytesMut::from(bytes.as_ref());
    let at = offset as usize;
    if let Some(room) = bytes.get_mut(at..at + Versionstamp::LEN) {
        room.copy_from_slice(&stamp.0);
    }
    bytes.freeze()
}

impl Backend for MemoryBackend {
    type Snapshot = MemorySnapshot;

    fn limits(&self) -> Limits {
        Limits::DEFAULT
    }

    fn snapshot_at(&self, version: Version) -> MemorySnapshot {
        MemorySnapshot(version)
    }

    fn read_version(&self) -> impl Future<Output = Result<MemorySnapshot, Error>> + Send {
        ready(self.read(None, |_, version| MemorySnapshot(version)).map(|read| read.value))
    }

    fn pin(
        &self,
        version: Option<Version>,
    ) -> impl Future<Output = Result<MemorySnapshot, Error>> + Send {
        let at = version.map(MemorySnapshot);
        ready(self.read(at.as_ref(), |_, version| MemorySnapshot(version)).map(|read| read.value))
    }

    async fn get(
        &self,
        at: Option<&MemorySnapshot>,
        keyspace: KeyspaceId,
        key: Bytes,
    ) -> Result<Read<Option<VersionedValue>, MemorySnapshot>, Error> {
        self.released().await;
        self.read(at, |data, version| data.get(&(keyspace, key), version))
    }

    fn get_key(
        &self,
        at: Option<&MemorySnapshot>,
        keyspace: KeyspaceId,
        selector: KeySelector,
        end: Bytes,
    ) -> impl Future<Output = Result<Read<Bytes, MemorySnapshot>, Error>> + Send {
        ready(self.read(at, |data, version| data.get_key(keyspace, &selector, &end, version)))
    }

    async fn get_range(
        &self,
        at: Option<&MemorySnapshot>,
        keyspace: KeyspaceId,
        range: KeyRange,
        options: RangeOptions,
    ) -> Result<Read<RangeChunk, MemorySnapshot>, Error> {
        self.released().await;
        self.read(at, |data, version| data.chunk(keyspace, &range, options, version))
    }

    fn commit(
        &self,
        _at: Option<&MemorySnapshot>,
        commit: Commit,
    ) -> impl Future<Output = Result<CommitResult, Error>> + Send {
        let result = lock(&self.shared.data).commit(commit);
        self.shared.committed.notify_waiters();
        ready(Ok(result))
    }

    fn commit_status(
        &self,
        idempotency_id: Bytes,
    ) -> impl Future<Output = Result<Option<CommitResult>, Error>> + Send {
        ready(Ok(lock(&self.shared.data).by_id.get(&idempotency_id).cloned()))
    }

    async fn watch(
        &self,
        _version: Version,
        keyspace: KeyspaceId,
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<Version, Error> {
        let place = (keyspace, key);
        loop {
            let committed = self.shared.committed.notified();
            let found = self.read(None, |data, version| data.get(&place, version))?;
            if found.value.map(|found| found.value) != value {
                return Ok(found.snapshot.0);
            }
            committed.await;
        }
    }

    fn estimate_size(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
    ) -> impl Future<Output = Result<u64, Error>> + Send {
        let size = |data: &Data, version| {
            let rows = data.rows(keyspace, &range, version);
            rows.map(|row| (row.key.len() + row.value.len()) as u64).sum()
        };
        ready(self.read(None, size).map(|read| read.value))
    }

    fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
        chunk_bytes: u64,
    ) -> impl Future<Output = Result<Vec<Bytes>, Error>> + Send {
        let split = |data: &Data, version| {
            let mut points = vec![range.begin.clone()];
            let mut bytes = 0;
            for row in data.rows(keyspace, &range, version) {
                if bytes >= chunk_bytes {
                    points.push(row.key.clone());
                    bytes = 0;
                }
                bytes += (row.key.len() + row.value.len()) as u64;
            }
            points.push(range.end.clone());
            points
        };
        ready(self.read(None, split).map(|read| read.value))
    }
}
