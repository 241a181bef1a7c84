//! What comes of measuring two targets in turn.

use serde::Serialize;

use crate::cli::{bench::measurement::Measurement, progress::float};

/// Two measurements, one right after the other.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    pub(super) a: Measurement,
    pub(super) b: Measurement,
}

/// How a quantity of `a` relates to that of `b`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    /// The median of all rounds.
    pub(super) a: f64,
    /// As `a`.
    pub(super) b: f64,
    /// The one to the other.
    pub(super) a_to_b: f64,
    /// The least of the ratios within one round.
    pub(super) least: f64,
    /// The most of them.
    pub(super) most: f64,
}

/// Something that is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantity {
    /// Its name in the JSON.
    pub(super) field: &'static str,
    /// Its name for people.
    pub(super) name: &'static str,
    pub(super) unit: Measure,
    of: fn(&Measurement) -> Option<f64>,
}

/// What a quantity is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Operations, where more is better.
    Operations,
    /// Time, where less is better.
    Micros,
}

/// Everything that is compared, in the order in which it is told.
pub(super) static QUANTITIES: [Quantity; 7] = [
    Quantity {
        field: "ops_per_second",
        name: "operations a second",
        unit: Measure::Operations,
        of: |run| Some(run.ops_per_second),
    },
    Quantity {
        field: "latency_us_p50",
        name: "p50 latency",
        unit: Measure::Micros,
        of: |run| Some(float(run.latency_us.p50)),
    },
    Quantity {
        field: "latency_us_p99",
        name: "p99 latency",
        unit: Measure::Micros,
        of: |run| Some(float(run.latency_us.p99)),
    },
    Quantity {
        field: "latency_us_p999",
        name: "p99.9 latency",
        unit: Measure::Micros,
        of: |run| Some(float(run.latency_us.p999)),
    },
    Quantity {
        field: "latency_us_max",
        name: "slowest",
        unit: Measure::Micros,
        of: |run| Some(float(run.latency_us.max)),
    },
    Quantity {
        field: "client_cpu_us_per_operation",
        name: "client CPU an operation",
        unit: Measure::Micros,
        of: |run| Some(run.cpu_us_per_operation(run.client_cpu_seconds)),
    },
    Quantity {
        field: "server_cpu_us_per_operation",
        name: "server CPU an operation",
        unit: Measure::Micros,
        of: |run| run.server_cpu_seconds.map(|seconds| run.cpu_us_per_operation(seconds)),
    },
];

impl Quantity {
    /// How `a` relates to `b` in it; nothing if it isn't known of both in every round, or if one
    /// is nought, which nothing relates to.
    pub(super) fn ratio(&self, rounds: &[Round]) -> Option<Ratio> {
        let pairs: Vec<(f64, f64)> = rounds
            .iter()
            .map(|round| Some(((self.of)(&round.a)?, (self.of)(&round.b)?)))
            .collect::<Option<_>>()?;
        if pairs.is_empty() || pairs.iter().any(|(a, b)| *a <= 0.0 || *b <= 0.0) {
            return None;
        }
        let a = median(pairs.iter().map(|(a, _)| *a));
        let b = median(pairs.iter().map(|(_, b)| *b));
        let ratios = || pairs.iter().map(|(a, b)| a / b);
        let least = ratios().fold(f64::INFINITY, f64::min);
        let most = ratios().fold(0.0, f64::max);
        Some(Ratio { a, b, a_to_b: a / b, least, most })
    }
}

/// The middle one; between the two in the middle if there are two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::report::sample::measurement;

    fn rounds(rates: &[(f64, f64)]) -> Vec<Round> {
        let run = |rate| {
            let mut run = measurement();
            run.ops_per_second = rate;
            run
        };
        rates.iter().map(|&(a, b)| Round { a: run(a), b: run(b) }).collect()
    }

    #[test]
    fn the_ratio_is_of_medians_and_the_spread_of_pairs() {
        let rounds = rounds(&[(100.0, 50.0), (300.0, 100.0), (120.0, 80.0)]);
        let ratio = QUANTITIES[0].ratio(&rounds).unwrap();
        assert_eq!(ratio, Ratio { a: 120.0, b: 80.0, a_to_b: 1.5, least: 1.5, most: 3.0 });
        let server = QUANTITIES[6].ratio(&rounds);
        assert!((server.unwrap().a_to_b - 1.0).abs() < 1e-12);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_known_of_both_has_no_ratio() {
        let mut rounds = rounds(&[(100.0, 50.0), (0.0, 100.0)]);
        assert_eq!(QUANTITIES[0].ratio(&rounds), None, "nothing was done in one of them");
        rounds[1].b.server_cpu_seconds = None;
        assert_eq!(QUANTITIES[6].ratio(&rounds), None);
        assert_eq!(QUANTITIES[0].ratio(&[]), None);
    }
}
