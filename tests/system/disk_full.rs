//! A disk that is full, and then isn't: on a small file system of its own, where one may be mounted.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use plinth_protocol::{CommitResult, ErrorCode, KeyspaceId, request::Request, response::Response};

use crate::support::{
    process::{PATIENCE, Plinth},
    wire::{Wire, commit, set},
};

/// Enough for a segment of the log and some tables, and not for the segment's spare.
const SMALL: &str = "size=96m";
const LARGE: &str = "size=400m";
/// Enough for a segment, its spare and the room that a start needs.
const MEDIUM: &str = "size=260m";
/// With these, flushes find the disk full before the log does.
const FLUSHES: [&str; 1] = ["--memtable-bytes=4000000"];
const VALUE_BYTES: usize = 50_000;
/// Commits go on so soon after there is room: the longest pause, and some for a slow machine.
const SOON: Duration = Duration::from_secs(8);

/// A file system of a bounded size; unmounted when dropped.
struct Mount {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Mount {
    /// None if this process may not mount anything.
    fn new(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_path_buf();
        mount(&["-t", "tmpfs", "-o", size, "tmpfs"], &path)
            .then_some(Self { path, _directory: directory })
    }

    fn grow(&self) {
        assert!(mount(&["-o", &format!("remount,{LARGE}")], &self.path));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.path).status().ok();
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let output = Command::new("mount").args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

fn key(number: usize) -> Bytes {
    format!("{number:06}").into()
}

/// The code with which a commit is refused, if it is.
fn try_commit(wire: &mut Wire, number: usize) -> Result<(), ErrorCode> {
    let value = vec![number as u8; VALUE_BYTES];
    match wire.call(&Request::Commit(commit(vec![set(key(number), value)]))) {
        Ok(Response::Commit { result: CommitResult::Committed { .. }, .. }) => Ok(()),
        Ok(Response::Error(error)) => Err(error.code),
        other => panic!("a commit was answered {other:?}"),
    }
}

fn statistic(wire: &mut Wire, name: &str) -> u64 {
    match wire.call(&Request::ServerInfo).expect("the server answers") {
        Response::ServerInfo(info) => {
            let found = info.statistics.iter().find(|(known, _)| **known == *name.as_bytes());
            found.expect("a statistic of this name").1
        }
        other => panic!("the server's state was answered {other:?}"),
    }
}

fn is_there(wire: &mut Wire, number: usize) -> bool {
    let key = key(number);
    let request = Request::Get { version: None, keyspace: KeyspaceId::DEFAULT, key };
    match wire.call(&request).expect("the server answers") {
        Response::Get { value, .. } => value.is_some_and(|value| {
            value.value.len() == VALUE_BYTES && value.value[0] == number as u8
        }),
        other => panic!("a read was answered {other:?}"),
    }
}

/// Commits until the disk is full; answers how many were acknowledged.
fn fill(wire: &mut Wire) -> usize {
    let begin = Instant::now();
    for number in 0.. {
        match try_commit(wire, number) {
            Ok(()) => assert!(begin.elapsed() < 4 * PATIENCE, "the disk never fills"),
            Err(code) => {
                assert_eq!(code, ErrorCode::DISK_FULL, "after {number} commits");
                return number;
            }
        }
    }
    panic!("numbers don't end")
}

#[test]
fn a_log_without_room_refuses_commits_until_there_is_some_and_loses_none() {
    fill_and_go_on(&[]);
}

#[test]
fn memory_without_room_for_tables_refuses_commits_until_there_is_some_and_loses_none() {
    fill_and_go_on(&FLUSHES);
}

fn fill_and_go_on(options: &[&str]) {
    let Some(mount) = Mount::new(SMALL) else {
        println!("left out: this process may not mount a small file system");
        return;
    };
    let data = mount.path.join("data");
    let server = Plinth::serve(&data, options);
    let mut wire = Wire::connect(server.address).expect("a connection");
    let count = fill(&mut wire);
    assert!(count > 100, "{count} commits filled the disk");
    assert_eq!(statistic(&mut wire, "flushes") > 0, !options.is_empty());
    // Reads go on, of what is in memory and of what is in tables; the state is told.
    for number in [0, count / 2, count - 1] {
        assert!(is_there(&mut wire, number), "row {number} of {count}");
    }
    assert_eq!(statistic(&mut wire, "disk_full"), 1);
    assert_eq!(statistic(&mut wire, "log_failed"), 0);
    assert!(!is_there(&mut wire, count), "what is refused is not there");

    mount.grow();
    let begin = Instant::now();
    while let Err(code) = try_commit(&mut wire, count) {
        assert_eq!(code, ErrorCode::DISK_FULL);
        assert!(begin.elapsed() < SOON, "commits don't go on");
        thread::sleep(Duration::from_millis(20));
    }
    for number in count + 1..count + 100 {
        assert_eq!(try_commit(&mut wire, number), Ok(()));
    }
    while statistic(&mut wire, "disk_full") > 0 {
        assert!(begin.elapsed() < SOON, "the state says that the disk is full still");
        thread::sleep(Duration::from_millis(20));
    }
    server.kill();

    let server = Plinth::serve(&data, options);
    let mut wire = Wire::connect(server.address).expect("a connection");
    for number in 0..count + 100 {
        assert!(is_there(&mut wire, number), "row {number}: {count} filled the disk");
    }
    server.stop();
}

/// Takes all the room that there is.
fn fill_with_file(path: &Path) {
    let mut file = fs::File::create(path).expect("a file");
    let mut bytes = 1 << 20;
    while bytes > 0 {
        match file.write(&vec![7; bytes]) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => bytes /= 2,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_server_that_is_killed_on_a_full_disk_starts_again_without_a_free_byte() {
    let Some(mount) = Mount::new(MEDIUM) else {
        println!("left out: this process may not mount a small file system");
        return;
    };
    let data = mount.path.join("data");
    let mut server = Plinth::serve(&data, &[]);
    let begin = Instant::now();
    while !data.join("RESERVE").exists() {
        assert!(begin.elapsed() < PATIENCE, "no room is kept for a start");
        thread::sleep(Duration::from_millis(20));
    }
    fill_with_file(&mount.path.join("filler"));
    let mut wire = Wire::connect(server.address).expect("a connection");
    let count = fill(&mut wire);
    assert!(count > 1000, "{count} commits filled the disk");
    for more in 0..3 {
        server.kill();
        fill_with_file(&mount.path.join(format!("filler {more}")));
        server = Plinth::serve(&data, &[]);
        wire = Wire::connect(server.address).expect("a connection");
        for number in 0..count {
            assert!(is_there(&mut wire, number), "row {number} of {count}");
        }
        assert_eq!(try_commit(&mut wire, count), Err(ErrorCode::DISK_FULL));
        assert!(data.join("RESERVE").exists(), "it is made again");
    }
    mount.grow();
    let begin = Instant::now();
    while let Err(code) = try_commit(&mut wire, count) {
        assert_eq!(code, ErrorCode::DISK_FULL);
        assert!(begin.elapsed() < SOON, "commits don't go on");
        thread::sleep(Duration::from_millis(20));
    }
    server.stop();
}
