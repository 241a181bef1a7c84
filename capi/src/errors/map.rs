//! What our own error codes, from 8000 on, are called to a FoundationDB program: the code whose
//! meaning, and above all whose treatment by retry loops, is nearest.

use plinth_client::ErrorCode;

use crate::abi::FdbError;

/// The number that a FoundationDB program sees for a code.
pub(crate) fn foreign(code: ErrorCode) -> FdbError {
    let own = FdbError::from(code.0);
    if !(8000..8100).contains(&own) {
        return own;
    }
    match code {
        // Nothing was committed, and trying again helps as soon as there is room: as when
        // FoundationDB has no room for more commits, which programs try again after a while.
        ErrorCode::DISK_FULL => 1042, // commit_proxy_memory_limit_exceeded

        // The server may be back in a moment, but this client has given up on it.
        ErrorCode::SHUTTING_DOWN
        | ErrorCode::SERVER_UNREACHABLE
        | ErrorCode::TOO_MANY_CONNECTIONS
        | ErrorCode::TOO_SLOW => 1026, // connection_failed

        // The server has more to do than it takes on. The one error of this kind that programs of
        // every API version try again.
        ErrorCode::TOO_MANY_REQUESTS
        | ErrorCode::TOO_MANY_PINS
        | ErrorCode::TOO_MANY_TRANSACTIONS
        | ErrorCode::TOO_MANY_JOBS => 1037, // process_behind

        // The disk has failed or lies; somebody has to look.
        ErrorCode::STORAGE_FAILED | ErrorCode::STORAGE_DAMAGED => 1510, // io_error

        // Not a server that this client understands.
        ErrorCode::PROTOCOL_VERSION_UNSUPPORTED
        | ErrorCode::UNKNOWN_FEATURE
        | ErrorCode::UNKNOWN_OPCODE => 2100, // incompatible_protocol_version

        // The cluster file leads to something else than it did, or than it should.
        ErrorCode::WRONG_PEER => 1054, // wrong_connection_file

        // The snapshot that a long transaction had kept is gone.
        ErrorCode::PIN_NOT_FOUND => 1007, // transaction_too_old

        ErrorCode::TRANSACTION_READ_ONLY => 2023, // transaction_read_only

        // Nothing that a program of FoundationDB's can ask for, or answers that a server of ours
        // doesn't give: a bug.
        _ => 4100, // internal_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::texts;

    #[test]
    fn no_code_of_ours_reaches_a_program() {
        for code in (0..u16::MAX).map(ErrorCode) {
            assert!(!(8000..8100).contains(&foreign(code)), "{code}");
        }
        for code in ErrorCode::all() {
            let text = texts::text(foreign(code)).to_str().unwrap();
            assert_ne!(text, "UNKNOWN_ERROR", "{code}");
        }
    }

    #[test]
    fn what_may_be_tried_again_stays_so() {
        use crate::errors::predicates::holds;
        for code in ErrorCode::all() {
            if code.is_retryable() {
                assert!(holds(50_000, foreign(code), 730), "{code}");
                assert_eq!(holds(50_001, foreign(code), 730), code.is_maybe_committed(), "{code}");
            }
        }
    }
}
