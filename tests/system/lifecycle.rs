//! Starting, stopping, and what may not be started.

use std::{path::Path, process::Stdio, thread};

use bytes::Bytes;
use plinth_protocol::{CommitResult, request::Request, response::Response};

use crate::support::{
    process::{Plinth, plinth},
    wire::{Wire, commit, is_farewell, set},
};

fn committed(wire: &mut Wire, key: &str, value: &str) {
    let request = Request::Commit(commit(vec![set(key.to_owned(), value.to_owned())]));
    let response = wire.call(&request).expect("the server answers");
    let is_committed =
        matches!(response, Response::Commit { result: CommitResult::Committed { .. }, .. });
    assert!(is_committed, "{response:?}");
}

fn rows(wire: &mut Wire) -> Vec<(Bytes, Bytes)> {
    let (_, rows) = wire.rows(b"", b"\xFF").expect("the server answers");
    rows.into_iter().map(|row| (row.key, row.value)).collect()
}

#[test]
fn port_zero_takes_any_port_and_the_first_line_says_which() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Plinth::serve(directory.path(), &[]);
    assert_ne!(server.address.port(), 0);
    let mut wire = Wire::connect(server.address).expect("a connection");
    let payload = Bytes::from_static(b"are you there?");
    let answer = wire.call(&Request::Ping { payload: payload.clone() }).expect("an answer");
    assert_eq!(answer, Response::Ping { payload });
    drop(wire);
    server.stop();
}

#[test]
fn a_second_server_on_the_directory_is_refused_and_the_first_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Plinth::serve(directory.path(), &[]);
    let second = plinth(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .output()
        .expect("the binary runs");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&second.stdout), String::from_utf8_lossy(&second.stderr));
    assert!(!second.status.success(), "{stdout}{stderr}");
    assert!(!stdout.contains("listening"), "{stdout}");
    let name = directory.path().to_str().expect("a plain name");
    assert!(stderr.contains(name), "the message names the directory: {stderr}");

    let mut wire = Wire::connect(server.address).expect("a connection");
    committed(&mut wire, "still", "here");
}

#[test]
fn a_second_server_on_the_port_is_refused() {
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let server = Plinth::serve(directories[0].path(), &[]);
    let second = plinth(["serve", "--listen", &server.address.to_string(), "--data-dir"])
        .arg(directories[1].path())
        .output()
        .expect("the binary runs");
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{stderr}");
    assert!(stderr.contains(&server.address.to_string()), "it names the address: {stderr}");
}

/// Every commit that the server has taken is answered as committed and is there after a restart;
/// one that it didn't take is answered `shutting_down` or not at all, and isn't there.
#[test]
fn a_server_that_is_asked_to_stop_answers_what_is_under_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Plinth::serve(directory.path(), &[]);
    let mut wire = Wire::connect(server.address).expect("a connection");
    let requests: Vec<Request> = (0..500)
        .map(|at| Request::Commit(commit(vec![set(format!("{at:04}"), "value")])))
        .collect();
    let mut ids = wire.send(&requests).expect("the server takes them");
    let first = wire.receive().expect("an answer");
    server.terminate();
    let mut done = vec![first];
    while let Ok(answer) = wire.receive() {
        done.push(answer);
    }
    assert!(server.wait().success());

    let mut acknowledged = Vec::new();
    for (id, _, response) in done {
        match response {
            Response::Commit { result: CommitResult::Committed { .. }, .. } => {
                let at = ids.iter().position(|of| *of == id).expect("an answer to a request");
                acknowledged.push(Bytes::from(format!("{at:04}")));
            }
            Response::Error(error) => assert!(is_farewell(&error), "{error}"),
            other => panic!("a commit was answered {other:?}"),
        }
    }
    assert!(!acknowledged.is_empty());
    ids.clear();

    let server = Plinth::serve(directory.path(), &[]);
    let mut wire = Wire::connect(server.address).expect("a connection");
    let mut found: Vec<Bytes> = rows(&mut wire).into_iter().map(|(key, _)| key).collect();
    acknowledged.sort();
    found.sort();
    assert_eq!(found, acknowledged, "found and acknowledged are the same commits");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a readable directory") {
        let entry = entry.expect("an entry");
        let place = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).expect("a copy");
        }
    }
}

#[test]
fn a_directory_that_was_copied_while_closed_opens_elsewhere() {
    let (directory, elsewhere) =
        (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let server = Plinth::serve(directory.path(), &[]);
    let mut wire = Wire::connect(server.address).expect("a connection");
    committed(&mut wire, "moved", "house");
    let id = wire.server.database_id;
    drop(wire);
    server.stop();

    let place = elsewhere.path().join("copy");
    copy(directory.path(), &place);
    let original = Plinth::serve(directory.path(), &[]);
    let server = Plinth::serve(&place, &[]);
    let mut wire = Wire::connect(server.address).expect("a connection");
    assert_eq!(wire.server.database_id, id, "a copy is the same database");
    assert_eq!(rows(&mut wire), [("moved".into(), "house".into())]);
    committed(&mut wire, "and", "goes on");
    drop(original);
}

#[test]
fn a_wrong_flag_a_wrong_value_and_a_foreign_directory_are_refused_with_a_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("holiday.jpg"), "not ours").expect("a file");
    let foreign = directory.path().to_str().expect("a plain name").to_owned();
    let fresh = directory.path().join("fresh").to_str().expect("a plain name").to_owned();
    let cases: [(&[&str], &str); 4] = [
        (&["serve", "--lisen", "x"], "--lisen"),
        (&["serve", "--listen", "nowhere", "--data-dir", &fresh], "nowhere"),
        (&["serve", "--durability", "perhaps", "--data-dir", &fresh], "perhaps"),
        (&["serve", "--listen", "127.0.0.1:0", "--data-dir", &foreign], &foreign),
    ];
    for (arguments, reason) in cases {
        let output = plinth(arguments.iter().copied()).output().expect("the binary runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} was taken");
        assert!(stderr.contains(reason), "{arguments:?} says why: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    assert!(directory.path().join("holiday.jpg").exists());
}

#[test]
fn hundreds_of_connections_come_and_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Plinth::serve(directory.path(), &["--durability", "none"]);
    let address = server.address;
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for at in 0..50 {
                    let mut wire = Wire::connect(address).expect("a connection");
                    committed(&mut wire, &format!("{thread}/{at}"), "x");
                }
            });
        }
    });
    let mut wire = Wire::connect(address).expect("a connection");
    assert_eq!(rows(&mut wire).len(), 200);
}
