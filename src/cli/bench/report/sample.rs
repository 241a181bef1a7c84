//! A measurement for the tests of what is made from one.

use crate::cli::bench::measurement::{Latency, Measurement, Second, histogram};

/// Three seconds of a run, the last not whole.
pub(crate) fn measurement() -> Measurement {
    let mut latencies = histogram();
    for us in 1..=30_000 {
        latencies.saturating_record(40 + us % 97);
    }
    latencies.saturating_record(9_000);
    let second =
        |at, operations| Second { at, operations, errors: 0, p50: 80, p99: 130, max: 9_000 };
    let text = r#"{"workload":"get","target":"plinth://h:1","server":"plinth 0.1",
        "connections":50,"pipeline":16,"threads":1,"keys":10,"key_size":16,"value_size":100,
        "distribution":"uniform","rate":null,"warm_up":1.0,"seconds_wanted":2.5,"seed":1,
        "began_at":"2026-11-21T13:30:00.000Z","seconds":2.5,"load_seconds":null,"operations":30001,"ops_per_second":12345.0,
        "errors":0,"first_error":null,"conflicts":0,"misses":0,
        "latency_us":{"mean":1.0,"p50":1,"p90":1,"p95":1,"p99":1,"p999":1,"p9999":1,"max":1},
        "series":[],"client_cpu_seconds":0.5,"server_cpu_seconds":0.25}"#;
    let mut run: Measurement = serde_json::from_str(text).unwrap();
    run.series = vec![second(1.0, 12_000), second(2.0, 12_001), second(2.5, 6_000)];
    run.latency_us = Latency::of(&latencies);
    run.histogram = Some(latencies);
    run
}
