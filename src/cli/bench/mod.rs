//! `plinth bench`: how fast is a server?
//!
//! Closed loop: every connection keeps its pipeline full, and a latency is the time from the write
//! of a pipeline to the read of an answer, as `redis-benchmark` has it. Open loop, at a rate: a
//! latency is the time from when an operation was due. `get`, `set`, `ping`, `scan` and `batch-get`
//! are single requests, without the native client, whose conveniences cost more than a fast server;
//! all else are real transactions, with their conflicts and retries. A `set` is a transaction of its
//! own, a blind write. Every value read is checked against its key.
//!
//! `arguments` say what to do, [`workload`] is what is asked, of the keys and values of [`keys`],
//! [`drive`] does it, [`target`] is whom; what was found is a [`measurement`], which [`report`]
//! tells.
//!
//! Each thread has a runtime of its own and its share of the connections; one, the default, is
//! fairest beside a server on a small machine, and what `redis-benchmark` uses.

mod arguments;
pub mod check;
mod commands;
mod compare;
mod drive;
pub mod history;
mod keys;
mod measurement;
mod plot;
mod report;
mod svg;
mod sweep;
mod target;
mod workload;

use std::{
    io::{Write as _, stdout},
    path::Path,
};

use plinth_protocol::{Error, ErrorCode};

// What reads what others have written is public, so that fuzzing reaches it.
use self::{
    arguments::RunArguments,
    commands::{Command, SingleArguments, Task},
    history::{FORMAT_VERSION, Header, RecorderThread},
    measurement::Measurement,
    target::{opened::Opened, place::Place},
    workload::{Workload, ground::Ground},
};
pub use self::{commands::Arguments, target::redis::resp};
use super::{
    Exit, complain,
    progress::{error_text, usage_error},
};

/// Runs the command.
pub fn run(arguments: Arguments) -> Exit {
    let exit = match arguments.0 {
        Task::Single(arguments) => run_single(*arguments),
        Task::Command(Command::Check(arguments)) => check::run(&arguments),
        Task::Command(Command::Compare(arguments)) => compare::run(&arguments),
        Task::Command(Command::Plot(arguments)) => plot::run(&arguments),
    };
    #[cfg(feature = "fdb")]
    target::fdb::stop();
    exit
}

/// One measurement, told in every way that is asked for.
fn run_single(arguments: SingleArguments) -> Exit {
    let SingleArguments { run, place, sweep, json, hdr, report, history } = arguments;
    let target = match place.find() {
        Ok(target) => target,
        Err(error) => return report_error(&error),
    };
    if let Err(reason) = run.check(&[&target]) {
        return usage_error(&reason);
    }
    if sweep {
        return match sweep::run(run, target, json) {
            Ok(None) => Exit::Success,
            Ok(Some(error)) => {
                complain(&error);
                Exit::Failure
            }
            Err(error) => report_error(&error),
        };
    }
    let measurement = match measure(run, target, history.as_deref()) {
        Ok(measurement) => measurement,
        Err(error) => return report_error(&error),
    };
    let text =
        if json { format!("{}\n", measurement.to_json()) } else { report::table(&measurement) };
    // A reader who has closed the pipe wants no more.
    let _ = stdout().write_all(text.as_bytes());
    let hdr = hdr.zip(measurement.histogram.as_ref());
    let written = hdr
        .map_or(Ok(()), |(path, latencies)| report::write(&path, &report::hdr(latencies)))
        .and(report.map_or(Ok(()), |path| report::write(&path, &report::html(&measurement))));
    if let Err(reason) = written {
        complain(&reason);
        return Exit::Failure;
    }
    match &measurement.first_error {
        Some(error) => {
            complain(error);
            Exit::Failure
        }
        None => Exit::Success,
    }
}

/// Fills the database if that is asked for, and measures, with a history if there is a file for it.
fn measure(
    mut run: RunArguments,
    target: Place,
    history: Option<&Path>,
) -> Result<Measurement, Error> {
    run.target = target;
    let opened = Opened::open(&run)?;
    let load_seconds = if run.load { Some(drive::fill(&run, &opened)?) } else { None };
    let recording = match history {
        Some(path) => Some(RecorderThread::start(path, &history_header(&run)?)?),
        None => None,
    };
    let measured = drive::measure(&run, &opened, recording.as_ref());
    let recorded = recording.map_or(Ok(0), RecorderThread::finish);
    let mut measurement = measured?;
    recorded?;
    measurement.load_seconds = load_seconds;
    Ok(measurement)
}

/// Says why a run failed.
fn report_error(error: &Error) -> Exit {
    complain(&told(error));
    Exit::Failure
}

/// An error for people. What the generator or a foreign server says is told as it is; to what Plinth
/// says belongs what to do about it.
fn told(error: &Error) -> String {
    match error.code {
        ErrorCode::UNKNOWN_ERROR | ErrorCode::UNSUPPORTED_OPERATION => error.message.to_string(),
        _ => error_text(error),
    }
}

/// What a history of this run is of.
fn history_header(run: &RunArguments) -> Result<Header, Error> {
    if let Workload::Single(single) = &run.workload {
        let message = format!(
            "--history records transactions, and '{single}' asks without: rmw, bank and strings \
             like 'gu' are made of them"
        );
        return Err(Error::new(ErrorCode::UNSUPPORTED_OPERATION, message));
    }
    let has_room = Ground::new(run).values.have_room_for_numbers(run.key_size);
    Ok(Header {
        format_version: FORMAT_VERSION,
        // Redis, which has no transactions, has no histories either.
        has_versions: true,
        has_unique_values: has_room || run.workload == Workload::Bank,
        workload: run.workload.to_string(),
        target: run.target.to_string(),
        seed: run.seed,
    })
}
