//! The command `plinth bench check`.

use std::{
    fmt::Write as _,
    io::{Write as _, stdout},
    path::PathBuf,
};

use super::{Checks, Verdict, check};
use crate::cli::{Exit, bench::history, complain};

/// Say whether a recorded history was strictly serializable.
///
/// FILE was written by `plinth bench … --history FILE`. Exit codes: 0 it was; 1 it was not, and
/// standard output says which transactions show it; 2 FILE can't be read, and standard error says
/// which line is wrong.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The history.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Look at the values alone, not at the versions that the database stated.
    #[arg(long)]
    pub no_versions: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Exit {
    let history = match history::read(&arguments.file) {
        Ok(history) => history,
        Err(error) => {
            complain(&format_args!("{}: {error}", arguments.file.display()));
            return Exit::Usage;
        }
    };
    let checks = if arguments.no_versions { Checks::WithoutVersions } else { Checks::All };
    let verdict = check(&history, checks);
    let text =
        if arguments.json { format!("{}\n", verdict.to_json()) } else { text(&history, &verdict) };
    // A reader who has closed the pipe wants no more; the exit code is still to be relied on.
    let _ = stdout().write_all(text.as_bytes());
    if verdict.is_sound() { Exit::Success } else { Exit::Failure }
}

fn text(history: &history::History, verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    let header = &history.header;
    row("history", format!("{} at {}", header.workload, header.target));
    let [committed, conflicted, failed, unknown] = verdict.outcomes;
    row(
        "tries",
        format!(
            "{committed} committed, {conflicted} refused for a conflict, {failed} failed, \
             {unknown} of unknown outcome"
        ),
    );
    if verdict.by_versions {
        let happened = verdict.unknown_that_happened;
        let unknown = match unknown {
            0 => String::new(),
            _ => format!("; {happened} of unknown outcome happened"),
        };
        row("by versions", format!("replayed in the order that the database states{unknown}"));
    }
    if verdict.by_values {
        let [traced, untraced] = verdict.traced;
        row("by values", format!("{traced} reads traced to what they depend on, {untraced} not"));
    }
    for violation in &verdict.violations {
        row("violation", format!("{}: {}", violation.kind.name(), violation.text));
    }
    if verdict.more_violations > 0 {
        row("", format!("and {} more", verdict.more_violations));
    }
    let verdict = match (verdict.is_sound(), verdict.violations.is_empty()) {
        (true, _) => "strictly serializable, as far as the history shows",
        (false, false) => "not strictly serializable",
        (false, true) => {
            "nothing could be checked: the history has no versions to go by, and its values don't \
             tell who wrote them (larger ones would)"
        }
    };
    row("verdict", verdict.to_owned());
    text
}
