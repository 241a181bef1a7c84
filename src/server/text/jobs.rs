//! Jobs, as a session starts, lists and ends them.

use std::{fmt::Write as _, future::Future, pin::Pin, sync::Arc};

use plinth_protocol::{
    Error, ErrorCode,
    job::{Job, JobState},
    request::Request,
    response::Response,
};

use super::{answer::Answer, escape::quoted};

/// What [`JobSource`] answers with.
pub type JobFuture = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

/// Who carries out requests about jobs.
pub type JobSource = Arc<dyn Fn(Request) -> JobFuture + Send + Sync>;

/// Where there is no server, there are no jobs.
pub(crate) fn no_jobs() -> JobSource {
    Arc::new(|_| {
        let text = "jobs run in a server, and this database is open in the program itself";
        Box::pin(async move { Err(Error::new(ErrorCode::UNSUPPORTED_OPERATION, text)) })
    })
}

/// What a response about jobs reads like.
pub(crate) fn answer(response: Response) -> Result<Answer, Error> {
    match response {
        Response::JobStart { job } => Ok(Answer::JobStarted(job)),
        Response::Jobs { jobs } => Ok(Answer::Jobs(jobs)),
        Response::Done(_) => Ok(Answer::Done(None, None)),
        Response::Error(error) => Err(error),
        other => {
            let text = format!("a request about jobs was answered with {:#04x}", other.opcode());
            Err(Error::new(ErrorCode::INTERNAL_ERROR, text))
        }
    }
}

/// Appends the line of a job: its number, what it does, how it stands, and what came of it.
pub(crate) fn write_job(text: &mut String, job: &Job) {
    let Job { number, kind, argument, done_bytes, total_bytes, .. } = job;
    let _ = write!(text, "{number} {} {} ", kind.escape_ascii(), quoted(argument));
    text.push_str(state_name(job.state));
    if *total_bytes > 0 {
        let _ = write!(text, " {done_bytes} of {total_bytes} bytes");
    }
    if !job.message.is_empty() {
        let _ = write!(text, " {}", quoted(&job.message));
    }
    text.push('\n');
}

/// A job's state in one word.
pub(crate) fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed(_) => "failed",
        JobState::Cancelled => "cancelled",
    }
}
