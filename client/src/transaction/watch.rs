//! Watches: to be told when a key's value changes.
//!
//! A watch compares with the value that its transaction sees, own writes included, and becomes
//! active when the transaction has committed. It fires once. It may fire without need, and it may
//! miss a value that changed and changed back.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, KeyspaceId, Mutation, MutationOp, Version};
use tokio::sync::Notify;

use super::{Transaction, guard::Deadline, write::outside};
use crate::{Backend, IntoBytes, database::WatchPermit, lock::lock};

/// How a watch stands.
#[derive(Clone, Debug)]
enum Stage {
    /// Its transaction has not committed yet.
    Waiting,
    /// The transaction itself has changed the value.
    Fired,
    /// The database is to be asked; the version is one at which the value was the one known.
    Active(Version),
    /// It won't become active.
    Failed(Error),
}

#[derive(Debug)]
struct Shared {
    stage: Mutex<Stage>,
    changed: Notify,
    keyspace: KeyspaceId,
    key: Bytes,
    value: Option<Bytes>,
}

impl Shared {
    fn advance(&self, stage: Stage) {
        {
            let mut present = lock(&self.stage);
            if !matches!(*present, Stage::Waiting) {
                return;
            }
            *present = stage;
        }
        self.changed.notify_waiters();
    }
}

/// What a transaction keeps of a watch that waits for its commit.
#[derive(Debug)]
pub(super) struct WatchSlot(Arc<Shared>);

impl WatchSlot {
    pub(super) fn activate(self, version: Version) {
        self.0.advance(Stage::Active(version));
    }

    pub(super) fn fail(self, error: &Error) {
        self.0.advance(Stage::Failed(error.clone()));
    }

    /// Fires the watch if the mutation gives its key another value, or one that isn't known.
    pub(super) fn see_write(&self, mutation: &Mutation) {
        let watch = &self.0;
        if mutation.keyspace != watch.keyspace {
            return;
        }
        let key = &watch.key;
        let changes = match &mutation.op {
            MutationOp::Set { key: set, value } => {
                set == key && watch.value.as_ref() != Some(value)
            }
            MutationOp::Clear { key: cleared } => cleared == key && watch.value.is_some(),
            MutationOp::ClearRange { begin, end } => {
                begin <= key && key < end && watch.value.is_some()
            }
            MutationOp::Atomic { key: changed, .. }
            | MutationOp::SetVersionstampedValue { key: changed, .. } => changed == key,
            MutationOp::SetVersionstampedKey { .. } => false,
        };
        if changes {
            watch.advance(Stage::Fired);
        }
    }
}

/// A watch on one key. Waiting for it is [`Watch::changed`]; dropping it ends it.
#[must_use = "a watch that is dropped tells nothing"]
pub struct Watch<B: Backend> {
    backend: B,
    shared: Arc<Shared>,
    deadline: Deadline<B>,
    _permit: WatchPermit,
}

impl<B: Backend> fmt::Debug for Watch<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("key", &self.shared.key).finish_non_exhaustive()
    }
}

impl<B: Backend> Watch<B> {
    /// Waits until the value is another one. Fails as the transaction's commit did if that failed,
    /// and with `transaction_cancelled` if there was none.
    pub async fn changed(self) -> Result<(), Error> {
        let version = loop {
            let notified = self.shared.changed.notified();
            let stage = lock(&self.shared.stage).clone();
            match stage {
                Stage::Waiting => self.deadline.guard(notified).await,
                Stage::Fired => return Ok(()),
                Stage::Active(version) => break version,
                Stage::Failed(error) => return Err(error),
            }
        };
        let shared = &self.shared;
        self.backend
            .watch(version, shared.keyspace, shared.key.clone(), shared.value.clone())
            .await
            .map(|_| ())
    }
}

impl<B: Backend> Transaction<B> {
    /// Watches `key`: what is returned tells, once this transaction has committed, when the value
    /// is another than the one this transaction sees. Reads the key, as [`Transaction::get`] does.
    pub async fn watch(&self, key: impl IntoBytes) -> Result<Watch<B>, Error> {
        let key = key.into_bytes();
        // To a commit that waits for reads this is one until the watch is among those it activates.
        let _pending = {
            let mut state = self.admitted()?;
            if !state.options.read_your_writes {
                return Err(ErrorCode::WATCHES_DISABLED.into());
            }
            if key.as_ref() >= state.max_read_key() && !self.is_metadata_version(&key) {
                return Err(outside(&key));
            }
            let limit = state.readable_key_bytes_max(&key, &self.limits());
            if key.len() > limit {
                let text = format!("A watched key can't be longer than {limit} bytes");
                return Err(Error::new(ErrorCode::KEY_TOO_LARGE, text));
            }
            state.is_touched = true;
            self.begin_read(&mut state)
        };
        let permit = self.database().watch_permit()?;
        let (generation, value) = self.read_value(&key, false).await?;
        let shared = Arc::new(Shared {
            stage: Mutex::new(Stage::Waiting),
            changed: Notify::new(),
            keyspace: self.keyspace,
            key,
            value,
        });
        let mut state = self.state();
        state.check_alive(generation)?;
        if state.is_used_up && !state.commit_awaits_reads {
            let failure = state.read_failure.clone();
            return Err(failure.unwrap_or_else(|| ErrorCode::USED_DURING_COMMIT.into()));
        }
        state.watches.push(WatchSlot(Arc::clone(&shared)));
        drop(state);
        let (backend, deadline) = (self.backend().clone(), self.watched_deadline());
        Ok(Watch { backend, shared, deadline, _permit: permit })
    }
}
