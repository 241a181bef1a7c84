//! Transactions: FoundationDB's semantics, over any backend.
//!
//! A transaction reads from one snapshot of the database, at its read version, and keeps its writes
//! to itself until the commit sends them, with what it has read. The commit succeeds if nobody has
//! written to any of that since. So transactions are strictly serializable: they happen as though
//! one at a time, in the order in which their commits and their reads of the newest state are seen.
//!
//! How a call goes through the files of this module:
//!
//! - a write: `write`, or `mutate` for those in FoundationDB's form, which puts it into the log of
//!   [`overlay`](self);
//! - a read: `read` for one key, `page` for a range, `selector` for a key selector; a `run` walks
//!   over `segments`, which are the [`overlay`](self) over the `cache` of what was read, with the
//!   page's limits as its `room`; where it meets the unknown it makes a `question`, and `ask` answers
//!   it from the `source`; `covered` says what was depended on, `conflicts` collects that;
//! - a commit: `commit`, which sends log and conflicts, and wakes `watch`es and versionstamps;
//! - an error: `retry`, which says whether to begin again and when.
//!
//! `state` is what they share, behind one lock that is held for a few instructions at a time.

mod ask;
mod cache;
mod commit;
mod conflicts;
mod covered;
mod guard;
mod mapped;
mod measure;
mod mutate;
mod options;
mod overlay;
mod page;
mod pending;
mod question;
mod range_set;
mod read;
mod retry;
mod room;
mod run;
mod segments;
mod selector;
mod settings;
mod source;
mod special_keys;
mod state;
mod stream;
mod system_keys;
mod view;
mod watch;
mod write;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

pub use mapped::{MappedPage, MappedRow};
pub use options::{LockAware, SpecialKeys, SystemKeys, TransactionOption, TransactionOptions};
pub use page::{Page, RangeRead, StreamingMode};
use plinth_protocol::{Error, KeyspaceId, limits::Limits};
use state::State;
pub use stream::RangeStream;
use tokio::sync::Notify;
pub use view::SnapshotReads;
pub use watch::Watch;

use crate::{Backend, Database, lock::lock};

/// A transaction: a handle, cheap to clone, on a state that the clones share. All methods take
/// `&self`; what they return may be awaited together.
///
/// A handle works in one keyspace; [`Transaction::in_keyspace`] gives one on the same transaction in
/// another.
pub struct Transaction<B: Backend> {
    inner: Arc<Inner<B>>,
    keyspace: KeyspaceId,
}

struct Inner<B: Backend> {
    database: Database<B>,
    /// What the database accepts; asked once.
    limits: Limits,
    state: Mutex<State<B::Snapshot>>,
    /// Told when the transaction ends, begins again, or gets another deadline.
    changed: Arc<Notify>,
}

impl<B: Backend> Clone for Transaction<B> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), keyspace: self.keyspace }
    }
}

impl<B: Backend> fmt::Debug for Transaction<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("keyspace", &self.keyspace).finish_non_exhaustive()
    }
}

impl<B: Backend> Transaction<B> {
    pub(crate) fn new(database: Database<B>) -> Self {
        let state = Mutex::new(State::new(database.defaults()));
        let limits = database.limits();
        let inner = Inner { database, limits, state, changed: Arc::default() };
        Self { inner: Arc::new(inner), keyspace: KeyspaceId::DEFAULT }
    }

    /// The same transaction, in another keyspace. It is the caller's to know that the keyspace
    /// exists; [`Transaction::open_keyspace`] looks and makes sure that it stays.
    pub fn in_keyspace(&self, keyspace: KeyspaceId) -> Self {
        Self { inner: Arc::clone(&self.inner), keyspace }
    }

    /// The keyspace that this handle works in.
    pub fn keyspace(&self) -> KeyspaceId {
        self.keyspace
    }

    /// The database that this is a transaction of.
    pub fn database(&self) -> &Database<B> {
        &self.inner.database
    }

    fn backend(&self) -> &B {
        self.inner.database.backend()
    }

    fn limits(&self) -> Limits {
        self.inner.limits
    }

    fn state(&self) -> MutexGuard<'_, State<B::Snapshot>> {
        lock(&self.inner.state)
    }

    /// The state, if a call that can fail may go on.
    fn admitted(&self) -> Result<MutexGuard<'_, State<B::Snapshot>>, Error> {
        let mut state = self.state();
        match state.admit() {
            Ok(()) => Ok(state),
            Err(error) => {
                drop(state);
                // It may be that this very call has ended the transaction.
                self.inner.changed.notify_waiters();
                Err(error)
            }
        }
    }
}
