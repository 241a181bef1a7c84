//! Clients with a planted bug each, which the model must find.

use plinth_client::KeySelector;

use super::{client::Machine, operation::RETRY_LIMIT};
use crate::golden::runner::operations::{Answer, Client, Code, Conflicts, Operations, Range, Row};

/// What is wrong with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Reads of a key add no conflict.
    DropsConflicts,
    /// Reads that nobody waits for add none.
    DropsAbandonedReads,
    /// Range reads add none.
    DropsRangeConflicts,
    /// Pages that a limit ended say that nothing more is there.
    SaysNothingIsLeft,
    /// Pages at the end say that there may be more.
    SaysMoreIsLeft,
    /// Reads don't see what the transaction has written.
    ForgetsOwnWrites,
    /// Snapshot reads add conflicts.
    SnapshotsConflict,
    /// A key selector that is equal or greater is taken for a greater one.
    MovesSelectors,
    /// A range is cleared but for its first key.
    ClearsLess,
    /// AND works as for API versions below 510.
    AndsWithZeros,
    /// A conflict is answered as success.
    HidesConflicts,
    /// The option for a write without a conflict is ignored.
    IgnoresSilence,
    /// Explicit conflict ranges are lost.
    LosesExplicitConflicts,
    /// After a conflict everything stays as it is.
    KeepsWritesAfterErrors,
    /// Watches tell nothing but errors.
    FailsWatches,
    /// `on_error` begins again once more than it may.
    TriesOnceMore,
    /// Sizes are one too large: the contract leaves them open, but all clients must agree.
    MiscountsSizes,
}

/// A client with a bug.
pub(super) struct Faulty<C>(pub(super) C, pub(super) Bug);

/// A transaction with a bug.
pub(super) struct FaultyTransaction<T>(T, Bug);

impl<C: Client> Client for Faulty<C> {
    type Transaction = FaultyTransaction<C::Transaction>;

    fn begin(&self) -> Self::Transaction {
        let transaction = self.0.begin();
        if self.1 == Bug::ForgetsOwnWrites {
            transaction.set_option(601).unwrap();
        }
        FaultyTransaction(transaction, self.1)
    }
}

impl<T: Operations> Operations for FaultyTransaction<T> {
    async fn get(&self, key: &[u8], snapshot: bool) -> Answer<Option<Vec<u8>>> {
        if self.1 == Bug::ForgetsOwnWrites && !snapshot {
            // Nothing but what is answered is wrong.
            self.0.get(key, false).await?;
        }
        let snapshot = match self.1 {
            Bug::DropsConflicts | Bug::ForgetsOwnWrites => true,
            Bug::SnapshotsConflict => false,
            _ => snapshot,
        };
        self.0.get(key, snapshot).await
    }

    async fn get_key(&self, selector: &KeySelector, snapshot: bool) -> Answer<Vec<u8>> {
        let or_equal = selector.or_equal || self.1 == Bug::MovesSelectors;
        self.0.get_key(&KeySelector { or_equal, ..selector.clone() }, snapshot).await
    }

    async fn get_range(&self, range: &Range) -> Answer<(Vec<Row>, bool)> {
        let snapshot = range.snapshot || self.1 == Bug::DropsRangeConflicts;
        let (rows, more) = self.0.get_range(&Range { snapshot, ..range.clone() }).await?;
        let more = match self.1 {
            Bug::SaysNothingIsLeft => false,
            Bug::SaysMoreIsLeft => true,
            _ => more,
        };
        Ok((rows, more))
    }

    async fn get_read_version(&self) -> Answer<i64> {
        self.0.get_read_version().await
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.set(key, value);
    }

    fn clear(&self, key: &[u8]) {
        self.0.clear(key);
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        if self.1 == Bug::ClearsLess && begin < end {
            self.0.clear_range(&[begin, b"\0"].concat(), end);
        } else {
            self.0.clear_range(begin, end);
        }
    }

    fn atomic_op(&self, operation: i32, key: &[u8], parameter: &[u8]) {
        if self.1 == Bug::AndsWithZeros && operation == 6 {
            self.0.atomic_op(6, key, &vec![0; parameter.len()]);
        } else {
            self.0.atomic_op(operation, key, parameter);
        }
    }

    fn add_conflict_range(&self, begin: &[u8], end: &[u8], kind: i32) -> Answer<()> {
        if self.1 == Bug::LosesExplicitConflicts {
            return Ok(());
        }
        self.0.add_conflict_range(begin, end, kind)
    }

    fn set_option(&self, option: i32) -> Answer<()> {
        if self.1 == Bug::IgnoresSilence && option == 30 {
            return Ok(());
        }
        self.0.set_option(option)
    }

    async fn conflicts(&self, which: Conflicts) -> Answer<Vec<Row>> {
        self.0.conflicts(which).await
    }

    async fn commit(&self) -> Answer<i64> {
        match self.0.commit().await {
            Err(1020) if self.1 == Bug::HidesConflicts => Ok(i64::MAX),
            answer => answer,
        }
    }

    async fn on_error(&self, code: Code) -> Answer<()> {
        if self.1 == Bug::KeepsWritesAfterErrors {
            return Ok(());
        }
        self.0.on_error(code).await
    }

    fn reset(&self) {
        self.0.reset();
    }

    fn cancel(&self) {
        self.0.cancel();
    }
}

impl<T: Machine> Machine for FaultyTransaction<T> {
    type Stamp = T::Stamp;
    type Watch = (T::Watch, Bug);

    fn abandon(&self, key: &[u8]) {
        if self.1 != Bug::DropsAbandonedReads {
            self.0.abandon(key);
        }
    }

    fn set_value(&self, option: i32, value: i64) -> Answer<()> {
        let value = value + i64::from(self.1 == Bug::TriesOnceMore && option == RETRY_LIMIT);
        self.0.set_value(option, value)
    }

    fn set_read_version(&self, version: i64) {
        self.0.set_read_version(version);
    }

    fn get_versionstamp(&self) -> Self::Stamp {
        self.0.get_versionstamp()
    }

    async fn stamp(stamp: Self::Stamp) -> Answer<Vec<u8>> {
        T::stamp(stamp).await
    }

    async fn watch(&self, key: &[u8]) -> Self::Watch {
        (self.0.watch(key).await, self.1)
    }

    async fn changed((watch, bug): Self::Watch) -> Answer<()> {
        let changed = T::changed(watch).await;
        if bug == Bug::FailsWatches { Err(1101) } else { changed }
    }

    async fn get_approximate_size(&self) -> Answer<i64> {
        let size = self.0.get_approximate_size().await?;
        Ok(size + i64::from(self.1 == Bug::MiscountsSizes))
    }

    fn get_committed_version(&self) -> i64 {
        self.0.get_committed_version()
    }
}
