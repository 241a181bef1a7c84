//! Jobs over the binary protocol and in text.

use std::time::Instant;

use bytes::Bytes;
use plinth_protocol::{
    ErrorCode,
    job::{Job, JobState},
    request::{Opcode, Request},
    response::Response,
};
use plinthdb::{engine::backup::BackupDescription, server::Backups, vfs::OsVfs};

use crate::{
    harness::{PATIENCE, Peer, TestServer},
    text::Terminal,
};

fn start(kind: &'static str, argument: &'static str) -> Request {
    Request::JobStart {
        kind: Bytes::from_static(kind.as_bytes()),
        argument: Bytes::from_static(argument.as_bytes()),
    }
}

#[test]
fn what_is_no_job_is_refused_by_name() {
    let server = TestServer::start();
    let mut peer = server.greet();
    assert_eq!(peer.ask(&Request::Jobs { job: 0 }), Response::Jobs { jobs: vec![] });
    assert_eq!(peer.ask_error(&Request::Jobs { job: 7 }).code, ErrorCode::JOB_NOT_FOUND);
    assert_eq!(peer.ask_error(&Request::JobCancel { job: 7 }).code, ErrorCode::JOB_NOT_FOUND);
    let error = peer.ask_error(&start("paint", "red"));
    assert_eq!(error.code, ErrorCode::UNKNOWN_JOB);
    assert!(error.message.contains("'paint'"), "{error}");
}

/// Waits for a job's end.
fn ended(peer: &mut Peer, job: u64) -> Job {
    let begun = Instant::now();
    loop {
        let Response::Jobs { mut jobs } = peer.ask(&Request::Jobs { job }) else {
            panic!("no jobs")
        };
        let job = jobs.remove(0);
        if job.state != JobState::Running {
            return job;
        }
        assert!(begun.elapsed() < PATIENCE, "{job:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_backup_is_made_below_the_backup_directory_while_others_commit() {
    let directory = tempfile::tempdir().expect("a directory");
    let backups = directory.path().join("backups");
    let place = backups.clone();
    let server = TestServer::start_with(|config, _| config.backups = Backups::Below(place));
    let mut peer = server.greet();
    let version = peer.set("k", b"v");
    let Response::JobStart { job } = peer.ask(&start("backup", "monday")) else { panic!("no job") };
    peer.set("k", b"w");
    let done = ended(&mut peer, job);
    assert_eq!(done.state, JobState::Done, "{done:?}");
    assert_eq!(done.done_bytes, done.total_bytes);
    let backup = BackupDescription::read(&OsVfs, &backups.join("monday")).expect("a backup");
    assert_eq!(backup.database_id, server.engine.database_id());
    assert!(backup.version >= version);
    // Whose name is taken, or leads out, is refused at once.
    for name in ["monday", "../monday", "", "/tmp/monday"] {
        assert_eq!(peer.ask_error(&start("backup", name)).code, ErrorCode::JOB_REFUSED, "{name}");
    }
    assert_eq!(peer.ask(&Request::JobCancel { job }), Response::Done(Opcode::JobCancel));
    assert_eq!(ended(&mut peer, job), done, "what has ended stays as it is");

    let mut terminal = Terminal::connect(&server);
    let started = terminal.ask("backup tuesday");
    let job = started.strip_prefix("ok job ").expect("a job").parse().expect("a number");
    ended(&mut peer, job);
    let line = terminal.ask(&format!("jobs {job}"));
    assert!(line.starts_with(&format!("{job} backup \"tuesday\" done ")), "{line}");
    assert_eq!(server.statistic("jobs_running"), 0);
    assert!(BackupDescription::read(&OsVfs, &backups.join("tuesday")).is_ok());
}

#[test]
fn a_person_can_ask_for_jobs() {
    let server = TestServer::start();
    let mut terminal = Terminal::connect(&server);
    assert_eq!(terminal.ask("jobs"), "(0 jobs)");
    assert_eq!(
        terminal.ask("jobs 7"),
        "error 8080 job_not_found: The server remembers no job 7; ask for all jobs to see their \
         numbers"
    );
    assert!(terminal.ask("canceljob 7").starts_with("error 8080"));
    assert!(terminal.ask("canceljob all").contains("JOB is the number of a job"));
}
