//! A database: where transactions begin, and the loop that tries them until they commit.

use std::{
    fmt,
    future::Future,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::{BufMut, Bytes, BytesMut};
use plinth_protocol::{Error, ErrorCode, limits::Limits};

use crate::{
    backend::{Backend, OpenBackend},
    lock::lock,
    transaction::{Transaction, TransactionOptions},
};

/// The most watches of one database handle and its clones, unless set otherwise.
const WATCHES_MAX: usize = 10_000;

/// A database. Cheap to clone; the clones share what they stand on.
///
/// Waiting (for a server, a retry, a timeout) needs a tokio runtime with time enabled.
#[cfg(feature = "tcp")]
pub struct Database<B: Backend = crate::TcpBackend> {
    shared: Arc<Shared<B>>,
}

/// A database. Cheap to clone; the clones share what they stand on.
///
/// Waiting (for a retry, a timeout) needs a tokio runtime with time enabled.
#[cfg(not(feature = "tcp"))]
pub struct Database<B: Backend> {
    shared: Arc<Shared<B>>,
}

struct Shared<B> {
    backend: B,
    defaults: Mutex<TransactionOptions>,
    handle: Arc<Handle>,
}

/// What all handles on one database share, whatever their defaults.
struct Handle {
    /// Random: the first half of this handle's idempotency ids.
    id: u64,
    /// The second half of the next idempotency id; also drives the jitter of retries.
    sequence: AtomicU64,
    watches: AtomicUsize,
    watches_max: AtomicUsize,
}

/// One of a database's watches; counted until it is dropped.
pub(crate) struct WatchPermit(Arc<Handle>);

impl Drop for WatchPermit {
    fn drop(&mut self) {
        self.0.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B: Backend> Clone for Database<B> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<B: Backend> fmt::Debug for Database<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("defaults", &self.defaults()).finish_non_exhaustive()
    }
}

impl<B: OpenBackend> Database<B> {
    /// Opens the database in a directory, in this process; makes an empty one where there is none.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, B::Options::default())
    }

    /// Opens the database in a directory with options.
    pub fn open_with(path: impl AsRef<Path>, options: B::Options) -> Result<Self, Error> {
        B::open(path.as_ref(), options).map(Self::new)
    }
}

impl<B: Backend> Database<B> {
    /// The database behind a backend.
    pub fn new(backend: B) -> Self {
        let handle = Arc::new(Handle {
            id: random_id(),
            sequence: AtomicU64::new(1),
            watches: AtomicUsize::new(0),
            watches_max: AtomicUsize::new(WATCHES_MAX),
        });
        let defaults = Mutex::default();
        Self { shared: Arc::new(Shared { backend, defaults, handle }) }
    }

    /// The same database, whose transactions begin with these options.
    pub fn with_defaults(&self, defaults: TransactionOptions) -> Self {
        let backend = self.shared.backend.clone();
        let (handle, defaults) = (Arc::clone(&self.shared.handle), Mutex::new(defaults));
        Self { shared: Arc::new(Shared { backend, defaults, handle }) }
    }

    /// The options with which transactions begin.
    pub fn defaults(&self) -> TransactionOptions {
        lock(&self.shared.defaults).clone()
    }

    /// Changes the options with which transactions begin, of this handle and its clones. Those that
    /// have begun already meet the change when they begin again.
    pub fn change_defaults(&self, change: impl FnOnce(&mut TransactionOptions)) {
        change(&mut lock(&self.shared.defaults));
    }

    /// Sets how many watches there may be at once, of all handles on this database.
    pub fn set_watches_max(&self, watches_max: usize) {
        self.shared.handle.watches_max.store(watches_max, Ordering::Relaxed);
    }

    /// What this database stands on.
    pub fn backend(&self) -> &B {
        &self.shared.backend
    }

    /// What this database accepts.
    pub fn limits(&self) -> Limits {
        self.shared.backend.limits()
    }

    /// A new transaction.
    pub fn transaction(&self) -> Transaction<B> {
        Transaction::new(self.clone())
    }

