//! What is asked of server-held transactions.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use plinth_client::{RangeRead, StreamingMode, Transaction, TransactionOption};
use plinth_protocol::{
    CommitResult, Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, Mutation, MutationOp,
    Version,
    request::{Opcode, RangeOptions, Request, TransactionId},
    response::Response,
};
use tokio::time::Instant;

use super::{Held, HeldTransactions, lifetime};
use crate::embedded::EngineBackend;

/// The bytes of keys and values after which a range's answer ends.
const RANGE_BYTES: u32 = 80_000;
const RANGE_BYTES_MAX: u32 = 1 << 20;

/// What a key counts as a read conflict, beside twice its length.
const CONFLICT_BYTES: usize = 32;

/// What a mutation counts, with its conflict range, beside thrice its key's and once its value's
/// length.
const MUTATION_BYTES: usize = 64;

impl HeldTransactions {
    /// Carries out a request on a server-held transaction.
    pub(in crate::server) async fn answer(&self, request: Request) -> Result<Response, Error> {
        match request {
            Request::TxnBegin { version, read_only, timeout_ms } => {
                self.begin(version, read_only, timeout_ms).await
            }
            Request::TxnGet { transaction, snapshot, keyspace, keys } => {
                self.get(&transaction, snapshot, keyspace, keys).await
            }
            Request::TxnGetKey { transaction, snapshot, keyspace, selector } => {
                self.get_key(&transaction, snapshot, keyspace, selector).await
            }
            Request::TxnGetRange { transaction, snapshot, keyspace, begin, end, options } => {
                self.get_range(&transaction, snapshot, keyspace, (begin, end), options).await
            }
            Request::TxnWrite { transaction, mutations } => self.write(&transaction, mutations),
            Request::TxnAddConflict { transaction, is_write, keyspace, range } => {
                self.add_conflict(&transaction, is_write, keyspace, range)
            }
            Request::TxnCommit { transaction } => self.commit(&transaction).await,
            Request::TxnAbort { transaction } => {
                self.take(&transaction, true)?.transaction.cancel();
                Ok(Response::Done(Opcode::TxnAbort))
            }
            other => {
                let text = format!("{:?} asks nothing of a held transaction", other.opcode());
                Err(Error::new(ErrorCode::INTERNAL_ERROR, text))
            }
        }
    }

    async fn begin(
        &self,
        version: Option<Version>,
        is_read_only: bool,
        timeout_ms: u32,
    ) -> Result<Response, Error> {
        let mut id = TransactionId::default();
        getrandom::fill(&mut id).map_err(|error| {
            let text = format!("the system has no random bytes for a transaction's id: {error}");
            Error::new(ErrorCode::INTERNAL_ERROR, text)
        })?;
        let lifetime = lifetime(&self.limits, timeout_ms);
        let transaction = self.database.transaction();
        if let Some(version) = version {
            transaction.set_read_version(version);
        }
        // One that outlives the window keeps its snapshot readable by itself.
        let version = if lifetime > self.limits.window {
            transaction.pin().await?
        } else {
            transaction.get_read_version().await?
        };
        let expires_at = Instant::now() + lifetime;
        self.enter(Held { id, transaction, is_read_only, expires_at })?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires_at_ms = u64::try_from((since_1970 + lifetime).as_millis()).unwrap_or(u64::MAX);
        Ok(Response::TxnBegin { transaction: id, version, expires_at_ms })
    }

    async fn get(
        &self,
        id: &TransactionId,
        is_snapshot: bool,
        keyspace: KeyspaceId,
        keys: Vec<Bytes>,
    ) -> Result<Response, Error> {
        let held = self.find(id)?;
        if !is_snapshot {
            self.reserve(&held, keys.iter().map(|key| 2 * key.len() + CONFLICT_BYTES).sum())?;
        }
        let transaction = held.transaction.in_keyspace(keyspace);
        let snapshot = transaction.snapshot();
        let limit = self.database.limits().frame_bytes_max;
        let (mut values, mut bytes) = (Vec::with_capacity(keys.len()), 64);
        for key in keys {
            let value =
                if is_snapshot { snapshot.get(key).await? } else { transaction.get(key).await? };
            bytes += 5 + value.as_ref().map_or(0, Bytes::len);
            if bytes > limit {
                let text = format!(
                    "the answer would be longer than a frame may be, which is {limit} bytes: ask \
                     for fewer keys at once"
                );
                return Err(Error::new(ErrorCode::TRANSACTION_TOO_LARGE, text));
            }
            values.push(value);
        }
        self.count(&held)?;
        let version = transaction.get_read_version().await?;
        Ok(Response::GetBatch { opcode: Opcode::TxnGet, version, values })
    }

    async fn get_key(
        &self,
        id: &TransactionId,
        is_snapshot: bool,
        keyspace: KeyspaceId,
        selector: KeySelector,
    ) -> Result<Response, Error> {
        let held = self.find(id)?;
        self.reserve(&held, 2 * selector.key.len() + CONFLICT_BYTES)?;
        let transaction = held.transaction.in_keyspace(keyspace);
        let key = if is_snapshot {
            transaction.snapshot().get_key(selector).await?
        } else {
            transaction.get_key(selector).await?
        };
        self.count(&held)?;
        let version = transaction.get_read_version().await?;
        Ok(Response::GetKey { opcode: Opcode::TxnGetKey, version, key })
    }

