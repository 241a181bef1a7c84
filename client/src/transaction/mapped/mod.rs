//! Mapped ranges: the rows of an index, and what each of them leads to, in one call.
//!
//! - `mapper`: makes of a row the key, or the beginning of the keys, that it leads to.
//! - `tuple`: the packed tuples that mappers and rows are made of.

mod mapper;
mod tuple;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use bytes::Bytes;
use mapper::Mapper;
use plinth_protocol::{
    Error, ErrorCode, KeyRange, KeySelector, KeyspaceId,
    range::{key_after, prefix_end},
    response::KeyValue,
};

use super::{
    RangeRead, StreamingMode, Transaction, conflicts::merge_ranges, settings::written_keys,
    special_keys::is_special_range, state::State,
};
use crate::{Backend, IntoBytes, Snapshot};

/// How many rows are followed at once.
const AT_ONCE: usize = 32;

/// A row and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedRow {
    /// The row.
    pub row: KeyValue,
    /// Where the range begins that it leads to.
    pub begin: KeySelector,
    /// Where that ends.
    pub end: KeySelector,
    /// What is there.
    pub found: Vec<KeyValue>,
}

/// A page of a mapped range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappedPage {
    /// The rows, in order.
    pub rows: Vec<MappedRow>,
    /// Whether there may be more rows after these.
    pub more: bool,
}

impl<B: Backend> Transaction<B> {
    /// Reads one page of a range, and for each of its rows the range, or the key, that `mapper` makes
    /// of it: a packed tuple, in whose strings `{K[0]}` stands for the first element of the row's
    /// key, `{V[0]}` for that of its value, and `{...}` at the end for every key that begins so.
    ///
    /// All of that counts as read. None of it may have been written by this transaction.
    pub async fn get_mapped_range(
        &self,
        read: impl Into<RangeRead>,
        mapper: impl IntoBytes,
    ) -> Result<MappedPage, Error> {
        let (read, mapper) = (read.into(), mapper.into_bytes());
        if is_special_range(&read) {
            return Err(ErrorCode::CLIENT_INVALID_OPERATION.into());
        }
        let written = {
            let state = self.admitted()?;
            if read.reverse || !state.options.read_your_writes {
                return Err(ErrorCode::UNSUPPORTED_OPERATION.into());
            }
            written(&state, self.keyspace)
        };
        let mapper = Mapper::parse(&mapper)?;
        let begin = read.begin.key.clone();
        let end = read.end.key.clone();
        let page = self.get_range(read).await?;
        let last = page.rows.last().map(|row| key_after(&row.key));
        let end = if page.more { last.unwrap_or(end) } else { end };
        check_unwritten(&written, &KeyRange { begin, end })?;
        let mut rows = Vec::with_capacity(page.rows.len());
        for some in page.rows.chunks(AT_ONCE) {
            let follow = |row: &KeyValue| self.follow(&mapper, row.clone(), &written);
            for followed in all(some.iter().map(follow)).await {
                rows.push(followed?);
            }
        }
        Ok(MappedPage { rows, more: page.more })
    }

    /// Reads what a row leads to.
    async fn follow(
        &self,
        mapper: &Mapper,
        row: KeyValue,
        written: &[KeyRange],
    ) -> Result<MappedRow, Error> {
        let key = mapper.map(&row)?;
        let range = if mapper.is_prefix {
            let end = prefix_end(&key).unwrap_or_else(|| Bytes::from_static(b"\xFF"));
            KeyRange { begin: key.clone(), end }
        } else {
            KeyRange::point(&key)
        };
        check_unwritten(written, &range)?;
        let found = if mapper.is_prefix {
            let read = RangeRead::from(range.clone()).mode(StreamingMode::WantAll);
            let page = self.get_range(read).await?;
            if page.more {
                return Err(ErrorCode::MAPPED_RANGE_TOO_LARGE.into());
            }
            page.rows
        } else {
            let value = self.get(key.clone()).await?;
            value.map(|value| KeyValue { key, value }).into_iter().collect()
        };
        Ok(MappedRow {
            row,
            begin: KeySelector::first_greater_or_equal(range.begin),
            end: KeySelector::first_greater_or_equal(range.end),
            found,
        })
    }
}

/// What the transaction has written in a keyspace: ranges in order.
fn written<S: Snapshot>(state: &State<S>, keyspace: KeyspaceId) -> Vec<KeyRange> {
    let own = state.writes.mutations.iter().enumerate();
    let own = own.filter(|(_, mutation)| mutation.keyspace == keyspace);
    let ranges =
        own.map(|(index, mutation)| written_keys(&mutation.op, state.writes.stamp_floor(index)));
    merge_ranges(ranges.collect())
}

/// That a range holds nothing of what was written.
fn check_unwritten(written: &[KeyRange], range: &KeyRange) -> Result<(), Error> {
    let first = written.partition_point(|written| written.end <= range.begin);
    match written.get(first) {
        Some(written) if written.begin < range.end => {
            Err(ErrorCode::MAPPED_RANGE_READS_OWN_WRITES.into())
        }
        _ => Ok(()),
    }
}

/// Waits for all of a few futures together.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Some(Box::pin(future)), None)).collect();
    poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in &mut waiting {
            let Some(pending) = future else { continue };
            match Pin::new(pending).poll(context) {
                Poll::Ready(value) => {
                    *output = Some(value);
                    *future = None;
                }
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}
