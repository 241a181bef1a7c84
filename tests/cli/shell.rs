//! `plinth shell` from scripts.

use crate::process::{Server, run, run_with_input};

#[test]
fn the_exit_code_tells_whether_all_went_well() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let target = server.target();
    let shell = |commands| run(&["shell", "--target", &target, "-c", commands]);

    let said = shell("begin; set a 1; set \"b;c\" 2; commit; getrange a z");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.starts_with("ok\nok\nok\nok "), "{said:?}");
    assert!(said.stdout.ends_with("\"a\" \"1\"\n\"b;c\" \"2\"\n(2 rows)\n"), "{said:?}");

    let said = shell("get a; gte a; set a changed");
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(said.stdout, "\"1\"\n");
    assert!(said.stderr.starts_with("error 8061 unknown_command"), "{said:?}");
    assert_eq!(shell("get a").stdout, "\"1\"\n", "nothing is carried out after an error");

    let said = shell("begin; set a changed");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("not committed"), "{said:?}");
    assert_eq!(shell("get a").stdout, "\"1\"\n");

    let said = run(&["shell", "--target", "plinth://127.0.0.1:1", "-c", "ping"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("server_unreachable"), "{said:?}");

    assert_eq!(run(&["shell", "--target", "nonsense://x"]).code, 2);
}

#[test]
fn commands_on_standard_input_are_carried_out_without_a_prompt() {
    let directory = tempfile::tempdir().unwrap();
    let embedded = directory.path().to_str().unwrap();
    let script = b"# two rows\nset a 1\r\nset b \\xff\n\ngetrange a\nquit\nset c 3\n";
    let said = run_with_input(&["shell", "--embedded", embedded], script);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.ends_with("\n\"a\" \"1\"\n\"b\" \"\\xff\"\n(2 rows)\nok\n"), "{said:?}");
    // What was written without a server is there for the next one.
    let said = run(&["shell", "--embedded", embedded, "-c", "get b; get c"]);
    assert_eq!(said.stdout, "\"\\xff\"\n(none)\n");
}

#[test]
fn answers_in_json_are_one_object_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let embedded = directory.path().to_str().unwrap();
    let commands = "set k v; get k; get none; getrange a z 1; info; nonsense";
    let said = run(&["shell", "--embedded", embedded, "--json", "-c", commands]);
    assert_eq!(said.code, 1, "{said:?}");
    let answers: Vec<serde_json::Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0]["ok"], true);
    assert!(answers[0]["version"].as_u64().unwrap() > 0);
    assert_eq!(answers[1]["value"], "v");
    assert!(answers[2]["value"].is_null());
    assert_eq!(answers[3]["rows"][0]["key"], "k");
    assert_eq!(answers[4]["info"]["server_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answers[5]["error"]["name"], "unknown_command");
}

#[test]
fn a_watch_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let target = server.target();
    let commands = "watch k; set k v";
    let said = run(&["shell", "--target", &target, "-c", commands]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("changed \"k\"\n"), "{said:?}");
}
