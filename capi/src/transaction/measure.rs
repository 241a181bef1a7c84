//! What a transaction can be asked about sizes, places and costs.

use std::{
    ffi::{CString, c_int},
    sync::atomic::{AtomicI64, Ordering},
};

use plinth_client::{ErrorCode, KeyRange};

use super::{FdbTransaction, future, share};
use crate::{
    abi::bytes,
    future::{Answer, FdbFuture, OnCancel, ready, start},
};

/// Costs are counted in pages of this size.
const COST_PAGE_BYTES: usize = 4096;

/// What a transaction's reads have cost, in bytes of the pages that they touched.
#[derive(Default)]
pub(crate) struct Cost(AtomicI64);

impl Cost {
    /// Counts a read that gave so many bytes: whole pages, one at least.
    pub(super) fn count(&self, bytes: usize) {
        let pages = bytes.div_ceil(COST_PAGE_BYTES).max(1);
        let bytes = i64::try_from(pages * COST_PAGE_BYTES).unwrap_or(i64::MAX);
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Begins anew.
    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Where a key is stored: at the one server there is.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_addresses_for_key(
    transaction: *mut FdbTransaction,
    key: *const u8,
    key_length: c_int,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let key = unsafe { bytes(key, key_length) };
        Ok(start(OnCancel::End, async move {
            let backend = transaction.database().backend();
            let address = transaction.ask(backend.server_address()).await?;
            if key.starts_with(b"\xFF\xFF") {
                return Ok(Answer::strings(Vec::new()));
            }
            let shown = if transaction.shows_ports() {
                address.to_string()
            } else {
                address.ip().to_string()
            };
            let shown = CString::new(shown).map_err(|_| ErrorCode::INTERNAL_ERROR)?;
            Ok(Answer::strings(vec![shown]))
        }))
    })
}

/// About how many bytes of keys and values a range holds.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_estimated_range_size_bytes(
    transaction: *mut FdbTransaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let begin = unsafe { bytes(begin, begin_length) };
        // SAFETY: by this function's contract.
        let end = unsafe { bytes(end, end_length) };
        Ok(start(OnCancel::End, async move {
            let bytes = transaction.estimate_size(KeyRange { begin, end }).await?;
            Ok(Answer::Int64(i64::try_from(bytes).unwrap_or(i64::MAX)))
        }))
    })
}

/// Keys that cut a range into pieces of about `chunk_bytes`; its ends are the first and the last.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_range_split_points(
    transaction: *mut FdbTransaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    chunk_bytes: i64,
) -> *mut FdbFuture {
    // SAFETY: by this function's contract.
    unsafe { split(transaction, begin, begin_length, end, end_length, chunk_bytes, c_int::MAX) }
}

/// The same, of the first pieces only if there are more than `limit`.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_range_split_points_with_limit(
    transaction: *mut FdbTransaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    chunk_bytes: i64,
    limit: c_int,
) -> *mut FdbFuture {
    // SAFETY: by this function's contract.
    unsafe { split(transaction, begin, begin_length, end, end_length, chunk_bytes, limit) }
}

/// # Safety
///
/// As the two functions above.
unsafe fn split(
    transaction: *mut FdbTransaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    chunk_bytes: i64,
    limit: c_int,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let begin = unsafe { bytes(begin, begin_length) };
        // SAFETY: by this function's contract.
        let end = unsafe { bytes(end, end_length) };
        let chunk_bytes =
            u64::try_from(chunk_bytes).map_err(|_| ErrorCode::RANGE_LIMITS_INVALID)?;
        let limit = usize::try_from(limit).map_err(|_| ErrorCode::RANGE_LIMITS_INVALID)?;
        Ok(start(OnCancel::End, async move {
            let range = KeyRange { begin, end };
            let mut keys = transaction.split_points(range, chunk_bytes).await?;
            keys.truncate(limit);
            Ok(Answer::keys(keys))
        }))
    })
}

/// How long the transaction was held back because of its tags: not at all, as this server has no
/// throttling by tags.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_tag_throttled_duration(
    transaction: *mut FdbTransaction,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        transaction.approximate_size()?;
        Ok(ready(Ok(Answer::Double(0.0))))
    })
}

/// What the transaction has cost so far: the bytes of the pages that its reads have touched.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_total_cost(
    transaction: *mut FdbTransaction,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        let total = transaction.cost.0.load(Ordering::Relaxed);
        transaction.approximate_size()?;
        Ok(ready(Ok(Answer::Int64(total))))
    })
}
