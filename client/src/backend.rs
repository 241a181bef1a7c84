//! Backends: where a transaction's reads come from and its commit goes to.
//!
//! Everything that is transaction semantics lives in `Transaction`, written
//! once. A backend offers versioned primitives only: the engine in process, a server over TCP, and
//! whatever can answer at a version and commit atomically against conflict ranges.

use std::{
    future::{Future, ready},
    path::Path,
};

use bytes::Bytes;
use plinth_protocol::{
    Commit, CommitResult, Error, KeyRange, KeySelector, KeyspaceId, Version,
    limits::Limits,
    request::RangeOptions,
    response::{KeyValue, VersionedValue},
};

/// A read version, and whatever its backend keeps alive for it.
pub trait Snapshot: Clone + Send + Sync + 'static {
    /// The read version.
    fn version(&self) -> Version;
}

/// What a read answered, and the snapshot that it was made on.
#[derive(Clone, Debug)]
pub struct Read<T, S> {
    /// The answer.
    pub value: T,
    /// Where it holds: the snapshot that was asked for, or the newest if none was.
    pub snapshot: S,
}

/// A chunk of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeChunk {
    /// The rows, in the order asked for.
    pub rows: Vec<KeyValue>,
    /// Whether there may be more rows after these; never true without rows.
    pub more: bool,
}

/// How programs find the database of a backend, as far as it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The path of the cluster file.
    pub cluster_file: Option<String>,
    /// What that says: `description:id@address`.
    pub connection_string: Option<String>,
}

impl Place {
    /// What tells the database from others.
    pub fn cluster_id(&self) -> Option<String> {
        let (name, _) = self.connection_string.as_deref()?.split_once('@')?;
        name.split_once(':').map(|(_, id)| id.to_owned())
    }
}

/// What the server behind a backend says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerStatus {
    /// Where it is, `ip:port`; `None` if it is in this process.
    pub address: Option<String>,
    /// Its version.
    pub version: String,
    /// Seconds since its start.
    pub uptime_seconds: u64,
}

/// Versioned primitives. Handles are cheap to clone and share what they stand for.
///
/// Every read takes the snapshot to read from, or `None` for the newest, so that a transaction's
/// first read needs no round trip of its own for a read version. A newest read is strictly
/// serializable: it sees every commit that anyone had been told of when it was asked.
///
/// A read at a version that is no longer kept fails with `transaction_too_old`, one at a version
/// that does not exist after about a second of waiting with `future_version`.
pub trait Backend: Clone + Send + Sync + 'static {
    /// A read version with what keeps it alive.
    type Snapshot: Snapshot;

    /// What the backend accepts. Constant once connected.
    fn limits(&self) -> Limits;

    /// Whether the answer to a commit can get lost on its way, so that commits need an idempotency
    /// id to be asked for again.
    fn may_lose_answers(&self) -> bool {
        true
    }

    /// The snapshot at a version that the caller knows from elsewhere; nothing keeps it alive.
    fn snapshot_at(&self, version: Version) -> Self::Snapshot;

    /// The newest snapshot.
    fn read_version(&self) -> impl Future<Output = Result<Self::Snapshot, Error>> + Send;

    /// A snapshot that stays readable, however long, while a clone of it lives; the newest, or the
    /// one at a version that is still readable.
    fn pin(
        &self,
        version: Option<Version>,
    ) -> impl Future<Output = Result<Self::Snapshot, Error>> + Send;

    /// Reads a key.
    fn get(
        &self,
        at: Option<&Self::Snapshot>,
        keyspace: KeyspaceId,
        key: Bytes,
    ) -> impl Future<Output = Result<Read<Option<VersionedValue>, Self::Snapshot>, Error>> + Send;

    /// Resolves a key selector among the keys before `end`: to `""` off the beginning, to `end` off
    /// the end.
    fn get_key(
        &self,
        at: Option<&Self::Snapshot>,
        keyspace: KeyspaceId,
        selector: KeySelector,
        end: Bytes,
    ) -> impl Future<Output = Result<Read<Bytes, Self::Snapshot>, Error>> + Send;

    /// Reads a bounded chunk of a range; `options.streams` is ignored.
    fn get_range(
        &self,
        at: Option<&Self::Snapshot>,
        keyspace: KeyspaceId,
        range: KeyRange,
        options: RangeOptions,
    ) -> impl Future<Output = Result<Read<RangeChunk, Self::Snapshot>, Error>> + Send;

    /// Commits; `at` is the snapshot that the reads were made on. An error with
    /// `is_maybe_committed` leaves open what happened; any other says that nothing did.
    fn commit(
        &self,
        at: Option<&Self::Snapshot>,
        commit: Commit,
    ) -> impl Future<Output = Result<CommitResult, Error>> + Send;

    /// What became of the commit with this idempotency id; `None` if none is remembered.
    fn commit_status(
        &self,
        idempotency_id: Bytes,
    ) -> impl Future<Output = Result<Option<CommitResult>, Error>> + Send;

    /// Completes when the key's value differs from `value`, which the caller saw at `version`.
    /// Dropping the future ends the watch.
    fn watch(
        &self,
        version: Version,
        keyspace: KeyspaceId,
        key: Bytes,
        value: Option<Bytes>,
    ) -> impl Future<Output = Result<Version, Error>> + Send;

    /// About how many bytes of keys and values the range holds.
    fn estimate_size(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
    ) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Keys that cut the range into pieces of about `chunk_bytes`; its ends are the first and last.
    fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
        chunk_bytes: u64,
    ) -> impl Future<Output = Result<Vec<Bytes>, Error>> + Send;

    /// How programs find the database.
    fn place(&self) -> Place {
        Place::default()
    }

    /// What the server says of itself.
    fn status(&self) -> impl Future<Output = Result<ServerStatus, Error>> + Send {
        ready(Ok(ServerStatus::default()))
    }
}

/// A backend that is opened from a directory, in this process.
pub trait OpenBackend: Backend {
    /// How it is opened.
    type Options: Default;

    /// Opens what is in the directory; makes an empty database where there is nothing.
    fn open(path: &Path, options: Self::Options) -> Result<Self, Error>;
}
