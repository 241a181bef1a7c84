//! The cluster file: written by the server, followed by the commands.

use std::{fs, process::Stdio};

use plinth_client::ClusterFile;

use super::process::{Said, Server, plinth, run};

#[test]
fn a_server_writes_where_it_is_and_its_id_stays_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let path = data.join("fdb.cluster");
    let server = Server::start(&data);
    let first = ClusterFile::read(&path).unwrap();
    assert_eq!(first.addresses, [server.address.to_string()]);
    server.stop();
    // Another port, nearly always: the file follows.
    let server = Server::start(&data);
    let second = ClusterFile::read(&path).unwrap();
    assert_eq!(second.addresses, [server.address.to_string()]);
    assert_eq!((&second.description, &second.id), (&first.description, &first.id));
    let other = Server::start(&directory.path().join("other"));
    let third = ClusterFile::read(&directory.path().join("other/fdb.cluster")).unwrap();
    assert_ne!(third.id, first.id);
    drop(other);
    // A check of the directory knows the file.
    server.stop();
    let said = run(&["verify", data.to_str().unwrap()]);
    assert!(said.code == 0 && !said.stdout.contains("fdb.cluster"), "{}", said.stdout);
}

#[test]
fn a_server_tells_another_address_if_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fdb.cluster");
    let server = Server::start_with(directory.path(), &["--advertise", "db.example:4500"]);
    assert_eq!(ClusterFile::read(&path).unwrap().addresses, ["db.example:4500"]);
    server.stop();
    let said = run(&["serve", "--advertise", "db.example", "--data-dir", "nowhere/at/all"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("advertise") && said.stderr.contains("port"), "{}", said.stderr);
    assert!(!directory.path().join("nowhere").exists());
}

#[test]
fn a_server_that_cannot_write_the_file_says_what_to_do_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    Server::start(directory.path()).stop();
    let path = directory.path().join("fdb.cluster");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let data = directory.path().to_str().unwrap();
    let said = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{}", said.stderr);
    assert!(said.stderr.contains("fdb.cluster: ") && said.stderr.contains("move away"));
}

#[test]
fn commands_follow_the_cluster_file_that_they_are_given() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let file = Server::cluster_file(&data);
    let with_file = |arguments: &[&str]| {
        let said = run(&[arguments, &["--cluster-file", &file]].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
        said.stdout
    };
    assert!(with_file(&["shell", "-c", "set a 1"]).starts_with("ok"));
    assert_eq!(with_file(&["export", "--format", "tsv"]), "a\t1\n");
    let rows = directory.path().join("rows.tsv");
    fs::write(&rows, "b\t2\n").unwrap();
    with_file(&["import", rows.to_str().unwrap()]);
    with_file(&["verify"]);
    with_file(&["backup", "monday"]);
    let bench = ["bench", "set", "--seconds", "0.1", "--warm-up", "0", "--connections", "1"];
    let text = with_file(&bench);
    assert!(text.contains(&server.address.to_string()), "{text}");
    // The environment names one too, for whoever is told of no other.
    let shell = |arguments: &[&str]| -> Said {
        let mut command = plinth(&["shell", "-c", "get b"]);
        command.args(arguments).env("FDB_CLUSTER_FILE", &file);
        command.stderr(Stdio::piped()).output().unwrap().into()
    };
    assert_eq!(shell(&[]).stdout, "\"2\"\n");
    assert_eq!(shell(&["--target", "127.0.0.1:1"]).code, 1);
    assert_eq!(shell(&["--cluster-file", "nowhere"]).code, 1);
    assert_eq!(shell(&["--target", "127.0.0.1:1", "--cluster-file", &file]).code, 2);
    assert_eq!(shell(&["--embedded", "nowhere", "--cluster-file", &file]).code, 2);
}

#[test]
fn a_cluster_file_that_is_missing_or_wrong_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my.cluster");
    let file = path.to_str().unwrap();
    let said = run(&["shell", "--cluster-file", file, "-c", "ping"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains(file), "{}", said.stderr);
    fs::write(&path, "here\n").unwrap();
    for command in [&["shell", "-c", "ping"][..], &["verify"], &["bench", "ping"]] {
        let said = run(&[command, &["--cluster-file", file]].concat());
        assert_eq!(said.code, 1, "{command:?}");
        assert!(said.stderr.contains(file) && said.stderr.contains("host:port"), "{}", said.stderr);
    }
}
