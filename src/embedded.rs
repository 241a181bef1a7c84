//! The engine as a client's backend, in the same process: what an embedder opens, and what the
//! server's own sessions run on.
//!
//! Reads whose answers are in memory are answered at once, without a task switch; those that have
//! to be fetched from the disk are done on a blocking thread of the tokio runtime, so that tasks
//! beside them go on. Commits wait on a channel that the commit pipeline answers. Needs a tokio
//! runtime with time for reads at versions that are yet to come, and none otherwise; without one,
//! a read from the disk blocks its thread.

use std::{ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use plinth_client::{Backend, OpenBackend, RangeChunk, Read, Snapshot};
use plinth_protocol::{
    Commit, CommitResult, Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, Version,
    limits::Limits,
    request::RangeOptions,
    response::{KeyValue, VersionedValue},
};
use tokio::sync::oneshot;

use crate::{
    aside::{Aside, Because},
    engine::{CommitSink, Engine, EngineOptions, NotRead, Pin, TryReader},
    sync::Mutex,
};

/// Keys and values in a chunk of a range, where nothing smaller is asked for.
const CHUNK_BYTES: usize = 64 << 10;
/// The most keys and values in a chunk, whatever is asked for.
const CHUNK_BYTES_MAX: usize = 4 << 20;
/// The most rows in a chunk.
const CHUNK_ROWS_MAX: usize = 16 << 10;
/// What a row counts for beside its bytes, so that empty rows count too.
const ROW_OVERHEAD_BYTES: usize = 16;
/// How long a read waits for its version to come.
const FUTURE_VERSION_WAIT: Duration = Duration::from_secs(1);
/// How often it looks whether it has come.
const FUTURE_VERSION_POLL: Duration = Duration::from_millis(2);

/// An engine as a [`Backend`].
#[derive(Clone, Debug)]
pub struct EngineBackend {
    aside: Arc<Aside>,
}

/// A read version of an [`EngineBackend`], and the pin that keeps it readable if it has one.
#[derive(Clone, Debug)]
pub struct EngineSnapshot {
    version: Version,
    pin: Option<Arc<Pin>>,
}

impl Snapshot for EngineSnapshot {
    fn version(&self) -> Version {
        self.version
    }
}

impl EngineSnapshot {
    /// Whether it stays readable while it lives.
    pub fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    fn unpinned(version: Version) -> Self {
        Self { version, pin: None }
    }
}

impl EngineBackend {
    /// The backend of this engine.
    pub fn new(engine: Engine) -> Self {
        Self { aside: Arc::new(Aside::new(engine)) }
    }

    /// The backend of an engine whose users share what is done aside.
    #[cfg(feature = "server")]
    pub(crate) fn sharing(aside: &Arc<Aside>) -> Self {
        Self { aside: Arc::clone(aside) }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.aside.engine()
    }

    /// The snapshot to read from: the one given, once it is there, or the newest.
    async fn snapshot(&self, at: Option<&EngineSnapshot>) -> Result<EngineSnapshot, Error> {
        let Some(at) = at else {
            return Ok(EngineSnapshot::unpinned(self.engine().read_version()));
        };
        self.wait_for(at.version).await?;
        Ok(at.clone())
    }

    async fn wait_for(&self, version: Version) -> Result<(), Error> {
        if version <= self.engine().read_version() {
            return Ok(());
        }
        let until = tokio::time::Instant::now() + FUTURE_VERSION_WAIT;
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(FUTURE_VERSION_POLL).await;
            if version <= self.engine().read_version() {
                return Ok(());
            }
        }
        Err(ErrorCode::FUTURE_VERSION.into())
    }

    async fn read<T: Send + 'static>(
        &self,
        at: Option<&EngineSnapshot>,
        read: impl Fn(&TryReader, Version) -> Result<T, NotRead> + Send + 'static,
    ) -> Result<Read<T, EngineSnapshot>, Error> {
        let snapshot = self.snapshot(at).await?;
        let version = snapshot.version;
        let hot = read(&self.engine().try_reader(), version);
        let value = match hot {
            Ok(value) => value,
            Err(NotRead::Failed(error)) => return Err(error),
            Err(NotRead::Cold) => {
                let read = move |engine: &Engine| {
                    read(engine.reader().as_try(), version).map_err(NotRead::into_error)
                };
                self.aside.run(Because::Cold, read).await?
            }
        };
        Ok(Read { value, snapshot })
    }
}

