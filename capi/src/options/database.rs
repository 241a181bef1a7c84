//! The options of databases. Most are what transactions begin with, and come to bear on those that
//! begin, or begin again, from then on.

use std::{ffi::c_int, time::Duration};

use plinth_client::{Database, Error, ErrorCode, TcpBackend, TransactionOptions};

use super::{integer, no_value};

/// The most watches that can be asked for.
const WATCHES_MAX: i64 = 1_000_000;
const INT_MAX: i64 = i32::MAX as i64;

/// Sets an option; fails for an unknown one and for a value that can't be.
pub(crate) fn apply(
    database: &Database<TcpBackend>,
    code: c_int,
    value: &[u8],
) -> Result<(), Error> {
    match code {
        20 => {
            let watches_max = integer(value, 0..=WATCHES_MAX)?;
            database.set_watches_max(usize::try_from(watches_max).unwrap_or(usize::MAX));
        }
        // The size of a cache of locations, there being one; where this process is; chaos in tests.
        10 | 21 | 22 | 900 => {}
        // How much of each mutation is traced.
        405 => drop(integer(value, -1..=INT_MAX)?),
        _ => {
            let mut change = Ok(());
            database.change_defaults(|defaults| change = set_default(defaults, code, value));
            change?;
        }
    }
    Ok(())
}

/// Sets an option that transactions begin with.
fn set_default(defaults: &mut TransactionOptions, code: c_int, value: &[u8]) -> Result<(), Error> {
    let milliseconds =
        || integer(value, 0..=INT_MAX).map(i64::unsigned_abs).map(Duration::from_millis);
    match code {
        500 => defaults.timeout = Some(milliseconds()?).filter(|timeout| !timeout.is_zero()),
        501 => defaults.retry_limit = u32::try_from(integer(value, -1..=INT_MAX)?).ok(),
        502 => defaults.max_retry_delay = milliseconds()?,
        503 => defaults.size_limit = usize::try_from(integer(value, 32..=10_000_000)?).ok(),
        _ => return no_value(value).and_then(|()| switch(defaults, code)),
    }
    Ok(())
}

/// Sets an option that comes without a value.
fn switch(defaults: &mut TransactionOptions, code: c_int) -> Result<(), Error> {
    match code {
        26 => defaults.snapshot_read_your_writes += 1,
        27 => defaults.snapshot_read_your_writes -= 1,
        506 => defaults.automatic_idempotency = true,
        700 => defaults.bypass_unreadable = true,
        701 => defaults.used_during_commit_protection = false,
        702 => defaults.report_conflicting_keys = true,
        505 => defaults.include_port_in_address = true,
        // Reads that are a little less sure to be the newest: here they always are. The database of
        // FoundationDB's own configuration.
        504 | 800 => {}
        _ => return Err(ErrorCode::INVALID_OPTION.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(defaults: &mut TransactionOptions, code: c_int, value: &[u8]) -> Result<(), ErrorCode> {
        set_default(defaults, code, value).map_err(|error| error.code)
    }

    #[test]
    fn defaults_are_changed_by_number() {
        let mut defaults = TransactionOptions::default();
        for code in [500, 501, 502] {
            assert_eq!(set(&mut defaults, code, &7_i64.to_le_bytes()), Ok(()));
        }
        for code in [27, 27, 26, 700, 701, 702] {
            assert_eq!(set(&mut defaults, code, b""), Ok(()));
        }
        let seven_ms = Duration::from_millis(7);
        assert_eq!(defaults.timeout, Some(seven_ms));
        assert_eq!((defaults.retry_limit, defaults.max_retry_delay), (Some(7), seven_ms));
        assert_eq!(defaults.snapshot_read_your_writes, 0);
        assert!(defaults.bypass_unreadable && defaults.report_conflicting_keys);
        assert!(!defaults.used_during_commit_protection);
    }

    #[test]
    fn zero_and_minus_one_take_limits_away() {
        let mut defaults = TransactionOptions {
            timeout: Some(Duration::from_secs(1)),
            retry_limit: Some(3),
            ..TransactionOptions::default()
        };
        assert_eq!(set(&mut defaults, 500, &0_i64.to_le_bytes()), Ok(()));
        assert_eq!(set(&mut defaults, 501, &(-1_i64).to_le_bytes()), Ok(()));
        assert_eq!((defaults.timeout, defaults.retry_limit), (None, None));
    }

    #[test]
    fn bad_values_and_unknown_numbers_are_refused() {
        let mut defaults = TransactionOptions::default();
        let too_small = 31_i64.to_le_bytes();
        let refused = Err(ErrorCode::INVALID_OPTION_VALUE);
        assert_eq!(set(&mut defaults, 503, &too_small), refused);
        assert_eq!(set(&mut defaults, 700, &too_small), refused);
        assert_eq!(set(&mut defaults, 500, b"1234567"), refused);
        for unknown in [-1, 0, 1, 30, 301, 507, 99_999] {
            assert_eq!(set(&mut defaults, unknown, b""), Err(ErrorCode::INVALID_OPTION));
        }
    }
}
