//! The commit, what comes after it, and what is ready only then.

use std::ffi::c_int;

use bytes::Bytes;
use plinth_client::ErrorCode;

use super::{FdbTransaction, future, share, signed};
use crate::{
    abi::{FdbError, bytes, guarded_error, put},
    future::{Answer, FdbFuture, OnCancel, start},
};

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
            let watch = transaction.watch(key).await?;
            // What outlives the transaction doesn't keep its state.
            drop(transaction);
            watch.changed().await?;
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
            transaction.commit_after_reads().await?;
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
        let error = ErrorCode(u16::try_from(error).unwrap_or(ErrorCode::UNKNOWN_ERROR.0));
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
