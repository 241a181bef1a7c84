//! Why a read got no answer.

use std::fmt;

use plinth_protocol::{Error, ErrorCode, Version};

use super::table::TableError;

/// Why a read got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// What the version saw is no longer kept.
    TooOld {
        /// The version of the read.
        version: Version,
        /// The oldest version that can be read.
        horizon: Version,
    },
    /// The answer has to be fetched from the disk, or takes long to find, and the reader was not to
    /// wait for that: do the same on a thread that may.
    Cold,
    /// A table that may have the answer can't be read.
    Table(TableError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld { version, horizon } => write!(
                f,
                "version {version} can no longer be read; the oldest that can is {horizon}: \
                 begin again at a newer version"
            ),
            Self::Cold => f.write_str(
                "the answer is on the disk or takes long, and this reader does not wait",
            ),
            Self::Table(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<TableError> for ReadError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl From<ReadError> for Error {
    /// What a client is told.
    fn from(error: ReadError) -> Self {
        let code = match &error {
            ReadError::TooOld { .. } => return ErrorCode::TRANSACTION_TOO_OLD.into(),
            ReadError::Cold | ReadError::Table(TableError::File { .. }) => ErrorCode::IO_ERROR,
            ReadError::Table(_) => ErrorCode::STORAGE_DAMAGED,
        };
        Self::new(code, error.to_string())
    }
}
