//! The engine: a multi-version store in memory and the commits that change it.
//!
//! Blocking, without async, ignorant of sockets and sessions; embeddable.

pub mod conflict;
pub mod directory;
mod key;
mod memtable;
pub mod store;
mod visible;
pub mod wal;
pub mod write;
