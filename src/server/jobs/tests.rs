use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::engine::{EngineOptions, Pipeline};

fn jobs() -> (tempfile::TempDir, Jobs) {
    let directory = tempfile::tempdir().unwrap();
    let options =
        EngineOptions { pipeline: Pipeline::Manual, ..EngineOptions::new(directory.path()) };
    let jobs = Jobs::new(Engine::open(options).unwrap(), Some(directory.path().join("backups")));
    (directory, jobs)
}

/// Work that waits for a word, and then does what it is told by it.
fn waiting() -> (Sender<Result<String, Error>>, Work) {
    let (tell, told): (_, Receiver<Result<String, Error>>) = channel();
    (tell, Box::new(move |_, _| told.recv().unwrap_or_else(|_| Ok("nobody cared".to_owned()))))
}

/// Work that goes on until it is cancelled.
fn endless() -> Work {
    Box::new(|_, progress| {
        let mut done = 0;
        while progress.report(done, 0).is_continue() {
            done += 1;
            thread::yield_now();
        }
        Err(ErrorCode::OPERATION_CANCELLED.into())
    })
}

fn spawn(jobs: &Jobs, argument: &'static str, work: Work) -> Result<u64, Error> {
    jobs.spawn("test", &Bytes::from_static(argument.as_bytes()), work)
}

/// Waits for a job's end.
fn ended(jobs: &Jobs, number: u64) -> Job {
    let thread = {
        let mut table = jobs.lock();
        let entry = table.entries.iter_mut().find(|entry| entry.number == number).unwrap();
        entry.thread.take()
    };
    if let Some(thread) = thread {
        thread.join().unwrap();
    }
    jobs.list(number).unwrap().remove(0)
}

#[test]
fn a_job_tells_how_it_stands_and_what_came_of_it() {
    let (_directory, jobs) = jobs();
    let (good, work) = waiting();
    assert_eq!(spawn(&jobs, "a", work), Ok(1));
    let (bad, work) = waiting();
    assert_eq!(spawn(&jobs, "b", work), Ok(2));
    let panics: Work = Box::new(|_, _| panic!("a bug in the work"));
    assert_eq!(spawn(&jobs, "c", panics), Ok(3));
    assert_eq!(jobs.list(1).unwrap()[0].state, JobState::Running);
    good.send(Ok("all is well".to_owned())).unwrap();
    bad.send(Err(ErrorCode::IO_ERROR.into())).unwrap();
    let done = ended(&jobs, 1);
    assert_eq!((done.state, &done.message[..]), (JobState::Done, &b"all is well"[..]));
    assert!(done.ended_at_ms >= done.started_at_ms);
    assert_eq!(ended(&jobs, 2).state, JobState::Failed(ErrorCode::IO_ERROR));
    assert_eq!(ended(&jobs, 3).state, JobState::Failed(ErrorCode::INTERNAL_ERROR));
    assert_eq!(jobs.list(0).unwrap().len(), 3);
    assert_eq!(jobs.list(4).unwrap_err().code, ErrorCode::JOB_NOT_FOUND);
}

#[test]
fn what_is_under_way_is_not_started_twice_and_few_run_at_a_time() {
    let (_directory, jobs) = jobs();
    assert_eq!(spawn(&jobs, "a", endless()), Ok(1));
    assert_eq!(spawn(&jobs, "a", endless()), Ok(1));
    for (number, argument) in (2..=RUNNING_MAX as u64).zip(["b", "c", "d"]) {
        assert_eq!(spawn(&jobs, argument, endless()), Ok(number));
    }
    assert_eq!(jobs.running(), RUNNING_MAX as u64);
    let error = spawn(&jobs, "e", endless()).unwrap_err();
    assert_eq!(error.code, ErrorCode::TOO_MANY_JOBS);
    jobs.cancel(1).unwrap();
    assert_eq!(ended(&jobs, 1).state, JobState::Cancelled);
    assert_eq!(spawn(&jobs, "a", endless()), Ok(RUNNING_MAX as u64 + 1));
    jobs.stop();
    assert_eq!(jobs.running(), 0);
    assert_eq!(spawn(&jobs, "z", endless()).unwrap_err().code, ErrorCode::SHUTTING_DOWN);
}

#[test]
fn only_the_last_that_ended_are_remembered() {
    let (_directory, jobs) = jobs();
    assert_eq!(spawn(&jobs, "runs", endless()), Ok(1));
    for number in 2..ENDED_MAX as u64 + 10 {
        assert_eq!(spawn(&jobs, "ends", Box::new(|_, _| Ok(String::new()))), Ok(number));
        ended(&jobs, number);
    }
    assert_eq!(spawn(&jobs, "runs too", endless()), Ok(ENDED_MAX as u64 + 10));
    let known: Vec<u64> = jobs.list(0).unwrap().iter().map(|job| job.number).collect();
    assert_eq!(known.len(), ENDED_MAX + 2);
    assert_eq!(known[..2], [1, 10]);
    assert_eq!(jobs.cancel(5).unwrap_err().code, ErrorCode::JOB_NOT_FOUND);
    jobs.stop();
}

#[test]
fn an_unknown_kind_is_refused_by_name() {
    let (_directory, jobs) = jobs();
    let error = jobs.start(b"paint\xff", &Bytes::new()).unwrap_err();
    assert_eq!(error.code, ErrorCode::UNKNOWN_JOB);
    assert!(error.message.contains("'paint\\xff'"), "{error}");
}
