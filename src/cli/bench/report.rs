//! What a run has found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Arguments, tally::Tally};
use crate::cli::progress::float;

/// The percentiles that are told, by name.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("p999", 99.9)];

/// A measured run.
pub(super) struct Report<'a> {
    pub(super) arguments: &'a Arguments,
    /// Who answered, and how.
    pub(super) server: String,
    pub(super) tally: Tally,
    /// How long was measured.
    pub(super) seconds: f64,
    /// What this process used of the processors in that time.
    pub(super) client_cpu_seconds: f64,
    /// How long the filling took, if there was one.
    pub(super) load_seconds: Option<f64>,
}

impl Report<'_> {
    pub(super) fn operations_per_second(&self) -> f64 {
        float(self.tally.operations) / self.seconds.max(f64::MIN_POSITIVE)
    }

    pub(super) fn to_json(&self) -> Value {
        let Arguments { workload, target, connections, pipeline, keys, .. } = self.arguments;
        let mut latency = serde_json::Map::new();
        for (name, percentile) in PERCENTILES {
            latency.insert(name.into(), self.tally.latency.value_at_percentile(percentile).into());
        }
        latency.insert("max".into(), self.tally.latency.max().into());
        json!({
            "workload": workload.name(),
            "target": target.to_string(),
            "server": self.server,
            "connections": connections,
            "pipeline": pipeline,
            "threads": self.arguments.threads,
            "keys": keys,
            "value_size": self.arguments.value_size,
            "seed": self.arguments.seed,
            "seconds": self.seconds,
            "load_seconds": self.load_seconds,
            "operations": self.tally.operations,
            "ops_per_second": self.operations_per_second(),
            "latency_us": latency,
            "errors": self.tally.errors,
            "first_error": self.tally.first_error.as_ref().map(ToString::to_string),
            "conflicts": self.tally.conflicts,
            "misses": self.tally.misses,
            "client_cpu_seconds": self.client_cpu_seconds,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let arguments = self.arguments;
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12} {value}");
        };
        row(
            "workload",
            format!(
                "{}: {} connections, {} deep, {} keys, values of {} bytes",
                arguments.workload.name(),
                arguments.connections,
                arguments.pipeline,
                arguments.keys,
                arguments.value_size
            ),
        );
        row("server", format!("{} at {}", self.server, arguments.target));
        if let Some(seconds) = self.load_seconds {
            row("load", format!("{} keys in {seconds:.1} s", arguments.keys));
        }
        row(
            "operations",
            format!(
                "{} in {:.1} s: {:.0} a second",
                self.tally.operations,
                self.seconds,
                self.operations_per_second()
            ),
        );
        let mut latency = String::new();
        for (name, percentile) in PERCENTILES {
            let us = self.tally.latency.value_at_percentile(percentile);
            let _ = write!(latency, "{name} {us} µs, ");
        }
        row("latency", format!("{latency}max {} µs", self.tally.latency.max()));
        row("errors", self.tally.errors.to_string());
        row("conflicts", self.tally.conflicts.to_string());
        if self.tally.misses > 0 {
            row(
                "misses",
                format!("{} keys were not there: fill first, with --load", self.tally.misses),
            );
        }
        row("client CPU", format!("{:.1} s", self.client_cpu_seconds));
        text
    }
}
