//! API versions: as which of FoundationDB's releases a database behaves.
//!
//! FoundationDB's programs select the version that they were written for, and get its behaviour from
//! every later client. A number is a release: 730 is 7.3. Programs of our own get the newest.

use plinth_protocol::{AtomicOp, ErrorCode};

/// A version of FoundationDB's API. Ordered: a later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion(pub u16);

impl Default for ApiVersion {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl ApiVersion {
    /// The oldest whose behaviour there is.
    pub const OLDEST: Self = Self(510);
    /// The newest.
    pub const NEWEST: Self = Self(800);

    /// Whether timeout, retry limit and greatest retry delay outlive `on_error`, and an error that
    /// it can't mend ends the transaction.
    pub fn keeps_limits_through_retries(self) -> bool {
        self >= Self(610)
    }

    /// Whether a transaction that has committed still knows its read version.
    pub fn keeps_read_version_after_commit(self) -> bool {
        self >= Self(700)
    }

    /// The bytes behind a versionstamped key that say where the stamp goes.
    pub fn stamp_offset_bytes(self) -> usize {
        if self >= Self(520) { 4 } else { 2 }
    }

    /// Whether versionstamped values say where the stamp goes; else it goes to the beginning.
    pub fn values_have_stamp_offsets(self) -> bool {
        self >= Self(520)
    }

    /// Whether addresses have ports without being asked for.
    pub fn addresses_have_ports(self) -> bool {
        self >= Self(630)
    }

    /// Whether all special keys are there, beyond the few that were the first.
    pub fn has_special_key_modules(self) -> bool {
        self >= Self(630)
    }

    /// Whether special keys can be written.
    pub fn has_special_key_writes(self) -> bool {
        self >= Self(700)
    }

    /// The atomic operation with FoundationDB's number for it, as this version has it. The two forms
    /// that are FoundationDB's own, 18 and 19, can't be asked for.
    pub fn atomic_op(self, code: i32) -> Option<AtomicOp> {
        let op = AtomicOp::from_code(u8::try_from(code).ok()?)?;
        match op {
            AtomicOp::And | AtomicOp::Min => None,
            AtomicOp::AndV1 if self >= Self(510) => Some(AtomicOp::And),
            AtomicOp::MinV1 if self >= Self(510) => Some(AtomicOp::Min),
            op => Some(op),
        }
    }

    /// Whether this version's clients call an error retryable and certainly not committed.
    pub fn is_retryable_not_committed(self, code: ErrorCode) -> bool {
        match code.0 {
            // READ_VERSION_OVERLOADED, PROXY_TAG_THROTTLED
            1078 => self > Self(710),
            1223 => self > Self(710) && self < Self(800),
            // transaction_throttled_hot_shard, transaction_rejected_range_locked
            1235 | 1242 => self >= Self(740),
            // unknown_tenant
            2137 => self <= Self(710),
            _ => code.is_retryable_not_committed(),
        }
    }

    /// Whether this version's clients call an error retryable.
    pub fn is_retryable(self, code: ErrorCode) -> bool {
        code.is_maybe_committed() || self.is_retryable_not_committed(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retryable_depends_on_the_version() {
        let set = |version: u16| {
            let retryable =
                |code: &u16| ApiVersion(version).is_retryable_not_committed(ErrorCode(*code));
            // Codes of our own, from 8000 on, are the same for all.
            (0..8000).filter(retryable).collect::<Vec<_>>()
        };
        assert_eq!(set(710), [1007, 1009, 1020, 1037, 1038, 1042, 1051, 1213, 2137]);
        let newer = [1007, 1009, 1020, 1037, 1038, 1042, 1051, 1078, 1213, 1223];
        assert_eq!(set(720), newer);
        assert_eq!(set(740), [&newer[..], &[1235, 1242]].concat());
        let newest: Vec<_> = set(740).into_iter().filter(|code| *code != 1223).collect();
        assert_eq!(set(800), newest);
        assert!(ApiVersion(510).is_retryable(ErrorCode::COMMIT_UNKNOWN_RESULT));
    }

    #[test]
    fn operations_are_asked_for_by_their_public_numbers() {
        let newest = ApiVersion::NEWEST;
        assert_eq!(newest.atomic_op(6), Some(AtomicOp::And));
        assert_eq!(newest.atomic_op(13), Some(AtomicOp::Min));
        assert_eq!(ApiVersion(500).atomic_op(13), Some(AtomicOp::MinV1));
        for code in [-1, 0, 1, 14, 15, 18, 19, 258] {
            assert_eq!(newest.atomic_op(code), None, "{code}");
        }
    }
}
