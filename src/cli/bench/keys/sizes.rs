//! How many bytes a value has.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Random, zipfian::Zipfian};

/// The largest value that can be asked for.
pub(crate) const SIZE_MAX: usize = 1 << 20;

/// What stands before two sizes of which the small ones are the frequent ones.
const ZIPFIAN: &str = "zipfian:";

/// How many bytes values have; written `100`, `10..1000`, `zipfian:10..1000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub(crate) enum Sizes {
    /// All as many.
    Fixed(usize),
    /// From the least to the most, both included, each as often.
    Uniform {
        /// The smallest.
        least: usize,
        /// The largest.
        most: usize,
    },
    /// As many different ones, by Zipf's law with θ = 0.99: the smallest most often.
    Zipfian {
        /// The smallest.
        least: usize,
        /// The largest.
        most: usize,
    },
}

impl Sizes {
    /// The smallest there is.
    pub(crate) fn least(self) -> usize {
        match self {
            Self::Fixed(size) => size,
            Self::Uniform { least, .. } | Self::Zipfian { least, .. } => least,
        }
    }

    /// The largest there is.
    pub(crate) fn most(self) -> usize {
        match self {
            Self::Fixed(size) => size,
            Self::Uniform { most, .. } | Self::Zipfian { most, .. } => most,
        }
    }

    /// A size of these.
    pub(crate) fn pick(self, random: &mut Random) -> usize {
        match self {
            Self::Fixed(size) => size,
            Self::Uniform { least, most } => {
                least + random.below((most - least) as u64 + 1) as usize
            }
            Self::Zipfian { least, most } => {
                least + Zipfian::new((most - least) as u64 + 1).pick(random) as usize
            }
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Uniform { least, most } => write!(f, "{least}..{most}"),
            Self::Zipfian { least, most } => write!(f, "{ZIPFIAN}{least}..{most}"),
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |text: &str| match text.parse() {
            Ok(size) if size <= SIZE_MAX => Ok(size),
            _ => Err(format!(
                "'{text}' is not a size: a number of bytes from 0 to {SIZE_MAX} is expected, or \
                 two of them as in 10..1000 or zipfian:10..1000"
            )),
        };
        let range = text.strip_prefix(ZIPFIAN);
        let Some((least, most)) = range.unwrap_or(text).split_once("..") else {
            return size(text).map(Self::Fixed);
        };
        let (least, most) = (size(least)?, size(most)?);
        if least > most {
            return Err(format!("{least} is more than {most}: the smaller size comes first"));
        }
        Ok(match range {
            Some(_) => Self::Zipfian { least, most },
            None => Self::Uniform { least, most },
        })
    }
}

/// As JSON has it: a number where all are as large.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(usize),
    Text(String),
}

impl From<Sizes> for Written {
    fn from(sizes: Sizes) -> Self {
        match sizes {
            Sizes::Fixed(size) => Self::Number(size),
            Sizes::Uniform { .. } | Sizes::Zipfian { .. } => Self::Text(sizes.to_string()),
        }
    }
}

impl TryFrom<Written> for Sizes {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(size) => size.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for text in ["0", "100", "1048576", "10..1000", "7..7", "zipfian:10..1000"] {
            assert_eq!(text.parse::<Sizes>().unwrap().to_string(), text);
        }
        for wrong in ["", "-1", "1048577", "..", "1..", "..9", "9..8", "1...3", "1k"] {
            assert!(wrong.parse::<Sizes>().is_err(), "{wrong}");
        }
        for wrong in ["zipfian", "zipfian:", "zipfian:100", "zipfian:9..8", "hot:1..9"] {
            assert!(wrong.parse::<Sizes>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn small_sizes_are_frequent_and_large_ones_come_too() {
        let sizes: Sizes = "zipfian:10..1000".parse().unwrap();
        let mut random = Random::new(1);
        let drawn: Vec<_> = (0..100_000).map(|_| sizes.pick(&mut random)).collect();
        assert!(drawn.iter().all(|size| (10..=1000).contains(size)));
        let share = |range: std::ops::RangeInclusive<usize>| {
            drawn.iter().filter(|size| range.contains(size)).count()
        };
        // Of the sum of 1/k^0.99 the first is 13%, the first ten are 38%, the last half is 9%.
        assert!((12_500..13_800).contains(&share(10..=10)), "{}", share(10..=10));
        assert!((37_000..40_000).contains(&share(10..=19)), "{}", share(10..=19));
        assert!((8_000..11_000).contains(&share(506..=1000)), "{}", share(506..=1000));
    }
}
