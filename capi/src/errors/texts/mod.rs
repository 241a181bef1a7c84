//! The texts of errors. Programs and their tests compare them, so they are FoundationDB's, of its
//! release 7.3, followed by what later releases added.

mod client;

use std::ffi::CStr;

use crate::abi::FdbError;

/// What FoundationDB says of a code that it does not know.
const UNKNOWN: &CStr = c"UNKNOWN_ERROR";

/// The text of an error.
pub(super) fn text(error: FdbError) -> &'static CStr {
    let found = client::TEXTS.binary_search_by_key(&error, |(code, _)| *code);
    found.ok().and_then(|at| client::TEXTS.get(at)).map_or(UNKNOWN, |(_, text)| text)
}
