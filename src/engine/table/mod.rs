//! Tables: immutable sorted files that hold what memory no longer does.

mod error;
mod options;
mod properties;

pub use error::TableError;
pub use options::{Compression, TableNumber, TableOptions};
pub use properties::TableProperties;
