//! Checks a data directory: reads every byte that counts and holds it against what else is known.
//!
//! | part | what is checked |
//! | --- | --- |
//! | `IDENTITY` | its checksum, and that the format is known |
//! | manifest | every record's checksum and place, and that the edits make sense one after the other |
//! | files of ids | checksum and owner |
//! | tables | every block's checksum, the order of keys and versions, the bounds and counts that the manifest has, that the filter knows every key |
//! | levels | from 1 on, that no two tables of a level overlap |
//! | log | every record's checksum, place and version, and that each segment follows from the one before |
//! | other files | that they are known, and of use |
//!
//! Nothing is changed, and nothing is mended. What is wrong goes into a list; the check goes on with
//! what can be checked all the same. A directory that nobody has open is checked as it lies there. In
//! one that is in use, files come and go and are written meanwhile; so a finding there counts only
//! if it is still there at a second look.

mod files;
mod finding;
mod log;
mod tables;

use std::{fmt, ops::ControlFlow, path::Path};

use plinth_protocol::Version;

pub(in crate::engine) use self::files::REPAIR_PREFIX;
pub use self::finding::{Finding, Severity};
use super::{
    directory::{DatabaseId, DirectoryError, DirectoryLook},
    manifest::{Flushed, ManifestError, ManifestState, look::look},
    wal::LogStart,
};
use crate::vfs::Vfs;

/// The most findings that are kept; the others are counted.
const FINDINGS_MAX: usize = 1000;

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes that have been checked.
    pub done_bytes: u64,
    /// Bytes that there are to check, as far as is known.
    pub total_bytes: u64,
}

/// Whom a check has told how far it is; it answers whether to go on.
pub type Observer<'o> = &'o mut dyn FnMut(VerifyProgress) -> ControlFlow<()>;

/// What a check has come to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Which database it is.
    pub database_id: DatabaseId,
    /// Whether everything was looked at; not if the check was broken off.
    pub is_complete: bool,
    /// Bytes that were checked.
    pub bytes: u64,
    /// Tables that were checked.
    pub tables: u64,
    /// Versions of keys in the tables.
    pub table_entries: u64,
    /// Segments of the log that were checked.
    pub segments: u64,
    /// Their records.
    pub records: u64,
    /// The transactions in the records.
    pub transactions: u64,
    /// The version of the last transaction.
    pub last_version: Version,
    /// What was found, in the order of the parts.
    pub findings: Vec<Finding>,
    /// How many findings there were beyond those.
    pub more_findings: u64,
}

impl VerifyReport {
    /// Whether there is no damage.
    pub fn is_sound(&self) -> bool {
        self.more_findings == 0 && self.damage().next().is_none()
    }

    /// The findings that are damage.
    pub fn damage(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Damage)
    }
}

impl fmt::Display for VerifyReport {
    /// In a line, without the findings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let damages = self.damage().count() as u64 + self.more_findings;
        match damages {
            0 if !self.is_complete => f.write_str("broken off, sound so far: ")?,
            0 => f.write_str("sound: ")?,
            1 => f.write_str("one damage: ")?,
            count => write!(f, "{count} damages: ")?,
        }
        write!(
            f,
            "{} in {} with {} and {} of log with {}, up to version {}",
            counted(self.bytes, "byte", "bytes"),
            counted(self.tables, "table", "tables"),
            counted(self.table_entries, "entry", "entries"),
            counted(self.segments, "segment", "segments"),
            counted(self.records, "record", "records"),
            self.last_version
        )
    }
}

/// A number of things, in words.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Whether somebody has the database open while it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nobody.
    Closed,
    /// This process.
    Open,
}

/// Checks the database in this directory, which nobody may have open. Fails if it can't begin.
pub fn verify(
    vfs: &dyn Vfs,
    directory: &Path,
    observer: Observer<'_>,
) -> Result<VerifyReport, DirectoryError> {
    let look = DirectoryLook::new(vfs, directory)?;
    let _lock = look.lock(vfs)?;
    Ok(Verifier::new(vfs, look, Use::Closed, observer).run())
}

/// Checks the database in this directory, which this process has open.
pub(super) fn verify_open(
    vfs: &dyn Vfs,
    directory: &Path,
    observer: Observer<'_>,
) -> Result<VerifyReport, DirectoryError> {
    let look = DirectoryLook::new(vfs, directory)?;
    Ok(Verifier::new(vfs, look, Use::Open, observer).run())
}

