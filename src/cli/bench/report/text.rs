//! The table for people.

use std::fmt::Write as _;

use super::shortfall;
use crate::cli::bench::measurement::Measurement;

/// The table that a run ends with.
pub(crate) fn table(run: &Measurement) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    row("workload", &workload(run));
    row("server", &format!("{} at {}", run.server, run.target));
    row("began", &run.began_at);
    if let Some(seconds) = run.load_seconds {
        row("load", &format!("{} keys in {seconds:.1} s", run.settings.keys));
    }
    row(
        "operations",
        &format!("{} in {:.1} s: {:.0} a second", run.operations, run.seconds, run.ops_per_second),
    );
    if let Some(text) = shortfall(run) {
        row("not reached", &text);
    }
    let mut latency = format!("mean {:.0} µs", run.latency_us.mean);
    for (name, us) in run.latency_us.by_name() {
        let _ = write!(latency, ", {name} {us} µs");
    }
    row("latency", &latency);
    row("errors", &run.errors.to_string());
    row("conflicts", &run.conflicts.to_string());
    if run.misses > 0 {
        row("misses", &format!("{} keys were not there: fill first, with --load", run.misses));
    }
    row("client CPU", &cpu(run, run.client_cpu_seconds));
    if let Some(seconds) = run.server_cpu_seconds {
        row("server CPU", &cpu(run, seconds));
    }
    text
}

fn workload(run: &Measurement) -> String {
    let settings = &run.settings;
    let mut text = format!(
        "{}: {} connections, {} deep, {} keys {}, values of {} bytes",
        run.workload,
        settings.connections,
        settings.pipeline,
        settings.keys,
        settings.distribution,
        settings.value_size,
    );
    if let Some(rate) = settings.rate {
        let _ = write!(text, ", {rate} a second");
    }
    text
}

fn cpu(run: &Measurement, seconds: f64) -> String {
    format!("{seconds:.1} s: {:.2} µs an operation", run.cpu_us_per_operation(seconds))
}
