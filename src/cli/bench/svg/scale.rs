//! Where a number lies on an axis, and which numbers the axis names.

/// How many ticks an even axis aims at.
const TICKS: f64 = 5.0;

/// A way from numbers to places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Scale {
    /// Evenly from `begin` to `end`.
    Linear { begin: f64, end: f64 },
    /// Each decade as long as the next.
    Log { begin: f64, end: f64 },
    /// Quantiles, each nine as long as the next: 0, 90%, 99%, … until `nines` of them.
    Quantile { nines: f64 },
}

impl Scale {
    /// An even scale from nought to a round number that holds all of `values`.
    pub(in super::super) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        if most <= 0.0 {
            return Self::Linear { begin: 0.0, end: 1.0 };
        }
        let step = round_up(most / TICKS);
        Self::Linear { begin: 0.0, end: (most / step).ceil() * step }
    }

    /// A logarithmic scale between round numbers that holds all of `values` that are above nought.
    pub(in super::super) fn log(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
                (least.min(value), most.max(value))
            });
        if most <= 0.0 {
            return Self::Log { begin: 1.0, end: 10.0 };
        }
        let (begin, mut end) = (round_down(least), round_up(most));
        if end <= begin * 1.5 {
            end = round_up(begin * 1.5);
        }
        Self::Log { begin, end }
    }

    /// Where `value` lies, from 0 at the beginning to 1 at the end; what lies beyond is put there.
    pub(in super::super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { begin, end } => (value - begin) / (end - begin),
            Self::Log { begin, end } => (value / begin).log10() / (end / begin).log10(),
            Self::Quantile { nines } => -(1.0 - value).log10() / nines,
        };
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// The round numbers that the axis names.
    pub(in super::super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { begin, end } => {
                let step = round_up((end - begin) / TICKS);
                let first = (begin / step).ceil();
                // Multiplied, not added up, so that errors don't add up either.
                (0..=16)
                    .map(|number| (first + f64::from(number)) * step)
                    .take_while(|tick| *tick <= end + step * 1e-6)
                    .collect()
            }
            Self::Log { begin, end } => log_ticks(begin, end),
            Self::Quantile { nines } => {
                let mut ticks = vec![0.0, 0.5];
                let whole = (1..=9).take_while(|nine| f64::from(*nine) <= nines + 1e-9);
                ticks.extend(whole.map(|nine| 1.0 - 10_f64.powi(-nine)));
                ticks
            }
        }
    }
}

/// Every 1, 2 and 5 if that isn't too much, otherwise every decade.
fn log_ticks(begin: f64, end: f64) -> Vec<f64> {
    let (first, last) = (begin.log10().floor() as i32, end.log10().ceil() as i32);
    let decades = (end / begin).log10();
    let steps: &[f64] = if decades <= 2.01 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    (first..=last)
        .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
        .filter(|tick| *tick >= begin * 0.999 && *tick <= end * 1.001)
        .collect()
}

/// The next of 1, 2, 5, 10, … that isn't less.
fn round_up(number: f64) -> f64 {
    let decade = 10_f64.powf(number.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * decade);
    steps.into_iter().find(|step| *step >= number * (1.0 - 1e-9)).unwrap_or(decade * 10.0)
}

/// The last of 1, 2, 5, 10, … that isn't more.
fn round_down(number: f64) -> f64 {
    let decade = 10_f64.powf(number.log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|step| step * decade);
    steps.into_iter().find(|step| *step <= number * (1.0 + 1e-9)).unwrap_or(decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f64], wanted: &[f64]) -> bool {
        found.len() == wanted.len()
            && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-9 * b.abs().max(1.0))
    }

    #[test]
    fn an_even_axis_begins_at_nought_and_ends_at_a_round_number() {
        let scale = Scale::from_zero([3.0, 187_000.0, f64::NAN].into_iter());
        assert_eq!(scale, Scale::Linear { begin: 0.0, end: 200_000.0 });
        assert!(near(&scale.ticks(), &[0.0, 50_000.0, 100_000.0, 150_000.0, 200_000.0]));
        assert!((scale.place(50_000.0) - 0.25).abs() < 1e-12);
        let time = Scale::Linear { begin: 0.0, end: 9.7 };
        assert!(near(&time.ticks(), &[0.0, 2.0, 4.0, 6.0, 8.0]));
        assert_eq!(Scale::from_zero(std::iter::empty()).ticks().len(), 6);
    }

    #[test]
    fn a_logarithmic_axis_names_decades_or_their_parts() {
        let scale = Scale::log([0.0, 37.0, 810.0].into_iter());
        assert_eq!(scale, Scale::Log { begin: 20.0, end: 1_000.0 });
        assert!(near(&scale.ticks(), &[20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]));
        let wide = Scale::log([1.0, 90_000.0].into_iter());
        assert!(near(&wide.ticks(), &[1.0, 10.0, 100.0, 1e3, 1e4, 1e5]));
        assert!((wide.place(10.0) - 0.2).abs() < 1e-9);
        assert!(wide.place(1e9) <= 1.0 && wide.place(0.0) >= 0.0, "what is outside is at the edge");
        let one = Scale::log([5.0].into_iter());
        assert!(one.ticks().len() >= 2, "{one:?}");
    }

    #[test]
    fn every_nine_is_as_long_as_the_next() {
        let scale = Scale::Quantile { nines: 4.0 };
        assert!(near(&scale.ticks(), &[0.0, 0.5, 0.9, 0.99, 0.999, 0.9999]));
        assert!((scale.place(0.99) - 0.5).abs() < 1e-9);
        assert!((scale.place(1.0) - 1.0).abs() < 1e-9);
    }
}
