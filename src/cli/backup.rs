//! `plinth backup`: a consistent copy of a database.
//!
//! A server makes one of the database that it serves, below its own backup directory, as a job;
//! interrupting this command ends it. A directory that nobody has open is opened in this process.

use std::{
    io::{Write as _, stdout},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Exit, complain, instant, jobs::run_job, progress, target::Whereabouts};
use crate::engine::{
    Engine, EngineOptions,
    backup::{BackupError, CheckpointReport},
};

/// Back a database up: a consistent copy, made while the server goes on.
///
/// plinth backup NAME has a server write one to the directory NAME below its --backup-dir;
/// commits go on meanwhile. plinth backup --data-dir DIR DEST writes one of a database that no
/// server has open. plinth restore makes a database of either.
///
/// It has every commit up to its version, which is printed, and none above. Tables are linked
/// where the file system can: the copy costs little room as long as the original is there. Copy
/// it to another disk to survive the loss of this one.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The backup's name on the server: letters, digits, -, _ and . With --data-dir, the directory
    /// to write to, which must not be there yet.
    #[arg(value_name = "NAME|DEST")]
    pub destination: PathBuf,
    /// Which server.
    #[command(flatten)]
    pub server: Whereabouts,
    /// The data directory of a database that no server has open, instead of asking a server.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["target", "cluster_file"])]
    pub data_dir: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Exit {
    let Arguments { destination, server, data_dir, json } = arguments;
    if let Some(directory) = data_dir {
        return back_up(directory, destination, *json);
    }
    let name = Bytes::copy_from_slice(destination.as_os_str().as_encoded_bytes());
    run_job(server, "backup", name, *json)
}

fn back_up(directory: &Path, destination: &Path, is_json: bool) -> Exit {
    if !directory.join("IDENTITY").exists() {
        complain(&format_args!("there is no database in {}", directory.display()));
        return Exit::Failure;
    }
    let engine = match Engine::open(EngineOptions::new(directory)) {
        Ok(engine) => engine,
        Err(error) => {
            complain(&error);
            return Exit::Failure;
        }
    };
    let made = checkpoint(&engine, destination);
    engine.close();
    match made {
        Ok(report) => {
            let text = if is_json {
                report_json(&report, destination).to_string()
            } else {
                format!("the backup {} has {report}", destination.display())
            };
            // A closed standard output is no reason to fail what is done.
            let _ = writeln!(stdout(), "{text}");
            Exit::Success
        }
        Err(error) => {
            complain(&error);
            Exit::Failure
        }
    }
}

fn checkpoint(engine: &Engine, destination: &Path) -> Result<CheckpointReport, BackupError> {
    let bar = progress::bytes(Some(0));
    let made = engine.checkpoint(destination, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    made
}

fn report_json(report: &CheckpointReport, destination: &Path) -> Value {
    json!({
        "path": destination.display().to_string(),
        "database_id": report.database_id.to_string(),
        "version": report.version.0,
        "created_at": instant::format(report.created_at_ms),
        "files": report.files,
        "bytes": report.bytes,
        "linked_bytes": report.linked_bytes,
    })
}
