//! What is told of a measurement.

pub(crate) mod charts;
mod hdr;
mod html;
pub(crate) mod page;
#[cfg(test)]
pub(crate) mod sample;
mod shortfall;
mod text;

use std::{fs, path::Path};

pub(crate) use self::{hdr::text as hdr, html::page as html, shortfall::shortfall, text::table};

/// Writes what is told into a file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("can't write {}: {error}", path.display()))
}
