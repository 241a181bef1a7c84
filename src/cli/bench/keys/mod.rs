//! What the generator stores: numbered keys, and values by which it knows them again.

mod random;
mod sizes;

use plinth_protocol::{Error, ErrorCode};

pub(crate) use self::{random::Random, sizes::Sizes};
use super::target::plinth::patch;

/// The bytes of a key: `key:` and twelve digits, as redis-benchmark's.
pub(crate) const KEY_BYTES: usize = 16;

/// The most keys, so that twelve digits are enough.
pub(crate) const KEYS_MAX: u64 = 1_000_000_000_000;

/// The key with this number.
pub(crate) fn key_bytes(number: u64) -> [u8; KEY_BYTES] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key.iter_mut().skip(4).rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// A value's bytes, the same for every key but for its beginning, which is the key. Letters at
/// random, so that nothing compresses them to nothing.
pub(crate) fn value_pattern(value_bytes: usize) -> Vec<u8> {
    let mut random = Random::new(7);
    (0..value_bytes).map(|_| b'a' + random.below(26) as u8).collect()
}

/// The value of the key with this number.
pub(crate) fn value_of(pattern: &[u8], key: &[u8]) -> Vec<u8> {
    let mut value = pattern.to_vec();
    patch(&mut value, 0, key);
    value
}

/// Checks that a value is the one of `key`: its length, and its beginning.
pub(crate) fn check_value(value: &[u8], key: &[u8], value_bytes: usize) -> Result<(), Error> {
    let begins_right = value.iter().zip(key).all(|(found, wanted)| found == wanted);
    if value.len() == value_bytes && begins_right {
        return Ok(());
    }
    let message = format!(
        "the value of {} has {} bytes beginning {}, not {value_bytes} beginning with the key: \
         fill the database with --load and the same --value-size",
        key.escape_ascii(),
        value.len(),
        value.get(..KEY_BYTES).unwrap_or(value).escape_ascii(),
    );
    Err(Error::new(ErrorCode::UNKNOWN_ERROR, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbered_in_order() {
        assert_eq!(&key_bytes(0), b"key:000000000000");
        assert_eq!(&key_bytes(KEYS_MAX - 1), b"key:999999999999");
        assert!(key_bytes(9) < key_bytes(10));
    }

    #[test]
    fn a_foreign_value_is_noticed() {
        let pattern = value_pattern(100);
        let key = key_bytes(5);
        let value = value_of(&pattern, &key);
        assert_eq!(check_value(&value, &key, 100), Ok(()));
        assert!(check_value(&value, &key_bytes(6), 100).is_err());
        assert!(check_value(&value[..99], &key, 100).is_err());
        assert_eq!(check_value(b"key", &key, 3), Ok(()));
    }
}
