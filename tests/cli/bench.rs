//! `plinth bench`.

use crate::process::{Server, run};

#[test]
fn every_workload_reports_what_it_measured() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let target = server.target();
    for workload in ["set", "get", "rmw", "ping", "scan", "batch-get", "g18ui", "gr2:10scr:3"] {
        let said = run(&[
            "bench",
            workload,
            "--target",
            &target,
            "--json",
            "--load",
            "--keys",
            "500",
            "--connections",
            "4",
            "--pipeline",
            "3",
            "--seconds",
            "0.5",
            "--warm-up",
            "0.1",
        ]);
        assert_eq!(said.code, 0, "{workload}: {said:?}");
        let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(report["workload"], workload);
        assert_eq!(report["errors"], 0, "{report}");
        assert_eq!(report["misses"], 0, "{report}");
        let operations = report["operations"].as_f64().unwrap();
        let rate = report["ops_per_second"].as_f64().unwrap();
        let seconds = report["seconds"].as_f64().unwrap();
        assert!(operations >= 1.0 && seconds >= 0.5, "{report}");
        assert!((rate * seconds / operations - 1.0).abs() < 0.01, "{report}");
        let latency = |name: &str| report["latency_us"][name].as_u64().unwrap();
        let ordered = ["p50", "p95", "p99", "p999", "max"].map(latency);
        assert!(ordered[0] > 0 && ordered.is_sorted(), "{report}");
        assert!(report["conflicts"].is_u64() && report["client_cpu_seconds"].is_f64());
    }
}

#[test]
fn values_of_another_size_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let target = server.target();
    let bench = |more: &[&str]| {
        let mut arguments = vec!["bench", "get", "--target", &target, "--keys", "10", "--json"];
        arguments.extend(["--seconds", "0.2", "--warm-up", "0"]);
        arguments.extend(more);
        run(&arguments)
    };
    let said = bench(&[]);
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(report["misses"].as_u64().unwrap() > 0, "an empty database has no keys: {report}");
    assert_eq!(bench(&["--load"]).code, 0);
    let said = bench(&["--value-size", "50"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("fill the database with --load"), "{said:?}");
}

#[test]
fn an_unreachable_server_is_an_error_not_a_wait() {
    let said = run(&["bench", "ping", "--target", "plinth://127.0.0.1:1"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("server_unreachable"), "{said:?}");
    assert_eq!(run(&["bench", "ping", "--connections", "0"]).code, 2);
}
