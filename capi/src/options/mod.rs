//! Options by their numbers: which there are, and what values they take.
//!
//! A number that isn't an option is refused at once. A value that can't be is refused at once by the
//! network and by a database; it is a stored error of a transaction, which comes out of its next call
//! that can fail.

use std::ops::RangeInclusive;

use plinth_client::{Error, ErrorCode};

pub(crate) mod database;
pub(crate) mod network;
pub(crate) mod transaction;

/// The number that an option's value holds: 8 bytes, little-endian.
pub(crate) fn integer(value: &[u8], range: RangeInclusive<i64>) -> Result<i64, Error> {
    let number = value.try_into().map(i64::from_le_bytes).ok();
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| ErrorCode::INVALID_OPTION_VALUE.into())
}

/// That an option that takes no value has none.
pub(crate) fn no_value(value: &[u8]) -> Result<(), Error> {
    if value.is_empty() { Ok(()) } else { Err(ErrorCode::INVALID_OPTION_VALUE.into()) }
}
