//! What crosses the border to C: bytes by copy, errors by number, panics never.

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use plinth_client::{Error, ErrorCode, copied};

use crate::errors;

/// `fdb_error_t`: 0 for success, else an error code.
pub type FdbError = c_int;
/// `fdb_bool_t`: 0 or 1.
pub type FdbBool = c_int;

/// Success.
pub(crate) const SUCCESS: FdbError = 0;

/// The number that C sees for an error.
pub(crate) fn number(error: &Error) -> FdbError {
    errors::foreign(error.code)
}

/// The number of a code.
pub(crate) fn code(code: ErrorCode) -> FdbError {
    FdbError::from(code.0)
}

/// A length as C has it. Nothing that this library hands out is longer than a transaction.
pub(crate) fn length(bytes: &[u8]) -> c_int {
    c_int::try_from(bytes.len()).unwrap_or(c_int::MAX)
}

/// Copies bytes that C hands in; none for a length of zero or less, or a null pointer.
///
/// # Safety
///
/// `data` is null or points to `length` readable bytes.
pub(crate) unsafe fn bytes(data: *const u8, length: c_int) -> Bytes {
    match usize::try_from(length) {
        Ok(length) if length > 0 && !data.is_null() => {
            // SAFETY: by this function's contract.
            copied(unsafe { std::slice::from_raw_parts(data, length) })
        }
        _ => Bytes::new(),
    }
}

/// Writes a result to where C wants it, if it does.
///
/// # Safety
///
/// `place` is null or may be written to.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: by this function's contract.
        unsafe { place.write(value) };
    }
}

/// Runs what a C function does; a panic, which would be a bug of ours, becomes `otherwise`.
pub(crate) fn guarded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// [`guarded`] for functions that return an error.
pub(crate) fn guarded_error(body: impl FnOnce() -> Result<(), FdbError>) -> FdbError {
    guarded(code(ErrorCode::INTERNAL_ERROR), || body().err().unwrap_or(SUCCESS))
}
