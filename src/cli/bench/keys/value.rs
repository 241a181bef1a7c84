//! Values, by which the generator knows its keys again.

use plinth_protocol::{Error, ErrorCode};

use super::{Random, Sizes};

/// Makes values and knows them again. A value begins with its key, as far as it has room; the rest
/// are letters at random, so that nothing compresses them to nothing.
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
    }

    /// A new value for `key`.
    pub(crate) fn make(&self, key: &[u8], random: &mut Random) -> Vec<u8> {
        let mut value = Vec::new();
        self.write(key, random, &mut value);
        value
    }

    /// Checks that a value is one of `key`: its length, and its beginning.
    pub(crate) fn check(&self, value: &[u8], key: &[u8]) -> Result<(), Error> {
        let has_size = (self.sizes.least()..=self.sizes.most()).contains(&value.len());
        let length = value.len().min(key.len());
        if has_size && value.get(..length) == key.get(..length) {
            return Ok(());
        }
        let message = format!(
            "the value of {} has {} bytes beginning {}, not {} beginning with the key: fill the \
             database with --load and the same --key-size and --value-size",
            key.escape_ascii(),
            value.len(),
            value.get(..key.len()).unwrap_or(value).escape_ascii(),
            self.sizes,
        );
        Err(Error::new(ErrorCode::UNKNOWN_ERROR, message))
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
