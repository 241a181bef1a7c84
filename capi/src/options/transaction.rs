//! A transaction's options.
//!
//! What a single server has no use for (priorities, caches, traces) is accepted if its value is one
//! that FoundationDB accepts, and changes nothing.

use std::time::Duration;

use bytes::Bytes;
use plinth_client::{Error, ErrorCode, TcpBackend, Transaction, TransactionOption};

use super::{integer, no_value};
use crate::abi::{FdbError, code};

/// The greatest number that a C program's `int` holds.
const INT_MAX: i64 = i32::MAX as i64;
/// The least and the greatest size that can be set as a limit.
const SIZE_MIN: i64 = 32;
const SIZE_MAX: i64 = 10_000_000;
/// The bytes of a span's context.
const SPAN_BYTES: usize = 33;

/// Sets the option with this number; refuses at once what isn't one.
pub(crate) fn apply(
    transaction: &Transaction<TcpBackend>,
    number: i32,
    value: &Bytes,
) -> Result<(), FdbError> {
    match change(number, value).ok_or(code(ErrorCode::INVALID_OPTION))? {
        Ok(Some(option)) => transaction.set_option(option),
        Ok(None) => {}
        Err(error) => transaction.refuse(error),
    }
    Ok(())
}

/// What an option sets, if it sets anything here, or why it can't.
type Change = Result<Option<TransactionOption>, Error>;

/// The change that the option with this number is; `None` if there is no such option.
pub(super) fn change(number: i32, value: &Bytes) -> Option<Change> {
    with_flag(number, value)
        .or_else(|| with_number(number, value))
        .or_else(|| with_bytes(number, value))
}

/// Options that take no value.
fn with_flag(number: i32, value: &[u8]) -> Option<Change> {
    use TransactionOption as Set;
    let option = match number {
        10 => Some(Set::CausalWriteRisky),
        23 => Some(Set::IncludePortInAddress),
        30 => Some(Set::NextWriteNoWriteConflictRange),
        51 => Some(Set::ReadYourWritesDisable),
        300 => Some(Set::InitializeNewDatabase),
        301 => Some(Set::AccessSystemKeys),
        302 => Some(Set::ReadSystemKeys),
        303 => Some(Set::RawAccess),
        404 => Some(Set::LogTransaction),
        505 => Some(Set::AutomaticIdempotency(true)),
        600 => Some(Set::SnapshotReadYourWritesEnable),
        601 => Some(Set::SnapshotReadYourWritesDisable),
        700 => Some(Set::LockAware),
        701 => Some(Set::UsedDuringCommitProtectionDisable),
        702 => Some(Set::ReadLockAware),
        712 => Some(Set::ReportConflictingKeys),
        713 => Some(Set::SpecialKeysRelaxed),
        714 => Some(Set::SpecialKeysWritable),
        1100 => Some(Set::BypassUnreadable),
        // Causal reads (20, 21): a single server's reads are always causal. The first proxy (40),
        // checked writes (50), read-ahead (52), durability (110 to 130), priorities (200, 201),
        // quotas (304), dumps and traces (400, 406), caches and read priorities (507 to 511), order
        // in the batch (710), provisional proxies (711), costs (1000), cached read versions (1101,
        // 1102), replicas (4000): there is nothing here that they could change.
        20
        | 21
        | 40
        | 50
        | 52
        | 110
        | 120
        | 130
        | 200
        | 201
        | 304
        | 400
        | 406
        | 507..=511
        | 710
        | 711
        | 1000
        | 1101
        | 1102
        | 4000 => None,
        _ => return None,
    };
    Some(no_value(value).map(|()| option))
}

