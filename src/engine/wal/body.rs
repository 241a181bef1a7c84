//! The bodies of records: batches and ceilings.
//!
//! Encoding and decoding, side by side. A body is decoded after its checksum has passed; what is
//! wrong then was wrong when it was written, and is an error all the same, not a panic.

use bytes::{Buf, Bytes};
use plinth_protocol::{KeyspaceId, Version};

use super::{
    LogError, LogRecord,
    record::{
        RECORD_ALIGNMENT, RECORD_BODY_BYTES_MAX, RECORD_HEADER_BYTES, TYPE_BATCH, TYPE_CEILING,
    },
};
use crate::engine::write::{CommittedTransaction, Write};

const WRITE_SET: u8 = 1;
const WRITE_CLEAR: u8 = 2;
const WRITE_CLEAR_RANGE: u8 = 3;

/// Set in a transaction's flags when it has an idempotency id.
const FLAG_IDEMPOTENCY_ID: u8 = 1;

/// The least bytes of a transaction, by which a count is checked before room is made for it.
const TRANSACTION_BYTES_MIN: usize = 24;
/// The least bytes of a write.
const WRITE_BYTES_MIN: usize = 9;

/// What a batch takes in the log beside its transactions.
pub(crate) const BATCH_BYTES: u64 = (RECORD_HEADER_BYTES + 4 + RECORD_ALIGNMENT) as u64;
/// What a transaction takes beside its id and its writes.
pub(crate) const TRANSACTION_BYTES: u64 = TRANSACTION_BYTES_MIN as u64;
/// What a write takes at most beside its keys and its value.
pub(crate) const WRITE_BYTES: u64 = WRITE_BYTES_MIN as u64 + 4;

/// Adds a batch's body to the buffer. What was added has no meaning after an error.
pub(super) fn encode_batch(
    transactions: &[CommittedTransaction],
    buffer: &mut Vec<u8>,
) -> Result<(), LogError> {
    let begin = buffer.len();
    put_len(transactions.len(), buffer)?;
    for transaction in transactions {
        encode_transaction(transaction, buffer)?;
        if buffer.len() - begin > RECORD_BODY_BYTES_MAX {
            return Err(LogError::TooLarge { bytes: buffer.len() - begin });
        }
    }
    Ok(())
}

fn encode_transaction(
    transaction: &CommittedTransaction,
    buffer: &mut Vec<u8>,
) -> Result<(), LogError> {
    let id = transaction.idempotency_id.as_deref();
    let flags = if id.is_some() { FLAG_IDEMPOTENCY_ID } else { 0 };
    let id = id.unwrap_or_default();
    let id_len = u8::try_from(id.len()).map_err(|_| LogError::TooLarge { bytes: id.len() })?;
    buffer.extend_from_slice(&transaction.version.0.to_le_bytes());
    buffer.extend_from_slice(&transaction.committed_at_ms.to_le_bytes());
    buffer.extend_from_slice(&transaction.order.to_le_bytes());
    buffer.extend_from_slice(&[flags, id_len]);
    put_len(transaction.writes.len(), buffer)?;
    buffer.extend_from_slice(id);
    for write in &transaction.writes {
        encode_write(write, buffer)?;
    }
    Ok(())
}

fn encode_write(write: &Write, buffer: &mut Vec<u8>) -> Result<(), LogError> {
    let (write_type, keyspace, key, second) = match write {
        Write::Set { keyspace, key, value } => (WRITE_SET, keyspace, key, Some(value)),
        Write::Clear { keyspace, key } => (WRITE_CLEAR, keyspace, key, None),
        Write::ClearRange { keyspace, begin, end } => {
            (WRITE_CLEAR_RANGE, keyspace, begin, Some(end))
        }
    };
    // One growth for the whole write, also when the value is large.
    buffer.reserve(WRITE_BYTES_MIN + 4 + key.len() + second.map_or(0, Bytes::len));
    buffer.push(write_type);
    buffer.extend_from_slice(&keyspace.0.to_le_bytes());
    put_len(key.len(), buffer)?;
    if let Some(second) = second {
        put_len(second.len(), buffer)?;
    }
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(second.map(|second| &**second).unwrap_or_default());
    Ok(())
}

fn put_len(len: usize, buffer: &mut Vec<u8>) -> Result<(), LogError> {
    let short = u32::try_from(len).map_err(|_| LogError::TooLarge { bytes: len })?;
    buffer.extend_from_slice(&short.to_le_bytes());
    Ok(())
}

/// Adds a ceiling's body to the buffer.
pub(super) fn encode_ceiling(ceiling: Version, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&ceiling.0.to_le_bytes());
}

/// Why a body could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    UnknownType,
    Malformed(&'static str),
}

/// Decodes a body. Keys and values are slices of it.
pub(super) fn decode(record_type: u8, mut body: Bytes) -> Result<LogRecord, BodyError> {
    let record = match record_type {
        TYPE_BATCH => LogRecord::Batch(decode_batch(&mut body)?),
        TYPE_CEILING => LogRecord::Ceiling(Version(body.try_get_u64_le().map_err(|_| SHORT)?)),
        _ => return Err(BodyError::UnknownType),
    };
    if body.is_empty() {
        Ok(record)
    } else {
        Err(BodyError::Malformed("the record goes on behind its end"))
    }
}

