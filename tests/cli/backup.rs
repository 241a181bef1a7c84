//! `plinth backup` and `plinth restore`, on the real binary and the real disk.

use std::path::Path;

use crate::process::{Server, run};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn shell(place: &[&str], commands: &str) -> String {
    let said = run(&[&["shell", "-c", commands], place].concat());
    assert_eq!(said.code, 0, "{said:?}");
    said.stdout
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_server_is_backed_up_while_it_runs_and_restored_to_three_points() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let target = server.target();
    let at = |commands: &str| shell(&["--target", &target], commands);
    at("set a 1; set b 1");
    let said = run(&["backup", "monday", "--target", &target, "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let job = json(&said.stdout);
    assert_eq!((&job["kind"], &job["state"]), (&"backup".into(), &"done".into()));
    let version: u64 = at("set a 2").trim().strip_prefix("ok ").unwrap().parse().unwrap();
    at("set a 3");
    // The same name again, a name that leads out, and a person at a terminal.
    let again = run(&["backup", "monday", "--target", &target]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("already"), "{}", again.stderr);
    let outside = run(&["backup", "../monday", "--target", &target]);
    assert!(outside.stderr.contains("letters, digits"), "{}", outside.stderr);
    assert!(at("backup tuesday").starts_with("ok job "));
    drop(server);

    let backup = data.join("backups/monday");
    let log = data.join("log");
    let restored = |name: &str, arguments: &[&str]| {
        let new = directory.path().join(name);
        let said = run(&[&["restore", text(&backup), text(&new), "--json"], arguments].concat());
        assert_eq!(said.code, 0, "{said:?}");
        (json(&said.stdout), shell(&["--embedded", text(&new)], "get a; get b"))
    };
    let (report, rows) = restored("backup-alone", &[]);
    assert_eq!(rows, "\"1\"\n\"1\"\n");
    assert_ne!(report["database_id"], report["from_database_id"]);
    let wanted = version.to_string();
    let (report, rows) =
        restored("to-version", &["--archive", text(&log), "--to-version", &wanted]);
    assert_eq!((&report["version"], rows.as_str()), (&version.into(), "\"2\"\n\"1\"\n"));
    let (_, rows) = restored("to-the-end", &["--archive", text(&log)]);
    assert_eq!(rows, "\"3\"\n\"1\"\n");
    let (_, rows) =
        restored("to-a-time", &["--archive", text(&log), "--to-time", "2999-01-01T00:00:00+01:00"]);
    assert_eq!(rows, "\"3\"\n\"1\"\n");

    // A restored database serves.
    let server = Server::start(&directory.path().join("to-version"));
    assert!(shell(&["--target", &server.target()], "set a 9; get a").ends_with("\"9\"\n"));
}

#[test]
fn a_directory_is_backed_up_and_what_can_not_be_done_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let (data, backup) = (directory.path().join("data"), directory.path().join("backup"));
    shell(&["--embedded", text(&data)], "set a 1");
    let said = run(&["backup", "--data-dir", text(&data), text(&backup)]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("everything up to version"), "{}", said.stdout);

    let fails = |arguments: &[&str], words: &str| {
        let said = run(arguments);
        assert_ne!(said.code, 0, "{said:?}");
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    };
    let new = directory.path().join("new");
    let (backup, data, new) = (text(&backup), text(&data), text(&new));
    fails(&["backup", "--data-dir", data, backup], "is not empty");
    fails(&["backup", "--data-dir", new, backup], "there is no database");
    fails(&["restore", data, new], "no backup");
    fails(&["restore", backup, data], "is not empty");
    fails(&["restore", backup, new, "--to-version", "1"], "nothing earlier");
    fails(&["restore", backup, new, "--to-time", "2020-01-01T00:00:00Z"], "was made at 20");
    fails(&["restore", backup, new, "--to-time", "yesterday"], "2026-11-21T13:30:00Z");
    fails(&["restore", backup, new, "--archive", "/no/such/place"], "/no/such/place");
    fails(&["serve", "--data-dir", backup], "plinth restore");
    let server = Server::start(Path::new(data));
    fails(&["backup", "--data-dir", data, new], "another process");
    drop(server);
    assert!(!Path::new(new).exists(), "nothing was left behind");
    assert_eq!(run(&["restore", backup, new]).code, 0);
}