    /// Runs `body` in a transaction and commits it, again and again until that succeeds or fails
    /// for a reason against which trying again doesn't help.
    ///
    /// The body may run several times, and after `commit_unknown_result` it may run again although
    /// its last try was committed; idempotency ids, on by default, make that rare. It should do
    /// nothing but use the transaction. An error of its own ends the loop, without a commit.
    pub async fn transact<T, F, Work>(&self, mut body: F) -> Result<T, Error>
    where
        F: FnMut(Transaction<B>) -> Work,
        Work: Future<Output = Result<T, Error>>,
    {
        let transaction = self.transaction();
        loop {
            let error = match body(transaction.clone()).await {
                Ok(value) => match transaction.commit().await {
                    Ok(_) => return Ok(value),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            transaction.on_error(error).await?;
        }
    }

    /// An idempotency id that no other commit has.
    pub(crate) fn idempotency_id(&self) -> Bytes {
        let handle = &self.shared.handle;
        let mut id = BytesMut::with_capacity(16);
        id.put_u64(handle.id);
        id.put_u64(handle.sequence.fetch_add(1, Ordering::Relaxed));
        id.freeze()
    }

    /// At least 0, less than 1; good enough to keep clients from retrying in step.
    pub(crate) fn random_fraction(&self) -> f64 {
        let handle = &self.shared.handle;
        let sequence = handle.sequence.fetch_add(1, Ordering::Relaxed);
        let mut mixed = handle.id ^ sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from((mixed >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }

    /// Room for one more watch.
    pub(crate) fn watch_permit(&self) -> Result<WatchPermit, Error> {
        let handle = Arc::clone(&self.shared.handle);
        let count = handle.watches.fetch_add(1, Ordering::Relaxed);
        let watches_max = handle.watches_max.load(Ordering::Relaxed);
        let permit = WatchPermit(handle);
        if count < watches_max { Ok(permit) } else { Err(ErrorCode::TOO_MANY_WATCHES.into()) }
    }
}

/// Random bytes of the operating system; where it has none to give, those that the standard library
/// seeds its maps with.
fn random_id() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    getrandom::u64()
        .unwrap_or_else(|_| std::collections::hash_map::RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use plinth_protocol::AtomicOp;

    use super::*;
    use crate::testing::MemoryBackend;

    #[tokio::test]
    async fn transact_tries_again_until_nobody_interferes() {
        let db = Database::new(MemoryBackend::new());
        let mut tries = 0;
        let seen = db
            .transact(|tx| {
                tries += 1;
                let (db, interferes) = (db.clone(), tries < 3);
                async move {
                    let seen = tx.get("count").await?;
                    if interferes {
                        let other = db.transaction();
                        other.atomic(AtomicOp::Add, "count", [1]);
                        other.commit().await?;
                    }
                    tx.set("mine", "written");
                    Ok(seen)
                }
            })
            .await
            .unwrap();
        assert_eq!((tries, seen.as_deref()), (3, Some(&[2_u8][..])));
    }

    #[test]
    fn watches_are_counted_and_come_back() {
        let db = Database::new(MemoryBackend::new());
        let permits: Vec<_> = (0..WATCHES_MAX).map(|_| db.watch_permit().unwrap()).collect();
        let refused = db.clone().watch_permit().map(|_| ()).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TOO_MANY_WATCHES);
        drop(permits);
        assert!(db.watch_permit().is_ok());
    }

    #[test]
    fn the_limit_of_watches_can_be_set() {
        let db = Database::new(MemoryBackend::new());
        db.set_watches_max(1);
        let first = db.watch_permit().unwrap();
        let refused = db.with_defaults(db.defaults()).watch_permit().map(|_| ()).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TOO_MANY_WATCHES);
        drop(first);
        assert!(db.watch_permit().is_ok());
    }

    #[tokio::test]
    async fn changed_defaults_are_met_by_new_transactions_and_by_resets() {
        let db = Database::new(MemoryBackend::new());
        let (tx, other) = (db.transaction(), db.with_defaults(db.defaults()).transaction());
        db.clone().change_defaults(|defaults| defaults.size_limit = Some(40));
        for (transaction, fits) in [(&tx, true), (&other, true), (&db.transaction(), false)] {
            transaction.set("key", "value");
            assert_eq!(transaction.commit().await.is_ok(), fits);
        }
        tx.reset();
        tx.set("key", "value");
        assert_eq!(tx.commit().await.unwrap_err().code, ErrorCode::TRANSACTION_TOO_LARGE);
    }

    #[test]
    fn random_fractions_spread_over_the_whole_interval() {
        let db = Database::new(MemoryBackend::new());
        let drawn: Vec<f64> = (0..1000).map(|_| db.random_fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        assert!((400..600).contains(&drawn.iter().filter(|fraction| **fraction < 0.5).count()));
    }
}
