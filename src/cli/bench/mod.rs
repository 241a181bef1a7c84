//! `plinth bench`: how fast is a server?
//!
//! Closed loop: every connection keeps its pipeline full, and a latency is the time from the write
//! of a pipeline to the read of an answer, as `redis-benchmark` has it. `get`, `set` and `ping` are
//! single requests, written and read by [`raw`] without the native client, whose conveniences cost
//! more than a fast server; `rmw` is a real read-modify-write transaction of the native client, with
//! its conflicts and retries. A `set` is a transaction of its own, a blind write. Every value read
//! is checked against its key.
//!
//! Each thread has a runtime of its own and its share of the connections; one, the default, is
//! fairest beside a server on a small machine, and what `redis-benchmark` uses.

mod arguments;
mod drive;
mod keys;
mod measurement;
mod report;
mod target;

use std::io::{Write as _, stdout};

use plinth_protocol::Error;

use self::{arguments::RunArguments, measurement::Measurement};
use super::{Exit, complain, report_error};

/// Measure how fast a server is.
///
/// Keys are `key:` and twelve digits, picked evenly at random. Fill the database once with --load
/// before you measure `get` or `rmw`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// What to run.
    #[command(flatten)]
    run: RunArguments,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Exit {
    let run = arguments.run;
    let json = run.json;
    let measurement = match measure(run) {
        Ok(measurement) => measurement,
        Err(error) => return report_error(&error),
    };
    let text =
        if json { format!("{}\n", measurement.to_json()) } else { report::table(&measurement) };
    // A reader who has closed the pipe wants no more.
    let _ = stdout().write_all(text.as_bytes());
    match &measurement.first_error {
        Some(error) => {
            complain(error);
            Exit::Failure
        }
        None => Exit::Success,
    }
}

/// Fills the database if that is asked for, and measures.
fn measure(mut run: RunArguments) -> Result<Measurement, Error> {
    run.target = run.server.find()?;
    let load_seconds = drive::fill(&run)?;
    let mut measurement = drive::measure(&run)?;
    measurement.load_seconds = load_seconds;
    Ok(measurement)
}
