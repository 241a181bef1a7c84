//! `plinth bench --embedded`.

use crate::process::{Said, Server, run};

fn bench(workload: &str, directory: &str, more: &[&str]) -> Said {
    let mut arguments = vec!["bench", workload, "--embedded", directory, "--json"];
    arguments.extend(["--keys", "500", "--connections", "4", "--pipeline", "3"]);
    arguments.extend(["--seconds", "0.2", "--warm-up", "0.1"]);
    arguments.extend(more);
    run(&arguments)
}

#[test]
fn the_engine_in_this_process_is_measured_like_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let path = path.to_str().unwrap();
    for (workload, more) in [
        ("set", &["--load", "--durability", "none"][..]),
        ("get", &["--threads", "2"]),
        ("scan", &["--rows", "10"]),
        ("batch-get", &["--batch", "7"]),
        ("ping", &[]),
        ("set", &["--threads", "2"]),
        ("rmw", &["--durability", "interval=10"]),
        ("g2u", &[]),
    ] {
        let said = bench(workload, path, more);
        assert_eq!(said.code, 0, "{workload}: {said:?}");
        let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((&report["errors"], &report["misses"]), (&0.into(), &0.into()), "{report}");
        assert!(report["operations"].as_u64().unwrap() > 10, "{report}");
        assert_eq!(report["target"], format!("embedded:{path}"));
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let said = bench("get", directory.path().to_str().unwrap(), &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(directory.path().to_str().unwrap()), "{said:?}");
    // Whose commits are meant is no question there.
    let target = server.target();
    let said = run(&["bench", "set", "--target", &target, "--durability", "none"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("--durability"), "{said:?}");
}
