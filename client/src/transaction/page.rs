//! Range reads: one page of rows between two key selectors.
//!
//! A page ends where its streaming mode, its byte target or its row limit says. Each row counts with
//! its key, its value and eight bytes; a page that begins holds one row at least. `more` is true
//! whenever a limit ended the page, even if nothing is left after it; false is a promise that
//! nothing is.

use std::pin::pin;

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, KeyRange, KeySelector, response::KeyValue};

use super::{
    Transaction,
    covered::Covered,
    room::Room,
    run::{Run, Step},
    segments::Segments,
    selector::fold_or_equal,
    source::Source,
    special_keys, system_keys,
    write::outside,
};
use crate::{Backend, IntoBytes, RangeChunk, Snapshot};

/// A page of a range: its rows, and whether there may be more.
pub type Page = RangeChunk;

/// The most bytes of a page that nothing else bounds.
const SERIAL_BYTES: usize = 80_000;
/// The bytes that end a page in `Iterator` mode, by iteration; the last one stays.
const ITERATOR_BYTES: [usize; 10] =
    [4096, 6144, 9216, 13824, 20736, 31104, 46656, 69984, 80_000, 120_000];

/// How large the pages of a range are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamingMode {
    /// The caller wants everything soon: large pages.
    WantAll,
    /// Small pages first, larger ones the longer the caller goes on.
    #[default]
    Iterator,
    /// Exactly the rows or bytes asked for, in one page.
    Exact,
    /// Pages of 256 bytes.
    Small,
    /// Pages of 1,000 bytes.
    Medium,
    /// Pages of 4,096 bytes.
    Large,
    /// Pages of 80,000 bytes, for one reader that goes through everything.
    Serial,
}

/// What to read of a range, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRead {
    /// The first key: what this resolves to.
    pub begin: KeySelector,
    /// The key after the last: what this resolves to.
    pub end: KeySelector,
    /// The most rows; 0 for no limit.
    pub rows_max: u32,
    /// Enough bytes; 0 for no limit but the mode's.
    pub bytes_target: u32,
    /// How large the page may be.
    pub mode: StreamingMode,
    /// Which page of the same range this is, from 1; counts in `Iterator` mode.
    pub iteration: u32,
    /// Whether to read from the end to the beginning.
    pub reverse: bool,
}

impl RangeRead {
    /// Every key `k` with `begin <= k < end`.
    pub fn new(begin: impl IntoBytes, end: impl IntoBytes) -> Self {
        Self::between(
            KeySelector::first_greater_or_equal(begin.into_bytes()),
            KeySelector::first_greater_or_equal(end.into_bytes()),
        )
    }

    /// Every key from what `begin` resolves to, to before what `end` resolves to.
    pub fn between(begin: KeySelector, end: KeySelector) -> Self {
        Self {
            begin,
            end,
            rows_max: 0,
            bytes_target: 0,
            mode: StreamingMode::default(),
            iteration: 1,
            reverse: false,
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl IntoBytes) -> Self {
        let begin = prefix.into_bytes();
        let end = plinth_protocol::range::prefix_end(&begin)
            .unwrap_or_else(|| Bytes::from_static(b"\xFF"));
        Self::new(begin, end)
    }

    /// At most so many rows.
    pub fn rows_max(self, rows_max: u32) -> Self {
        Self { rows_max, ..self }
    }

    /// No more rows once so many bytes have come together.
    pub fn bytes_target(self, bytes_target: u32) -> Self {
        Self { bytes_target, ..self }
    }

    /// In pages of this size.
    pub fn mode(self, mode: StreamingMode) -> Self {
        Self { mode, ..self }
    }

    /// From the end to the beginning.
    pub fn reversed(self) -> Self {
        Self { reverse: true, ..self }
    }

    /// The bytes that end a page; 0 for no end.
    fn page_bytes(&self) -> Result<usize, Error> {
        let by_mode = match self.mode {
            StreamingMode::Exact if self.rows_max == 0 && self.bytes_target == 0 => {
                return Err(ErrorCode::EXACT_MODE_WITHOUT_LIMITS.into());
            }
            StreamingMode::Exact => usize::MAX,
            StreamingMode::Iterator => {
                let at = (self.iteration as usize).checked_sub(1).ok_or_else(|| {
                    Error::new(
                        ErrorCode::CLIENT_INVALID_OPERATION,
                        "The iterations of a range are counted from 1",
                    )
                })?;
                let last = ITERATOR_BYTES.len() - 1;
                ITERATOR_BYTES.get(at.min(last)).copied().unwrap_or(SERIAL_BYTES)
            }
            StreamingMode::Small => 256,
            StreamingMode::Medium => 1000,
            StreamingMode::Large => 4096,
            StreamingMode::Serial | StreamingMode::WantAll => SERIAL_BYTES,
        };
        let target = match self.bytes_target {
            0 => usize::MAX,
            target => target as usize,
        };
        Ok(by_mode.min(target))
    }
}

impl From<KeyRange> for RangeRead {
    fn from(range: KeyRange) -> Self {
        Self::new(range.begin, range.end)
    }
}

impl<B: Backend> Transaction<B> {
    /// Reads one page of a range. [`Transaction::range`] goes through all of them.
    pub async fn get_range(&self, read: impl Into<RangeRead>) -> Result<Page, Error> {
        self.read_page(read.into(), false).await
    }

