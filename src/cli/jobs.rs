//! Jobs of a server, as commands start and follow them.

use std::{
    io::{Write as _, stdout},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use plinth_client::tcp::TcpBackend;
use plinth_protocol::{
    Error, ErrorCode,
    job::{Job, JobState},
    request::{Opcode, Request},
    response::Response,
};
use serde_json::{Map, Value};

use super::{Exit, complain, place::runtime, progress, report_error, target::Whereabouts};
use crate::server::text::{JobSource, jobs::state_name};

/// Has a server's jobs carried out there.
pub(super) fn jobs_of(backend: &TcpBackend) -> JobSource {
    let backend = backend.clone();
    Arc::new(move |request| {
        let backend = backend.clone();
        Box::pin(async move {
            match request {
                Request::JobStart { kind, argument } => {
                    let job = backend.start_job(kind, argument).await?;
                    Ok(Response::JobStart { job })
                }
                Request::Jobs { job } => {
                    let jobs = backend.jobs((job != 0).then_some(job)).await?;
                    Ok(Response::Jobs { jobs })
                }
                Request::JobCancel { job } => {
                    backend.cancel_job(job).await?;
                    Ok(Response::Done(Opcode::JobCancel))
                }
                _ => Err(ErrorCode::INTERNAL_ERROR.into()),
            }
        })
    })
}

/// How often a job is asked how it stands.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Has a server do this work, and follows it to its end. An interrupt ends it.
pub(super) fn run_job(
    server: &Whereabouts,
    kind: &'static str,
    argument: Bytes,
    is_json: bool,
) -> Exit {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return report_error(&error),
    };
    let exit = runtime.block_on(async {
        let database = match server.connect().await {
            Ok(database) => database,
            Err(error) => return report_error(&error),
        };
        match follow_job(database.backend(), kind, argument).await {
            Ok(job) => report_job(&job, is_json),
            Err(error) => report_error(&error),
        }
    });
    // A task that hangs on a dead server must not keep the process.
    runtime.shutdown_background();
    exit
}

async fn follow_job(
    backend: &TcpBackend,
    kind: &'static str,
    argument: Bytes,
) -> Result<Job, Error> {
    let number = backend.start_job(Bytes::from_static(kind.as_bytes()), argument).await?;
    let bar = progress::bytes(Some(0));
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut is_interrupted = false;
    loop {
        let jobs = backend.jobs(Some(number)).await?;
        let job = jobs.into_iter().next().ok_or(ErrorCode::JOB_NOT_FOUND)?;
        if job.state != JobState::Running {
            bar.finish_and_clear();
            return Ok(job);
        }
        bar.set_length(job.total_bytes);
        bar.set_position(job.done_bytes);
        tokio::select! {
            _ = &mut interrupted, if !is_interrupted => {
                is_interrupted = true;
                backend.cancel_job(number).await?;
            }
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// Says what came of a job.
fn report_job(job: &Job, is_json: bool) -> Exit {
    let text = if is_json {
        job_json(job).to_string()
    } else {
        String::from_utf8_lossy(&job.message).into_owned()
    };
    let is_done = job.state == JobState::Done;
    if is_done || is_json {
        // A closed standard output is no reason to fail what is done.
        let _ = writeln!(stdout(), "{text}");
    } else {
        complain(&text);
    }
    if is_done { Exit::Success } else { Exit::Failure }
}

/// A job as JSON.
pub(super) fn job_json(job: &Job) -> Value {
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).into_owned());
    let mut object = Map::from_iter([
        ("job".to_owned(), job.number.into()),
        ("kind".to_owned(), text(&job.kind)),
        ("argument".to_owned(), text(&job.argument)),
        ("state".to_owned(), state_name(job.state).into()),
        ("started_at_ms".to_owned(), job.started_at_ms.into()),
        ("done_bytes".to_owned(), job.done_bytes.into()),
        ("total_bytes".to_owned(), job.total_bytes.into()),
    ]);
    if job.state != JobState::Running {
        object.insert("ended_at_ms".to_owned(), job.ended_at_ms.into());
        object.insert("message".to_owned(), text(&job.message));
    }
    if let JobState::Failed(code) = job.state {
        object.insert("code".to_owned(), code.0.into());
    }
    object.into()
}
