//! The bodies of records: batches and ceilings. How they are encoded; [`decode`] reads them.

pub(super) mod decode;

use bytes::Bytes;
use plinth_protocol::Version;

use super::{
    LogError,
    record::{RECORD_ALIGNMENT, RECORD_BODY_BYTES_MAX, RECORD_HEADER_BYTES},
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
