//! Which kinds of job there are, and what each does.

use std::path::Path;

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode};

use super::{Work, backup};

/// A kind of job.
pub(super) struct Kind {
    /// Its name on the wire.
    pub(super) name: &'static str,
    /// Checks the argument, and makes the work out of it; the path is the backup directory, if
    /// there is one.
    pub(super) prepare: fn(Option<&Path>, &Bytes) -> Result<Work, Error>,
}

/// How many findings of a check its answer names; the server's messages have all.
const FINDINGS_TOLD: usize = 20;

/// All of them.
const KINDS: &[Kind] = &[
    Kind { name: "backup", prepare: backup::prepare },
    Kind { name: "verify", prepare: prepare_verify },
];

/// Checks every byte of the database.
fn prepare_verify(_: Option<&Path>, argument: &Bytes) -> Result<Work, Error> {
    if !argument.is_empty() {
        let text = "a check takes no argument";
        return Err(Error::new(ErrorCode::CLIENT_INVALID_OPERATION, text));
    }
    Ok(Box::new(|engine, progress| {
        let verified = engine.verify(&mut |now| progress.report(now.done_bytes, now.total_bytes));
        let report =
            verified.map_err(|error| Error::new(ErrorCode::IO_ERROR, error.to_string()))?;
        for finding in &report.findings {
            tracing::warn!(%finding, "a check has found something");
        }
        if !report.is_sound() {
            let mut lines = vec![report.to_string()];
            lines.extend(report.damage().take(FINDINGS_TOLD).map(ToString::to_string));
            return Err(Error::new(ErrorCode::STORAGE_DAMAGED, lines.join("\n")));
        }
        if !report.is_complete {
            return Err(Error::new(ErrorCode::OPERATION_CANCELLED, report.to_string()));
        }
        Ok(report.to_string())
    }))
}

/// The kind with this name.
pub(super) fn find(name: &[u8]) -> Result<&'static Kind, Error> {
    KINDS.iter().find(|kind| kind.name.as_bytes() == name).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let name = name.get(..40).unwrap_or(name).escape_ascii();
        let text = format!("no kind of job is called '{name}': there are {}", known.join(", "));
        Error::new(ErrorCode::UNKNOWN_JOB, text)
    })
}
