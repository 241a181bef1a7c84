//! Transactions that are written down while they are done.
//!
//! A recorded store stands between a workload and its target, so that no workload knows of it. It
//! also gives every value that is written a number of its own, where there is room, so that who
//! reads it can tell who wrote it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use plinth_client::{Error, ErrorCode};
use plinth_protocol::{Version, Versionstamp};

use super::{Op, Outcome, ReadKind, Recorder, Transaction, ValueHash};
use crate::cli::bench::{
    keys::Values,
    target::transact::{Isolation, Span, Store, Transact},
};

/// A store whose transactions are recorded. Each copy is a client of its own in the history.
pub(crate) struct RecordedStore<S> {
    store: S,
    recorder: Arc<Mutex<Recorder>>,
}

impl<S> RecordedStore<S> {
    pub(crate) fn new(store: S, recorder: Recorder) -> Self {
        Self { store, recorder: Arc::new(Mutex::new(recorder)) }
    }
}

impl<S: Clone> Clone for RecordedStore<S> {
    fn clone(&self) -> Self {
        Self::new(self.store.clone(), lock(&self.recorder).another())
    }
}

impl<S: Store> Store for RecordedStore<S> {
    type Transaction = Recorded<S::Transaction>;

    fn begin(&self) -> Self::Transaction {
        let recorder = Arc::clone(&self.recorder);
        let attempt = Attempt::beginning(lock(&recorder).now());
        Recorded { inner: self.store.begin(), recorder, attempt }
    }
}

fn lock(recorder: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a try so far.
#[derive(Debug)]
struct Attempt {
    begin: u64,
    read_version: Option<Version>,
    ops: Vec<Op>,
    progress: Progress,
}

/// How far a try is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Open,
    /// Something went wrong, and it can't commit any more.
    Failed,
    /// The commit is under way.
    Committing,
}

impl Attempt {
    fn beginning(begin: u64) -> Self {
        Self { begin, read_version: None, ops: Vec::new(), progress: Progress::Open }
    }
}

/// A transaction that is recorded.
pub(crate) struct Recorded<T: Transact> {
    inner: T,
    recorder: Arc<Mutex<Recorder>>,
    attempt: Attempt,
}

impl<T: Transact> Recorded<T> {
    /// Notes a read once its read version is known, without which it says nothing.
    async fn note_read(&mut self, op: Op) -> Result<(), Error> {
        if T::STATES_VERSIONS && self.attempt.read_version.is_none() {
            let version = self.inner.read_version().await;
            self.attempt.read_version = Some(Version(self.noticed(version)?));
        }
        self.attempt.ops.push(op);
        Ok(())
    }

    /// Notes that the try has failed if this is an error.
    fn noticed<R>(&mut self, result: Result<R, Error>) -> Result<R, Error> {
        if result.is_err() {
            self.attempt.progress = Progress::Failed;
        }
        result
    }

    /// Writes the try down and begins the next.
    fn end(&mut self, outcome: Outcome) {
        let mut recorder = lock(&self.recorder);
        let now = recorder.now();
        let attempt = std::mem::replace(&mut self.attempt, Attempt::beginning(now));
        if attempt.ops.is_empty() {
            return;
        }
        let Attempt { begin, read_version, ops, .. } = attempt;
        recorder.record(Transaction {
            client: 0,
            number: 0,
            intended: None,
            begin,
            end: now,
            read_version,
            ops,
            outcome,
        });
    }

    /// Writes down a try that ends without a commit that was answered.
    fn give_up(&mut self) {
        let only_reads = !self.attempt.ops.iter().any(Op::is_write);
        self.end(match self.attempt.progress {
            Progress::Committing => Outcome::Unknown,
            Progress::Open if only_reads => Outcome::Committed(None),
            Progress::Open | Progress::Failed => Outcome::Failed,
        });
    }
}

