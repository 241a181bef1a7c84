//! Which keys are picked how often.

use std::{fmt, str::FromStr};

use super::{Random, zipfian::Zipfian};

/// Which keys are picked how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// Each as often.
    Uniform,
    /// By Zipf's law with θ = 0.99, the frequent ones scattered among the others.
    Zipfian,
    /// By the same law, the newest most often.
    Latest,
    /// A few of them most of the time.
    Hot {
        /// The first of the keys, in percent.
        keys: u8,
        /// How many of the operations go to them, in percent.
        operations: u8,
    },
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipfian => f.write_str("zipfian"),
            Self::Latest => f.write_str("latest"),
            Self::Hot { keys, operations } => write!(f, "hot:{keys}:{operations}"),
        }
    }
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = |text: &str| text.parse().ok().filter(|percent| (1..=99).contains(percent));
        let hot = text.strip_prefix("hot:").and_then(|text| text.split_once(':'));
        match (text, hot) {
            ("uniform", _) => Ok(Self::Uniform),
            ("zipfian", _) => Ok(Self::Zipfian),
            ("latest", _) => Ok(Self::Latest),
            (_, Some((keys, operations))) => percent(keys)
                .zip(percent(operations))
                .map(|(keys, operations)| Self::Hot { keys, operations })
                .ok_or_else(|| {
                    "hot:KEYS:OPERATIONS has two percentages from 1 to 99: hot:20:80 sends 80 % \
                     of the operations to 20 % of the keys"
                        .to_owned()
                }),
            _ => Err("uniform, zipfian, latest or hot:KEYS:OPERATIONS is expected".to_owned()),
        }
    }
}

/// Picks keys of a distribution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picker {
    distribution: Distribution,
    /// For as many keys as there were at first.
    zipfian: Zipfian,
}

impl Picker {
    /// A picker among as many keys, and more if they grow.
    pub(crate) fn new(distribution: Distribution, count: u64) -> Self {
        Self { distribution, zipfian: Zipfian::new(count) }
    }

    /// The number of a key below `count`, which is not 0.
    #[inline]
    pub(crate) fn pick(&self, count: u64, random: &mut Random) -> u64 {
        match self.distribution {
            Distribution::Uniform => random.below(count),
            Distribution::Zipfian => scatter(self.rank(count, random), count),
            Distribution::Latest => count - 1 - self.rank(count, random),
            Distribution::Hot { keys, operations } => {
                let hot = u64::try_from(u128::from(count) * u128::from(keys) / 100);
                let hot = hot.unwrap_or(count).clamp(1, count);
                if random.below(100) < u64::from(operations) || hot == count {
                    random.below(hot)
                } else {
                    hot + random.below(count - hot)
                }
            }
        }
    }

    fn rank(&self, count: u64, random: &mut Random) -> u64 {
        if count == self.zipfian.count() {
            self.zipfian.pick(random)
        } else {
            Zipfian::new(count).pick(random)
        }
    }
}

/// Another number below `count` for each, the same always: a walk along a permutation of the next
/// power of two, until it comes below `count`. While that power stays the same, most numbers keep
/// theirs when the count grows.
fn scatter(number: u64, count: u64) -> u64 {
    let bits = u64::BITS - (count - 1).leading_zeros();
    if bits == 0 {
        return 0;
    }
    let mask = u64::MAX >> (u64::BITS - bits);
    let half = bits.div_ceil(2);
    let mut at = number;
    loop {
        // Each step can be undone, within the bits: an addition, products by odd numbers, shifts.
        at = at.wrapping_add(0x9E37_79B9_7F4A_7C15) & mask;
        at = at.wrapping_mul(0xBF58_476D_1CE4_E5B9) & mask;
        at ^= at >> half;
        at = at.wrapping_mul(0x94D0_49BB_1331_11EB) & mask;
        at ^= at >> half;
        if at < count {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(distribution: &str, count: u64, draws: u32) -> Vec<u32> {
        let mut random = Random::new(3);
        let picker = Picker::new(distribution.parse().unwrap(), count);
        let mut seen = vec![0; usize::try_from(count).unwrap()];
        for _ in 0..draws {
            seen[usize::try_from(picker.pick(count, &mut random)).unwrap()] += 1;
        }
        seen
    }

    #[test]
    fn distributions_are_read_as_they_are_written() {
        for text in ["uniform", "zipfian", "latest", "hot:20:80"] {
            assert_eq!(text.parse::<Distribution>().unwrap().to_string(), text);
        }
        for wrong in ["", "zipf", "hot", "hot:", "hot:20", "hot:0:80", "hot:20:100", "hot:1:2:3"] {
            assert!(wrong.parse::<Distribution>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn uniform_is_even() {
        let seen = picked("uniform", 100, 100_000);
        assert!(seen.iter().all(|count| (870..1130).contains(count)), "{seen:?}");
    }

    #[test]
    fn a_hot_set_gets_its_share() {
        let seen = picked("hot:20:80", 100, 100_000);
        let hot: u32 = seen[..20].iter().sum();
        assert!((79_300..80_700).contains(&hot), "{hot}");
        assert!(seen[..20].iter().all(|count| (3_700..4_300).contains(count)), "{seen:?}");
        assert!(seen[20..].iter().all(|count| (180..320).contains(count)), "{seen:?}");
        assert_eq!(picked("hot:20:80", 1, 10), [10], "one key is all there is");
    }

    #[test]
    fn scattering_changes_who_is_frequent_but_not_how() {
        let mut ranks: Vec<u32> = picked("latest", 500, 100_000);
        let mut keys = picked("zipfian", 500, 100_000);
        assert_eq!(ranks.iter().max(), ranks.last(), "the newest most often");
        let most = keys.iter().position(|count| Some(count) == keys.iter().max());
        assert!(most.is_some_and(|key| key != 0 && key != 499), "{most:?}");
        ranks.sort_unstable();
        keys.sort_unstable();
        assert_eq!(ranks, keys, "equal seeds draw equal ranks");
    }

    #[test]
    fn the_newest_stay_the_newest_while_keys_grow() {
        let mut random = Random::new(5);
        let picker = Picker::new(Distribution::Latest, 1_000);
        let newest = (0..10_000).filter(|_| picker.pick(2_000, &mut random) >= 1_900).count();
        assert!(newest > 5_000, "{newest}");
    }

    #[test]
    fn scattering_loses_and_doubles_none() {
        for count in [1, 2, 3, 7, 8, 9, 1_000, 1_025] {
            let all: std::collections::BTreeSet<_> =
                (0..count).map(|number| scatter(number, count)).collect();
            assert_eq!(all, (0..count).collect(), "{count}");
        }
        let kept = (0..1_000).filter(|number| scatter(*number, 1_000) == scatter(*number, 1_010));
        assert!(kept.count() > 950);
    }
}
