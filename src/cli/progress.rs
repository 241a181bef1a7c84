//! What a long command says while it runs, on standard error, if somebody looks at it there.

use std::io::{IsTerminal as _, Write as _, stderr};

use indicatif::{ProgressBar, ProgressStyle};
use plinth_protocol::Error;

use super::Exit;

/// A bar of that length, or a spinner where the length isn't known.
pub(super) fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// A bar for bytes that are read from a file of that length.
pub(super) fn bytes(length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{spinner} {bytes}, {bytes_per_sec}",
    };
    bar(length, template)
}

/// An amount of bytes for people.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", float(bytes) / 1e6)
}

/// An error with its advice.
pub(super) fn error_text(error: &Error) -> String {
    format!("{error}: {}", error.code.advice())
}

/// Says how it went.
pub(super) fn say(lines: &[String]) {
    // Without a standard error there is nobody to tell; the exit code still does.
    let _ = writeln!(stderr(), "{}", lines.join("\n"));
}

/// Says that the command line is wrong.
pub(super) fn usage_error(message: &str) -> Exit {
    say(&[format!("plinth: {message}")]);
    Exit::Usage
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "people read three digits of it, not sixteen")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
