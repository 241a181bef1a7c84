//! `plinth bench` through the C library, with the cargo feature `fdb`.

use std::{path::Path, process::Command};

use crate::{
    rust::build_with_the_crate,
    support::{Server, run},
};

#[test]
fn plinth_bench_measures_through_the_library() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let options = ["--package", "plinthdb", "--features", "fdb", "--bin", "plinth"];
    let what = "plinth bench through the C library";
    let Some(built) = build_with_the_crate(what, &manifest, &options) else { return };
    let server = Server::start();
    let by_file = format!("fdb:{}", server.cluster_file().display());
    let bench = |workload: &str, target: &str, more: &[&str]| {
        let mut command = Command::new(built.join("plinth"));
        command.args(["bench", workload, "--target", target, "--json", "--keys", "300"]);
        command.args(["--connections", "8", "--seconds", "0.3", "--warm-up", "0.1"]).args(more);
        let report: serde_json::Value = serde_json::from_str(&run(&server, &mut command)).unwrap();
        assert_eq!((&report["errors"], &report["misses"]), (&0.into(), &0.into()), "{report}");
        assert!(report["operations"].as_u64().unwrap() > 0, "{report}");
        assert!(report["server"].as_str().unwrap().ends_with("by libfdb_c"), "{report}");
        assert_eq!(report["target"], target);
        report
    };
    bench("get", &by_file, &["--load"]);
    for workload in ["set", "scan", "batch-get", "g10", "o10", "rmw"] {
        bench(workload, &by_file, &[]);
    }
    // The default cluster file is the environment's here. Eight that write ten keys of 300 meet.
    let report = bench("u10", "fdb:", &["--threads", "2"]);
    assert!(report["conflicts"].as_u64().unwrap() > 0, "{report}");
    // What the library states of its versions is recorded and holds.
    let directory = tempfile::tempdir().unwrap();
    let history = directory.path().join("history");
    let history = history.to_str().unwrap();
    bench("g2u2", &by_file, &["--history", history]);
    let mut check = Command::new(built.join("plinth"));
    check.args(["bench", "check", history, "--json"]);
    let verdict: serde_json::Value = serde_json::from_str(&run(&server, &mut check)).unwrap();
    assert_eq!(verdict["strictly_serializable"], true, "{verdict}");
    assert_eq!(verdict["checked_by_versions"], true, "{verdict}");
    assert!(verdict["committed"].as_u64().unwrap() > 0, "{verdict}");
}
