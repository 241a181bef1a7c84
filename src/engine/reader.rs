//! Reading at a version.

use std::ops::ControlFlow;

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, Version};

use super::{
    read_error::ReadError,
    store::{Found, Reader},
    table::TableError,
};

/// A short look at the database: see [`Engine::reader`](super::Engine::reader).
///
/// Reads at a version that is no longer kept fail with `transaction_too_old`, above
/// [`newest`](Self::newest) with `future_version`: take the version first and the reader after it.
#[derive(Debug)]
pub struct EngineReader {
    reader: Reader,
    newest: Version,
}

impl EngineReader {
    pub(crate) fn new(reader: Reader, newest: Version) -> Self {
        Self { reader, newest }
    }

    /// The read version when this reader was made: the newest that it can read at.
    pub fn newest(&self) -> Version {
        self.newest
    }

    fn check(&self, version: Version) -> Result<(), Error> {
        if version <= self.newest { Ok(()) } else { Err(ErrorCode::FUTURE_VERSION.into()) }
    }

    /// The value of a key, and the version that wrote it.
    pub fn get(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        version: Version,
    ) -> Result<Option<Found<'_>>, Error> {
        self.check(version)?;
        self.reader.get(keyspace, key, version).map_err(|error| to_error(&error))
    }

    /// Shows the rows of a range, in order or in reverse, until `visit` breaks. What was shown
    /// before an error is void.
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        version: Version,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], Found<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.check(version)?;
        self.reader.scan(keyspace, range, version, reverse, visit).map_err(|error| to_error(&error))
    }

    /// Resolves a key selector among the keys before `end`: to `""` off the beginning, to `end` off
    /// the end.
    pub fn get_key(
        &self,
        keyspace: KeyspaceId,
        selector: &KeySelector,
        end: &[u8],
        version: Version,
    ) -> Result<Bytes, Error> {
        self.check(version)?;
        self.reader.get_key(keyspace, selector, end, version).map_err(|error| to_error(&error))
    }
}

fn to_error(error: &ReadError) -> Error {
    match error {
        ReadError::TooOld { .. } => ErrorCode::TRANSACTION_TOO_OLD.into(),
        ReadError::Cold => Error::new(ErrorCode::IO_ERROR, error.to_string()),
        ReadError::Table(TableError::File { .. }) => {
            Error::new(ErrorCode::IO_ERROR, error.to_string())
        }
        ReadError::Table(_) => Error::new(ErrorCode::STORAGE_DAMAGED, error.to_string()),
    }
}
