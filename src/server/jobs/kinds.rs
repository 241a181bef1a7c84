//! Which kinds of job there are, and what each does.

use std::path::Path;

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode};

use super::Work;

/// A kind of job.
pub(super) struct Kind {
    /// Its name on the wire.
    pub(super) name: &'static str,
    /// Checks the argument, and makes the work out of it; the path is the backup directory.
    pub(super) prepare: fn(&Path, &Bytes) -> Result<Work, Error>,
}

/// All of them.
const KINDS: &[Kind] = &[];

/// The kind with this name.
pub(super) fn find(name: &[u8]) -> Result<&'static Kind, Error> {
    KINDS.iter().find(|kind| kind.name.as_bytes() == name).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let name = name.get(..40).unwrap_or(name).escape_ascii();
        let text = format!("no kind of job is called '{name}': there are {}", known.join(", "));
        Error::new(ErrorCode::UNKNOWN_JOB, text)
    })
}
