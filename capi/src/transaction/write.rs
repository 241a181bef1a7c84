//! Writes: they return nothing, and what is wrong with them comes out of the next call that can fail.

use std::ffi::c_int;

use plinth_client::{ErrorCode, Version};

use super::{FdbTransaction, share};
use crate::abi::{FdbError, bytes, guarded, guarded_error, number};

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

/// Changes the value of a key by an atomic operation.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_atomic_op(
    transaction: *mut FdbTransaction,
    key: *const u8,
    key_length: c_int,
    operand: *const u8,
    operand_length: c_int,
    mutation_type: c_int,
) {
    guarded((), || {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let key = unsafe { bytes(key, key_length) };
        // SAFETY: by this function's contract.
        let operand = unsafe { bytes(operand, operand_length) };
        transaction.mutate(mutation_type, key, operand);
    });
}

/// Makes a transaction read at a version that is known from elsewhere.
///
/// # Safety
///
/// `transaction` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_set_read_version(
    transaction: *mut FdbTransaction,
    version: i64,
) {
    guarded((), || {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        transaction.set_read_version(Version(u64::try_from(version).unwrap_or(0)));
    });
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
            _ if begin > end => Err(ErrorCode::INVERTED_RANGE.into()),
            _ => Err(ErrorCode::CLIENT_INVALID_OPERATION.into()),
        };
        added.map_err(|error| number(&error))
    })
}