impl OpenBackend for EngineBackend {
    type Options = EngineOptions;

    /// Opens a data directory; it overrides the one in `options`.
    fn open(path: &Path, options: EngineOptions) -> Result<Self, Error> {
        let options = EngineOptions { directory: path.to_path_buf(), ..options };
        match Engine::open(options) {
            Ok(engine) => Ok(Self::new(engine)),
            Err(error) => Err(Error::new(error.code(), error.to_string())),
        }
    }
}

/// Reads a chunk of a range: bounded in rows and bytes, but for its first row.
pub fn read_chunk(
    reader: &TryReader,
    keyspace: KeyspaceId,
    range: &KeyRange,
    version: Version,
    options: &RangeOptions,
) -> Result<RangeChunk, NotRead> {
    let at_most = |wanted: u32, otherwise: usize, most: usize| match wanted {
        0 => otherwise,
        wanted => usize::try_from(wanted).unwrap_or(most).min(most),
    };
    let rows_max = at_most(options.rows_max, CHUNK_ROWS_MAX, CHUNK_ROWS_MAX);
    let bytes_max = at_most(options.bytes_target, CHUNK_BYTES, CHUNK_BYTES_MAX);
    let mut chunk = RangeChunk::default();
    let mut bytes = 0;
    reader.scan(keyspace, range, version, options.reverse, &mut |key, found| {
        if chunk.rows.len() >= rows_max || bytes >= bytes_max {
            chunk.more = true;
            return ControlFlow::Break(());
        }
        let value = if options.keys_only { &[] } else { found.value };
        bytes += key.len() + value.len() + ROW_OVERHEAD_BYTES;
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        chunk.rows.push(KeyValue { key, value });
        ControlFlow::Continue(())
    })?;
    Ok(chunk)
}

impl Backend for EngineBackend {
    type Snapshot = EngineSnapshot;

    fn limits(&self) -> Limits {
        self.engine().limits()
    }

    /// An answer within the process can't get lost.
    fn may_lose_answers(&self) -> bool {
        false
    }

    fn snapshot_at(&self, version: Version) -> EngineSnapshot {
        EngineSnapshot::unpinned(version)
    }

    async fn read_version(&self) -> Result<EngineSnapshot, Error> {
        Ok(EngineSnapshot::unpinned(self.engine().read_version()))
    }

    async fn pin(&self, version: Option<Version>) -> Result<EngineSnapshot, Error> {
        if let Some(version) = version {
            self.wait_for(version).await?;
        }
        let pin = self.engine().pin(version)?;
        Ok(EngineSnapshot { version: pin.version(), pin: Some(Arc::new(pin)) })
    }

    async fn get(
        &self,
        at: Option<&EngineSnapshot>,
        keyspace: KeyspaceId,
        key: Bytes,
    ) -> Result<Read<Option<VersionedValue>, EngineSnapshot>, Error> {
        self.read(at, move |reader, version| {
            let found = reader.get(keyspace, &key, version)?;
            Ok(found.map(|found| VersionedValue {
                value: Bytes::copy_from_slice(found.value),
                version: found.version,
            }))
        })
        .await
    }

    async fn get_key(
        &self,
        at: Option<&EngineSnapshot>,
        keyspace: KeyspaceId,
        selector: KeySelector,
        end: Bytes,
    ) -> Result<Read<Bytes, EngineSnapshot>, Error> {
        self.read(at, move |reader, version| reader.get_key(keyspace, &selector, &end, version))
            .await
    }

    async fn get_range(
        &self,
        at: Option<&EngineSnapshot>,
        keyspace: KeyspaceId,
        range: KeyRange,
        options: RangeOptions,
    ) -> Result<Read<RangeChunk, EngineSnapshot>, Error> {
        self.read(at, move |reader, version| {
            read_chunk(reader, keyspace, &range, version, &options)
        })
        .await
    }

