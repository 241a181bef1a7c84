//! The `plinth` command: one file a subcommand.
//!
//! A subcommand is a variant of [`Command`], its arguments a [`clap::Args`] struct in its own file,
//! and a function that runs it and answers an [`Exit`].

mod allocator;
pub mod backup;
pub mod bench;
pub mod export;
pub mod import;
pub mod inspect;
mod instant;
mod jobs;
mod place;
mod progress;
pub mod repair;
pub mod restore;
pub mod rows;
pub mod serve;
pub mod settings;
pub mod shell;
pub mod target;
pub mod verify;

use std::{
    fmt,
    io::{Write as _, stderr},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use plinth_protocol::Error;

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
#[expect(missing_docs, reason = "each is described at its arguments, for --help")]
pub enum Command {
    Backup(backup::Arguments),
    Bench(bench::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Inspect(inspect::Arguments),
    Repair(repair::Arguments),
    Restore(restore::Arguments),
    Serve(Box<serve::Arguments>),
    Shell(shell::Arguments),
    Verify(verify::Arguments),
}

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
pub fn run() -> Exit {
    allocator::keep_freed_memory();
    match Arguments::parse().command {
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Repair(arguments) => repair::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Shell(arguments) => shell::run(arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    }
}

/// Says on standard error what went wrong and what to do about it.
fn report_error(error: &Error) -> Exit {
    complain(&format_args!("{error}: {}", error.code.advice()));
    Exit::Failure
}

/// Says on standard error why a command fails.
fn complain(reason: &dyn fmt::Display) {
    // Without a standard error there is nobody to tell; the exit code still does.
    let _ = writeln!(stderr(), "plinth: {reason}");
}
