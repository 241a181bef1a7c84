//! `plinth repair`: gives up a part of a damaged database so that the rest can be used again.
//!
//! Every repair is asked for by its name, says what it gives up, and does it only with `--yes`. What
//! it changes is kept in `repair-<n>/` in the data directory.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use super::{Exit, complain, progress::say};
use crate::{
    engine::repair::{Consent, LogPlace, Repair, RepairError, RepairReport},
    vfs::{OsVfs, Vfs},
};

/// Give up a part of a damaged database, named by you, so that the rest can be used again. Try a
/// backup first. Nobody may have the database open.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Which repair.
    #[command(subcommand)]
    pub what: What,
    /// Do it; without this, only say what would be given up.
    #[arg(long, global = true)]
    pub yes: bool,
}

/// Which repair.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum What {
    /// End the log before a record: the commits from there on are given up.
    TruncateLog {
        /// The data directory.
        directory: PathBuf,
        /// The record, as 'plinth verify' names it; offset 0 is the whole segment.
        #[arg(long, value_name = "SEGMENT:OFFSET")]
        at: Place,
    },
    /// Take a table out: the versions of keys in it are given up, and older ones show again.
    DropTable {
        /// The data directory.
        directory: PathBuf,
        /// The table's number.
        number: u64,
    },
    /// Make a manifest of the tables that are there, where it is lost or damaged.
    RebuildManifest {
        /// The data directory.
        directory: PathBuf,
    },
}

/// A place in the log as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(LogPlace);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = text.split_once(':').and_then(|(segment, offset)| {
            Some(LogPlace { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
        });
        place.map(Self).ok_or_else(|| format!("'{text}' is no place: say SEGMENT:OFFSET"))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Exit {
    match repair(arguments) {
        Ok(report) => told(&report),
        Err(error) => {
            complain(&error);
            Exit::Failure
        }
    }
}

fn repair(arguments: &Arguments) -> Result<RepairReport, RepairError> {
    let (What::TruncateLog { directory, .. }
    | What::DropTable { directory, .. }
    | What::RebuildManifest { directory }) = &arguments.what;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| {
        RepairError::Pointless(format!("the system has no random bytes: {error}"))
    })?;
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let repair = Repair::open(&vfs, directory, u64::from_le_bytes(seed))?;
    let consent = if arguments.yes { Consent::Given } else { Consent::Missing };
    match &arguments.what {
        What::TruncateLog { at, .. } => repair.truncate_log(at.0, consent),
        What::DropTable { number, .. } => repair.drop_table(*number, consent),
        What::RebuildManifest { .. } => repair.rebuild_manifest(consent),
    }
}

fn told(report: &RepairReport) -> Exit {
    let mut lines = report.lines.clone();
    let (last, exit) = if let Some(copies) = &report.copies {
        let kept = format!("done; what was there before is kept in {}", copies.display());
        (kept, Exit::Success)
    } else {
        ("nothing was done: say --yes to do it".to_owned(), Exit::Failure)
    };
    lines.push(last);
    say(&lines);
    exit
}
