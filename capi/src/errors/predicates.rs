//! Which errors are worth another try. FoundationDB's releases differ in that, and programs compare
//! their own lists with ours; the API version tells which release a program was made for.

use std::ffi::c_int;

use plinth_client::{ApiVersion, ErrorCode};

use crate::abi::FdbError;

const RETRYABLE: c_int = 50_000;
const MAYBE_COMMITTED: c_int = 50_001;
const RETRYABLE_NOT_COMMITTED: c_int = 50_002;

/// Whether `predicate` holds for `error` in the release that has this API version.
pub(super) fn holds(predicate: c_int, error: FdbError, api_version: c_int) -> bool {
    let api_version = ApiVersion(u16::try_from(api_version).unwrap_or_default());
    // Codes of our own are never seen by programs, and mean nothing when they come from elsewhere.
    let Some(code) = u16::try_from(error).ok().filter(|code| *code < 8000).map(ErrorCode) else {
        return false;
    };
    match predicate {
        RETRYABLE => code.is_maybe_committed() || api_version.is_retryable_not_committed(code),
        MAYBE_COMMITTED => code.is_maybe_committed(),
        RETRYABLE_NOT_COMMITTED => api_version.is_retryable_not_committed(code),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real `libfdb_c` 7.3.79 answers: code, and the three predicates in their order.
    const REAL: &str = include_str!("../../tests/data/predicates-7.3.tsv");

    #[test]
    fn at_730_the_predicates_are_those_of_the_real_library() {
        let rows: Vec<Vec<c_int>> = REAL
            .lines()
            .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
            .map(|line| line.split('\t').map(|field| field.parse().unwrap()).collect())
            .collect();
        assert_eq!(rows.len(), 12);
        for error in -1..20_000 {
            let known = rows.iter().find(|row| row[0] == error);
            for (at, predicate) in (RETRYABLE..=RETRYABLE_NOT_COMMITTED).enumerate() {
                let expected = known.is_some_and(|row| row[at + 1] == 1);
                assert_eq!(holds(predicate, error, 730), expected, "{predicate} {error}");
            }
        }
    }

    #[test]
    fn the_sets_differ_by_api_version() {
        let set = |version| -> Vec<FdbError> {
            (0..10_000).filter(|error| holds(RETRYABLE_NOT_COMMITTED, *error, version)).collect()
        };
        let common = [1007, 1009, 1020, 1037, 1038, 1042, 1051];
        assert_eq!(set(710), [&common[..], &[1213, 2137]].concat());
        assert_eq!(set(730), [&common[..], &[1078, 1213, 1223]].concat());
        assert_eq!(set(740), [&common[..], &[1078, 1213, 1223, 1235, 1242]].concat());
        assert_eq!(set(800), [&common[..], &[1078, 1213, 1235, 1242]].concat());
        assert!(!holds(50_003, 1020, 730) && !holds(0, 1020, 730));
    }
}
