//! Reads of ranges.

use std::ffi::c_int;

use plinth_client::{Error, ErrorCode, KeySelector, RangeRead, StreamingMode};

use super::{FdbTransaction, future, share};
use crate::{
    abi::{FdbBool, bytes},
    future::{Answer, FdbFuture, OnCancel, start},
};

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
        let begin = KeySelector { key: begin, or_equal: begin_or_equal != 0, offset: begin_offset };
        let end = KeySelector { key: end, or_equal: end_or_equal != 0, offset: end_offset };
        let paging = Paging { limit, target_bytes, mode, iteration, reverse };
        let read = paging.between(begin, end)?;
        Ok(start(OnCancel::GoOn, async move {
            let page = if snapshot == 0 {
                transaction.get_range(read).await?
            } else {
                transaction.snapshot().get_range(read).await?
            };
            transaction
                .cost
                .count(page.rows.iter().map(|row| row.key.len() + row.value.len()).sum());
            Ok(Answer::rows(page.rows, page.more))
        }))
    })
}

/// Reads one page of a range between two key selectors, from the first row on, as programs of API
/// versions below 14 do.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_range_selector(
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
) -> *mut FdbFuture {
    // SAFETY: by this function's contract.
    unsafe {
        fdb_transaction_get_range(
            transaction,
            begin,
            begin_length,
            begin_or_equal,
            begin_offset,
            end,
            end_length,
            end_or_equal,
            end_offset,
            limit,
            0,
            0,
            0,
            0,
            0,
        )
    }
}

/// Reads a range and, for each of its rows, the range that a mapper makes of the row.
///
/// # Safety
///
/// `transaction` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_mapped_range(
    transaction: *mut FdbTransaction,
    begin: *const u8,
    begin_length: c_int,
    begin_or_equal: FdbBool,
    begin_offset: c_int,
    end: *const u8,
    end_length: c_int,
    end_or_equal: FdbBool,
    end_offset: c_int,
    mapper: *const u8,
    mapper_length: c_int,
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
        // SAFETY: by this function's contract.
        let mapper = unsafe { bytes(mapper, mapper_length) };
        if snapshot != 0 {
            return Err(ErrorCode::UNSUPPORTED_OPERATION.into());
        }
        let begin = KeySelector { key: begin, or_equal: begin_or_equal != 0, offset: begin_offset };
        let end = KeySelector { key: end, or_equal: end_or_equal != 0, offset: end_offset };
        let paging = Paging { limit, target_bytes, mode, iteration, reverse };
        let read = paging.between(begin, end)?;
        Ok(start(OnCancel::GoOn, async move {
            let page = transaction.get_mapped_range(read, mapper).await?;
            let found = page.rows.iter().flat_map(|row| row.found.iter().chain([&row.row]));
            transaction.cost.count(found.map(|row| row.key.len() + row.value.len()).sum());
            Ok(Answer::mapped_rows(page.rows, page.more))
        }))
    })
}

/// Where a page ends and which way it goes, in C's numbers.
struct Paging {
    limit: c_int,
    target_bytes: c_int,
    mode: c_int,
    iteration: c_int,
    reverse: FdbBool,
}

impl Paging {
    fn between(&self, begin: KeySelector, end: KeySelector) -> Result<RangeRead, Error> {
        Ok(RangeRead {
            rows_max: amount(self.limit)?,
            bytes_target: amount(self.target_bytes)?,
            mode: streaming_mode(self.mode)?,
            // The client refuses 0, as it does what is no iteration at all.
            iteration: u32::try_from(self.iteration).unwrap_or(0),
            reverse: self.reverse != 0,
            ..RangeRead::between(begin, end)
        })
    }
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
