//! Errors as FoundationDB's programs know them: their texts, what may be tried again, and what our
//! own codes are called there.

mod map;
mod predicates;
mod texts;

use std::ffi::{c_char, c_int};

pub(crate) use map::foreign;

use crate::{
    abi::{FdbBool, FdbError, guarded},
    network,
};

/// What an error means, as a text that is there for ever.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_get_error(error: FdbError) -> *const c_char {
    texts::text(error).as_ptr()
}

/// Whether an error is of a kind: worth another try (50000), of a commit that may have happened
/// (50001), or both worth another try and certain not to have happened (50002).
#[unsafe(no_mangle)]
pub extern "C" fn fdb_error_predicate(predicate: c_int, error: FdbError) -> FdbBool {
    guarded(0, || FdbBool::from(predicates::holds(predicate, error, network::api_version())))
}
