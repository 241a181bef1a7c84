//! The `plinth` command: one file a subcommand.
//!
//! A subcommand is a variant of [`Command`], its arguments a [`clap::Args`] struct in its own file,
//! and a function that runs it and answers an [`Exit`].

pub mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A transactional, ordered key-value database in one binary.
#[derive(Debug, Parser)]
#[command(name = "plinth", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 all went well; 1 it failed, and standard error says why; \
2 the command line, the environment or the configuration file is wrong.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success,
    /// It failed, and standard error says why.
    Failure,
    /// The command line, the environment or the configuration file is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}

/// Runs the command line that the process was started with.
#[expect(unreachable_code, reason = "there is no subcommand yet, so parsing never succeeds")]
pub fn run() -> Exit {
    match Arguments::parse().command {}
}
