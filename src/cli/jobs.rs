//! Jobs of a server, as commands start and follow them.

use std::sync::Arc;

use plinth_client::tcp::TcpBackend;
use plinth_protocol::{
    ErrorCode,
    job::{Job, JobState},
    request::{Opcode, Request},
    response::Response,
};
use serde_json::{Map, Value};

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
