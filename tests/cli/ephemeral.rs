//! `plinth serve --ephemeral`: at once there, and without a trace gone.

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use plinth_client::ClusterFile;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::process::{Said, plinth, run, run_with_input};

/// The fastest of some starts takes no longer than this, without optimisation and on a machine that
/// is busy with other tests.
const START_LIMIT: Duration = Duration::from_millis(500);

/// An ephemeral server that believes this directory to be all of the disk.
struct Ephemeral {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
    cluster_file: PathBuf,
}

impl Ephemeral {
    fn start(home: &TempDir, arguments: &[&str]) -> Self {
        let mut child = plinth(&["serve", "--ephemeral"])
            .args(arguments)
            .current_dir(home.path().join("here"))
            .env("TMPDIR", home.path().join("tmp"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = |begins: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(begins).ok_or(&line).expect(begins).to_owned()
        };
        let address = line("listening on ");
        let cluster_file = line("cluster file ").into();
        Self { child, lines, address, cluster_file }
    }

    fn shell(&self, commands: &str) -> String {
        let file = self.cluster_file.to_str().unwrap();
        let said = run(&["shell", "--cluster-file", file, "-c", commands]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said.stdout
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        let ended = self.child.wait().unwrap();
        assert!(self.lines.next().is_none(), "it says nothing more");
        ended
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("here")).unwrap();
    fs::create_dir(home.path().join("tmp")).unwrap();
    home
}

/// All files and directories below.
fn all_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

/// Rows to import, with values of this many bytes.
fn rows(count: usize, bytes: usize) -> String {
    let value = "x".repeat(bytes);
    let rows: Vec<String> = (0..count).map(|row| format!("row{row:04}\t{value}\n")).collect();
    rows.concat()
}

#[test]
fn it_serves_from_memory_and_leaves_nothing_behind() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = home();
        let mut server = Ephemeral::start(&home, &[]);
        assert!(server.cluster_file.starts_with(home.path().join("tmp")));
        assert!(server.shell("set a 1; get a").ends_with("\n\"1\"\n"));
        // All that there is on the disk is the cluster file.
        let below = all_below(home.path());
        assert_eq!(below.iter().filter(|path| path.is_file()).count(), 1, "{below:?}");
        server.signal(signal);
        assert!(server.end().success());
        let empty = ["here", "tmp"].map(|name| fs::read_dir(home.path().join(name)).unwrap());
        assert_eq!(empty.into_iter().flatten().count(), 0, "{:?}", all_below(home.path()));
    }
}

#[test]
fn two_at_once_know_nothing_of_each_other() {
    let home = home();
    let (mut one, mut other) = (Ephemeral::start(&home, &[]), Ephemeral::start(&home, &[]));
    assert_ne!(one.address, other.address);
    one.shell("set a 1");
    other.shell("set a 2");
    assert_eq!(one.shell("get a"), "\"1\"\n");
    one.signal(Signal::TERM);
    assert!(one.end().success());
    assert_eq!(other.shell("get a"), "\"2\"\n");
    other.signal(Signal::TERM);
    assert!(other.end().success());
    assert_eq!(all_below(&home.path().join("tmp")), Vec::<PathBuf>::new());
}

#[test]
fn a_database_begins_empty_each_time_and_is_another_one() {
    let home = home();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut server = Ephemeral::start(&home, &["--listen", "127.0.0.1:0"]);
        ids.push(ClusterFile::read(&server.cluster_file).unwrap().id);
        assert_eq!(server.shell("getrange \"\" \\xff"), "(0 rows)\n");
        server.shell("set a 1");
        server.signal(Signal::TERM);
        server.end();
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_second_signal_leaves_nothing_behind_either() {
    let home = home();
    let mut server = Ephemeral::start(&home, &[]);
    let rows = rows(5, 90_000);
    let file = server.cluster_file.to_str().unwrap();
    let import = ["import", "--cluster-file", file, "--format", "tsv"];
    assert_eq!(run_with_input(&import, rows.as_bytes()).code, 0);
    // A peer that asks for much and reads next to nothing of it holds up the stop for seconds.
    let mut peer = TcpStream::connect(&server.address).unwrap();
    peer.write_all("getrange row rox\n".repeat(200).as_bytes()).unwrap();
    peer.read_exact(&mut [0]).unwrap();
    while server.child.try_wait().unwrap().is_none() {
        server.signal(Signal::TERM);
        sleep(Duration::from_millis(1));
    }
    assert_eq!(server.end().code(), Some(1), "it did not wait");
    assert_eq!(all_below(&home.path().join("tmp")), Vec::<PathBuf>::new());
}

#[test]
fn it_is_there_at_once() {
    let home = home();
    let fastest = (0..5).map(|_| {
        let begun = Instant::now();
        let server = Ephemeral::start(&home, &[]);
        let took = begun.elapsed();
        server.signal(Signal::TERM);
        took
    });
    let fastest = fastest.min().unwrap();
    assert!(fastest < START_LIMIT, "{fastest:?}");
}

#[test]
fn what_would_last_is_refused_with_a_reason() {
    let home = home();
    let config = home.path().join("plinth.toml");
    fs::write(&config, "archive = 'somewhere'\n").unwrap();
    for (arguments, variable, reason) in [
        (&["--data-dir", "d"][..], None, "data-dir"),
        (&["--backup-dir", "d"], None, "backup-dir"),
        (&["--durability", "sync"], None, "can only be none"),
        (&["--durability", "interval=10"], None, "can only be none"),
        (&["--config", config.to_str().unwrap()], None, "archive"),
        (&[], Some(("PLINTH_DATA_DIR", "d")), "data-dir"),
    ] {
        let mut command = plinth(&["serve", "--ephemeral"]);
        command.args(arguments).envs(variable).current_dir(home.path().join("here"));
        let said = Said::from(command.output().unwrap());
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(said.stderr.contains(reason), "{arguments:?}: {}", said.stderr);
    }
    assert_eq!(all_below(&home.path().join("here")), Vec::<PathBuf>::new());
    let server = Ephemeral::start(&home, &["--durability", "none"]);
    let file = server.cluster_file.to_str().unwrap();
    let said = run(&["backup", "monday", "--cluster-file", file]);
    assert!(said.code == 1 && said.stderr.contains("memory"), "{}", said.stderr);
}

#[test]
fn it_takes_no_more_memory_than_what_is_stored_and_a_bound() {
    let home = home();
    let sizes = ["--memtable-bytes", "262144", "--log-bytes-max", "262144"];
    let server = Ephemeral::start(&home, &sizes);
    let file = server.cluster_file.to_str().unwrap();
    // 2 MB that are stored are overwritten twelve times.
    let rows = rows(2000, 1000);
    for _ in 0..12 {
        let import = ["import", "--cluster-file", file, "--format", "tsv"];
        let said = run_with_input(&import, rows.as_bytes());
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let info = server.shell("info");
        let number = |name: &str| -> u64 {
            let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        let held = number("storage_size_bytes") + number("frozen_bytes") + number("memory_bytes");
        if held < 12 << 20 && number("compactions") > 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{held} bytes are held:\n{info}");
        sleep(Duration::from_millis(20));
    }
    let rows = server.shell("getrange row0000 row0003");
    assert!(rows.contains("(3 rows)"), "{rows}");
    let said = run(&["verify", "--cluster-file", file]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
}
