//! `plinth restore`: a new database of a backup, and of the log behind it.

use std::{
    io::{Write as _, stdout},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use plinth_protocol::Version;
use serde_json::{Value, json};

use super::{Exit, complain, instant, progress};
use crate::engine::backup::{BackupError, RestoreOptions, RestoreReport, RestoreTo, restore};

/// Make a new database of a backup.
///
/// DEST becomes the data directory of a database of its own: with a new identity, and with versions
/// above all that the old one has handed out. The backup is left as it is, and every file of it is
/// checked.
///
/// With archives of the log, the new database has what was committed after the backup too: all of
/// it, or everything up to a version or a time. The log of a database that is gone, DIR/log, serves
/// as an archive of its end.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The backup.
    pub source: PathBuf,
    /// The directory of the new database, which must not be there yet.
    #[arg(value_name = "DEST")]
    pub destination: PathBuf,
    /// A directory with archived segments of the log; may be given more than once.
    #[arg(long, value_name = "DIR")]
    pub archive: Vec<PathBuf>,
    /// Leave out what was committed above this version.
    #[arg(long, value_name = "VERSION", conflicts_with = "to_time")]
    pub to_version: Option<u64>,
    /// Leave out what was committed after this time, as in 2026-11-21T13:30:00Z.
    #[arg(long, value_name = "RFC3339", value_parser = instant::parse)]
    pub to_time: Option<u64>,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Exit {
    let to = match (arguments.to_version, arguments.to_time) {
        (Some(version), _) => RestoreTo::Version(Version(version)),
        (None, Some(ms)) => RestoreTo::Time(ms),
        (None, None) => RestoreTo::End,
    };
    let mut options = RestoreOptions::new(to);
    options.archives.clone_from(&arguments.archive);
    let bar = progress::bytes(Some(0));
    let made = restore(&arguments.source, &arguments.destination, &options, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    match made {
        Ok(report) => {
            let destination = &arguments.destination;
            let text = if arguments.json {
                report_json(&report, destination).to_string()
            } else {
                report_text(&report, destination)
            };
            // A closed standard output is no reason to fail what is done.
            let _ = writeln!(stdout(), "{text}");
            Exit::Success
        }
        Err(error) => {
            complain_of(&error);
            Exit::Failure
        }
    }
}

/// Says why, with times as people read them.
fn complain_of(error: &BackupError) {
    match error {
        BackupError::TooEarly { earliest, earliest_ms } => complain(&format_args!(
            "this backup was made at {}, version {earliest}, and has nothing earlier: take an \
             older backup",
            instant::format(*earliest_ms)
        )),
        error => complain(error),
    }
}

fn report_text(report: &RestoreReport, destination: &Path) -> String {
    format!(
        "the database in {} has everything up to version {}, committed at {} or before: {} tables, \
         and {} transactions of the log; its id is {}",
        destination.display(),
        report.version,
        instant::format(report.committed_at_ms),
        report.tables,
        report.transactions,
        report.database_id
    )
}

fn report_json(report: &RestoreReport, destination: &Path) -> Value {
    json!({
        "path": destination.display().to_string(),
        "database_id": report.database_id.to_string(),
        "from_database_id": report.from_database_id.to_string(),
        "version": report.version.0,
        "committed_at": instant::format(report.committed_at_ms),
        "ceiling": report.ceiling.0,
        "tables": report.tables,
        "transactions": report.transactions,
    })
}
