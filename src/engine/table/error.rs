//! What can be wrong with a table.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use crate::vfs::VfsError;

/// Why a table can't be read or written. It names the file, and the place where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// The operating system could not do it.
    File {
        /// Which file.
        path: PathBuf,
        /// Which sort of failure.
        kind: io::ErrorKind,
        /// What could not be done to which file, and why.
        text: String,
    },
    /// The bytes are not what was written.
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where, in bytes from the file's beginning.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The file has a format that this program doesn't know.
    UnknownFormat {
        /// Which file.
        path: PathBuf,
        /// The format that it names.
        format: u32,
    },
}

impl TableError {
    /// Bytes at this offset of the file are not what was written.
    pub fn damaged(path: &Path, offset: u64, what: &'static str) -> Self {
        Self::Damaged { path: path.to_path_buf(), offset, what }
    }

    /// Which file it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::File { path, .. }
            | Self::Damaged { path, .. }
            | Self::UnknownFormat { path, .. } => path,
        }
    }

    /// Whether there was no space left on the disk.
    pub fn is_disk_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::File { kind, .. } if full.contains(kind))
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { text, .. } => f.write_str(text),
            Self::Damaged { path, offset, what } => {
                write!(f, "{} is damaged at offset {offset}: {what}", path.display())
            }
            Self::UnknownFormat { path, format } => write!(
                f,
                "{} has format {format}, which this version of Plinth does not know: it was \
                 written by a newer one",
                path.display()
            ),
        }
    }
}

impl Error for TableError {}

impl From<VfsError> for TableError {
    fn from(error: VfsError) -> Self {
        Self::File { path: error.path().to_path_buf(), kind: error.kind(), text: error.to_string() }
    }
}
