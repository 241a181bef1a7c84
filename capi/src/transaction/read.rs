//! Reads of keys, and of what a transaction knows of itself.

use std::ffi::c_int;

use bytes::Bytes;
use plinth_client::KeySelector;

use super::{FdbTransaction, future, share, signed};
use crate::{
    abi::{FdbBool, bytes},
    future::{Answer, FdbFuture, OnCancel, ready, start},
};

/// Reads a key.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get(
    transaction: *mut FdbTransaction,
    key: *const u8,
    key_length: c_int,
    snapshot: FdbBool,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let key = unsafe { bytes(key, key_length) };
        Ok(start(OnCancel::GoOn, async move {
            let value = if snapshot == 0 {
                transaction.get(key).await?
            } else {
                transaction.snapshot().get(key).await?
            };
            transaction.cost.count(value.as_ref().map_or(0, Bytes::len));
            Ok(Answer::Value(value))
        }))
    })
}

/// Resolves a key selector.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_key(
    transaction: *mut FdbTransaction,
    key: *const u8,
    key_length: c_int,
    or_equal: FdbBool,
    offset: c_int,
    snapshot: FdbBool,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let key = unsafe { bytes(key, key_length) };
        let selector = KeySelector { key, or_equal: or_equal != 0, offset };
        Ok(start(OnCancel::GoOn, async move {
            let key = if snapshot == 0 {
                transaction.get_key(selector).await?
            } else {
                transaction.snapshot().get_key(selector).await?
            };
            Ok(Answer::Key(key))
        }))
    })
}

/// The version that the transaction reads at.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_read_version(
    transaction: *mut FdbTransaction,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        Ok(start(OnCancel::GoOn, async move {
            Ok(Answer::Int64(signed(transaction.get_read_version().await?)))
        }))
    })
}

/// How large the transaction is, as its size limit counts.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_approximate_size(
    transaction: *mut FdbTransaction,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        let size = transaction.approximate_size()?;
        Ok(ready(Ok(Answer::Int64(i64::try_from(size).unwrap_or(i64::MAX)))))
    })
}