const SHORT: BodyError = BodyError::Malformed("the record ends in the middle");

fn decode_batch(body: &mut Bytes) -> Result<Vec<CommittedTransaction>, BodyError> {
    let count = take_count(body, TRANSACTION_BYTES_MIN)?;
    let mut transactions: Vec<CommittedTransaction> = Vec::with_capacity(count);
    for _ in 0..count {
        let transaction = decode_transaction(body)?;
        let place = |transaction: &CommittedTransaction| (transaction.version, transaction.order);
        if transactions.last().is_some_and(|last| place(last) >= place(&transaction)) {
            return Err(BodyError::Malformed("the record's transactions are not in order"));
        }
        transactions.push(transaction);
    }
    Ok(transactions)
}

fn decode_transaction(body: &mut Bytes) -> Result<CommittedTransaction, BodyError> {
    let version = Version(body.try_get_u64_le().map_err(|_| SHORT)?);
    let committed_at_ms = body.try_get_u64_le().map_err(|_| SHORT)?;
    let order = body.try_get_u16_le().map_err(|_| SHORT)?;
    let flags = body.try_get_u8().map_err(|_| SHORT)?;
    let id_len = body.try_get_u8().map_err(|_| SHORT)?;
    let count = take_count(body, WRITE_BYTES_MIN)?;
    let id = take(body, usize::from(id_len))?;
    let idempotency_id = match flags {
        // A copy: ids are kept for long, and shall not keep their records in memory.
        FLAG_IDEMPOTENCY_ID => Some(Bytes::copy_from_slice(&id)),
        0 if id.is_empty() => None,
        _ => return Err(BodyError::Malformed("a transaction has unknown flags")),
    };
    let writes = (0..count).map(|_| decode_write(body)).collect::<Result<_, _>>()?;
    Ok(CommittedTransaction { version, order, idempotency_id, committed_at_ms, writes })
}

fn decode_write(body: &mut Bytes) -> Result<Write, BodyError> {
    let write_type = body.try_get_u8().map_err(|_| SHORT)?;
    let keyspace = KeyspaceId(body.try_get_u32_le().map_err(|_| SHORT)?);
    let key_len = body.try_get_u32_le().map_err(|_| SHORT)? as usize;
    match write_type {
        WRITE_SET => {
            let value_len = body.try_get_u32_le().map_err(|_| SHORT)? as usize;
            let (key, value) = (take(body, key_len)?, take(body, value_len)?);
            Ok(Write::Set { keyspace, key, value })
        }
        WRITE_CLEAR => Ok(Write::Clear { keyspace, key: take(body, key_len)? }),
        WRITE_CLEAR_RANGE => {
            let end_len = body.try_get_u32_le().map_err(|_| SHORT)? as usize;
            let (begin, end) = (take(body, key_len)?, take(body, end_len)?);
            Ok(Write::ClearRange { keyspace, begin, end })
        }
        _ => Err(BodyError::Malformed("a write has an unknown type")),
    }
}

/// A count of things that take so many bytes at least.
fn take_count(body: &mut Bytes, bytes_min: usize) -> Result<usize, BodyError> {
    let count = body.try_get_u32_le().map_err(|_| SHORT)? as usize;
    if count > body.len() / bytes_min { Err(SHORT) } else { Ok(count) }
}

fn take(body: &mut Bytes, len: usize) -> Result<Bytes, BodyError> {
    if len > body.len() { Err(SHORT) } else { Ok(body.split_to(len)) }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

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
    pub(crate) fn batch() -> impl Strategy<Value = Vec<CommittedTransaction>> {
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

    proptest! {
        #[test]
        fn a_batch_comes_back_as_it_was(batch in batch()) {
            let mut buffer = vec![];
            encode_batch(&batch, &mut buffer).unwrap();
            let record = decode(TYPE_BATCH, buffer.clone().into()).unwrap();
            prop_assert_eq!(record, LogRecord::Batch(batch));
            for len in 0..buffer.len() {
                let cut = Bytes::copy_from_slice(&buffer[..len]);
                prop_assert_eq!(decode(TYPE_BATCH, cut), Err(SHORT), "cut to {}", len);
            }
            buffer.push(0);
            prop_assert!(decode(TYPE_BATCH, buffer.into()).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_or_a_record(record_type in 0_u8..4, body in bytes(200)) {
            if let Ok(LogRecord::Batch(batch)) = decode(record_type, body.clone()) {
                let mut buffer = vec![];
                encode_batch(&batch, &mut buffer).unwrap();
                prop_assert_eq!(buffer, body);
            }
        }
    }

    #[test]
    fn a_count_that_the_body_cannot_hold_makes_no_room() {
        let body = Bytes::from_static(&[0xFF; 64]);
        assert_eq!(decode(TYPE_BATCH, body), Err(SHORT));
    }

    #[test]
    fn an_unknown_type_is_told_apart_from_a_malformed_body() {
        assert_eq!(decode(9, Bytes::new()), Err(BodyError::UnknownType));
        assert_eq!(decode(TYPE_CEILING, Bytes::from_static(&[1; 7])), Err(SHORT));
    }
}