    pub(super) async fn read_page(
        &self,
        read: RangeRead,
        is_snapshot: bool,
    ) -> Result<Page, Error> {
        let page_bytes = read.page_bytes()?;
        if special_keys::is_special_range(&read) {
            return self.read_special_page(read, page_bytes).await;
        }
        if !system_keys::asks_for_shards(&read) {
            return self.read_stored_page(read, page_bytes, is_snapshot).await;
        }
        let page = self.read_stored_page(read.clone(), page_bytes, is_snapshot).await?;
        Ok(if page.rows.is_empty() { system_keys::shards(read) } else { page })
    }

    async fn read_stored_page(
        &self,
        read: RangeRead,
        page_bytes: usize,
        is_snapshot: bool,
    ) -> Result<Page, Error> {
        let (source, mut read) = {
            let mut state = self.admitted()?;
            for selector in [&read.begin, &read.end] {
                if selector.key.as_ref() > state.max_read_key() {
                    return Err(outside(&selector.key));
                }
            }
            let limits = self.limits();
            let cut = |selector: KeySelector| {
                let folded = fold_or_equal(selector);
                KeySelector { key: state.cut_end(folded.key, &limits), ..folded }
            };
            let (begin, end) = (cut(read.begin), cut(read.end));
            if begin.offset >= end.offset && begin.key >= end.key {
                return Ok(Page::default());
            }
            let source = Source::new(self, &mut state, is_snapshot);
            (source, RangeRead { begin, end, ..read })
        };
        if !source.is_cached && read.reverse && read.end.offset > 1 {
            // Past the cache this is a read of its own, in FoundationDB too.
            let key = self.read_key(read.end, is_snapshot).await?;
            read.end = KeySelector::first_greater_or_equal(key);
        }
        let is_plain = read.begin.offset == 1 && read.end.offset == 1;
        let widest = if is_plain {
            KeyRange { begin: read.begin.key.clone(), end: read.end.key.clone() }
        } else {
            KeyRange { begin: Bytes::new(), end: source.end.clone() }
        };
        let rows_max = if read.rows_max == 0 { usize::MAX } else { read.rows_max as usize };
        let room = Room::new(rows_max, page_bytes);
        let reading = pin!(source.read_page(self, &read, room));
        let covered = |run: &Run| Covered::by_page(&read, run, &source);
        self.read_under_way(&source, is_snapshot, widest, reading, covered)
            .await
            .map(|run| Page { rows: run.rows, more: run.more })
    }
}

impl<S: Snapshot> Source<S> {
    async fn read_page<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        read: &RangeRead,
        room: Room,
    ) -> Result<Run, Error> {
        let (begin, end) = (read.begin.clone(), read.end.clone());
        let run = Run::new(begin, end, read.reverse, self.end.clone(), room);
        if self.is_untouched(transaction, &read.begin, &read.end)? {
            self.read_untouched(transaction, run, read.reverse).await
        } else {
            self.walk(transaction, run, read.reverse).await
        }
    }

    /// Whether the database alone decides on a range.
    fn is_untouched<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        begin: &KeySelector,
        end: &KeySelector,
    ) -> Result<bool, Error> {
        if !self.is_cached {
            return Ok(true);
        }
        if self.overlay.is_some() || begin.offset != 1 || end.offset != 1 || begin.key >= end.key {
            return Ok(false);
        }
        let mut state = transaction.state();
        state.check_alive(self.generation)?;
        Ok(state.cache(self.keyspace).is_unknown(&begin.key, &end.key))
    }

    /// A page that the database alone decides on: one question.
    async fn read_untouched<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        mut run: Run,
        reverse: bool,
    ) -> Result<Run, Error> {
        let question = run.whole();
        let answer = self.ask(transaction, &question, reverse).await?;
        if !self.is_cached {
            run.take(answer);
            return Ok(run);
        }
        let known = question.known(&answer, reverse);
        let is_all_known = known.begin <= question.begin.key && known.end >= question.end.key;
        let rows = ascending(answer.rows.clone(), reverse);
        let mut state = transaction.state();
        state.check_alive(self.generation)?;
        state.cache(self.keyspace).insert(known, rows);
        drop(state);
        run.take(answer);
        run.end(is_all_known);
        Ok(run)
    }

    /// Walks through what is known, asking for what isn't.
    pub(super) async fn walk<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        mut run: Run,
        reverse: bool,
    ) -> Result<Run, Error> {
        let mut learned = None;
        let mut last_question = None;
        loop {
            let step = {
                let mut state = transaction.state();
                state.check_alive(self.generation)?;
                let cache = state.cache(self.keyspace);
                if let Some((known, rows)) = learned.take() {
                    cache.insert(known, rows);
                }
                cache.settle();
                run.advance(&Segments {
                    overlay: self.overlay.as_deref(),
                    cache,
                    bypass_unreadable: self.bypass_unreadable,
                    value_bytes_max: transaction.limits().value_bytes_max,
                })?
            };
            match step {
                Step::Done => return Ok(run),
                Step::Ask(question) => {
                    // An answer always makes more known, so that no question comes twice.
                    if last_question.as_ref() == Some(&question) {
                        let text = "A range read does not come forward";
                        return Err(Error::new(ErrorCode::INTERNAL_ERROR, text));
                    }
                    let answer = self.ask(transaction, &question, reverse).await?;
                    let known = question.known(&answer, reverse);
                    last_question = Some(question);
                    learned = Some((known, ascending(answer.rows, reverse)));
                }
                Step::Resolve(selector) => {
                    let key = Box::pin(self.resolve(transaction, &selector)).await?;
                    run.resolved(&key);
                    if run.is_done() {
                        return Ok(run);
                    }
                }
            }
        }
    }
}

fn ascending(mut rows: Vec<KeyValue>, is_descending: bool) -> Vec<KeyValue> {
    if is_descending {
        rows.reverse();
    }
    rows
}
