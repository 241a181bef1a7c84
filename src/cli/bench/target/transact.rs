//! Transactions, as the workloads see them: written once, for every target that has them.

use bytes::Bytes;
use plinth_client::{Backend, Database, Error, RangeRead, StreamingMode, Transaction};
use plinth_protocol::Versionstamp;

/// Where transactions begin.
pub(crate) trait Store: Clone + Send + Sync + 'static {
    /// What begins.
    type Transaction: Transact;

    /// Begins one.
    fn begin(&self) -> Self::Transaction;
}

/// Whether a read is checked for conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// It is.
    Serializable,
    /// It isn't.
    Snapshot,
}

/// Which rows to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    /// From this key on.
    pub(crate) begin: &'a [u8],
    /// Before this one.
    pub(crate) end: &'a [u8],
    /// At most as many.
    pub(crate) rows: u32,
    /// From the end to the beginning.
    pub(crate) reverse: bool,
}

/// A transaction. After an error nothing but [`Transact::on_error`] and [`Transact::reset`] is of
/// use.
pub(crate) trait Transact: Send + 'static {
    /// Whether it tells the order of commits: the read version, and the versionstamp of a commit.
    const STATES_VERSIONS: bool = false;

    /// Reads a key.
    fn get(
        &mut self,
        key: &[u8],
        isolation: Isolation,
    ) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;

    /// Reads rows.
    fn get_range(
        &mut self,
        span: Span<'_>,
        isolation: Isolation,
    ) -> impl Future<Output = Result<Vec<(Bytes, Bytes)>, Error>> + Send;

    /// Writes a key.
    fn set(&mut self, key: &[u8], value: &[u8]);

    /// Removes a key.
    fn clear(&mut self, key: &[u8]);

    /// Removes the keys from `begin` to before `end`.
    fn clear_range(&mut self, begin: &[u8], end: &[u8]);

    /// At which version it reads.
    fn read_version(&mut self) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Makes it happen; answers at which version, if anything was written.
    fn commit(&mut self) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// Makes it happen; answers with which versionstamp, if anything was written and it is told.
    fn commit_stamped(
        &mut self,
    ) -> impl Future<Output = Result<Option<Versionstamp>, Error>> + Send {
        async { self.commit().await.map(|_| None) }
    }

    /// Waits as long as the error asks for and begins anew; the error again if there is no use.
    fn on_error(&mut self, error: Error) -> impl Future<Output = Result<(), Error>> + Send;

    /// Begins anew.
    fn reset(&mut self);
}

impl<B: Backend> Store for Database<B> {
    type Transaction = Transaction<B>;

    fn begin(&self) -> Transaction<B> {
        self.transaction()
    }
}

impl<B: Backend> Transact for Transaction<B> {
    const STATES_VERSIONS: bool = true;

    async fn get(&mut self, key: &[u8], isolation: Isolation) -> Result<Option<Bytes>, Error> {
        let key = Bytes::copy_from_slice(key);
        match isolation {
            Isolation::Serializable => Self::get(self, key).await,
            Isolation::Snapshot => self.snapshot().get(key).await,
        }
    }

    async fn get_range(
        &mut self,
        span: Span<'_>,
        isolation: Isolation,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let (mut begin, mut end) =
            (Bytes::copy_from_slice(span.begin), Bytes::copy_from_slice(span.end));
        let (mut rows, mut left) = (Vec::new(), span.rows);
        loop {
            let read = RangeRead {
                rows_max: left,
                mode: StreamingMode::WantAll,
                reverse: span.reverse,
                ..RangeRead::new(begin.clone(), end.clone())
            };
            let page = match isolation {
                Isolation::Serializable => Self::get_range(self, read).await?,
                Isolation::Snapshot => self.snapshot().get_range(read).await?,
            };
            left = left.saturating_sub(u32::try_from(page.rows.len()).unwrap_or(u32::MAX));
            rows.extend(page.rows.into_iter().map(|row| (row.key, row.value)));
            let Some((last, _)) = rows.last().filter(|_| page.more && left > 0) else {
                return Ok(rows);
            };
            if span.reverse {
                end = last.clone();
            } else {
                begin = [last.as_ref(), &[0]].concat().into();
            }
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        Self::set(self, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    }

    fn clear(&mut self, key: &[u8]) {
        Self::clear(self, Bytes::copy_from_slice(key));
    }

    fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        Self::clear_range(self, Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end));
    }

    async fn read_version(&mut self) -> Result<u64, Error> {
        self.get_read_version().await.map(|version| version.0)
    }

    async fn commit(&mut self) -> Result<Option<u64>, Error> {
        Ok(Self::commit(self).await?.map(|version| version.0))
    }

    async fn commit_stamped(&mut self) -> Result<Option<Versionstamp>, Error> {
        let stamp = self.get_versionstamp();
        match Self::commit(self).await? {
            Some(_) => stamp.await.map(Some),
            None => Ok(None),
        }
    }

    async fn on_error(&mut self, error: Error) -> Result<(), Error> {
        Self::on_error(self, error).await
    }

    fn reset(&mut self) {
        Self::reset(self);
    }
}
