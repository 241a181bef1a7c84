//! Range streams: a whole range, page by page.

use std::vec;

use plinth_protocol::{Error, KeySelector, response::KeyValue};

use super::{RangeRead, Transaction};
use crate::Backend;

/// The rows of a range, read page by page as they are asked for.
#[derive(Debug)]
pub struct RangeStream<B: Backend> {
    transaction: Transaction<B>,
    /// What is still to be read; `None` when everything was.
    rest: Option<RangeRead>,
    is_snapshot: bool,
    rows: vec::IntoIter<KeyValue>,
}

impl<B: Backend> RangeStream<B> {
    pub(super) fn new(transaction: Transaction<B>, read: RangeRead, is_snapshot: bool) -> Self {
        Self { transaction, rest: Some(read), is_snapshot, rows: Vec::new().into_iter() }
    }

    /// The next row; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<KeyValue>, Error> {
        loop {
            if let Some(row) = self.rows.next() {
                return Ok(Some(row));
            }
            match self.next_page().await? {
                Some(rows) => self.rows = rows.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The next rows together, as many as a page holds; `None` after the last. Rows that
    /// [`RangeStream::next`] has fetched and not given out come first.
    pub async fn next_page(&mut self) -> Result<Option<Vec<KeyValue>>, Error> {
        if self.rows.len() > 0 {
            return Ok(Some(std::mem::take(&mut self.rows).collect()));
        }
        let Some(read) = self.rest.take() else { return Ok(None) };
        let page = self.transaction.read_page(read.clone(), self.is_snapshot).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.rest = Some(read);
                return Err(error);
            }
        };
        if page.more {
            self.rest = rest_after(read, &page.rows);
        }
        Ok(if page.rows.is_empty() { None } else { Some(page.rows) })
    }

    /// All rows that are left.
    pub async fn collect(mut self) -> Result<Vec<KeyValue>, Error> {
        let mut all = Vec::new();
        while let Some(mut rows) = self.next_page().await? {
            if all.is_empty() {
                all = rows;
            } else {
                all.append(&mut rows);
            }
        }
        Ok(all)
    }
}

/// What to read after these rows; `None` if they were all that was wanted.
fn rest_after(read: RangeRead, rows: &[KeyValue]) -> Option<RangeRead> {
    let last = rows.last()?.key.clone();
    let rows_max = match read.rows_max {
        0 => 0,
        limit => limit.checked_sub(u32::try_from(rows.len()).ok()?).filter(|left| *left > 0)?,
    };
    let iteration = read.iteration.saturating_add(1);
    let rest = RangeRead { rows_max, iteration, ..read };
    Some(if rest.reverse {
        RangeRead { end: KeySelector::first_greater_or_equal(last), ..rest }
    } else {
        RangeRead { begin: KeySelector::first_greater_than(last), ..rest }
    })
}

impl<B: Backend> Transaction<B> {
    /// The rows of a range, page by page.
    pub fn range(&self, read: impl Into<RangeRead>) -> RangeStream<B> {
        RangeStream::new(self.clone(), read.into(), false)
    }
}
