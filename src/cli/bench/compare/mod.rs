//! `plinth bench compare`: two targets under the same load, and how one relates to the other.
//!
//! They are measured in turn, A B A B, so that what happens to the machine happens to both: its other
//! work, its clock, its disk. What is told is the ratio of the medians, and between which bounds the
//! ratios of the rounds lie: if 1 is between them, the rounds don't agree on which is faster.

mod comparison;
mod text;

use std::{
    io::{IsTerminal as _, Write as _, stderr, stdout},
    path::PathBuf,
};

use plinth_protocol::Error;

use self::comparison::Round;
use super::{
    arguments::RunArguments, measurement::Measurement, report, report_error, svg::grouped,
    target::place::Place,
};
use crate::cli::{
    Exit, complain,
    progress::{say, usage_error},
};

/// Measure two targets in turn, A B A B, and say how one relates to the other.
///
/// Both get the same load. A ratio above 1 is a's advantage in operations, and its disadvantage in
/// latency and processor time.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to run.
    #[command(flatten)]
    run: RunArguments,
    /// The first target
    #[arg(long, value_name = "TARGET")]
    a: Place,
    /// The second target
    #[arg(long, value_name = "TARGET")]
    b: Place,
    /// How often each is measured
    #[arg(long, value_name = "COUNT", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Also write a page with plots
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Exit {
    if let Err(reason) = arguments.run.check(&[&arguments.a, &arguments.b]) {
        return usage_error(&reason);
    }
    let rounds = match measure(arguments) {
        Ok(rounds) => rounds,
        Err(error) => return report_error(&error),
    };
    let text =
        if arguments.json { format!("{}\n", text::json(&rounds)) } else { text::table(&rounds) };
    // A reader who has closed the pipe wants no more.
    let _ = stdout().write_all(text.as_bytes());
    if let Some(path) = &arguments.report
        && let Err(reason) = report::write(path, &text::page(&rounds))
    {
        complain(&reason);
        return Exit::Failure;
    }
    let mut runs = rounds.iter().flat_map(|round| [&round.a, &round.b]);
    match runs.find_map(|run| run.first_error.as_ref()) {
        Some(error) => {
            complain(error);
            Exit::Failure
        }
        None => Exit::Success,
    }
}

/// All rounds. A database is filled before its first one, if that is asked for.
fn measure(arguments: &Arguments) -> Result<Vec<Round>, Error> {
    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let a = turn(arguments, number, "a", &arguments.a)?;
        let b = turn(arguments, number, "b", &arguments.b)?;
        rounds.push(Round { a, b });
    }
    Ok(rounds)
}

/// One target's turn.
fn turn(
    arguments: &Arguments,
    number: u32,
    letter: &str,
    target: &Place,
) -> Result<Measurement, Error> {
    let mut run = arguments.run.clone();
    run.load &= number == 1;
    let measurement = super::measure(run, target.clone(), None)?;
    if stderr().is_terminal() {
        let rate = grouped(measurement.ops_per_second);
        say(&[format!("round {number} of {}, {letter}: {rate} a second", arguments.rounds)]);
    }
    Ok(measurement)
}
