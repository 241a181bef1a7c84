//! How a program looks into its futures. What it is given points into the future, and stays until
//! the future is destroyed or its memory is released.

use std::ffi::{c_char, c_double, c_int};

use plinth_client::ErrorCode;

use super::{Answer, FUTURE_NOT_SET, FUTURE_RELEASED, FdbFuture, look};
use crate::{
    abi::{FdbBool, FdbError, code, guarded_error, length, put},
    cluster::FdbCluster,
    database::FdbDatabase,
    layout::{FdbKey, FdbKeyRange, FdbKeyValue, FdbMappedKeyValue},
};

/// Looks into a ready future.
///
/// # Safety
///
/// As [`look`].
unsafe fn read(future: *mut FdbFuture, take: impl FnOnce(&Answer) -> Option<()>) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let future = unsafe { look(future) };
        let state = future.state();
        match &state.outcome {
            None => Err(FUTURE_NOT_SET),
            Some(Err(error)) => Err(*error),
            Some(Ok(_)) if state.is_released => Err(FUTURE_RELEASED),
            // Asked for another type than it holds.
            Some(Ok(value)) => take(value).ok_or(code(ErrorCode::CLIENT_INVALID_OPERATION)),
        }
    })
}

/// Defines getters of one plain value.
macro_rules! plain_getters {
    ($($name:ident: $variant:ident($type:ty) as $convert:expr, $doc:literal;)*) => {$(
        #[doc = $doc]
        ///
        /// # Safety
        ///
        /// `future` has not been destroyed; `out` may be written to.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(future: *mut FdbFuture, out: *mut $type) -> FdbError {
            let take = |value: &Answer| match value {
                Answer::$variant(value) => {
                    // SAFETY: by this function's contract.
                    unsafe { put(out, $convert(*value)) };
                    Some(())
                }
                _ => None,
            };
            // SAFETY: by this function's contract.
            unsafe { read(future, take) }
        }
    )*};
}

plain_getters! {
    fdb_future_get_int64: Int64(i64) as i64::from, "A number.";
    fdb_future_get_version: Int64(i64) as i64::from, "A version, by its name before API version 620.";
    fdb_future_get_uint64: Uint64(u64) as u64::from, "An unsigned number.";
    fdb_future_get_double: Double(c_double) as c_double::from, "A fraction.";
    fdb_future_get_bool: Bool(FdbBool) as FdbBool::from, "Yes or no.";
}

/// A key; valid until the future's memory is released.
///
/// # Safety
///
/// `future` has not been destroyed; the others may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_get_key(
    future: *mut FdbFuture,
    out_key: *mut *const u8,
    out_length: *mut c_int,
) -> FdbError {
    let take = |value: &Answer| match value {
        Answer::Key(key) => {
            // SAFETY: by this function's contract.
            unsafe { put(out_key, key.as_ptr()) };
            // SAFETY: by this function's contract.
            unsafe { put(out_length, length(key)) };
            Some(())
        }
        _ => None,
    };
    // SAFETY: by this function's contract.
    unsafe { read(future, take) }
}

/// A value, if there is one; valid until the future's memory is released.
///
/// # Safety
///
/// `future` has not been destroyed; the others may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_get_value(
    future: *mut FdbFuture,
    out_present: *mut FdbBool,
    out_value: *mut *const u8,
    out_length: *mut c_int,
) -> FdbError {
    let take = |value: &Answer| match value {
        Answer::Value(value) => {
            // SAFETY: by this function's contract.
            unsafe { put(out_present, FdbBool::from(value.is_some())) };
            if let Some(value) = value {
                // SAFETY: by this function's contract.
                unsafe { put(out_value, value.as_ptr()) };
                // SAFETY: by this function's contract.
                unsafe { put(out_length, length(value)) };
            }
            Some(())
        }
        _ => None,
    };
    // SAFETY: by this function's contract.
    unsafe { read(future, take) }
}

/// Defines getters of arrays.
macro_rules! array_getters {
    ($($name:ident: $variant:ident($type:ty), $doc:literal;)*) => {$(
        #[doc = $doc]
        ///
        /// # Safety
        ///
        /// `future` has not been destroyed; the others may be written to.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            future: *mut FdbFuture,
            out_array: *mut *const $type,
            out_count: *mut c_int,
        ) -> FdbError {
            let take = |value: &Answer| match value {
                Answer::$variant(array) => {
                    // SAFETY: by this function's contract.
                    unsafe { put(out_array, array.raw.as_ptr()) };
                    // SAFETY: by this function's contract.
                    unsafe { put(out_count, array.len()) };
                    Some(())
                }
                _ => None,
            };
            // SAFETY: by this function's contract.
            unsafe { read(future, take) }
        }
    )*};
}

array_getters! {
    fdb_future_get_key_array: Keys(FdbKey), "Keys.";
    fdb_future_get_string_array: Strings(*const c_char), "Strings that end with a zero.";
    fdb_future_get_keyrange_array: KeyRanges(FdbKeyRange), "Ranges of keys.";
}

/// Defines getters of arrays that may go on.
macro_rules! page_getters {
    ($($name:ident: $variant:ident($type:ty), $doc:literal;)*) => {$(
        #[doc = $doc]
        ///
        /// # Safety
        ///
        /// `future` has not been destroyed; the others may be written to.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            future: *mut FdbFuture,
            out_rows: *mut *const $type,
            out_count: *mut c_int,
            out_more: *mut FdbBool,
        ) -> FdbError {
            let take = |value: &Answer| match value {
                Answer::$variant(rows, more) => {
                    // SAFETY: by this function's contract.
                    unsafe { put(out_rows, rows.raw.as_ptr()) };
                    // SAFETY: by this function's contract.
                    unsafe { put(out_count, rows.len()) };
                    // SAFETY: by this function's contract.
                    unsafe { put(out_more, FdbBool::from(*more)) };
                    Some(())
                }
                _ => None,
            };
            // SAFETY: by this function's contract.
            unsafe { read(future, take) }
        }
    )*};
}

page_getters! {
    fdb_future_get_keyvalue_array: Rows(FdbKeyValue), "Rows.";
    fdb_future_get_mappedkeyvalue_array: MappedRows(FdbMappedKeyValue),
        "Rows with what a mapper found for each.";
}

/// Defines getters of handles, each a new one that the program has to destroy.
macro_rules! handle_getters {
    ($($name:ident: $variant:ident($type:ident), $doc:literal;)*) => {$(
        #[doc = $doc]
        ///
        /// # Safety
        ///
        /// `future` has not been destroyed; `out` may be written to.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(future: *mut FdbFuture, out: *mut *mut $type) -> FdbError {
            let take = |value: &Answer| match value {
                Answer::$variant(database) if !out.is_null() => {
                    // SAFETY: by this function's contract.
                    unsafe { put(out, $type::into_raw(database.clone())) };
                    Some(())
                }
                _ => None,
            };
            // SAFETY: by this function's contract.
            unsafe { read(future, take) }
        }
    )*};
}

handle_getters! {
    fdb_future_get_cluster: Cluster(FdbCluster), "A cluster, of the API before version 610.";
    fdb_future_get_database: Database(FdbDatabase), "A database, of the same.";
}
