//! Reading at a version.

use std::ops::ControlFlow;

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, Version};

use super::{
    damage,
    read_error::ReadError,
    store::{Found, PointRead, Reader},
};

/// Why a [`TryReader`] has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// It would have to wait for the disk, and was not to: ask an [`EngineReader`] on a thread that
    /// may wait. Never of a reader that waits.
    Cold,
    /// There is none, for this reason.
    Failed(Error),
}

impl NotRead {
    /// As an error of a reader that waits.
    pub fn into_error(self) -> Error {
        match self {
            Self::Cold => {
                let text = "a read that may wait for the disk has not waited for it";
                Error::new(ErrorCode::INTERNAL_ERROR, text)
            }
            Self::Failed(error) => error,
        }
    }
}

impl From<Error> for NotRead {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ErrorCode> for NotRead {
    fn from(code: ErrorCode) -> Self {
        Self::Failed(code.into())
    }
}

impl From<ReadError> for NotRead {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Cold => Self::Cold,
            ReadError::Table(error) => {
                damage::note(&error);
                Self::Failed(ReadError::Table(error).into())
            }
            error => Self::Failed(error.into()),
        }
    }
}

/// A short look at the database, like an [`EngineReader`], that says when an answer would have to
/// be fetched from the disk: see [`Engine::try_reader`](super::Engine::try_reader).
#[derive(Debug)]
pub struct TryReader {
    reader: Reader,
    newest: Version,
}

impl TryReader {
    pub(crate) fn new(reader: Reader, newest: Version) -> Self {
        Self { reader, newest }
    }

    /// The read version when this reader was made: the newest that it can read at.
    pub fn newest(&self) -> Version {
        self.newest
    }

    fn check(&self, version: Version) -> Result<(), NotRead> {
        if version <= self.newest { Ok(()) } else { Err(ErrorCode::FUTURE_VERSION.into()) }
    }

    /// The value of a key, and the version that wrote it.
    pub fn get(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        version: Version,
    ) -> Result<Option<Found<'_>>, NotRead> {
        self.check(version)?;
        self.reader.get(keyspace, key, version).map_err(NotRead::from)
    }

    /// The values of several keys, each at its own version, as [`get`](Self::get) would find them,
    /// in order, until `visit` breaks. Each is shown with its item, which `read_of` understands.
    /// Many at once are found much sooner than one after the other.
    pub fn get_together<'k, T>(
        &self,
        items: &'k [T],
        read_of: impl Fn(&'k T) -> PointRead<'k>,
        mut visit: impl FnMut(&'k T, Result<Option<Found<'_>>, NotRead>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.reader.get_together(items, &read_of, |item, found| {
            let found = self.check(read_of(item).version).and_then(|()| Ok(found?));
            visit(item, found)
        })
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
    ) -> Result<(), NotRead> {
        self.check(version)?;
        self.reader.scan(keyspace, range, version, reverse, visit).map_err(NotRead::from)
    }

    /// Resolves a key selector among the keys before `end`: to `""` off the beginning, to `end` off
    /// the end.
    pub fn get_key(
        &self,
        keyspace: KeyspaceId,
        selector: &KeySelector,
        end: &[u8],
        version: Version,
    ) -> Result<Bytes, NotRead> {
        self.check(version)?;
        self.reader.get_key(keyspace, selector, end, version).map_err(NotRead::from)
    }
}

/// A short look at the database: see [`Engine::reader`](super::Engine::reader).
///
/// Reads at a version that is no longer kept fail with `transaction_too_old`, above
/// [`newest`](Self::newest) with `future_version`: take the version first and the reader after it.
/// A read that needs bytes which are damaged fails with `storage_damaged` and names the place;
/// other reads don't suffer from it.
#[derive(Debug)]
pub struct EngineReader {
    reader: TryReader,
}

impl EngineReader {
    pub(crate) fn new(reader: TryReader) -> Self {
        Self { reader }
    }

    /// The same look; it never says that an answer is cold.
    pub fn as_try(&self) -> &TryReader {
        &self.reader
    }

    /// The read version when this reader was made: the newest that it can read at.
    pub fn newest(&self) -> Version {
        self.reader.newest()
    }

    /// The value of a key, and the version that wrote it.
    pub fn get(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        version: Version,
    ) -> Result<Option<Found<'_>>, Error> {
        self.reader.get(keyspace, key, version).map_err(NotRead::into_error)
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
        self.reader.scan(keyspace, range, version, reverse, visit).map_err(NotRead::into_error)
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
        self.reader.get_key(keyspace, selector, end, version).map_err(NotRead::into_error)
    }
}
