//! Versions: the database's only clock.
//!
//! One global counter orders every commit. It advances about 1,000,000 a second of wall time,
//! strictly increases, and never repeats, also across restarts.

use std::fmt;

/// A point in the history of the database. Fits in 63 bits, because FoundationDB's is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// Before the first commit: nothing is visible here.
    pub const ZERO: Self = Self(0);
    /// The greatest version that is ever handed out.
    pub const MAX: Self = Self(u64::MAX >> 1);
    /// How many versions pass in a second of wall time, about.
    pub const PER_SECOND: u64 = 1_000_000;

    /// The next version; saturates at [`Version::MAX`].
    pub fn next(self) -> Self {
        Self((self.0 + 1).min(Self::MAX.0))
    }

    /// This version less `count`, not below zero.
    pub fn saturating_sub(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Ten bytes that name a committed transaction: its commit version, 8 bytes big-endian, then its
/// order among the transactions of that version, 2 bytes big-endian. Sorts in commit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versionstamp(pub [u8; Versionstamp::LEN]);

impl Versionstamp {
    /// The length of a versionstamp in bytes.
    pub const LEN: usize = 10;

    /// The stamp of the transaction with this commit version and order.
    pub fn new(version: Version, order: u16) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&version.0.to_be_bytes());
        bytes[8..].copy_from_slice(&order.to_be_bytes());
        Self(bytes)
    }

    /// The commit version within.
    pub fn version(self) -> Version {
        Version(self.0.iter().take(8).fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versionstamp_is_big_endian_and_keeps_its_version() {
        let stamp = Versionstamp::new(Version(0x0102_0304), 0x0506);
        assert_eq!(stamp.0, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(stamp.version(), Version(0x0102_0304));
    }
}
