//! `FDBTransaction`: a transaction of the client, called from C.
//!
//! Reads and commits return futures; writes return nothing, and what is wrong with them comes out of
//! the next call that can fail.

pub mod commit;
pub mod measure;
pub mod range;
pub mod read;
pub mod write;

use std::{ffi::c_int, ops::Deref, sync::Arc};

use measure::Cost;
use plinth_client::{Error, TcpBackend, Transaction, Version};

use crate::{
    abi::{FdbError, bytes, guarded, guarded_error, number},
    future::{FdbFuture, failed, ready},
    options,
};

/// The object behind `FDBTransaction*`: shared by the program and by what it has begun.
pub struct FdbTransaction {
    transaction: Transaction<TcpBackend>,
    cost: Cost,
}

impl FdbTransaction {
    /// Hands a transaction to the program.
    pub(crate) fn into_raw(transaction: Transaction<TcpBackend>) -> *mut Self {
        Arc::into_raw(Arc::new(Self { transaction, cost: Cost::default() })).cast_mut()
    }
}

impl Deref for FdbTransaction {
    type Target = Transaction<TcpBackend>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

/// The transaction behind a pointer.
///
/// # Safety
///
/// `transaction` has not been destroyed.
unsafe fn share(transaction: *mut FdbTransaction) -> Arc<FdbTransaction> {
    // SAFETY: by this function's contract the program's share is still there.
    unsafe { Arc::increment_strong_count(transaction) };
    // SAFETY: the count that this takes over was added above.
    unsafe { Arc::from_raw(transaction) }
}

/// A call that answers with a future, of a body that may be refused at once.
fn future(body: impl FnOnce() -> Result<*mut FdbFuture, Error>) -> *mut FdbFuture {
    guarded(None, || Some(body().unwrap_or_else(|error| ready(Err(number(&error))))))
        .unwrap_or_else(failed)
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
        let transaction = unsafe { Arc::from_raw(transaction) };
        transaction.cancel();
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
        transaction.cost.reset();
        transaction.reset();
    });
}

/// Sets an option: unknown ones are refused at once, values that can't be come out of the next call
/// that can fail.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_set_option(
    transaction: *mut FdbTransaction,
    option: c_int,
    value: *const u8,
    value_length: c_int,
) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let transaction = unsafe { share(transaction) };
        // SAFETY: by this function's contract.
        let value = unsafe { bytes(value, value_length) };
        options::transaction::apply(&transaction, option, &value)
    })
}
