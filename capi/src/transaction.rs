//! `FDBTransaction`: a transaction of the client, called from C.
//!
//! Reads and commits return futures; writes return nothing, and what is wrong with them comes out of
//! the next call that can fail.

use std::ffi::c_int;

use bytes::Bytes;
use plinth_client::{
    Error, ErrorCode, KeySelector, RangeRead, StreamingMode, TcpBackend, Transaction, Version,
};

use crate::{
    abi::{FdbBool, FdbError, bytes, code, guarded, guarded_error, number, put},
    future::{Answer, FdbFuture, OnCancel, ready, start},
};

/// The object behind `FDBTransaction*`.
pub struct FdbTransaction(Transaction<TcpBackend>);

impl FdbTransaction {
    /// Hands a transaction to the program.
    pub(crate) fn into_raw(transaction: Transaction<TcpBackend>) -> *mut Self {
        Box::into_raw(Box::new(Self(transaction)))
    }
}

/// The transaction behind a pointer.
///
/// # Safety
///
/// `transaction` has not been destroyed.
unsafe fn share(transaction: *mut FdbTransaction) -> Transaction<TcpBackend> {
    // SAFETY: by this function's contract.
    unsafe { &*transaction }.0.clone()
}

/// A call that answers with a future, of a body that may be refused at once.
fn future(body: impl FnOnce() -> Result<*mut FdbFuture, Error>) -> *mut FdbFuture {
    guarded(None, || Some(body().unwrap_or_else(|error| ready(Err(number(&error))))))
        .unwrap_or_else(|| ready(Err(code(ErrorCode::INTERNAL_ERROR))))
}

/// A version as C has it.
fn signed(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}

/// Gives a transaction back: what is pending fails with `transaction_cancelled`.
///
/// # Safety
///
/// `transaction` is null or has not been destroyed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_destroy(transaction: *mut FdbTransaction) {
    if transaction.is_null() {
        return;
    }
    guarded((), || {
        // SAFETY: the program gives back what it got from `into_raw`.
        let transaction = unsafe { Box::from_raw(transaction) };
        transaction.0.cancel();
    });
}

/// Ends a transaction: everything pending or later fails until a reset.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_cancel(transaction: *mut FdbTransaction) {
    guarded((), || {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        transaction.cancel();
    });
}

/// Begins anew, with all options at their defaults.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_reset(transaction: *mut FdbTransaction) {
    guarded((), || {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        transaction.reset();
    });
}

/// Sets a key to a value.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_set(
    transaction: *mut FdbTransaction,
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
) {
    guarded((), || {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let key = unsafe { bytes(key, key_length) };
        // SAFETY: by this function's contract.
        let value = unsafe { bytes(value, value_length) };
        transaction.set(key, value);
    });
}

/// Clears a key.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_clear(
    transaction: *mut FdbTransaction,
    key: *const u8,
    key_length: c_int,
) {
    guarded((), || {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let key = unsafe { bytes(key, key_length) };
        transaction.clear(key);
    });
}

/// Clears the keys from `begin` to before `end`.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_clear_range(
    transaction: *mut FdbTransaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
) {
    guarded((), || {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let begin = unsafe { bytes(begin, begin_length) };
        // SAFETY: by this function's contract.
        let end = unsafe { bytes(end, end_length) };
        transaction.clear_range(begin, end);
    });
}

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

/// Reads one page of a range between two key selectors.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_range(
    transaction: *mut FdbTransaction,
    begin: *const u8,
    begin_length: c_int,
    begin_or_equal: FdbBool,
    begin_offset: c_int,
    end: *const u8,
    end_length: c_int,
    end_or_equal: FdbBool,
    end_offset: c_int,
    limit: c_int,
    target_bytes: c_int,
    mode: c_int,
    iteration: c_int,
    snapshot: FdbBool,
    reverse: FdbBool,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let begin = unsafe { bytes(begin, begin_length) };
        // SAFETY: by this function's contract.
        let end = unsafe { bytes(end, end_length) };
        let read = RangeRead {
            rows_max: amount(limit)?,
            bytes_target: amount(target_bytes)?,
            mode: streaming_mode(mode)?,
            iteration: u32::try_from(iteration).unwrap_or(0),
            reverse: reverse != 0,
            ..RangeRead::between(
                KeySelector { key: begin, or_equal: begin_or_equal != 0, offset: begin_offset },
                KeySelector { key: end, or_equal: end_or_equal != 0, offset: end_offset },
            )
        };
        Ok(start(OnCancel::GoOn, async move {
            let page = if snapshot == 0 {
                transaction.get_range(read).await?
            } else {
                transaction.snapshot().get_range(read).await?
            };
            Ok(Answer::rows(page.rows, page.more))
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

/// The versionstamp that the commit will have.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_versionstamp(
    transaction: *mut FdbTransaction,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        let stamp = transaction.get_versionstamp();
        Ok(start(OnCancel::GoOn, async move {
            Ok(Answer::Key(Bytes::copy_from_slice(&stamp.await?.0)))
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

/// Ready when, after the commit, the value of a key is another one.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_watch(
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
            transaction.watch(key).await?.changed().await?;
            Ok(Answer::Void)
        }))
    })
}

/// Commits.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_commit(
    transaction: *mut FdbTransaction,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        Ok(start(OnCancel::GoOn, async move {
            transaction.commit().await?;
            Ok(Answer::Void)
        }))
    })
}

/// Waits and begins again if that helps against an error; else fails with it.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_on_error(
    transaction: *mut FdbTransaction,
    error: FdbError,
) -> *mut FdbFuture {
    future(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        let error = ErrorCode(u16::try_from(error).unwrap_or(0));
        Ok(start(OnCancel::GoOn, async move {
            transaction.on_error(error).await?;
            Ok(Answer::Void)
        }))
    })
}

/// The commit version; -1 before the commit and after one that wrote nothing.
///
/// # Safety
///
/// `transaction` has not been destroyed; `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_committed_version(
    transaction: *mut FdbTransaction,
    out: *mut i64,
) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        let version = transaction.committed_version().map_or(-1, signed);
        // SAFETY: by this function's contract.
        unsafe { put(out, version) };
        Ok(())
    })
}

/// Adds a range to what was read (0) or written (1).
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_add_conflict_range(
    transaction: *mut FdbTransaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    kind: c_int,
) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let begin = unsafe { bytes(begin, begin_length) };
        // SAFETY: by this function's contract.
        let end = unsafe { bytes(end, end_length) };
        let added = match kind {
            0 => transaction.add_read_conflict_range(begin, end),
            1 => transaction.add_write_conflict_range(begin, end),
            _ => Err(ErrorCode::CLIENT_INVALID_OPERATION.into()),
        };
        added.map_err(|error| number(&error))
    })
}

/// A limit of rows or bytes: 0 and -1 mean none.
fn amount(limit: c_int) -> Result<u32, Error> {
    match limit {
        -1 => Ok(0),
        limit => u32::try_from(limit).map_err(|_| ErrorCode::RANGE_LIMITS_INVALID.into()),
    }
}

fn streaming_mode(mode: c_int) -> Result<StreamingMode, Error> {
    Ok(match mode {
        -2 => StreamingMode::WantAll,
        -1 => StreamingMode::Iterator,
        0 => StreamingMode::Exact,
        1 => StreamingMode::Small,
        2 => StreamingMode::Medium,
        3 => StreamingMode::Large,
        4 => StreamingMode::Serial,
        _ => return Err(ErrorCode::CLIENT_INVALID_OPERATION.into()),
    })
}
