//! How the bodies of records are read.
//!
//! A body is decoded after its checksum has passed; what is wrong then was wrong when it was
//! written, and is an error all the same, not a panic. Keys and values are left where they are: a
//! log is replayed from the memory that it was read into.

use bytes::Bytes;
use plinth_protocol::{KeyspaceId, Version};

use super::{
    FLAG_IDEMPOTENCY_ID, TRANSACTION_BYTES_MIN, WRITE_BYTES_MIN, WRITE_CLEAR, WRITE_CLEAR_RANGE,
    WRITE_SET,
};
use crate::engine::{
    wal::{
        LogError, LogRecord,
        record::{TYPE_BATCH, TYPE_CEILING},
    },
    write::{CommittedTransaction, Write, WriteRef},
};

/// Why a body could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::wal) enum BodyError {
    UnknownType,
    Malformed(&'static str),
}

const SHORT: BodyError = BodyError::Malformed("the record ends in the middle");

/// What a record says, where it was read to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum CheckedRecord {
    /// See [`LogRecord::Batch`].
    Batch(CheckedBatch),
    /// See [`LogRecord::Ceiling`].
    Ceiling(Version),
}

/// A batch whose body has been found to be sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct CheckedBatch {
    body: Bytes,
    /// Those of the first and of the last transaction, also where they are left out.
    versions: Option<(Version, Version)>,
    /// Transactions up to this version are left out.
    after: Version,
    count: u64,
}

impl CheckedRecord {
    /// Checks a body from its beginning to its end. Of a batch, transactions up to the version
    /// `after` are left out.
    pub(in crate::engine::wal) fn check(
        record_type: u8,
        body: Bytes,
        after: Version,
    ) -> Result<Self, BodyError> {
        match record_type {
            TYPE_BATCH => CheckedBatch::check(body, after).map(Self::Batch),
            TYPE_CEILING => {
                let mut body = &*body;
                let ceiling = Version(take_u64(&mut body)?);
                end(body)?;
                Ok(Self::Ceiling(ceiling))
            }
            _ => Err(BodyError::UnknownType),
        }
    }

    /// The same record, on its own. Keys and values are slices of the body.
    pub(in crate::engine::wal) fn to_record(&self) -> Result<LogRecord, LogError> {
        Ok(match self {
            Self::Batch(batch) => LogRecord::Batch(batch.to_transactions()?),
            Self::Ceiling(ceiling) => LogRecord::Ceiling(*ceiling),
        })
    }
}

impl CheckedBatch {
    fn check(body: Bytes, after: Version) -> Result<Self, BodyError> {
        let mut transactions = Transactions::begin(&body, after)?;
        let (mut versions, mut count) = (None, 0);
        while let Some(EncodedTransaction { version, .. }) =
            transactions.next_of_all(&mut |_| ())?
        {
            let (first, _) = versions.unwrap_or((version, version));
            versions = Some((first, version));
            count += u64::from(version > after);
        }
        Ok(Self { body, versions, after, count })
    }

    /// The versions of the first and of the last transaction, if there are any, also where they are
    /// left out.
    pub(in crate::engine::wal) fn versions(&self) -> Option<(Version, Version)> {
        self.versions
    }

    /// How many transactions there are, without those that are left out.
    pub(in crate::engine) fn count(&self) -> u64 {
        self.count
    }

    /// The transactions, in order.
    pub(in crate::engine) fn transactions(&self) -> Result<Transactions<'_>, LogError> {
        Transactions::begin(&self.body, self.after).map_err(changed)
    }

    fn to_transactions(&self) -> Result<Vec<CommittedTransaction>, LogError> {
        let mut transactions = self.transactions()?;
        let mut batch = Vec::with_capacity(transactions.left);
        let mut writes = Vec::new();
        while let Some(transaction) = transactions.next(&mut |write| {
            writes.push(match write {
                WriteRef::Set { keyspace, key, value } => {
                    let (key, value) = (self.body.slice_ref(key), self.body.slice_ref(value));
                    Write::Set { keyspace, key, value }
                }
                WriteRef::Clear { keyspace, key } => {
                    Write::Clear { keyspace, key: self.body.slice_ref(key) }
                }
                WriteRef::ClearRange { keyspace, begin, end } => {
                    let (begin, end) = (self.body.slice_ref(begin), self.body.slice_ref(end));
                    Write::ClearRange { keyspace, begin, end }
                }
            });
        })? {
            let EncodedTransaction { version, order, idempotency_id, committed_at_ms } =
                transaction;
            batch.push(CommittedTransaction {
                version,
                order,
                // A copy: ids are kept for long, and shall not keep their records in memory.
                idempotency_id: idempotency_id.map(Bytes::copy_from_slice),
                committed_at_ms,
                writes: std::mem::take(&mut writes),
            });
        }
        Ok(batch)
    }
}