    async fn commit(
        &self,
        at: Option<&EngineSnapshot>,
        commit: Commit,
    ) -> Result<CommitResult, Error> {
        let (sender, outcome) = oneshot::channel();
        // The pin, if there is one, lives until the commit is decided, also without its client.
        let pin = at.and_then(|at| at.pin.clone());
        let sink = Arc::new(OneshotSink { sender: Mutex::new(Some(sender)), _pin: pin });
        self.engine().line_up(commit, sink, 0).map_err(|(_, error)| error)?;
        self.engine().drive();
        outcome.await.unwrap_or_else(|_| Err(ErrorCode::COMMIT_UNKNOWN_RESULT.into()))
    }

    async fn commit_status(&self, idempotency_id: Bytes) -> Result<Option<CommitResult>, Error> {
        Ok(self.engine().commit_status(&idempotency_id))
    }

    async fn watch(
        &self,
        version: Version,
        keyspace: KeyspaceId,
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<Version, Error> {
        self.wait_for(version).await?;
        let (sender, told) = oneshot::channel();
        let notify = Box::new(move |result| drop(sender.send(result)));
        let engine = self.engine();
        let (_handle, unchecked) =
            engine.try_watch(version, keyspace, &key, value.as_deref(), notify)?;
        if let Some(unchecked) = unchecked {
            let check = move |_: &Engine| {
                unchecked.check();
                Ok(())
            };
            self.aside.run(Because::Cold, check).await?;
        }
        told.await.unwrap_or_else(|_| Err(ErrorCode::OPERATION_CANCELLED.into()))
    }

    async fn estimate_size(&self, keyspace: KeyspaceId, range: KeyRange) -> Result<u64, Error> {
        let work = move |engine: &Engine| engine.estimate_size(keyspace, &range);
        self.aside.run(Because::Long, work).await
    }

    async fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
        chunk_bytes: u64,
    ) -> Result<Vec<Bytes>, Error> {
        let work = move |engine: &Engine| engine.split_points(keyspace, &range, chunk_bytes);
        self.aside.run(Because::Long, work).await
    }
}

/// One commit's way back to its task.
struct OneshotSink {
    sender: Mutex<Option<oneshot::Sender<Result<CommitResult, Error>>>>,
    _pin: Option<Arc<Pin>>,
}

impl CommitSink for OneshotSink {
    fn push(&self, _token: u64, outcome: Result<CommitResult, Error>) {
        let sender = self.sender.lock().take();
        if let Some(sender) = sender {
            // A task that went away doesn't need to know.
            drop(sender.send(outcome));
        }
    }

    fn wake(&self) {}
}

#[cfg(test)]
mod tests {
    use plinth_protocol::{AtomicOp, request::RangeOptions};
    use tokio::time::timeout;

    use super::*;
    use crate::Database;

    const LIMIT: Duration = Duration::from_secs(20);

