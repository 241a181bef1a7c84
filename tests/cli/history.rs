//! `plinth bench … --history FILE`, and `plinth bench check FILE`.

use std::{fmt::Write as _, path::Path, process::Stdio, thread, time::Duration};

use serde_json::Value;

use crate::process::{Said, Server, plinth, run};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Checks a history, which must be sound; what was found.
fn check(history: &Path, more: &[&str]) -> Value {
    let said = run(&[&["bench", "check", text(history), "--json"], more].concat());
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(&said.stdout).unwrap()
}

fn assert_sound(verdict: &Value) {
    assert_eq!(verdict["strictly_serializable"], true, "{verdict}");
    assert_eq!(verdict["violations"], serde_json::json!([]), "{verdict}");
    assert_eq!(verdict["checked_by_versions"], true, "{verdict}");
    assert_eq!(verdict["checked_by_values"], true, "{verdict}");
    assert!(verdict["committed"].as_u64().unwrap() > 0, "{verdict}");
}

#[test]
fn contended_histories_are_sound() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(&directory.path().join("data"), &["--durability", "none"]);
    let target = server.target();
    for workload in ["rmw", "bank", "g2ugr5:4c", "icr3:3"] {
        let history = directory.path().join("history");
        let said = run(&[
            "bench",
            workload,
            "--target",
            &target,
            "--keys",
            "8",
            "--connections",
            "12",
            "--seconds",
            "0.7",
            "--warm-up",
            "0.1",
            "--json",
            "--history",
            text(&history),
        ]);
        assert_eq!(said.code, 0, "{workload}: {said:?}");
        let measured: Value = serde_json::from_str(&said.stdout).unwrap();
        let verdict = check(&history, &[]);
        assert_sound(&verdict);
        assert_eq!(verdict["workload"], workload);
        assert!(verdict["committed"].as_u64() >= measured["operations"].as_u64(), "{verdict}");
        if workload == "rmw" {
            assert!(verdict["conflicted"].as_u64().unwrap() > 0, "it was contended: {verdict}");
        }
        let by_values = check(&history, &["--no-versions"]);
        assert_eq!(by_values["checked_by_versions"], false);
    }
}

#[test]
fn a_bank_through_a_crash_keeps_its_money_and_its_history_is_sound() {
    let directory = tempfile::tempdir().unwrap();
    let (data, history) = (directory.path().join("data"), directory.path().join("history"));
    let server = Server::start(&data);
    let target = server.target();
    let child = plinth(&[
        "bench",
        "bank",
        "--target",
        &target,
        "--keys",
        "20",
        "--connections",
        "8",
        "--seconds",
        "4",
        "--warm-up",
        "0",
        "--json",
        "--history",
        text(&history),
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    // Something has been written down before the crash.
    let written = || std::fs::metadata(&history).is_ok_and(|file| file.len() > 0);
    for _ in 0..600 {
        if written() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(written(), "the history grows while the run goes on");
    let server = server.crash_and_start_again(&data);
    let said: Said = child.wait_with_output().unwrap().into();
    assert_eq!(said.code, 0, "{said:?}");
    let verdict = check(&history, &[]);
    assert_sound(&verdict);
    drop(server);
}

#[test]
fn what_is_wrong_with_a_history_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(&directory.path().join("data"), &["--durability", "none"]);
    let target = server.target();
    let history = directory.path().join("history");
    let said = run(&[
        "bench",
        "rmw",
        "--target",
        &target,
        "--keys",
        "4",
        "--connections",
        "4",
        "--seconds",
        "0.2",
        "--warm-up",
        "0",
        "--history",
        text(&history),
    ]);
    assert_eq!(said.code, 0, "{said:?}");
    let whole = std::fs::read(&history).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let refused = |bytes: &[u8]| {
        std::fs::write(&history, bytes).unwrap();
        let said = run(&["bench", "check", text(&history)]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
        said.stderr
    };
    assert!(refused(&whole[..whole.len() / 2]).contains("line "));
    assert!(refused(&[lines[0], lines[2]].concat()).contains("line 2: the checksum"));
    assert!(refused(&lines[..2].concat()).contains("line 3: the history has no last line"));
    let said = run(&["bench", "check", "/nonexistent/history"]);
    assert!(said.code == 2 && said.stderr.contains("/nonexistent/history"), "{said:?}");
}

#[test]
fn a_violation_is_an_exit_of_its_own_and_explained() {
    let directory = tempfile::tempdir().unwrap();
    let history = directory.path().join("history");
    // As a database without conflicts would have it, checksums and all.
    let lines = [
        r#"{"plinth_history":1,"versions":true,"unique_values":true,"workload":"rmw""#,
        r#"{"client":0,"number":0,"begin":0,"end":9,"read_version":5,"ops":[["get","x","0000000000000001"],["set","x","0000000000000002"]],"outcome":"committed","version":7,"order":0"#,
        r#"{"client":1,"number":0,"begin":0,"end":9,"read_version":5,"ops":[["get","x","0000000000000001"],["set","x","0000000000000003"]],"outcome":"committed","version":8,"order":0"#,
        r#"{"transactions":2"#,
    ];
    let mut checksum = crc32fast::Hasher::new();
    let mut file = String::new();
    for line in lines {
        checksum.update(line.as_bytes());
        let checksum = checksum.clone().finalize();
        writeln!(file, "{line},\"crc\":\"{checksum:08x}\"}}").unwrap();
    }
    std::fs::write(&history, file).unwrap();
    for more in [&[][..], &["--no-versions"]] {
        let said = run(&[&["bench", "check", text(&history)], more].concat());
        assert_eq!(said.code, 1, "{said:?}");
        for part in ["lost_update", "transaction 1.0", "\"x\"", "not strictly serializable"] {
            assert!(said.stdout.contains(part), "{part} in {said:?}");
        }
        let said = run(&[&["bench", "check", text(&history), "--json"], more].concat());
        let verdict: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(verdict["violations"][0]["kind"], "lost_update", "{verdict}");
    }
}

#[test]
fn single_requests_have_no_history() {
    let said =
        run(&["bench", "get", "--target", "plinth://127.0.0.1:1", "--history", "/nonexistent"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("--history records transactions"), "{said:?}");
}
