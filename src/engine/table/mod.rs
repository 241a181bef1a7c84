//! Tables: immutable sorted files that hold what memory no longer does.

mod error;

pub use error::TableError;
