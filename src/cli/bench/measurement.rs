//! What one run has found. All that is shown of a run or written about it is made from this, and
//! `--json` prints it as it is.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::keys::Sizes;
use crate::cli::progress::float;

/// The longest latency that is told apart from longer ones, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// How much of what was due may be missing before a rate counts as not reached.
const MISSING_SHARE: f64 = 0.02;

/// How much may be missing of a short run: what was due in so many seconds.
const MISSING_SECONDS: f64 = 0.01;

/// A measured run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// What was done over and over.
    pub(crate) workload: String,
    /// To whom, as on the command line.
    pub(crate) target: String,
    /// Who answered, as it names itself.
    pub(crate) server: String,
    /// How.
    #[serde(flatten)]
    pub(crate) settings: Settings,
    /// When measuring began, as RFC 3339 has it, in UTC. Results of old have none.
    #[serde(default)]
    pub(crate) began_at: String,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// How long the filling took, if there was one.
    pub(crate) load_seconds: Option<f64>,
    /// Operations that completed well.
    pub(crate) operations: u64,
    /// The same a second.
    pub(crate) ops_per_second: f64,
    /// Operations that failed or were answered wrongly.
    pub(crate) errors: u64,
    /// What the first of them said.
    pub(crate) first_error: Option<String>,
    /// Transactions that conflicted with others. Those that are tried again count each time.
    pub(crate) conflicts: u64,
    /// Operations that were due at the run's rate and not begun by its end: it couldn't keep up.
    #[serde(default)]
    pub(crate) unsent: u64,
    /// Reads that found nothing.
    pub(crate) misses: u64,
    /// How long operations took.
    pub(crate) latency_us: Latency,
    /// How it went, second by second.
    pub(crate) series: Vec<Second>,
    /// What this process used of the processors while it measured.
    pub(crate) client_cpu_seconds: f64,
    /// What the server used, if that can be known.
    pub(crate) server_cpu_seconds: Option<f64>,
    /// All latencies, in microseconds. Not a part of the JSON.
    #[serde(skip)]
    pub(crate) histogram: Option<Histogram<u64>>,
}

impl Measurement {
    /// Microseconds of a processor that one operation takes, of these seconds of the run.
    pub(crate) fn cpu_us_per_operation(&self, cpu_seconds: f64) -> f64 {
        cpu_seconds * 1e6 / float(self.operations.max(1))
    }

    /// Whether as much was done as was asked for at a rate; without one, nothing was. What is missing
    /// because the end was seen late is not counted.
    pub(crate) fn is_rate_reached(&self) -> bool {
        let rate = self.settings.rate.unwrap_or_default();
        let due = rate * self.seconds;
        due - float(self.operations) <= (due * MISSING_SHARE).max(rate * MISSING_SECONDS)
    }

    /// The object that `--json` prints, in one line.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it has neither maps with odd keys nor own serializers")
    }
}

/// What a run was told to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Connections; with transactions, how many at once, times the pipeline.
    pub(crate) connections: u32,
    /// Requests in flight on each.
    pub(crate) pipeline: usize,
    /// Threads of the generator that share the connections.
    pub(crate) threads: u32,
    /// How many keys there are.
    pub(crate) keys: u64,
    /// How many bytes a key has.
    pub(crate) key_size: usize,
    /// How many bytes a value has.
    pub(crate) value_size: Sizes,
    /// Which keys are picked how often.
    pub(crate) distribution: String,
    /// Operations a second that are begun whatever becomes of them; without it each follows on
    /// another's end.
    pub(crate) rate: Option<f64>,
    /// Seconds before anything counts.
    pub(crate) warm_up: f64,
    /// Seconds to measure.
    pub(crate) seconds_wanted: f64,
    /// Operations to measure, if they are counted.
    #[serde(default)]
    pub(crate) count: Option<u64>,
    /// Of the random numbers.
    pub(crate) seed: u64,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) p9999: u64,
    pub(crate) max: u64,
}

impl Latency {
    /// What a histogram of microseconds says.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile).min(histogram.max());
        Self {
            mean: histogram.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max(),
        }
    }

    /// All of them but the mean, by name.
    pub(crate) fn by_name(&self) -> [(&'static str, u64); 7] {
        [
            ("p50", self.p50),
            ("p90", self.p90),
            ("p95", self.p95),
            ("p99", self.p99),
            ("p999", self.p999),
            ("p9999", self.p9999),
            ("max", self.max),
        ]
    }
}

/// One second of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Second {
    /// When it ended, in seconds since measuring began. The last one may be a part of a second.
    pub(crate) at: f64,
    /// What completed well in it.
    pub(crate) operations: u64,
    /// What failed in it.
    pub(crate) errors: u64,
    /// Latencies in microseconds of what completed in it.
    pub(crate) p50: u64,
    /// As `p50`.
    pub(crate) p99: u64,
    /// As `p50`.
    pub(crate) max: u64,
}

/// An empty histogram of microseconds: three digits of each latency, up to ten minutes.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
        .expect("the bounds and the precision are legal constants")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_comes_back_from_its_json() {
        let mut latencies = histogram();
        for us in 1..=10_000 {
            latencies.saturating_record(us);
        }
        let text = r#"{"workload":"get","target":"plinth://h:1","server":"plinth",
            "connections":50,"pipeline":1,"threads":1,"keys":10,"key_size":16,"value_size":100,
            "distribution":"uniform","rate":null,"warm_up":1.0,"seconds_wanted":2.0,"seed":1,
            "began_at":"2026-11-21T13:30:00.000Z","seconds":2.0,"load_seconds":null,"operations":10000,"ops_per_second":5000.0,
            "errors":0,"first_error":null,"conflicts":0,"misses":0,
            "latency_us":{"mean":1.0,"p50":1,"p90":1,"p95":1,"p99":1,"p999":1,"p9999":1,"max":1},
            "series":[{"at":1.0,"operations":1,"errors":0,"p50":1,"p99":1,"max":1}],
            "client_cpu_seconds":0.5,"server_cpu_seconds":0.25}"#;
        let mut measurement: Measurement = serde_json::from_str(text).unwrap();
        measurement.latency_us = Latency::of(&latencies);
        measurement.settings.value_size = Sizes::Uniform { least: 10, most: 20 };
        let again: Measurement = serde_json::from_str(&measurement.to_json()).unwrap();
        assert_eq!(again.settings, measurement.settings);
        assert_eq!(again.latency_us, measurement.latency_us);
        assert_eq!(again.series, measurement.series);
        assert_eq!(again.to_json(), measurement.to_json());
        assert!((again.cpu_us_per_operation(again.client_cpu_seconds) - 50.0).abs() < 1e-9);
        let json: serde_json::Value = serde_json::from_str(&again.to_json()).unwrap();
        assert_eq!(json["connections"], 50, "settings stand beside the rest: {json}");
    }

    #[test]
    fn percentiles_are_in_order_and_near_the_truth() {
        let mut latencies = histogram();
        for us in 1..=10_000 {
            latencies.saturating_record(us);
        }
        let latency = Latency::of(&latencies);
        let near = |found: u64, truth: u64| found.abs_diff(truth) * 500 <= truth;
        let wanted = [5_000, 9_000, 9_500, 9_900, 9_990, 9_999, 10_000];
        for ((name, found), truth) in latency.by_name().into_iter().zip(wanted) {
            assert!(near(found, truth), "{name} {found}");
        }
        assert!((latency.mean - 5_000.5).abs() < 10.0, "{}", latency.mean);
        assert_eq!(Latency::of(&histogram()), Latency::default());
    }
}
