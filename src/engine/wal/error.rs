//! What can go wrong with the log, in sentences.

use std::{error::Error, fmt, path::PathBuf};

use plinth_protocol::Version;

use crate::vfs::VfsError;

/// What went wrong with the log.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The file system failed.
    File(VfsError),
    /// Bytes that had been durable are not what they were.
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Segments are numbered without gaps, and this one isn't there.
    MissingSegment {
        /// Where it should be.
        path: PathBuf,
    },
    /// The segments begin too late.
    MissingTransactions {
        /// The oldest segment.
        path: PathBuf,
        /// Transactions above this version are needed.
        needed: Version,
        /// Those above this one are there.
        begins: Version,
    },
    /// A file that ends like a segment's name and is none.
    UnexpectedFile {
        /// The file.
        path: PathBuf,
    },
    /// A segment of another database.
    ForeignSegment {
        /// The segment.
        path: PathBuf,
    },
    /// The archive has another segment of this number.
    OtherInArchive {
        /// Where.
        path: PathBuf,
    },
    /// A segment in a format that this program doesn't know.
    UnknownFormat {
        /// The segment.
        path: PathBuf,
        /// The format's version.
        format: u32,
    },
    /// A sound record of a type that this program doesn't know.
    UnknownRecord {
        /// The segment.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// The record's type.
        record_type: u8,
    },
    /// A record that is too large for the format.
    TooLarge {
        /// How large it would have been, at least.
        bytes: usize,
    },
    /// Transactions that are not in the order of their versions.
    OutOfOrder {
        /// The version that came too late.
        version: Version,
        /// The version that it should have been above.
        after: Version,
    },
    /// The log has failed before and takes nothing more.
    Stopped {
        /// The first failure.
        failure: String,
    },
    /// Whoever asked for the replay could not go on.
    Replay {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "the log failed: {error}"),
            Self::Damaged { path, offset, what } => write!(
                f,
                "the log is damaged in {} at offset {offset}: {what}; restore the database from a \
                 backup, or give up what follows with plinth repair truncate-log",
                path.display()
            ),
            Self::MissingSegment { path } => write!(
                f,
                "the log is not complete: {} is missing; bring the file back, or restore the data \
                 directory from a backup",
                path.display()
            ),
            Self::MissingTransactions { path, needed, begins } => write!(
                f,
                "the log is not complete: the transactions from version {needed} to version \
                 {begins} are missing, which come before {}; bring the segments back that had them",
                path.display()
            ),
            Self::UnexpectedFile { path } => write!(
                f,
                "{} is not a segment of this log, though it is called like one; move it away",
                path.display()
            ),
            Self::ForeignSegment { path } => write!(
                f,
                "{} belongs to the log of another database; bring back the file that was there",
                path.display()
            ),
            Self::OtherInArchive { path } => write!(
                f,
                "{} is a segment of another log; give every database an archive of its own",
                path.display()
            ),
            Self::UnknownFormat { path, format } => write!(
                f,
                "{} is in format {format} of the log, which this program does not know; use the \
                 program that wrote it, or a newer one",
                path.display()
            ),
            Self::UnknownRecord { path, offset, record_type } => write!(
                f,
                "{} has a record of type {record_type} at offset {offset}, which this program does \
                 not know; use the program that wrote it, or a newer one",
                path.display()
            ),
            Self::TooLarge { bytes } => write!(
                f,
                "a log record of {bytes} bytes or more is too large; make the transaction smaller"
            ),
            Self::OutOfOrder { version, after } => write!(
                f,
                "version {version} follows version {after} in the log, and is not above it"
            ),
            Self::Stopped { failure } => write!(
                f,
                "the log takes nothing more, because it has failed before ({failure}); start anew \
                 to recover what is durable"
            ),
            Self::Replay { reason } => write!(f, "the log can't be replayed: {reason}"),
        }
    }
}

impl LogError {
    /// Whether there was no space left on the disk.
    pub(crate) fn is_disk_full(&self) -> bool {
        matches!(self, Self::File(error) if error.is_disk_full())
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}

impl From<VfsError> for LogError {
    fn from(error: VfsError) -> Self {
        Self::File(error)
    }
}
