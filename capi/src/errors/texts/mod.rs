//! The texts of errors. Programs and their tests compare them, so they are FoundationDB's, of its
//! release 7.3, followed by what later releases added.

mod client;
mod server;

use std::ffi::CStr;

use crate::abi::FdbError;

/// What FoundationDB says of a code that it does not know.
const UNKNOWN: &CStr = c"UNKNOWN_ERROR";

/// The text of an error.
pub(super) fn text(error: FdbError) -> &'static CStr {
    let tables = [client::TEXTS, server::TEXTS];
    let found = tables.into_iter().find_map(|table| {
        let at = table.binary_search_by_key(&error, |(code, _)| *code).ok()?;
        table.get(at)
    });
    found.map_or(UNKNOWN, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_place() {
        for table in [client::TEXTS, server::TEXTS] {
            assert!(table.is_sorted_by(|(a, _), (b, _)| a < b));
        }
        for (code, _) in client::TEXTS {
            assert!(server::TEXTS.iter().all(|(other, _)| other != code), "{code}");
        }
    }

    #[test]
    fn texts_that_programs_compare() {
        for (code, expected) in [
            (0, c"Success"),
            (1020, c"Transaction not committed due to conflict with another transaction"),
            (2017, c"Operation issued while a commit was outstanding"),
            (1, c"End of stream"),
            (2712, c"Max BaseCipher buffer length violation"),
            (8042, c"UNKNOWN_ERROR"),
            (-1, c"UNKNOWN_ERROR"),
        ] {
            assert_eq!(text(code), expected, "{code}");
        }
    }
}
