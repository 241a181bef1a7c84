//! The engine: a multi-version store in memory and the commits that change it.
//!
//! Blocking, without async, ignorant of sockets and sessions; embeddable.

pub mod conflict;
pub mod directory;
pub mod store;
pub mod wal;
pub mod write;
