//! Plinth's client: a database, its transactions, and the backends that carry them.
#![forbid(unsafe_code)]

pub mod backend;

pub use backend::{Backend, RangeChunk, Read, Snapshot};
pub use plinth_protocol as protocol;
