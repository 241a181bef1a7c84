//! What is told of a measurement.

mod text;

pub(crate) use text::table;
