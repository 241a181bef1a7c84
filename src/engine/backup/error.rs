//! What can go wrong with backups, in sentences.

use std::{error::Error, fmt, path::PathBuf};

use plinth_protocol::{ErrorCode, Version};

use crate::{
    engine::{manifest::ManifestError, table::TableError, wal::LogError},
    vfs::VfsError,
};

/// Why a backup could not be made or restored.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The file system failed.
    File(VfsError),
    /// The log, or an archived part of it, can't be read or written.
    Log(LogError),
    /// The manifest can't be read or written.
    Manifest(ManifestError),
    /// A table is damaged.
    Table(TableError),
    /// It was broken off as it was told to.
    Cancelled,
    /// The engine's log has failed, or is closed: nobody knows what is durable.
    EngineStopped,
    /// The directory to write to holds something.
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The directory to restore from is no backup, or one that was cut short.
    NoBackup {
        /// The directory.
        path: PathBuf,
    },
    /// A file of a backup is not what it was.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A backup in a format that this program doesn't know.
    UnknownFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format.
        format: u32,
    },
    /// The point to restore to lies before the backup.
    TooEarly {
        /// The earliest version that there is.
        earliest: Version,
        /// Its time, in milliseconds since 1970.
        earliest_ms: u64,
    },
    /// The version to restore to lies behind everything that there is.
    TooLate {
        /// The version that was wanted.
        wanted: Version,
        /// The last commit that there is.
        last: Version,
    },
    /// An archive has another history than the backup: it isn't of the same database.
    OtherHistory {
        /// The segment where they part.
        segment: u64,
    },
    /// No version is left for what comes after the restore.
    VersionsExhausted,
}

impl BackupError {
    /// The code to tell a client.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Cancelled => ErrorCode::OPERATION_CANCELLED,
            Self::EngineStopped => ErrorCode::STORAGE_FAILED,
            Self::Damaged { .. } | Self::Table(_) => ErrorCode::STORAGE_DAMAGED,
            Self::NotEmpty { .. } => ErrorCode::JOB_REFUSED,
            _ => ErrorCode::IO_ERROR,
        }
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Manifest(error) => error.fmt(f),
            Self::Table(error) => error.fmt(f),
            Self::Cancelled => f.write_str("it was cancelled, and what it had made is removed"),
            Self::EngineStopped => f.write_str(
                "the database's log has failed or is closed: nobody knows what of it is durable",
            ),
            Self::NotEmpty { path } => {
                write!(f, "{} is not empty; name a directory that isn't there", path.display())
            }
            Self::NoBackup { path } => write!(
                f,
                "{} is no backup, or one that was cut short: it has no file BACKUP",
                path.display()
            ),
            Self::Damaged { path, offset, what } => {
                write!(f, "{} is damaged at offset {offset}: {what}", path.display())
            }
            Self::UnknownFormat { path, format } => write!(
                f,
                "{} is in format {format}, which this program doesn't know; use the program that \
                 wrote it, or a newer one",
                path.display()
            ),
            Self::TooEarly { earliest, earliest_ms } => write!(
                f,
                "this backup begins at version {earliest}, made {earliest_ms} ms after 1970: it \
                 has nothing earlier; take an older backup"
            ),
            Self::TooLate { wanted, last } => write!(
                f,
                "there is no version {wanted}: the backup and the archives end with the commit \
                 {last}; name the archive that has more of the log, or restore to the end"
            ),
            Self::OtherHistory { segment } => write!(
                f,
                "the archived segment {segment} does not go on where the backup ends: it is of \
                 another history; name the archive of the database that the backup is of"
            ),
            Self::VersionsExhausted => f.write_str("the backup uses up every version there is"),
        }
    }
}

impl Error for BackupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Log(error) => Some(error),
            Self::Manifest(error) => Some(error),
            Self::Table(error) => Some(error),
            _ => None,
        }
    }
}

impl From<VfsError> for BackupError {
    fn from(error: VfsError) -> Self {
        Self::File(error)
    }
}

impl From<LogError> for BackupError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<ManifestError> for BackupError {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

impl From<TableError> for BackupError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}
