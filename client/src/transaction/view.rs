//! Snapshot reads: reads that stay out of the conflict check.

use std::future::Future;

use bytes::Bytes;
use plinth_protocol::{Error, KeySelector};

use super::{Page, RangeRead, RangeStream, Transaction};
use crate::{Backend, IntoBytes};

/// Reads through a transaction that are left out of its conflict check: what they saw may have
/// changed when it commits. They see the transaction's own writes all the same.
#[derive(Clone, Debug)]
pub struct SnapshotReads<B: Backend>(Transaction<B>);

impl<B: Backend> Transaction<B> {
    /// The same transaction for reads that are left out of the conflict check.
    pub fn snapshot(&self) -> SnapshotReads<B> {
        SnapshotReads(self.clone())
    }
}

impl<B: Backend> SnapshotReads<B> {
    /// Reads a key.
    pub fn get(&self, key: impl IntoBytes) -> impl Future<Output = Result<Option<Bytes>, Error>> {
        let key = key.into_bytes();
        async move { self.0.read(&key, true).await }
    }

    /// Resolves a key selector.
    pub async fn get_key(&self, selector: KeySelector) -> Result<Bytes, Error> {
        self.0.read_key(selector, true).await
    }

    /// Reads one page of a range.
    pub async fn get_range(&self, read: impl Into<RangeRead>) -> Result<Page, Error> {
        self.0.read_page(read.into(), true).await
    }

    /// The rows of a range, page by page.
    pub fn range(&self, read: impl Into<RangeRead>) -> RangeStream<B> {
        RangeStream::new(self.0.clone(), read.into(), true)
    }
}
