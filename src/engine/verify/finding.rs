//! What a check finds.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::engine::{manifest::ManifestError, table::TableError, wal::LogError};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is lost: a write that was cut short by a crash, a file that is of no use.
    Notice,
    /// Something that was durable is not what it was.
    Damage,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which file or directory.
    pub path: PathBuf,
    /// Where in the file, where that is known.
    pub offset: Option<u64>,
    /// What it is, in a sentence.
    pub text: String,
    /// A command that deals with it, where one does.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn notice(path: PathBuf, offset: Option<u64>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, path, offset, text: text.into(), remedy: None }
    }

    pub(super) fn damage(path: PathBuf, offset: Option<u64>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Damage, ..Self::notice(path, offset, text) }
    }

    pub(super) fn with_remedy(self, remedy: String) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    pub(super) fn of_manifest(directory: &Path, error: &ManifestError) -> Self {
        let (path, offset) = match error {
            ManifestError::Damaged { path, offset, what } => {
                return Self::damage(path.clone(), Some(*offset), *what);
            }
            ManifestError::UnknownRecord { path, offset, .. } => (path.clone(), Some(*offset)),
            ManifestError::UnknownFormat { path, .. } | ManifestError::Foreign { path } => {
                (path.clone(), None)
            }
            ManifestError::File(error) => (error.path().to_path_buf(), None),
            ManifestError::Missing { .. } => {
                let text = "there are tables, but no manifest that says which of them count";
                return Self::damage(directory.to_path_buf(), None, text);
            }
            _ => (directory.to_path_buf(), None),
        };
        Self::damage(path, offset, error.to_string())
    }

    pub(super) fn of_log(directory: &Path, error: &LogError) -> Self {
        let (path, offset) = match error {
            LogError::Damaged { path, offset, what } => {
                return Self::damage(path.clone(), Some(*offset), *what);
            }
            LogError::UnknownRecord { path, offset, .. } => (path.clone(), Some(*offset)),
            LogError::UnknownFormat { path, .. }
            | LogError::ForeignSegment { path }
            | LogError::MissingSegment { path }
            | LogError::UnexpectedFile { path } => (path.clone(), None),
            LogError::File(error) => (error.path().to_path_buf(), None),
            _ => (directory.to_path_buf(), None),
        };
        Self::damage(path, offset, error.to_string())
    }

    pub(super) fn of_table(error: &TableError) -> Self {
        match error {
            TableError::Damaged { path, offset, what } => {
                Self::damage(path.clone(), Some(*offset), *what)
            }
            TableError::File { path, .. } | TableError::UnknownFormat { path, .. } => {
                Self::damage(path.clone(), None, error.to_string())
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Notice => "notice",
            Severity::Damage => "damage",
        };
        write!(f, "{severity}: {}", self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        write!(f, ": {}", self.text)?;
        match &self.remedy {
            Some(remedy) => write!(f, " [{remedy}]"),
            None => Ok(()),
        }
    }
}
