//! What a long command says while it runs, on standard error, if somebody looks at it there.

use std::io::{IsTerminal as _, stderr};

use indicatif::{ProgressBar, ProgressStyle};

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

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "people read three digits of it, not sixteen")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
