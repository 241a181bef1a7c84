//! Values, by which the generator knows its keys again.
//!
//! ```text
//! key │ letters … letters │ CRC-32 of all before, big-endian
//! key │ number │ letters …│ the same, where a history is recorded
//! ```
//!
//! A value with less room than its key and a checksum, 20 bytes for keys of 16, has no checksum: it
//! is known by its length and its beginning alone. One with less room than a number beside them, 28
//! bytes, has no number. The numbers are 8 bytes, and no two writes have the same.

use plinth_protocol::{Error, ErrorCode};

use super::{Random, Sizes};

/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

/// Bytes of the number behind the key.
pub(crate) const NUMBER_BYTES: usize = 8;

/// Makes values and knows them again. A value begins with its key, as far as it has room; the rest
/// are letters at random, so that nothing compresses them to nothing, and a checksum.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    sizes: Sizes,
    pattern: Vec<u8>,
}

impl Values {
    /// Values of these sizes.
    pub(crate) fn new(sizes: Sizes) -> Self {
        let mut random = Random::new(7);
        let pattern = (0..sizes.most()).map(|_| b'a' + random.below(26) as u8).collect();
        Self { sizes, pattern }
    }

    /// The largest there is.
    pub(crate) fn size_max(&self) -> usize {
        self.sizes.most()
    }

    /// Makes a value for `key`.
    pub(crate) fn write(&self, key: &[u8], random: &mut Random, value: &mut Vec<u8>) {
        value.clear();
        let size = self.sizes.pick(random);
        let key = key.get(..size).unwrap_or(key);
        value.extend_from_slice(key);
        value.extend_from_slice(self.pattern.get(key.len()..size).unwrap_or_default());
        Self::seal(value, key);
    }

    /// Gives a value its checksum, if there is room.
    pub(crate) fn seal(value: &mut [u8], key: &[u8]) {
        if let Some((content, checksum)) = value.split_last_chunk_mut::<CHECKSUM_BYTES>()
            && content.len() >= key.len()
        {
            *checksum = crc32fast::hash(content).to_be_bytes();
        }
    }

    /// Gives a value of `key` a number, by which it is told from all others, if there is room.
    pub(crate) fn number(value: &mut [u8], key: &[u8], number: u64) {
        let place = key.len()..key.len() + NUMBER_BYTES;
        if place.end + CHECKSUM_BYTES <= value.len() && value.starts_with(key) {
            if let Some(place) = value.get_mut(place) {
                place.copy_from_slice(&number.to_be_bytes());
            }
            Self::seal(value, key);
        }
    }

    /// Whether every value of keys of this size has room for a number.
    pub(crate) fn have_room_for_numbers(&self, key_size: usize) -> bool {
        self.sizes.least() >= key_size + NUMBER_BYTES + CHECKSUM_BYTES
    }

    /// A new value for `key`.
    pub(crate) fn make(&self, key: &[u8], random: &mut Random) -> Vec<u8> {
        let mut value = Vec::new();
        self.write(key, random, &mut value);
        value
    }

    /// Checks that a value is one of `key`: its length, its beginning, and its checksum.
    pub(crate) fn check(&self, value: &[u8], key: &[u8]) -> Result<(), Error> {
        let has_size = (self.sizes.least()..=self.sizes.most()).contains(&value.len());
        let length = value.len().min(key.len());
        if !has_size || value.get(..length) != key.get(..length) {
            return Err(self.foreign(value, key));
        }
        let Some((content, found)) = value.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Ok(());
        };
        let expected = crc32fast::hash(content).to_be_bytes();
        if *found == expected || content.len() < key.len() {
            return Ok(());
        }
        let message = format!(
            "the value of {} is wrong: its checksum is expected to be {:08x}, and {:08x} is found \
             at the end of its {} bytes; if another version of this program has filled the \
             database, fill it again with --load",
            key.escape_ascii(),
            u32::from_be_bytes(expected),
            u32::from_be_bytes(*found),
            value.len(),
        );
        Err(Error::new(ErrorCode::UNKNOWN_ERROR, message))
    }

    fn foreign(&self, value: &[u8], key: &[u8]) -> Error {
        let message = format!(
            "the value of {} is wrong: {} bytes that begin with the key are expected, and {} bytes \
             beginning {} are found: fill the database with --load and the same --key-size and \
             --value-size",
            key.escape_ascii(),
            self.sizes,
            value.len(),
            value.get(..key.len()).unwrap_or(value).escape_ascii(),
        );
        Error::new(ErrorCode::UNKNOWN_ERROR, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_value_is_noticed() {
        let mut random = Random::new(1);
        let values = Values::new(Sizes::Fixed(100));
        let value = values.make(b"key:5", &mut random);
        assert_eq!((value.len(), &value[..5]), (100, &b"key:5"[..]));
        assert_eq!(values.check(&value, b"key:5"), Ok(()));
        assert!(values.check(&value, b"key:6").is_err());
        assert!(values.check(&value[..99], b"key:5").is_err());
        let short = Values::new(Sizes::Fixed(3));
        assert_eq!(short.make(b"key:5", &mut random), b"key");
        assert_eq!(short.check(b"key", b"key:5"), Ok(()));
    }

    #[test]
    fn a_value_with_one_bit_changed_is_noticed_with_what_is_expected_and_found() {
        let mut random = Random::new(1);
        let values = Values::new(Sizes::Fixed(100));
        let value = values.make(b"key:5", &mut random);
        for bit in 0..800 {
            let mut changed = value.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let error = values.check(&changed, b"key:5").expect_err("it was changed").to_string();
            for part in ["key:5", "expected", "found"] {
                assert!(error.contains(part), "{error}");
            }
        }
        let without_room = Values::new(Sizes::Fixed(8));
        let mut value = without_room.make(b"key:5", &mut random);
        value[7] ^= 1;
        assert_eq!(without_room.check(&value, b"key:5"), Ok(()), "there is no checksum");
        let with_room = Values::new(Sizes::Fixed(9));
        let mut value = with_room.make(b"key:5", &mut random);
        assert_eq!(with_room.check(&value, b"key:5"), Ok(()));
        value[8] ^= 1;
        assert!(with_room.check(&value, b"key:5").is_err());
    }

    #[test]
    fn numbers_tell_values_apart_where_there_is_room() {
        let mut random = Random::new(1);
        for (size, has_room) in [(16, false), (17, true), (100, true)] {
            let values = Values::new(Sizes::Fixed(size));
            assert_eq!(values.have_room_for_numbers(5), has_room);
            let plain = values.make(b"key:5", &mut random);
            let mut numbered = plain.clone();
            Values::number(&mut numbered, b"key:5", 7);
            assert_eq!(values.check(&numbered, b"key:5"), Ok(()));
            assert_eq!(plain != numbered, has_room);
        }
    }

    #[test]
    fn values_have_all_sizes_that_are_asked_for() {
        let mut random = Random::new(1);
        let values = Values::new(Sizes::Uniform { least: 2, most: 9 });
        let mut sizes = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let value = values.make(b"key:5", &mut random);
            assert_eq!(values.check(&value, b"key:5"), Ok(()));
            sizes.insert(value.len());
        }
        assert_eq!(sizes, (2..=9).collect());
        assert!(values.check(b"k", b"key:5").is_err());
    }
}