/// A body that was sound when it was checked is not any more.
fn changed(error: BodyError) -> LogError {
    LogError::Replay { reason: format!("a record has changed in memory: {error:?}") }
}

/// A [`CommittedTransaction`] that lies elsewhere, without its writes.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct EncodedTransaction<'a> {
    pub(in crate::engine) version: Version,
    pub(in crate::engine) order: u16,
    pub(in crate::engine) idempotency_id: Option<&'a [u8]>,
    pub(in crate::engine) committed_at_ms: u64,
}

/// The transactions of a batch.
#[derive(Debug)]
pub(in crate::engine) struct Transactions<'a> {
    rest: &'a [u8],
    left: usize,
    after: Version,
    /// Version and order of the last one.
    last: Option<(Version, u16)>,
}

impl<'a> Transactions<'a> {
    fn begin(body: &'a [u8], after: Version) -> Result<Self, BodyError> {
        let mut rest = body;
        let left = take_count(&mut rest, TRANSACTION_BYTES_MIN)?;
        Ok(Self { rest, left, after, last: None })
    }

    /// The next transaction, if there is one; before that, its writes in order.
    pub(in crate::engine) fn next(
        &mut self,
        write: &mut impl FnMut(WriteRef<'a>),
    ) -> Result<Option<EncodedTransaction<'a>>, LogError> {
        loop {
            // Versions ascend, so it is the first ones that are left out.
            let is_left_out = match self.rest.first_chunk::<8>() {
                Some(version) => Version(u64::from_le_bytes(*version)) <= self.after,
                None => false,
            };
            if !is_left_out {
                return self.next_of_all(write).map_err(changed);
            }
            if self.next_of_all(&mut |_| ()).map_err(changed)?.is_none() {
                return Ok(None);
            }
        }
    }

    fn next_of_all(
        &mut self,
        write: &mut impl FnMut(WriteRef<'a>),
    ) -> Result<Option<EncodedTransaction<'a>>, BodyError> {
        let rest = &mut self.rest;
        if self.left == 0 {
            end(rest)?;
            return Ok(None);
        }
        self.left -= 1;
        let version = Version(take_u64(rest)?);
        let committed_at_ms = take_u64(rest)?;
        let order = u16::from_le_bytes(*take_array(rest)?);
        let &[flags, id_len] = take_array(rest)?;
        let count = take_count(rest, WRITE_BYTES_MIN)?;
        let id = take(rest, usize::from(id_len))?;
        let idempotency_id = match flags {
            FLAG_IDEMPOTENCY_ID => Some(id),
            0 if id.is_empty() => None,
            _ => return Err(BodyError::Malformed("a transaction has unknown flags")),
        };
        for _ in 0..count {
            write(take_write(rest)?);
        }
        if self.last.is_some_and(|last| last >= (version, order)) {
            return Err(BodyError::Malformed("the record's transactions are not in order"));
        }
        self.last = Some((version, order));
        Ok(Some(EncodedTransaction { version, order, idempotency_id, committed_at_ms }))
    }
}

fn take_write<'a>(rest: &mut &'a [u8]) -> Result<WriteRef<'a>, BodyError> {
    let &[write_type] = take_array(rest)?;
    let keyspace = KeyspaceId(take_u32(rest)?);
    let key_len = take_u32(rest)? as usize;
    match write_type {
        WRITE_SET => {
            let value_len = take_u32(rest)? as usize;
            let (key, value) = (take(rest, key_len)?, take(rest, value_len)?);
            Ok(WriteRef::Set { keyspace, key, value })
        }
        WRITE_CLEAR => Ok(WriteRef::Clear { keyspace, key: take(rest, key_len)? }),
        WRITE_CLEAR_RANGE => {
            let end_len = take_u32(rest)? as usize;
            let (begin, end) = (take(rest, key_len)?, take(rest, end_len)?);
            Ok(WriteRef::ClearRange { keyspace, begin, end })
        }
        _ => Err(BodyError::Malformed("a write has an unknown type")),
    }
}

fn end(rest: &[u8]) -> Result<(), BodyError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(BodyError::Malformed("the record goes on behind its end"))
    }
}

