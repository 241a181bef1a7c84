//! Compaction: merges layers, drops what nobody can see, and keeps the levels in shape.
//!
//! [`picker`] says what is compacted next; what is kept of the merged layers, [`retention`] says.

mod covered;
mod fragments;
mod levels;
mod merge;
mod pacer;
mod picker;
mod retention;
#[cfg(test)]
mod testing;
