//! Compaction: merges layers, drops what nobody can see, and keeps the levels in shape.
//!
//! [`rewrite`](rewrite::rewrite) is the worker, for compactions and for the flush: it merges layers,
//! keeps of them what [`retention`] says, and writes tables. [`picker`] says what is compacted next.

mod covered;
mod fragments;
pub(super) mod job;
mod levels;
mod merge;
mod pacer;
mod picker;
mod retention;
pub(super) mod rewrite;
mod set_aside;
pub(super) mod stats;
#[cfg(test)]
mod testing;
