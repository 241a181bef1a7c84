//! What the machines ask of a client beyond the operations of the golden programs.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use plinth_client::{Backend, Transaction as NativeTransaction, TransactionOption, Version};
use tokio::task::JoinHandle;

use super::operation::{RETRY_LIMIT, SIZE_LIMIT};
use crate::{
    ffi::{Future, Transaction},
    golden::runner::operations::{Answer, Code, Operations},
};

/// How long a watch may take to tell.
const WATCH_LIMIT: Duration = Duration::from_secs(5);
/// What is answered of one that takes longer.
const TIMED_OUT: Code = 1004;

/// A transaction of which everything can be asked.
pub(super) trait Machine: Operations {
    /// A stamp that is waited for.
    type Stamp;
    /// A watch that is waited for.
    type Watch;

    /// Begins to read a key, and lets go.
    fn abandon(&self, key: &[u8]);
    fn set_value(&self, option: i32, value: i64) -> Answer<()>;
    fn set_read_version(&self, version: i64);
    fn get_versionstamp(&self) -> Self::Stamp;
    async fn stamp(stamp: Self::Stamp) -> Answer<Vec<u8>>;
    /// Watches a key that the transaction has read.
    async fn watch(&self, key: &[u8]) -> Self::Watch;
    async fn changed(watch: Self::Watch) -> Answer<()>;
    async fn get_approximate_size(&self) -> Answer<i64>;
    fn get_committed_version(&self) -> i64;
}

impl<B: Backend> Machine for NativeTransaction<B> {
    type Stamp = JoinHandle<Answer<Vec<u8>>>;
    type Watch = JoinHandle<Answer<()>>;

    fn abandon(&self, key: &[u8]) {
        let mut read = pin!(Self::get(self, key.to_vec()));
        // Whether it is done at once or never makes no difference.
        let _ = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }

    fn set_value(&self, option: i32, value: i64) -> Answer<()> {
        Self::set_option(
            self,
            match option {
                RETRY_LIMIT => TransactionOption::RetryLimit(u32::try_from(value).ok()),
                SIZE_LIMIT => TransactionOption::SizeLimit(usize::try_from(value).unwrap()),
                other => unreachable!("option {other} is not in the programs"),
            },
        );
        Ok(())
    }

    fn set_read_version(&self, version: i64) {
        Self::set_read_version(self, Version(u64::try_from(version).unwrap()));
    }

    fn get_versionstamp(&self) -> Self::Stamp {
        let stamp = Self::get_versionstamp(self);
        tokio::spawn(async move {
            stamp.await.map(|stamp| stamp.0.to_vec()).map_err(|error| error.code.0)
        })
    }

    async fn stamp(stamp: Self::Stamp) -> Answer<Vec<u8>> {
        stamp.await.unwrap()
    }

    async fn watch(&self, key: &[u8]) -> Self::Watch {
        let watch = Self::watch(self, key.to_vec()).await;
        tokio::spawn(async move {
            match watch {
                Ok(watch) => watch.changed().await.map_err(|error| error.code.0),
                Err(error) => Err(error.code.0),
            }
        })
    }

    async fn changed(watch: Self::Watch) -> Answer<()> {
        tokio::time::timeout(WATCH_LIMIT, watch).await.map_or(Err(TIMED_OUT), Result::unwrap)
    }

    async fn get_approximate_size(&self) -> Answer<i64> {
        let size = self.approximate_size().map_err(|error| error.code.0)?;
        Ok(i64::try_from(size).unwrap())
    }

    fn get_committed_version(&self) -> i64 {
        self.committed_version().map_or(-1, |version| i64::try_from(version.0).unwrap())
    }
}

impl Machine for Transaction {
    type Stamp = Future;
    type Watch = Future;

    fn abandon(&self, key: &[u8]) {
        Self::get(self, key, false).cancel();
    }

    fn set_value(&self, option: i32, value: i64) -> Answer<()> {
        Self::set_option(self, option, &value.to_le_bytes())
            .map_err(|code| u16::try_from(code).unwrap())
    }

    fn set_read_version(&self, version: i64) {
        Self::set_read_version(self, version);
    }

    fn get_versionstamp(&self) -> Future {
        Self::get_versionstamp(self)
    }

    async fn stamp(stamp: Future) -> Answer<Vec<u8>> {
        stamp.wait().and_then(|stamp| stamp.key()).map_err(|code| u16::try_from(code).unwrap())
    }

    async fn watch(&self, key: &[u8]) -> Future {
        Self::watch(self, key)
    }

    async fn changed(watch: Future) -> Answer<()> {
        if !watch.is_ready_within(WATCH_LIMIT) {
            return Err(TIMED_OUT);
        }
        watch.error().map_err(|code| u16::try_from(code).unwrap())
    }

    async fn get_approximate_size(&self) -> Answer<i64> {
        let size = Self::get_approximate_size(self).wait().and_then(|size| size.int64());
        size.map_err(|code| u16::try_from(code).unwrap())
    }

    fn get_committed_version(&self) -> i64 {
        Self::get_committed_version(self).unwrap()
    }
}
