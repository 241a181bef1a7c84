//! The operations by our own client.

use plinth_client::{
    AtomicOp, Backend, Database, Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, RangeRead,
    StreamingMode, Transaction, TransactionOption, TransactionOptions,
};

use super::operations::{Answer, Client, Code, Conflicts, Operations, Range, Row};

/// One keyspace of a database.
pub(crate) struct Native<B: Backend> {
    database: Database<B>,
    keyspace: KeyspaceId,
}

impl<B: Backend> Native<B> {
    /// A client that has this keyspace to itself.
    pub(crate) fn new(database: &Database<B>, keyspace: KeyspaceId) -> Self {
        let defaults =
            TransactionOptions { max_retry_delay: std::time::Duration::ZERO, ..Default::default() };
        Self { database: database.with_defaults(defaults), keyspace }
    }
}

impl<B: Backend> Client for Native<B> {
    type Transaction = Transaction<B>;

    fn begin(&self) -> Transaction<B> {
        self.database.transaction().in_keyspace(self.keyspace)
    }
}

impl<B: Backend> Operations for Transaction<B> {
    async fn get(&self, key: &[u8], snapshot: bool) -> Answer<Option<Vec<u8>>> {
        let key = key.to_vec();
        let read =
            if snapshot { self.snapshot().get(key).await } else { Self::get(self, key).await };
        read.map(|value| value.map(|value| value.to_vec())).map_err(code)
    }

    async fn get_key(&self, selector: &KeySelector, snapshot: bool) -> Answer<Vec<u8>> {
        let selector = selector.clone();
        let read = if snapshot {
            self.snapshot().get_key(selector).await
        } else {
            Self::get_key(self, selector).await
        };
        read.map(|key| key.to_vec()).map_err(code)
    }

    async fn get_range(&self, range: &Range) -> Answer<(Vec<Row>, bool)> {
        let read = RangeRead {
            rows_max: range.limit,
            bytes_target: range.target_bytes,
            mode: streaming_mode(range.mode),
            iteration: range.iteration,
            reverse: range.reverse,
            ..RangeRead::between(range.begin.clone(), range.end.clone())
        };
        let page = if range.snapshot {
            self.snapshot().get_range(read).await
        } else {
            Self::get_range(self, read).await
        };
        let page = page.map_err(code)?;
        let rows = page.rows.iter().map(|row| (row.key.to_vec(), row.value.to_vec()));
        Ok((rows.collect(), page.more))
    }

    async fn get_read_version(&self) -> Answer<i64> {
        let version = Self::get_read_version(self).await.map_err(code)?;
        Ok(i64::try_from(version.0).unwrap())
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        Self::set(self, key.to_vec(), value.to_vec());
    }

    fn clear(&self, key: &[u8]) {
        Self::clear(self, key.to_vec());
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        Self::clear_range(self, begin.to_vec(), end.to_vec());
    }

    fn atomic_op(&self, operation: i32, key: &[u8], parameter: &[u8]) {
        let (key, parameter) = (key.to_vec(), parameter.to_vec());
        match operation {
            14 => {
                let (key, offset) = stamped(&key);
                self.set_versionstamped_key(key, parameter, offset);
            }
            15 => {
                let (value, offset) = stamped(&parameter);
                self.set_versionstamped_value(key, value, offset);
            }
            _ => self.atomic(atomic_op(operation), key, parameter),
        }
    }

    fn add_conflict_range(&self, begin: &[u8], end: &[u8], kind: i32) -> Answer<()> {
        let (begin, end) = (begin.to_vec(), end.to_vec());
        let added = match kind {
            0 => self.add_read_conflict_range(begin, end),
            _ => self.add_write_conflict_range(begin, end),
        };
        added.map_err(code)
    }

    fn set_option(&self, option: i32) -> Answer<()> {
        Self::set_option(self, transaction_option(option));
        Ok(())
    }

    async fn conflicts(&self, which: Conflicts) -> Answer<Vec<Row>> {
        let ranges = match which {
            Conflicts::Read => self.read_conflict_ranges().map_err(code)?,
            Conflicts::Write => self.write_conflict_ranges().map_err(code)?,
            Conflicts::Hit => self.conflicting_ranges(),
        };
        Ok(ranges.iter().flat_map(boundaries).collect())
    }

    async fn commit(&self) -> Answer<i64> {
        let version = Self::commit(self).await.map_err(code)?;
        Ok(version.map_or(-1, |version| i64::try_from(version.0).unwrap()))
    }

    async fn on_error(&self, failure: Code) -> Answer<()> {
        Self::on_error(self, ErrorCode(failure)).await.map_err(code)
    }

    fn reset(&self) {
        Self::reset(self);
    }

    fn cancel(&self) {
        Self::cancel(self);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn code(error: Error) -> Code {
    error.code.0
}

/// A range as FoundationDB's special keys show it: where it begins, and where it ends.
fn boundaries(range: &KeyRange) -> [Row; 2] {
    let key = |key: &[u8]| [b"/", key].concat();
    [(key(&range.begin), b"1".to_vec()), (key(&range.end), b"0".to_vec())]
}

/// Bytes without the offset of the stamp at their end, and that.
fn stamped(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (bytes, offset) = bytes.split_last_chunk::<4>().unwrap();
    (bytes.to_vec(), usize::try_from(u32::from_le_bytes(*offset)).unwrap())
}

fn streaming_mode(mode: i32) -> StreamingMode {
    match mode {
        -2 => StreamingMode::WantAll,
        -1 => StreamingMode::Iterator,
        0 => StreamingMode::Exact,
        1 => StreamingMode::Small,
        2 => StreamingMode::Medium,
        3 => StreamingMode::Large,
        4 => StreamingMode::Serial,
        other => panic!("unknown mode {other}"),
    }
}

fn atomic_op(operation: i32) -> AtomicOp {
    match operation {
        2 => AtomicOp::Add,
        6 => AtomicOp::And,
        7 => AtomicOp::Or,
        8 => AtomicOp::Xor,
        9 => AtomicOp::AppendIfFits,
        12 => AtomicOp::Max,
        13 => AtomicOp::Min,
        16 => AtomicOp::ByteMin,
        17 => AtomicOp::ByteMax,
        20 => AtomicOp::CompareAndClear,
        other => panic!("unknown atomic operation {other}"),
    }
}

fn transaction_option(option: i32) -> TransactionOption {
    match option {
        30 => TransactionOption::NextWriteNoWriteConflictRange,
        51 => TransactionOption::ReadYourWritesDisable,
        600 => TransactionOption::SnapshotReadYourWritesEnable,
        601 => TransactionOption::SnapshotReadYourWritesDisable,
        701 => TransactionOption::UsedDuringCommitProtectionDisable,
        712 => TransactionOption::ReportConflictingKeys,
        1100 => TransactionOption::BypassUnreadable,
        other => panic!("unknown option {other}"),
    }
}