/// A check under way.
struct Verifier<'v> {
    vfs: &'v dyn Vfs,
    look: DirectoryLook,
    in_use: Use,
    observer: Observer<'v>,
    progress: VerifyProgress,
    report: VerifyReport,
}

impl<'v> Verifier<'v> {
    fn new(vfs: &'v dyn Vfs, look: DirectoryLook, in_use: Use, observer: Observer<'v>) -> Self {
        let report = VerifyReport {
            database_id: look.database_id,
            is_complete: true,
            bytes: 0,
            tables: 0,
            table_entries: 0,
            segments: 0,
            records: 0,
            transactions: 0,
            last_version: Version::ZERO,
            findings: Vec::new(),
            more_findings: 0,
        };
        Self { vfs, look, in_use, observer, progress: VerifyProgress::default(), report }
    }

    fn run(mut self) -> VerifyReport {
        let flow = self.check();
        if flow.is_continue() {
            // Files end later than what counts in them: only now it is known how much there was. That
            // the observer would break off matters no more.
            self.progress.total_bytes = self.progress.done_bytes;
            let _ = (self.observer)(self.progress);
        }
        self.report.is_complete = flow.is_continue();
        self.report.bytes = self.progress.done_bytes;
        self.report
    }

    fn check(&mut self) -> ControlFlow<()> {
        let state = self.check_manifest();
        self.expect_bytes(state.as_ref())?;
        if let Some(state) = &state {
            self.check_levels(state);
            self.check_tables(state)?;
            self.check_ids(state);
        }
        // Without a manifest nobody knows where the log begins to matter.
        if let Some(state) = &state {
            self.check_log(start_of(state))?;
        }
        self.check_names(state.as_ref());
        ControlFlow::Continue(())
    }

    /// What the manifest says; none if it can't be read, and nothing if there is none.
    fn check_manifest(&mut self) -> Option<ManifestState> {
        let directory = self.look.manifest_path();
        match look(self.vfs, &directory, self.look.database_id.0) {
            Ok(None) if self.has_tables() => {
                let missing = ManifestError::Missing { directory: directory.clone() };
                self.find_in_manifest(&directory, &missing);
                None
            }
            Ok(None) => Some(ManifestState::default()),
            Ok(Some(look)) => {
                self.progress.done_bytes += look.file_bytes;
                if let Some(offset) = look.torn_at
                    && self.in_use == Use::Closed
                {
                    let text = "the last change was cut short and does not count";
                    self.find(Finding::notice(look.path, Some(offset), text));
                }
                Some(look.state)
            }
            Err(error) => {
                self.find_in_manifest(&directory, &error);
                None
            }
        }
    }

    fn find_in_manifest(&mut self, directory: &Path, error: &ManifestError) {
        let finding = Finding::of_manifest(directory, error);
        self.find(match error {
            ManifestError::Damaged { .. } | ManifestError::Missing { .. } => {
                finding.with_remedy(format!(
                    "to have a new one made of what is there: plinth repair rebuild-manifest {}",
                    self.look.path.display()
                ))
            }
            _ => finding,
        });
    }

    /// Counts what there is to check.
    fn expect_bytes(&mut self, state: Option<&ManifestState>) -> ControlFlow<()> {
        let tables = state
            .map_or(0, |state| state.tables.values().map(|(_, properties)| properties.bytes).sum());
        self.progress.total_bytes = self.progress.done_bytes + tables + self.log_bytes();
        self.advance(0)
    }

    /// Says that so many more bytes have been checked.
    fn advance(&mut self, bytes: u64) -> ControlFlow<()> {
        self.progress.done_bytes += bytes;
        let VerifyProgress { done_bytes, total_bytes } = self.progress;
        self.progress.total_bytes = total_bytes.max(done_bytes);
        (self.observer)(self.progress)
    }

    fn find(&mut self, finding: Finding) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        } else {
            self.report.more_findings += 1;
        }
    }
}

/// Where the log begins to matter.
pub(super) fn start_of(state: &ManifestState) -> LogStart {
    state.flushed.map_or_else(LogStart::default, |Flushed { version, log_start, .. }| LogStart {
        first_segment: log_start,
        flushed: version,
    })
}
