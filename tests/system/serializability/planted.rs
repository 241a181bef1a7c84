//! Faults between the clients and the server, to see that the checkers catch them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use plinth_client::{Backend, RangeChunk, Read, Snapshot};
use plinth_protocol::{
    Commit, CommitResult, Error, KeyRange, KeySelector, KeyspaceId, Version, limits::Limits,
    request::RangeOptions, response::VersionedValue,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Commits are not checked against what they read.
    IgnoresReads,
    /// The newest snapshot is one of some commits ago.
    ReadsStale,
    /// The second half of a commit's mutations is committed on its own.
    CommitsInHalves,
}

/// A backend with a fault.
#[derive(Clone)]
pub(crate) struct Planted<B> {
    inner: B,
    fault: Fault,
    /// Read versions that were handed out lately, the oldest first.
    lately: Arc<Mutex<Vec<Version>>>,
}

impl<B: Backend> Planted<B> {
    pub(crate) fn new(inner: B, fault: Fault) -> Self {
        Self { inner, fault, lately: Arc::default() }
    }

    /// A snapshot of some reads ago, if that is the fault.
    fn stale(&self, newest: Version) -> Version {
        let mut lately = self.lately.lock().expect("no thread panicked with it");
        lately.push(newest);
        if lately.len() > 8 {
            lately.remove(0);
        }
        lately.first().copied().unwrap_or(newest)
    }

    /// Where to read: stated, so that a stale one can be stated.
    async fn place(&self, at: Option<&B::Snapshot>) -> Result<Option<B::Snapshot>, Error> {
        match at {
            None if self.fault == Fault::ReadsStale => self.read_version().await.map(Some),
            at => Ok(at.cloned()),
        }
    }
}

impl<B: Backend> Backend for Planted<B> {
    type Snapshot = B::Snapshot;

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn snapshot_at(&self, version: Version) -> B::Snapshot {
        self.inner.snapshot_at(version)
    }

    async fn read_version(&self) -> Result<B::Snapshot, Error> {
        let newest = self.inner.read_version().await?;
        if self.fault != Fault::ReadsStale {
            return Ok(newest);
        }
        Ok(self.inner.snapshot_at(self.stale(newest.version())))
    }

    async fn pin(&self, version: Option<Version>) -> Result<B::Snapshot, Error> {
        self.inner.pin(version).await
    }

    async fn get(
        &self,
        at: Option<&B::Snapshot>,
        keyspace: KeyspaceId,
        key: Bytes,
    ) -> Result<Read<Option<VersionedValue>, B::Snapshot>, Error> {
        self.inner.get(self.place(at).await?.as_ref(), keyspace, key).await
    }

    async fn get_key(
        &self,
        at: Option<&B::Snapshot>,
        keyspace: KeyspaceId,
        selector: KeySelector,
        end: Bytes,
    ) -> Result<Read<Bytes, B::Snapshot>, Error> {
        self.inner.get_key(self.place(at).await?.as_ref(), keyspace, selector, end).await
    }

    async fn get_range(
        &self,
        at: Option<&B::Snapshot>,
        keyspace: KeyspaceId,
        range: KeyRange,
        options: RangeOptions,
    ) -> Result<Read<RangeChunk, B::Snapshot>, Error> {
        self.inner.get_range(self.place(at).await?.as_ref(), keyspace, range, options).await
    }

    async fn commit(
        &self,
        at: Option<&B::Snapshot>,
        mut commit: Commit,
    ) -> Result<CommitResult, Error> {
        match self.fault {
            Fault::IgnoresReads => commit.read_conflicts.clear(),
            Fault::CommitsInHalves if commit.mutations.len() > 1 => {
                let second = commit.mutations.split_off(commit.mutations.len() / 2);
                let first = self.inner.commit(at, commit).await?;
                if matches!(first, CommitResult::Committed { .. }) {
                    let second = Commit { mutations: second, ..Commit::default() };
                    self.inner.commit(None, second).await?;
                }
                return Ok(first);
            }
            Fault::ReadsStale | Fault::CommitsInHalves => {}
        }
        self.inner.commit(at, commit).await
    }

    async fn commit_status(&self, idempotency_id: Bytes) -> Result<Option<CommitResult>, Error> {
        self.inner.commit_status(idempotency_id).await
    }

    async fn watch(
        &self,
        version: Version,
        keyspace: KeyspaceId,
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<Version, Error> {
        self.inner.watch(version, keyspace, key, value).await
    }

    async fn estimate_size(&self, keyspace: KeyspaceId, range: KeyRange) -> Result<u64, Error> {
        self.inner.estimate_size(keyspace, range).await
    }

    async fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
        chunk_bytes: u64,
    ) -> Result<Vec<Bytes>, Error> {
        self.inner.split_points(keyspace, range, chunk_bytes).await
    }
}
