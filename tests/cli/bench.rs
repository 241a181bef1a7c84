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
    assert!(!said.stderr.contains("log"), "no server has anything to say about it: {said:?}");
}

#[test]
fn an_unreachable_server_is_an_error_not_a_wait() {
    let said = run(&["bench", "ping", "--target", "plinth://127.0.0.1:1"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("server_unreachable"), "{said:?}");
    assert_eq!(run(&["bench", "ping", "--connections", "0"]).code, 2);
}

/// Runs a benchmark of a few keys and comes back with its report.
fn report(target: &str, words: &str) -> serde_json::Value {
    let line = format!("bench {words} --target {target} --json --keys 200 --connections 4");
    let said = run(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(said.code, 0, "{words}: {said:?}");
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn so_many_operations_are_done_as_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let target = server.target();
    report(&target, "set --load --count 1");
    let options = [
        "get",
        "get --pipeline 7 --distribution zipfian",
        "get --rate 5000 --distribution latest",
        "set --distribution hot:20:80",
        "scan --rows 10",
        "batch-get --batch 3",
        "hot",
        "ycsb-a",
        "ycsb-c",
        "ycsb-d",
        "ycsb-e",
        "ycsb-f --rate 2000",
        "g2ui --threads 2",
        // Last, because the others check what it leaves.
        "set --value-size zipfian:0..3000 --distribution zipfian",
    ];
    for words in options {
        let report = report(&target, &format!("{words} --count 101"));
        assert_eq!(report["operations"], 101, "{words}: {report}");
        assert_eq!((&report["errors"], &report["misses"]), (&0.into(), &0.into()), "{words}");
        assert!(report["server_cpu_seconds"].is_f64(), "the server tells: {report}");
        let series = report["series"].as_array().unwrap();
        let counted: u64 = series.iter().map(|second| second["operations"].as_u64().unwrap()).sum();
        // Answers that come after the end are no part of a second.
        assert!(counted <= 101, "{report}");
    }
}

#[test]
fn the_engine_is_measured_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let bench = |workload: &str| {
        run(&[
            "bench",
            workload,
            "--embedded",
            data,
            "--keys",
            "200",
            "--load",
            "--count",
            "50",
            "--json",
        ])
    };
    for workload in ["get", "set", "scan", "batch-get", "rmw", "ycsb-b"] {
        let said = bench(workload);
        assert_eq!(said.code, 0, "{workload}: {said:?}");
        let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((&report["operations"], &report["misses"]), (&50.into(), &0.into()));
        assert_eq!(report["target"], format!("embedded:{data}"));
    }
}

#[test]
fn sizes_are_as_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let target = server.target();
    let sizes = "--key-size 30 --value-size 0..50";
    let report = report(&target, &format!("get --load --count 500 {sizes}"));
    assert_eq!((&report["key_size"], &report["value_size"]), (&30.into(), &"0..50".into()));
    assert_eq!((&report["operations"], &report["misses"]), (&500.into(), &0.into()), "{report}");
    let said = run(&["bench", "get", "--key-size", "6", "--keys", "101"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("keys of 6 bytes have room for 100"), "{said:?}");
}

#[test]
fn a_sweep_finds_rates_that_are_sustained_or_says_that_there_are_none() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let target = server.target();
    let report = report(&target, "ping --sweep --seconds 0.2 --warm-up 0.1");
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 10, "{report}");
    let rates: Vec<f64> = steps.iter().map(|step| step["rate"].as_f64().unwrap()).collect();
    assert!(rates.is_sorted(), "{rates:?}");
    assert!(report["knee"].is_null() || rates.contains(&report["knee"].as_f64().unwrap()));
}

#[test]
fn a_workload_that_there_is_not_is_explained() {
    let said = run(&["bench", "g18x"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("no operation is called 'x'"), "{said:?}");
    let said = run(&["bench", "get", "--distribution", "normal"]);
    assert!(said.stderr.contains("uniform, zipfian, latest or hot"), "{said:?}");
    let said = run(&["bench", "--help"]);
    assert!(said.stdout.contains("\n  g18ui "), "one workload a line: {said:?}");
}