/// A count of things that take so many bytes at least.
fn take_count(rest: &mut &[u8], bytes_min: usize) -> Result<usize, BodyError> {
    let count = take_u32(rest)? as usize;
    if count > rest.len() / bytes_min { Err(SHORT) } else { Ok(count) }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], BodyError> {
    let (taken, after) = rest.split_at_checked(len).ok_or(SHORT)?;
    *rest = after;
    Ok(taken)
}

fn take_array<'a, const LEN: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; LEN], BodyError> {
    let (taken, after) = rest.split_first_chunk().ok_or(SHORT)?;
    *rest = after;
    Ok(taken)
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, BodyError> {
    take_array(rest).map(|bytes| u32::from_le_bytes(*bytes))
}

fn take_u64(rest: &mut &[u8]) -> Result<u64, BodyError> {
    take_array(rest).map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::wal::body::encode_batch;

    fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
    }

    fn write() -> impl Strategy<Value = Write> {
        let keyspace = || (0_u32..20).prop_map(KeyspaceId);
        prop_oneof![
            (keyspace(), bytes(20), bytes(60)).prop_map(|(keyspace, key, value)| Write::Set {
                keyspace,
                key,
                value
            }),
            (keyspace(), bytes(20)).prop_map(|(keyspace, key)| Write::Clear { keyspace, key }),
            (keyspace(), bytes(20), bytes(20))
                .prop_map(|(keyspace, begin, end)| Write::ClearRange { keyspace, begin, end }),
        ]
    }

    /// Any transactions in order.
    fn batch() -> impl Strategy<Value = Vec<CommittedTransaction>> {
        let id = prop::option::of(bytes(256));
        let transaction = (1_u64..3, any::<u64>(), id, prop::collection::vec(write(), 0..6));
        prop::collection::vec(transaction, 1..5).prop_map(|transactions| {
            let mut version = 0;
            transactions
                .into_iter()
                .zip(0_u16..)
                .map(|((step, committed_at_ms, idempotency_id, writes), order)| {
                    // Two in a row may share a version; their orders differ.
                    version += if order == 0 { step } else { step - 1 };
                    let version = Version(version);
                    CommittedTransaction { version, order, idempotency_id, committed_at_ms, writes }
                })
                .collect()
        })
    }

    fn decode(record_type: u8, body: &[u8]) -> Result<LogRecord, BodyError> {
        let body = Bytes::copy_from_slice(body);
        let record = CheckedRecord::check(record_type, body, Version::ZERO)?;
        Ok(record.to_record().expect("it was checked"))
    }

    proptest! {
        #[test]
        fn transactions_that_are_flushed_are_left_out(batch in batch(), after in 0_u64..12) {
            let mut buffer = vec![];
            encode_batch(&batch, &mut buffer).unwrap();
            let ends = batch.first().zip(batch.last());
            let versions = ends.map(|(first, last)| (first.version, last.version));
            let after = Version(after);
            let record = CheckedRecord::check(TYPE_BATCH, buffer.into(), after).unwrap();
            let mut left = batch;
            left.retain(|transaction| transaction.version > after);
            let CheckedRecord::Batch(checked) = &record else { panic!("it is a batch") };
            prop_assert_eq!(checked.count(), left.len() as u64);
            prop_assert_eq!(checked.versions(), versions);
            prop_assert_eq!(record.to_record().unwrap(), LogRecord::Batch(left));
        }

        #[test]
        fn a_batch_comes_back_as_it_was(batch in batch()) {
            let mut buffer = vec![];
            encode_batch(&batch, &mut buffer).unwrap();
            let record = decode(TYPE_BATCH, &buffer).unwrap();
            prop_assert_eq!(record, LogRecord::Batch(batch));
            for len in 0..buffer.len() {
                prop_assert_eq!(decode(TYPE_BATCH, &buffer[..len]), Err(SHORT), "cut to {}", len);
            }
            buffer.push(0);
            prop_assert!(decode(TYPE_BATCH, &buffer).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_or_a_record(record_type in 0_u8..4, body in bytes(200)) {
            if let Ok(LogRecord::Batch(batch)) = decode(record_type, &body) {
                let mut buffer = vec![];
                encode_batch(&batch, &mut buffer).unwrap();
                prop_assert_eq!(buffer, body);
            }
        }
    }

    #[test]
    fn a_count_that_the_body_cannot_hold_makes_no_room() {
        assert_eq!(decode(TYPE_BATCH, &[0xFF; 64]), Err(SHORT));
    }

    #[test]
    fn an_unknown_type_is_told_apart_from_a_malformed_body() {
        assert_eq!(decode(9, &[]), Err(BodyError::UnknownType));
        assert_eq!(decode(TYPE_CEILING, &[1; 7]), Err(SHORT));
    }
}
