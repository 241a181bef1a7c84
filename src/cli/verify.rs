//! `plinth verify`: whether every byte of a database is what it was.
//!
//! A directory that nobody has open is checked in this process. One that a server has open is
//! checked by that server, in the background, as a job; interrupting this command ends it.

use std::{
    io::{Write as _, stdout},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Exit, complain, jobs::run_job, progress, target::Whereabouts};
use crate::{
    engine::{
        directory::DirectoryError,
        verify::{Finding, Severity, VerifyReport, verify},
    },
    vfs::OsVfs,
};

/// Check a database: every checksum, the order of keys and versions, and what the parts say of
/// each other. Changes nothing; exit code 1 if anything is damaged.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The data directory; nobody may have it open.
    #[arg(required_unless_present_any = ["target", "cluster_file"],
          conflicts_with_all = ["target", "cluster_file"])]
    pub directory: Option<PathBuf>,
    /// The server whose database is checked while it is in use, instead of a directory.
    #[command(flatten)]
    pub server: Whereabouts,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Exit {
    match &arguments.directory {
        Some(directory) => check(directory, arguments.json),
        None => run_job(&arguments.server, "verify", Bytes::new(), arguments.json),
    }
}

fn check(directory: &Path, is_json: bool) -> Exit {
    let bar = progress::bytes(Some(0));
    let verified = verify(&OsVfs, directory, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    let report = match verified {
        Ok(report) => report,
        Err(error) => {
            complain(&error);
            if matches!(error, DirectoryError::Locked { .. }) {
                complain(
                    &"a server checks its database while it is in use: plinth verify --target \
                      plinth://HOST:PORT",
                );
            }
            return Exit::Failure;
        }
    };
    let text = if is_json { format!("{}\n", report_json(&report)) } else { report_text(&report) };
    if stdout().write_all(text.as_bytes()).is_ok() && report.is_sound() {
        Exit::Success
    } else {
        Exit::Failure
    }
}

fn report_text(report: &VerifyReport) -> String {
    let mut lines: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if report.more_findings > 0 {
        lines.push(format!("and {} more findings", report.more_findings));
    }
    lines.push(report.to_string());
    lines.push(String::new());
    lines.join("\n")
}

fn report_json(report: &VerifyReport) -> Value {
    json!({
        "sound": report.is_sound(),
        "complete": report.is_complete,
        "database_id": report.database_id.to_string(),
        "bytes": report.bytes,
        "tables": report.tables,
        "table_entries": report.table_entries,
        "segments": report.segments,
        "records": report.records,
        "transactions": report.transactions,
        "last_version": report.last_version.0,
        "findings": report.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "more_findings": report.more_findings,
    })
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "severity": match finding.severity {
            Severity::Notice => "notice",
            Severity::Damage => "damage",
        },
        "path": finding.path.display().to_string(),
        "offset": finding.offset,
        "text": finding.text,
        "remedy": finding.remedy,
    })
}
