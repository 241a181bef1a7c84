//! Jobs: long work that the server does in the background, on a thread of its own each.
//!
//! A job belongs to the server, not to the connection that asked for it. There are few at a time;
//! of those that have ended the last few are remembered. Each can be cancelled: its work asks now
//! and then whether it is to go on, and cleans up after itself if not. When the server stops, it
//! cancels its jobs and waits for them.
//!
//! [`backup`] makes backups. [`kinds`] says which kinds of job there are and makes the work of each.

mod backup;
mod kinds;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use plinth_protocol::{
    Error, ErrorCode,
    job::{Job, JobState},
    request::{Opcode, Request},
    response::Response,
};

use crate::engine::Engine;

/// How many jobs run at a time.
const RUNNING_MAX: usize = 4;

/// How many jobs are remembered that have ended.
const ENDED_MAX: usize = 32;

/// What a job does, on a thread of its own: answers what came of it, for people. It must look at
/// its progress often, and leave nothing half done when it is told to break off.
type Work = Box<dyn FnOnce(&Engine, &Progress) -> Result<String, Error> + Send>;

/// How far a job is, and whether it is to go on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Progress {
    /// Says how far the job is; answers whether it is to go on.
    pub(super) fn report(&self, done_bytes: u64, total_bytes: u64) -> ControlFlow<()> {
        self.done_bytes.store(done_bytes, Relaxed);
        self.total_bytes.store(total_bytes, Relaxed);
        if self.is_cancelled.load(Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn cancel(&self) {
        self.is_cancelled.store(true, Relaxed);
    }
}

/// The jobs of a server.
#[derive(Debug)]
pub(super) struct Jobs {
    engine: Engine,
    /// Below this backups are written, and nowhere else; if there is none, not at all.
    backup_directory: Option<PathBuf>,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    /// Oldest first.
    entries: VecDeque<Entry>,
    is_stopping: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    kind: &'static str,
    argument: Bytes,
    started_at_ms: u64,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
    /// Once it has ended.
    ended: Option<Ended>,
}

#[derive(Debug)]
struct Ended {
    at_ms: u64,
    state: JobState,
    message: Bytes,
}

impl Jobs {
    pub(super) fn new(engine: Engine, backup_directory: Option<PathBuf>) -> Self {
        Self { engine, backup_directory, table: Arc::default() }
    }

    /// Answers a request about jobs. May look at the disk, so not for a thread that serves.
    pub(super) fn answer(&self, request: &Request) -> Result<Response, Error> {
        match request {
            Request::JobStart { kind, argument } => {
                self.start(kind, argument).map(|job| Response::JobStart { job })
            }
            Request::Jobs { job } => self.list(*job).map(|jobs| Response::Jobs { jobs }),
            Request::JobCancel { job } => {
                self.cancel(*job).map(|()| Response::Done(Opcode::JobCancel))
            }
            other => {
                let text = format!("the request {:?} is not about jobs", other.opcode());
                Err(Error::new(ErrorCode::INTERNAL_ERROR, text))
            }
        }
    }

    /// How many run.
    pub(super) fn running(&self) -> u64 {
        self.lock().running() as u64
    }

    fn start(&self, kind: &[u8], argument: &Bytes) -> Result<u64, Error> {
        let kind = kinds::find(kind)?;
        if let Some(job) = self.lock().running_job(kind.name, argument) {
            return Ok(job);
        }
        let work = (kind.prepare)(self.backup_directory.as_deref(), argument)?;
        self.spawn(kind.name, argument, work)
    }

    /// Starts this work on a thread of its own, unless a job of this kind and argument runs.
    fn spawn(&self, kind: &'static str, argument: &Bytes, work: Work) -> Result<u64, Error> {
        let mut table = self.lock();
        if table.is_stopping {
            return Err(ErrorCode::SHUTTING_DOWN.into());
        }
        // Looked at again: another may have started it meanwhile.
        if let Some(job) = table.running_job(kind, argument) {
            return Ok(job);
        }
        if table.running() >= RUNNING_MAX {
            let text = format!("{RUNNING_MAX} jobs are running, the limit");
            return Err(Error::new(ErrorCode::TOO_MANY_JOBS, text));
        }
        table.last += 1;
        let (number, progress) = (table.last, Arc::<Progress>::default());
        let run = {
            let (engine, shared) = (self.engine.clone(), Arc::clone(&self.table));
            let progress = Arc::clone(&progress);
            move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| work(&engine, &progress)));
                let outcome = outcome.unwrap_or_else(|_| Err(ErrorCode::INTERNAL_ERROR.into()));
                // The engine's last handle must not go while the table is locked.
                drop(engine);
                lock(&shared).end(number, outcome);
            }
        };
        let thread = thread::Builder::new().name(format!("plinth-{kind}")).spawn(run);
        let thread = thread.map_err(|error| {
            let text = format!("the job's thread can't be started: {error}");
            Error::new(ErrorCode::INTERNAL_ERROR, text)
        })?;
        tracing::info!(job = number, kind, argument = %argument.escape_ascii(), "a job has begun");
        table.entries.push_back(Entry {
            number,
            kind,
            argument: Bytes::copy_from_slice(argument),
            started_at_ms: now_ms(),
            progress,
            thread: Some(thread),
            ended: None,
        });
        table.forget();
        Ok(number)
    }

    /// One job, or all for 0.
    fn list(&self, job: u64) -> Result<Vec<Job>, Error> {
        let table = self.lock();
        let wanted = |entry: &&Entry| job == 0 || entry.number == job;
        let jobs: Vec<Job> = table.entries.iter().filter(wanted).map(Entry::describe).collect();
        if jobs.is_empty() && job != 0 {
            return Err(not_found(job));
        }
        Ok(jobs)
    }

    fn cancel(&self, job: u64) -> Result<(), Error> {
        let table = self.lock();
        let entry = table.entries.iter().find(|entry| entry.number == job);
        entry.map(|entry| entry.progress.cancel()).ok_or_else(|| not_found(job))
    }

    /// Cancels all jobs, takes no more, and waits until they have ended.
    pub(super) fn stop(&self) {
        let threads: Vec<_> = {
            let mut table = self.lock();
            table.is_stopping = true;
            table.entries.iter().for_each(|entry| entry.progress.cancel());
            table.entries.iter_mut().filter_map(|entry| entry.thread.take()).collect()
        };
        for thread in threads {
            // Whatever its work did was caught there.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found(job: u64) -> Error {
    Error::new(ErrorCode::JOB_NOT_FOUND, format!("The server remembers no job {job}"))
}

impl Table {
    fn running(&self) -> usize {
        self.entries.iter().filter(|entry| entry.ended.is_none()).count()
    }

    fn running_job(&self, kind: &str, argument: &[u8]) -> Option<u64> {
        let is_same = |entry: &&Entry| {
            entry.ended.is_none() && entry.kind == kind && entry.argument == argument
        };
        self.entries.iter().find(is_same).map(|entry| entry.number)
    }

    fn end(&mut self, number: u64, outcome: Result<String, Error>) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.number == number) else {
            return;
        };
        let (state, message) = match outcome {
            Ok(message) => (JobState::Done, message),
            Err(error) if error.code == ErrorCode::OPERATION_CANCELLED => {
                (JobState::Cancelled, error.message.into_owned())
            }
            Err(error) => (JobState::Failed(error.code), error.message.into_owned()),
        };
        tracing::info!(job = number, kind = entry.kind, ?state, message, "a job has ended");
        entry.ended = Some(Ended { at_ms: now_ms(), state, message: message.into() });
    }

    /// Forgets the oldest of those that have ended, if there are too many.
    fn forget(&mut self) {
        while self.entries.len() - self.running() > ENDED_MAX {
            let oldest = self.entries.iter().position(|entry| entry.ended.is_some());
            oldest.and_then(|oldest| self.entries.remove(oldest));
        }
    }
}

impl Entry {
    fn describe(&self) -> Job {
        Job {
            number: self.number,
            kind: Bytes::from_static(self.kind.as_bytes()),
            argument: self.argument.clone(),
            state: self.ended.as_ref().map_or(JobState::Running, |ended| ended.state),
            started_at_ms: self.started_at_ms,
            ended_at_ms: self.ended.as_ref().map_or(0, |ended| ended.at_ms),
            done_bytes: self.progress.done_bytes.load(Relaxed),
            total_bytes: self.progress.total_bytes.load(Relaxed),
            message: self.ended.as_ref().map(|ended| ended.message.clone()).unwrap_or_default(),
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
