//! What can go wrong with the manifest, in sentences.

use std::{error::Error, fmt, path::PathBuf};

use crate::vfs::VfsError;

/// What went wrong with the manifest.
#[derive(Debug)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file system failed.
    File(VfsError),
    /// Bytes that had been durable are not what they were.
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A manifest in a format that this program doesn't know.
    UnknownFormat {
        /// The manifest.
        path: PathBuf,
        /// The format.
        format: u32,
    },
    /// A sound record of a type that this program doesn't know.
    UnknownRecord {
        /// The manifest.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// The record's type.
        record_type: u8,
    },
    /// A manifest of another database.
    Foreign {
        /// The manifest.
        path: PathBuf,
    },
    /// There are tables, and no manifest says what they are.
    Missing {
        /// Where it should be.
        directory: PathBuf,
    },
    /// An edit that is too large for the format.
    TooLarge {
        /// How large it would have been.
        bytes: usize,
    },
    /// An edit that doesn't fit what is there; nothing was written.
    Contradiction {
        /// In which way.
        what: &'static str,
    },
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "the manifest failed: {error}"),
            Self::Damaged { path, offset, what } => write!(
                f,
                "the manifest is damaged in {} at offset {offset}: {what}; restore the database \
                 from a backup, or have a new one made with plinth repair rebuild-manifest",
                path.display()
            ),
            Self::UnknownFormat { path, format } => write!(
                f,
                "{} is in format {format} of the manifest, which this program does not know; use \
                 the program that wrote it, or a newer one",
                path.display()
            ),
            Self::UnknownRecord { path, offset, record_type } => write!(
                f,
                "{} has a record of type {record_type} at offset {offset}, which this program does \
                 not know; use the program that wrote it, or a newer one",
                path.display()
            ),
            Self::Foreign { path } => write!(
                f,
                "{} is the manifest of another database; bring back the file that was there",
                path.display()
            ),
            Self::Missing { directory } => write!(
                f,
                "there are tables, but no manifest in {}: it says which of them count; bring it \
                 back, restore the database from a backup, or have one made with plinth repair \
                 rebuild-manifest",
                directory.display()
            ),
            Self::TooLarge { bytes } => {
                write!(f, "a manifest record of {bytes} bytes is too large")
            }
            Self::Contradiction { what } => {
                write!(f, "the change of the set of tables makes no sense: {what}")
            }
        }
    }
}

impl Error for ManifestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}

impl From<VfsError> for ManifestError {
    fn from(error: VfsError) -> Self {
        Self::File(error)
    }
}
