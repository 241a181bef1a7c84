//! What `plinth bench` is told: a workload and its options, or a subcommand that does more with it.

use std::path::PathBuf;

use clap::{ArgMatches, FromArgMatches, Subcommand};

use super::{arguments::RunArguments, check, compare, plot, target::place::PlaceArguments};

/// Everything that comes after `plinth bench`.
#[derive(Clone, Debug)]
pub struct Arguments(pub(super) Task);

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Single(Box<SingleArguments>),
    Command(Command),
}

/// Measure how fast a server is.
///
/// Keys are `key:` and twelve digits, picked evenly at random. Fill the database once with --load
/// before you measure `get` or `rmw`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SingleArguments {
    /// What to run.
    #[command(flatten)]
    pub(super) run: RunArguments,
    /// Whom to measure.
    #[command(flatten)]
    pub(super) place: PlaceArguments,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(super) json: bool,
    /// Also write the latencies as a percentile distribution that `HdrHistogram`'s plotter reads
    #[arg(long, value_name = "FILE.hgrm")]
    pub(super) hdr: Option<PathBuf>,
    /// Also write a page with plots, all in one file
    #[arg(long, value_name = "FILE.html")]
    pub(super) report: Option<PathBuf>,
    /// Also record every transaction, for `plinth bench check` to say whether all were strictly
    /// serializable
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,
}

/// What is done instead of one measurement.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    Check(check::Arguments),
    Compare(Box<compare::Arguments>),
    Plot(plot::Arguments),
}

// Written by hand because a required workload beside an optional subcommand can't be derived: a
// subcommand stands in the workload's place.
impl clap::Args for Arguments {
    fn augment_args(command: clap::Command) -> clap::Command {
        Command::augment_subcommands(SingleArguments::augment_args(command))
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Arguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let task = match matches.subcommand_name() {
            Some(_) => Task::Command(Command::from_arg_matches(matches)?),
            None => Task::Single(Box::new(SingleArguments::from_arg_matches(matches)?)),
        };
        Ok(Self(task))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