/// Options that take a number.
fn with_number(number: i32, value: &[u8]) -> Option<Change> {
    use TransactionOption as Set;
    let integer = |range| integer(value, range);
    Some(match number {
        500 => integer(0..=INT_MAX)
            .map(milliseconds)
            .map(|limit| Some(Set::Timeout(Some(limit).filter(|limit| !limit.is_zero())))),
        501 => integer(-1..=INT_MAX).map(|limit| Some(Set::RetryLimit(u32::try_from(limit).ok()))),
        502 => integer(0..=INT_MAX).map(|delay| Some(Set::MaxRetryDelay(milliseconds(delay)))),
        503 => integer(SIZE_MIN..=SIZE_MAX)
            .map(|limit| usize::try_from(limit).ok().map(Set::SizeLimit)),
        // How long logged fields are; -1 for no limit.
        405 => integer(-1..=INT_MAX).and_then(|limit| match limit {
            0 => Err(ErrorCode::INVALID_OPTION_VALUE.into()),
            _ => Ok(None),
        }),
        // How long a read version may be waited for, and the replicas to compare.
        1103 | 4001 => integer(i64::MIN..=i64::MAX).map(|_| None),
        _ => return None,
    })
}

/// Options that take bytes.
fn with_bytes(number: i32, value: &Bytes) -> Option<Change> {
    use TransactionOption as Set;
    Some(match number {
        // 402 is the old form of 403 and 404 together; there is no log beyond the name.
        402 | 403 => Ok(Some(Set::DebugTransactionIdentifier(value.clone()))),
        504 => Ok(Some(Set::IdempotencyId(value.clone()))),
        800 | 801 => Ok(Some(Set::Tag(value.clone()))),
        900 if value.len() != SPAN_BYTES => Err(ErrorCode::INVALID_OPTION_VALUE.into()),
        // Names for logs (401), spans (900), tokens (2000).
        401 | 900 | 2000 => Ok(None),
        _ => return None,
    })
}

fn milliseconds(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(number: i32, value: &[u8]) -> TransactionOption {
        change(number, &Bytes::copy_from_slice(value)).unwrap().unwrap().unwrap()
    }

    fn refusal(number: i32, value: &[u8]) -> ErrorCode {
        change(number, &Bytes::copy_from_slice(value)).unwrap().unwrap_err().code
    }

    #[test]
    fn there_are_as_many_options_as_foundationdb_has() {
        let all: Vec<i32> =
            (-1..5000).filter(|number| change(*number, &Bytes::new()).is_some()).collect();
        let expected = [
            10, 20, 21, 23, 30, 40, 50, 51, 52, 110, 120, 130, 200, 201, 300, 301, 302, 303, 304,
            400, 401, 402, 403, 404, 405, 406, 500, 501, 502, 503, 504, 505, 507, 508, 509, 510,
            511, 600, 601, 700, 701, 702, 710, 711, 712, 713, 714, 800, 801, 900, 1000, 1100, 1101,
            1102, 1103, 2000, 4000, 4001,
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn numbers_have_eight_bytes_and_bounds() {
        use TransactionOption as Set;
        let bytes = |number: i64| number.to_le_bytes();
        assert_eq!(set(500, &bytes(20)), Set::Timeout(Some(Duration::from_millis(20))));
        assert_eq!(set(500, &bytes(0)), Set::Timeout(None));
        assert_eq!(set(501, &bytes(-1)), Set::RetryLimit(None));
        assert_eq!(set(501, &bytes(3)), Set::RetryLimit(Some(3)));
        assert_eq!(set(503, &bytes(32)), Set::SizeLimit(32));
        for (number, value) in [(500, -1), (501, -2), (502, INT_MAX + 1), (503, 31), (405, 0)] {
            assert_eq!(refusal(number, &bytes(value)), ErrorCode::INVALID_OPTION_VALUE);
        }
        for value in [&b""[..], b"1", &[0; 4], &[0; 9]] {
            assert_eq!(refusal(500, value), ErrorCode::INVALID_OPTION_VALUE);
        }
    }

    #[test]
    fn flags_take_no_value() {
        assert_eq!(set(10, b""), TransactionOption::CausalWriteRisky);
        assert_eq!(refusal(10, b"1"), ErrorCode::INVALID_OPTION_VALUE);
        assert_eq!(refusal(20, b"1"), ErrorCode::INVALID_OPTION_VALUE);
        assert_eq!(change(20, &Bytes::new()), Some(Ok(None)));
        assert_eq!(refusal(900, b"too short"), ErrorCode::INVALID_OPTION_VALUE);
    }
}