fn read_kind(isolation: Isolation) -> ReadKind {
    match isolation {
        Isolation::Serializable => ReadKind::Serializable,
        Isolation::Snapshot => ReadKind::Snapshot,
    }
}

/// The rows that a read has covered: one that reached its limit ends behind its last row.
fn covered(span: Span<'_>, rows: &[(Bytes, Bytes)]) -> (Bytes, Bytes) {
    let mut begin = Bytes::copy_from_slice(span.begin);
    let mut end = Bytes::copy_from_slice(span.end);
    if rows.len() >= span.rows as usize
        && let Some((last, _)) = rows.last()
    {
        if span.reverse {
            begin = last.clone();
        } else {
            end = [last.as_ref(), &[0]].concat().into();
        }
    }
    (begin, end)
}

impl<T: Transact> Transact for Recorded<T> {
    const STATES_VERSIONS: bool = T::STATES_VERSIONS;

    async fn get(&mut self, key: &[u8], isolation: Isolation) -> Result<Option<Bytes>, Error> {
        let read = self.inner.get(key, isolation).await;
        let value = self.noticed(read)?;
        let found = value.as_deref().map(ValueHash::of);
        let key = Bytes::copy_from_slice(key);
        self.note_read(Op::Get { key, found, kind: read_kind(isolation) }).await?;
        Ok(value)
    }

    async fn get_range(
        &mut self,
        span: Span<'_>,
        isolation: Isolation,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let read = self.inner.get_range(span, isolation).await;
        let found = self.noticed(read)?;
        let (begin, end) = covered(span, &found);
        let rows = found.iter().map(|(key, value)| (key.clone(), ValueHash::of(value))).collect();
        self.note_read(Op::Range { begin, end, rows, kind: read_kind(isolation) }).await?;
        Ok(found)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        let mut value = value.to_vec();
        Values::number(&mut value, key, lock(&self.recorder).next_value());
        self.inner.set(key, &value);
        let key = Bytes::copy_from_slice(key);
        self.attempt.ops.push(Op::Set { key, value: ValueHash::of(&value) });
    }

    fn clear(&mut self, key: &[u8]) {
        self.inner.clear(key);
        self.attempt.ops.push(Op::Clear { key: Bytes::copy_from_slice(key) });
    }

    fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        self.inner.clear_range(begin, end);
        let [begin, end] = [begin, end].map(Bytes::copy_from_slice);
        self.attempt.ops.push(Op::ClearRange { begin, end });
    }

    async fn read_version(&mut self) -> Result<u64, Error> {
        let read = self.inner.read_version().await;
        let version = self.noticed(read)?;
        if T::STATES_VERSIONS {
            self.attempt.read_version = Some(Version(version));
        }
        Ok(version)
    }

    async fn commit(&mut self) -> Result<Option<u64>, Error> {
        Ok(self.commit_stamped().await?.map(|stamp| stamp.version().0))
    }

    async fn commit_stamped(&mut self) -> Result<Option<Versionstamp>, Error> {
        self.attempt.progress = Progress::Committing;
        let committed = self.inner.commit_stamped().await;
        self.end(match &committed {
            Ok(stamp) => Outcome::Committed(*stamp),
            Err(error) if error.code == ErrorCode::NOT_COMMITTED => Outcome::Conflicted,
            Err(error) if error.code.is_retryable_not_committed() => Outcome::Failed,
            // Of a commit that was given up on, as at a timeout, nobody knows either.
            Err(_) => Outcome::Unknown,
        });
        committed
    }

    async fn on_error(&mut self, error: Error) -> Result<(), Error> {
        self.attempt.progress = Progress::Failed;
        self.give_up();
        let waited = self.inner.on_error(error).await;
        self.attempt = Attempt::beginning(lock(&self.recorder).now());
        waited
    }

    fn reset(&mut self) {
        self.give_up();
        self.inner.reset();
    }
}

impl<T: Transact> Drop for Recorded<T> {
    fn drop(&mut self) {
        self.give_up();
    }
}
