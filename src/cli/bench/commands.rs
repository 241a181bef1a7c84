//! What `plinth bench` is told: a workload and its options, or a subcommand that does more with it.

use std::path::PathBuf;

use clap::{ArgMatches, FromArgMatches, Subcommand};

use super::{arguments::RunArguments, check, compare, plot, target::place::PlaceArguments};

const WORKLOADS: &str = "\
Workloads:
  ping          nothing but the round trip
  get           read a key
  set           write a key, in a transaction of its own
  scan          read --rows rows in order
  batch-get     read --batch keys at once
  rmw           read a key and write it, in a transaction
  hot           the same, always the same key
  bank          transfers between accounts, whose sum must stay the same
  ycsb-a … -f   the core workloads of YCSB, an operation a transaction
  g18ui         18 gets, an update and an insert in a transaction: any string of
                FoundationDB's mako, made of g gr sg sgr u i ir o c cr sc scr grv,
                each with a count, ranges with a length: gr10:100

Fill the database once with --load before you measure what reads. For throughput
leave --rate away: every connection keeps its pipeline full. For latency set
--rate well below what that reaches.";

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
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SingleArguments {
    /// What to run.
    #[command(flatten)]
    pub(super) run: RunArguments,
    /// Whom to measure.
    #[command(flatten)]
    pub(super) place: PlaceArguments,
    /// Find the rate up to which latency stays low: measure what can be reached, then at rates from
    /// a tenth of that on, each as long as --seconds
    #[arg(long, conflicts_with_all = ["rate", "count", "hdr", "report", "history"])]
    pub(super) sweep: bool,
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
            .about("Measure how fast a server is")
            .after_help(WORKLOADS)
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
