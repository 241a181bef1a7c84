//! What every engine is asked to do.

use std::path::Path;

/// A key of the benchmark: 16 bytes, in no order.
pub type Key = [u8; 16];

/// Key number `number`. Every number has its own; neighbours are far apart.
pub fn key(number: u64) -> Key {
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut key = [0; 16];
    for (at, digit) in key.iter_mut().enumerate() {
        let nibble = (scattered >> (60 - 4 * at)) & 15;
        *digit = b"0123456789abcdef"[nibble as usize];
    }
    key
}

/// Bytes of a value.
pub const VALUE_BYTES: usize = 100;

/// Whether a commit is on the disk when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It is.
    Yes,
    /// It survives the process at best.
    No,
}

/// An engine. What fails ends the benchmark: there is nobody to ask what to do.
pub trait Peer: std::marker::Sync {
    /// Opens a new database in an empty directory.
    fn open(directory: &Path) -> Self
    where
        Self: Sized;

    /// Sets all these keys in one transaction, not synced.
    fn load(&self, keys: &[Key], value: &[u8]);

    /// Reads within one snapshot.
    fn read(&self, body: &mut dyn FnMut(&dyn Reads));

    /// Reads a key, changes the first byte of its value and writes it back, in one transaction;
    /// again if somebody else has written it meanwhile.
    fn read_modify_write(&self, key: &Key, sync: Sync);
}

/// Reads at one snapshot.
pub trait Reads {
    /// The length of a key's value; it must be there.
    fn get(&self, key: &Key) -> usize;

    /// The bytes of up to `rows` rows from `key` on, keys and values looked at.
    fn scan(&self, key: &Key, rows: usize) -> usize;
}

/// The value with its first byte changed.
pub fn changed(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    value[0] = value[0].wrapping_add(1);
    value
}