    fn database() -> (tempfile::TempDir, Database) {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path()).unwrap();
        (directory, database)
    }

    fn options(rows_max: u32, bytes_target: u32) -> RangeOptions {
        RangeOptions { rows_max, bytes_target, ..RangeOptions::default() }
    }

    #[tokio::test]
    async fn a_database_in_a_directory_keeps_what_was_committed() {
        let (directory, database) = database();
        let version = database
            .transact(|tx| async move {
                tx.set("greeting", "hello");
                tx.atomic(AtomicOp::Add, "count", vec![1]);
                tx.get("greeting").await
            })
            .await
            .unwrap();
        assert_eq!(version.as_deref(), Some(&b"hello"[..]));
        drop(database);
        let database = Database::open(directory.path()).unwrap();
        let read = database.transaction().get("count").await.unwrap();
        assert_eq!(read.as_deref(), Some(&[1][..]));
        let again = Database::open(directory.path()).unwrap_err();
        assert_eq!(again.code, ErrorCode::IO_ERROR, "{again}");
    }

    #[tokio::test]
    async fn chunks_are_bounded_and_say_whether_there_is_more() {
        let (_directory, database) = database();
        let backend = database.backend();
        database
            .transact(|tx| async move {
                for number in 0..100 {
                    tx.set(format!("key{number:03}"), vec![b'v'; 2_000]);
                }
                Ok(())
            })
            .await
            .unwrap();
        let range = || KeyRange::new("", "\u{7f}");
        let read = async |options| {
            let read = backend.get_range(None, KeyspaceId::DEFAULT, range(), options).await;
            let chunk = read.unwrap().value;
            (chunk.rows.len(), chunk.more)
        };
        assert_eq!(read(options(0, 0)).await, (33, true));
        assert_eq!(read(options(10, 0)).await, (10, true));
        assert_eq!(read(options(0, 1)).await, (1, true));
        assert_eq!(read(options(0, 1 << 30)).await, (100, false));
        assert_eq!(read(options(100, 1 << 30)).await, (100, false));
        let keys = RangeOptions { keys_only: true, reverse: true, ..options(0, 0) };
        let read = backend.get_range(None, KeyspaceId::DEFAULT, range(), keys).await;
        let chunk = read.unwrap().value;
        assert_eq!((chunk.rows.len(), chunk.rows[0].key.as_ref()), (100, &b"key099"[..]));
        assert!(chunk.rows.iter().all(|row| row.value.is_empty()));
    }

    #[tokio::test]
    async fn a_read_waits_for_its_version_for_a_while() {
        let (_directory, database) = database();
        let backend = database.backend();
        let get = async |version| {
            let snapshot = backend.snapshot_at(version);
            let read = backend.get(Some(&snapshot), KeyspaceId::DEFAULT, "a".into()).await;
            read.map_err(|error| error.code)
        };
        let now = backend.read_version().await.unwrap().version();
        assert!(get(Version(now.0 + 50_000)).await.is_ok(), "it comes in a twentieth of a second");
        assert_eq!(get(Version::MAX).await.unwrap_err(), ErrorCode::FUTURE_VERSION);
    }

    #[tokio::test]
    async fn a_watch_wakes_its_task_and_ends_with_it() {
        let (_directory, database) = database();
        let backend = database.backend().clone();
        let version = backend.read_version().await.unwrap().version();
        let watch = {
            let backend = backend.clone();
            tokio::spawn(async move {
                backend.watch(version, KeyspaceId::DEFAULT, "a".into(), None).await
            })
        };
        while backend.engine().stats().watches == 0 {
            tokio::task::yield_now().await;
        }
        database
            .transact(|tx| async move {
                tx.set("a", "1");
                Ok(())
            })
            .await
            .unwrap();
        assert!(timeout(LIMIT, watch).await.unwrap().unwrap().unwrap() > version);
        let value = Some(Bytes::from_static(b"1"));
        let idle = backend.watch(version, KeyspaceId::DEFAULT, "a".into(), value);
        assert!(timeout(Duration::from_millis(1), idle).await.is_err());
        assert_eq!(backend.engine().stats().watches, 0);
    }

    #[tokio::test]
    async fn a_pin_holds_as_long_as_a_snapshot_of_it() {
        let (_directory, database) = database();
        let backend = database.backend();
        let pinned = backend.pin(None).await.unwrap();
        let copy = pinned.clone();
        drop(pinned);
        assert!(copy.is_pinned());
        assert_eq!(backend.engine().stats().oldest_pin, Some(copy.version()));
        drop(copy);
        assert_eq!(backend.engine().stats().pins, 0);
    }

    #[tokio::test]
    async fn a_commit_whose_task_went_away_happens() {
        let (_directory, database) = database();
        let backend = database.backend();
        let mutation = plinth_protocol::Mutation {
            keyspace: KeyspaceId::DEFAULT,
            adds_conflict: true,
            op: plinth_protocol::MutationOp::Set { key: "a".into(), value: "1".into() },
        };
        let commit = Commit { mutations: vec![mutation], ..Commit::default() };
        // Polled once, which lines it up, and dropped.
        let outcome = timeout(Duration::ZERO, backend.commit(None, commit)).await;
        let until = tokio::time::Instant::now() + LIMIT;
        while database.transaction().get("a").await.unwrap().is_none() {
            assert!(tokio::time::Instant::now() < until, "{outcome:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
