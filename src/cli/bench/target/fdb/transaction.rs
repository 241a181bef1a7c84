//! A transaction of FoundationDB's C library.

use std::mem::replace;

use bytes::Bytes;
use foundationdb::{
    FdbError, RangeOption, Transaction, TransactionCommitError, options::StreamingMode,
};
use plinth_client::{Error, ErrorCode};
use plinth_protocol::Versionstamp;

use super::library::error;
use crate::cli::bench::target::transact::{Isolation, Span, Transact};

/// A transaction. The crate's own changes its type as it goes; this stays what it is, as the native
/// client's does.
pub(crate) struct FdbTransaction {
    state: State,
}

enum State {
    Open(Transaction),
    /// Its commit has failed, and nothing was done about it yet.
    Failed(TransactionCommitError),
    /// It could not be begun, or a commit or a back-off of it was given up.
    Gone(Error),
}

/// Whether a read adds no conflict, as the crate has it.
fn is_snapshot(isolation: Isolation) -> bool {
    isolation == Isolation::Snapshot
}

impl FdbTransaction {
    /// A transaction, or why there is none: its first use fails with it.
    pub(super) fn new(begun: Result<Transaction, FdbError>) -> Self {
        let state = match begun {
            Ok(transaction) => State::Open(transaction),
            Err(why) => State::Gone(error(why)),
        };
        Self { state }
    }

    fn open(&self) -> Result<&Transaction, Error> {
        match &self.state {
            State::Open(transaction) => Ok(transaction),
            State::Failed(failed) => Err(error(**failed)),
            State::Gone(why) => Err(why.clone()),
        }
    }

    fn take(&mut self) -> State {
        replace(&mut self.state, State::Gone(ErrorCode::OPERATION_CANCELLED.into()))
    }
}

impl Transact for FdbTransaction {
    const STATES_VERSIONS: bool = true;

    async fn get(&mut self, key: &[u8], isolation: Isolation) -> Result<Option<Bytes>, Error> {
        let value = self.open()?.get(key, is_snapshot(isolation)).await.map_err(error)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    async fn get_range(
        &mut self,
        span: Span<'_>,
        isolation: Isolation,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let transaction = self.open()?;
        let mut rows = Vec::new();
        let mut left = Some(RangeOption {
            limit: Some(span.rows as usize),
            mode: StreamingMode::WantAll,
            reverse: span.reverse,
            ..RangeOption::from((span.begin, span.end))
        });
        let mut iteration = 0;
        while let Some(range) = left {
            iteration += 1;
            let page = transaction.get_range(&range, iteration, is_snapshot(isolation)).await;
            let page = page.map_err(error)?;
            let copied = Bytes::copy_from_slice;
            rows.extend(page.iter().map(|row| (copied(row.key()), copied(row.value()))));
            left = range.next_range(&page);
        }
        Ok(rows)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        // Without a transaction the commit fails.
        if let Ok(transaction) = self.open() {
            transaction.set(key, value);
        }
    }

    fn clear(&mut self, key: &[u8]) {
        if let Ok(transaction) = self.open() {
            transaction.clear(key);
        }
    }

    fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        if let Ok(transaction) = self.open() {
            transaction.clear_range(begin, end);
        }
    }

    async fn read_version(&mut self) -> Result<u64, Error> {
        let version = self.open()?.get_read_version().await.map_err(error)?;
        u64::try_from(version).map_err(|_| ErrorCode::INTERNAL_ERROR.into())
    }

    async fn commit(&mut self) -> Result<Option<u64>, Error> {
        self.open()?;
        let State::Open(transaction) = self.take() else {
            return Err(ErrorCode::USED_DURING_COMMIT.into());
        };
        match transaction.commit().await {
            Ok(committed) => {
                let version = committed.committed_version();
                self.state = State::Open(committed.reset());
                // Where nothing was written there is none: it is -1.
                Ok(u64::try_from(version.map_err(error)?).ok())
            }
            Err(failed) => {
                let why = error(*failed);
                self.state = State::Failed(failed);
                Err(why)
            }
        }
    }

    async fn commit_stamped(&mut self) -> Result<Option<Versionstamp>, Error> {
        // Asked for before the commit, told after it.
        let stamp = self.open()?.get_versionstamp();
        if self.commit().await?.is_none() {
            return Ok(None);
        }
        let stamp = stamp.await.map_err(error)?;
        let bytes = stamp.as_ref().try_into().map_err(|_| {
            let message = format!("a versionstamp has {} bytes", stamp.len());
            Error::new(ErrorCode::INTERNAL_ERROR, message)
        })?;
        Ok(Some(Versionstamp(bytes)))
    }

    async fn on_error(&mut self, why: Error) -> Result<(), Error> {
        let code = FdbError::from_code(why.code.0.into());
        let waited = match self.take() {
            State::Open(transaction) => transaction.on_error(code).await,
            State::Failed(failed) if failed.code() == code.code() => failed.on_error().await,
            State::Failed(failed) => failed.reset().on_error(code).await,
            State::Gone(_) => return Err(why),
        };
        match waited {
            Ok(transaction) => {
                self.state = State::Open(transaction);
                Ok(())
            }
            Err(_) => Err(why),
        }
    }

    fn reset(&mut self) {
        self.state = match self.take() {
            State::Open(mut transaction) => {
                transaction.reset();
                State::Open(transaction)
            }
            State::Failed(failed) => State::Open(failed.reset()),
            State::Gone(why) => State::Gone(why),
        };
    }
}
