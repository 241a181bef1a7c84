//! Zipf's distribution: the first is picked most, the k-th as often as 1/k^θ says.
//!
//! Drawn by rejection-inversion (Hörmann and Derflinger, 1996): the sum that the distribution is
//! made of is approached by an integral whose inverse is known, and what the approach takes too much
//! is drawn again. So it is exact for any count, without a table, and the count may grow.

use super::Random;
use crate::cli::progress::float;

/// How skewed it is; YCSB's.
const THETA: f64 = 0.99;

/// Zipf's distribution over `0..count`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zipfian {
    count: u64,
    /// The integral's value at the end.
    end: f64,
}

impl Zipfian {
    /// Over as many; one at least.
    pub(crate) fn new(count: u64) -> Self {
        let count = count.max(1);
        Self { count, end: integral(float(count) + 0.5) }
    }

    /// How many there are.
    pub(crate) fn count(self) -> u64 {
        self.count
    }

    /// A number below the count; 0 is the most frequent one.
    pub(crate) fn pick(self, random: &mut Random) -> u64 {
        let begin = integral(1.5) - 1.0;
        // What lies within this of the number above it needs no second look.
        let sure = 2.0 - inverse(integral(2.5) - weight(2.0));
        loop {
            let drawn = self.end + fraction(random) * (begin - self.end);
            let at = inverse(drawn);
            let rank = at.round().clamp(1.0, float(self.count));
            if rank - at <= sure || drawn >= integral(rank + 0.5) - weight(rank) {
                #[expect(clippy::cast_sign_loss, reason = "it is clamped to 1 and more")]
                return (rank as u64 - 1).min(self.count - 1);
            }
        }
    }
}

/// A number from 0 to less than 1.
fn fraction(random: &mut Random) -> f64 {
    // As many bits as a fraction holds exactly.
    float(random.next_u64() >> 11) / float(1 << 53)
}

/// How often the number of this rank comes, unscaled.
fn weight(rank: f64) -> f64 {
    (-THETA * rank.ln()).exp()
}

/// The integral of [`weight`] from 1.
fn integral(to: f64) -> f64 {
    let log = to.ln();
    let scaled = (1.0 - THETA) * log;
    // (e^s - 1) / s, near 1 where s is next to nothing.
    let slope = if scaled.abs() > 1e-8 { scaled.exp_m1() / scaled } else { 1.0 + scaled / 2.0 };
    slope * log
}

/// Where the integral has this value.
fn inverse(value: f64) -> f64 {
    let scaled = (value * (1.0 - THETA)).max(-1.0);
    let slope = if scaled.abs() > 1e-8 { scaled.ln_1p() / scaled } else { 1.0 - scaled / 2.0 };
    (slope * value).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that each rank comes as often as the formula says, within four standard deviations.
    fn assert_shape(count: u64, draws: u32) {
        let mut random = Random::new(42);
        let zipfian = Zipfian::new(count);
        let mut seen = vec![0_u32; usize::try_from(count).unwrap()];
        for _ in 0..draws {
            seen[usize::try_from(zipfian.pick(&mut random)).unwrap()] += 1;
        }
        let weight = |rank: u32| f64::from(rank).powf(-THETA);
        let sum: f64 = (1..=u32::try_from(count).unwrap()).map(weight).sum();
        for (rank, seen) in (1..).zip(&seen) {
            let expected = f64::from(draws) * weight(rank) / sum;
            let off = (f64::from(*seen) - expected).abs();
            assert!(off <= 4.0 * expected.sqrt().max(1.0), "{rank} of {count}: {seen}, {expected}");
        }
    }

    #[test]
    fn ranks_come_as_often_as_the_formula_says() {
        assert_shape(1, 10);
        assert_shape(2, 100_000);
        assert_shape(10, 200_000);
        assert_shape(1_000, 300_000);
    }

    #[test]
    fn a_large_count_is_no_trouble() {
        let mut random = Random::new(7);
        let zipfian = Zipfian::new(1_000_000_000_000);
        let picked: Vec<u64> = (0..10_000).map(|_| zipfian.pick(&mut random)).collect();
        assert!(picked.iter().all(|rank| *rank < zipfian.count()));
        assert!(picked.iter().any(|rank| *rank > 1_000_000_000), "the tail is reached");
        assert!(picked.iter().filter(|rank| **rank == 0).count() > 100, "and so is the head");
    }
}
