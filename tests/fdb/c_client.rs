//! The operations of the golden programs and of the stack machine by the C ABI.

use plinth_client::KeySelector;

use crate::{
    ffi::{self, Database, Future, Transaction},
    golden::runner::operations::{Answer, Client, Code, Conflicts, Operations, Range, Row},
};

/// Database option: the most that `on_error` waits.
const TRANSACTION_MAX_RETRY_DELAY: i32 = 502;
/// Where a transaction shows its conflict ranges.
const CONFLICTS: &str = "\u{FF}\u{FF}/transaction/";

impl Client for Database {
    type Transaction = Transaction;

    fn begin(&self) -> Transaction {
        self.transaction()
    }
}

/// A database whose transactions try again without waiting.
pub(crate) fn impatient(database: Database) -> Database {
    database.set_option(TRANSACTION_MAX_RETRY_DELAY, &0_u64.to_le_bytes()).unwrap();
    database
}

impl Operations for Transaction {
    async fn get(&self, key: &[u8], snapshot: bool) -> Answer<Option<Vec<u8>>> {
        answer(Self::get(self, key, snapshot), Future::value)
    }

    async fn get_key(&self, selector: &KeySelector, snapshot: bool) -> Answer<Vec<u8>> {
        answer(Self::get_key(self, &in_c(selector), snapshot), Future::key)
    }

    async fn get_range(&self, range: &Range) -> Answer<(Vec<Row>, bool)> {
        let range = ffi::Range {
            begin: in_c(&range.begin),
            end: in_c(&range.end),
            limit: i32::try_from(range.limit).unwrap(),
            target_bytes: i32::try_from(range.target_bytes).unwrap(),
            mode: range.mode,
            iteration: i32::try_from(range.iteration).unwrap(),
            snapshot: range.snapshot,
            reverse: range.reverse,
        };
        answer(Self::get_range(self, &range), Future::rows)
    }

    async fn get_read_version(&self) -> Answer<i64> {
        answer(Self::get_read_version(self), Future::int64)
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        Self::set(self, key, value);
    }

    fn clear(&self, key: &[u8]) {
        Self::clear(self, key);
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        Self::clear_range(self, begin, end);
    }

    fn atomic_op(&self, operation: i32, key: &[u8], parameter: &[u8]) {
        Self::atomic_op(self, key, parameter, operation);
    }

    fn add_conflict_range(&self, begin: &[u8], end: &[u8], kind: i32) -> Answer<()> {
        Self::add_conflict_range(self, begin, end, kind).map_err(code)
    }

    fn set_option(&self, option: i32) -> Answer<()> {
        Self::set_option(self, option, &[]).map_err(code)
    }

    async fn conflicts(&self, which: Conflicts) -> Answer<Vec<Row>> {
        let place = match which {
            Conflicts::Read => "read_conflict_range",
            Conflicts::Write => "write_conflict_range",
            Conflicts::Hit => "conflicting_keys",
        };
        let prefix: Vec<u8> =
            [CONFLICTS, place].concat().chars().map(|c| u8::try_from(c).unwrap()).collect();
        let (begin, end) = ([&prefix[..], b"/"].concat(), [&prefix[..], b"/\xFF\xFF"].concat());
        let (rows, more) =
            answer(Self::get_range(self, &ffi::Range::between(begin, end)), Future::rows)?;
        assert!(!more, "a few conflict ranges fit into a page");
        Ok(rows.into_iter().map(|(key, value)| (key[prefix.len()..].to_vec(), value)).collect())
    }

    async fn commit(&self) -> Answer<i64> {
        answer(Self::commit(self), |_| self.get_committed_version())
    }

    async fn on_error(&self, failure: Code) -> Answer<()> {
        answer(Self::on_error(self, i32::from(failure)), |_| Ok(()))
    }

    fn reset(&self) {
        Self::reset(self);
    }

    fn cancel(&self) {
        Self::cancel(self);
    }
}

/// Waits for a future and looks into it. Blocks: each client has a thread to itself.
fn answer<T>(future: Future, take: impl FnOnce(&Future) -> Result<T, ffi::Code>) -> Answer<T> {
    future.wait().and_then(|future| take(&future)).map_err(code)
}

fn code(code: ffi::Code) -> Code {
    Code::try_from(code).unwrap()
}

fn in_c(selector: &KeySelector) -> ffi::Selector {
    ffi::Selector {
        key: selector.key.to_vec(),
        or_equal: selector.or_equal,
        offset: selector.offset,
    }
}
