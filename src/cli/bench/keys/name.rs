//! The names of keys.

use super::Random;

/// What every key begins with.
const PREFIX: &[u8] = b"key:";

/// What the keys begin with that a run adds beside the numbered ones.
const FRESH: &[u8] = b"new:";

/// The fewest bytes of a key: the prefix and a digit.
pub(crate) const KEY_SIZE_MIN: usize = PREFIX.len() + 1;

/// The most bytes of a key.
pub(crate) const KEY_SIZE_MAX: usize = 8_000;

/// Numbered keys of one size: `key:` and the number in decimal, with as many zeros before it as the
/// size takes, so that keys are in the order of their numbers. With 16 bytes they are
/// redis-benchmark's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    size: usize,
}

impl Keys {
    /// Keys of this size, which is [`KEY_SIZE_MIN`] at least.
    pub(crate) fn new(size: usize) -> Self {
        Self { size: size.max(KEY_SIZE_MIN) }
    }

    /// How many bytes each has.
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// How many there are.
    pub(crate) fn capacity(self) -> u64 {
        let digits = (self.size - PREFIX.len()).try_into().unwrap_or(u32::MAX);
        10_u64.checked_pow(digits).unwrap_or(u64::MAX)
    }

    /// Writes the name of the key with this number into `key`, which has the right size.
    pub(crate) fn write(number: u64, key: &mut [u8]) {
        let Some((prefix, digits)) = key.split_at_mut_checked(PREFIX.len()) else { return };
        prefix.copy_from_slice(PREFIX);
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }

    /// The name of the key with this number.
    pub(crate) fn name(self, number: u64) -> Vec<u8> {
        let mut key = vec![0; self.size];
        Self::write(number, &mut key);
        key
    }

    /// The name of a key that is in no run's numbers: `new:` and letters at random.
    pub(crate) fn fresh(self, random: &mut Random) -> Vec<u8> {
        let mut key = FRESH.to_vec();
        key.extend((FRESH.len()..self.size).map(|_| b'a' + random.below(25) as u8));
        key
    }

    /// Makes the name of such a key the one after it in order.
    pub(crate) fn next_fresh(key: &mut [u8]) {
        let letters = key.get_mut(FRESH.len()..).unwrap_or_default();
        for letter in letters.iter_mut().rev() {
            if *letter < b'z' {
                *letter += 1;
                return;
            }
            *letter = b'a';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbered_in_order() {
        let keys = Keys::new(16);
        assert_eq!(keys.name(0), b"key:000000000000");
        assert_eq!(keys.name(999_999_999_999), b"key:999999999999");
        assert_eq!(keys.capacity(), 1_000_000_000_000);
        assert!(keys.name(9) < keys.name(10));
        assert_eq!(Keys::new(5).name(7), b"key:7");
        assert_eq!((Keys::new(5).capacity(), Keys::new(100).capacity()), (10, u64::MAX));
        assert_eq!(Keys::new(30).name(u64::MAX), b"key:00000018446744073709551615");
    }

    #[test]
    fn fresh_keys_are_no_numbered_ones_and_follow_each_other() {
        let keys = Keys::new(16);
        let mut random = Random::new(1);
        let mut key = keys.fresh(&mut random);
        assert!(key.len() == 16 && key.starts_with(b"new:"), "{key:?}");
        assert_ne!(key, keys.fresh(&mut random));
        for _ in 0..1_000 {
            let before = key.clone();
            Keys::next_fresh(&mut key);
            assert!(before < key, "{before:?}");
        }
    }
}