    async fn get_range(
        &self,
        id: &TransactionId,
        is_snapshot: bool,
        keyspace: KeyspaceId,
        (begin, end): (KeySelector, KeySelector),
        options: RangeOptions,
    ) -> Result<Response, Error> {
        if options.streams {
            let text = "a range of a server-held transaction can't be streamed: ask for it page \
                        by page";
            return Err(Error::new(ErrorCode::CLIENT_INVALID_OPERATION, text));
        }
        let held = self.find(id)?;
        self.reserve(&held, begin.key.len() + end.key.len() + CONFLICT_BYTES)?;
        let transaction = held.transaction.in_keyspace(keyspace);
        let bytes_target = match options.bytes_target {
            0 => RANGE_BYTES,
            bytes => bytes.min(RANGE_BYTES_MAX),
        };
        let read = RangeRead::between(begin, end)
            .rows_max(options.rows_max)
            .bytes_target(bytes_target)
            .mode(StreamingMode::Exact);
        let read = if options.reverse { read.reversed() } else { read };
        let mut page = if is_snapshot {
            transaction.snapshot().get_range(read).await?
        } else {
            transaction.get_range(read).await?
        };
        if options.keys_only {
            for row in &mut page.rows {
                row.value = Bytes::new();
            }
        }
        self.count(&held)?;
        let version = transaction.get_read_version().await?;
        let (rows, more) = (page.rows, page.more);
        Ok(Response::GetRange { opcode: Opcode::TxnGetRange, version, rows, more })
    }

    fn write(&self, id: &TransactionId, mutations: Vec<Mutation>) -> Result<Response, Error> {
        let held = self.find(id)?;
        held.check_writable()?;
        self.reserve(&held, mutations.iter().map(|mutation| weight(&mutation.op)).sum())?;
        for mutation in mutations {
            apply(&held.transaction.in_keyspace(mutation.keyspace), mutation);
        }
        self.count(&held)?;
        Ok(Response::Done(Opcode::TxnWrite))
    }

    fn add_conflict(
        &self,
        id: &TransactionId,
        is_write: bool,
        keyspace: KeyspaceId,
        range: KeyRange,
    ) -> Result<Response, Error> {
        let held = self.find(id)?;
        self.reserve(&held, range.begin.len() + range.end.len() + CONFLICT_BYTES)?;
        let transaction = held.transaction.in_keyspace(keyspace);
        if is_write {
            held.check_writable()?;
            transaction.add_write_conflict_range(range.begin, range.end)?;
        } else {
            transaction.add_read_conflict_range(range.begin, range.end)?;
        }
        self.count(&held)?;
        Ok(Response::Done(Opcode::TxnAddConflict))
    }

    async fn commit(&self, id: &TransactionId) -> Result<Response, Error> {
        let held = self.take(id, false)?;
        let stamp = held.transaction.get_versionstamp();
        let result = match held.transaction.commit().await {
            Ok(None) => CommitResult::Committed { version: Version::ZERO, order: 0 },
            Ok(Some(version)) => {
                let order = stamp.await.map_or(0, |stamp| {
                    let [.., high, low] = stamp.0;
                    u16::from_be_bytes([high, low])
                });
                CommitResult::Committed { version, order }
            }
            Err(error) if error.code == ErrorCode::NOT_COMMITTED => {
                CommitResult::Conflicted { read_conflicts: Vec::new() }
            }
            Err(error) => return Err(error),
        };
        Ok(Response::Commit { opcode: Opcode::TxnCommit, result })
    }
}

impl Held {
    fn check_writable(&self) -> Result<(), Error> {
        if self.is_read_only { Err(ErrorCode::TRANSACTION_READ_ONLY.into()) } else { Ok(()) }
    }
}

/// About what a mutation adds to a transaction's size.
fn weight(op: &MutationOp) -> usize {
    MUTATION_BYTES
        + match op {
            MutationOp::Set { key, value }
            | MutationOp::Atomic { key, operand: value, .. }
            | MutationOp::SetVersionstampedKey { key, value, .. }
            | MutationOp::SetVersionstampedValue { key, value, .. } => 3 * key.len() + value.len(),
            MutationOp::Clear { key } => 4 * key.len(),
            MutationOp::ClearRange { begin, end } => 2 * (begin.len() + end.len()),
        }
}

fn apply(transaction: &Transaction<EngineBackend>, mutation: Mutation) {
    if !mutation.adds_conflict {
        transaction.set_option(TransactionOption::NextWriteNoWriteConflictRange);
    }
    match mutation.op {
        MutationOp::Set { key, value } => transaction.set(key, value),
        MutationOp::Clear { key } => transaction.clear(key),
        MutationOp::ClearRange { begin, end } => transaction.clear_range(begin, end),
        MutationOp::Atomic { op, key, operand } => transaction.atomic(op, key, operand),
        MutationOp::SetVersionstampedKey { key, offset, value } => {
            transaction.set_versionstamped_key(key, value, offset as usize);
        }
        MutationOp::SetVersionstampedValue { key, offset, value } => {
            transaction.set_versionstamped_value(key, value, offset as usize);
        }
    }
}
