//! Makes a backup of a database that goes on being written to.
//!
//! 1. The log's segments are held, so that none that is needed goes.
//! 2. The manifest says which tables count, and how far they reach.
//! 3. The log is synced, and says how far it reaches: the backup's version is that of the last
//!    commit there. Everything that anybody was answered before is in it, in whatever durability.
//! 4. Tables are linked, the log behind them is copied record by record, each checked, and a
//!    manifest of the backup's own is written.
//! 5. When all of it is durable, `BACKUP` says that it is a backup.
//!
//! Commits go on all the while; what they write comes after the backup's version.

use std::{
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use plinth_protocol::Version;

use super::{
    BackupDescription, BackupError, BackupFile, LOG, MANIFEST, OnProgress, TABLES,
    copy::{Meter, Output, copy, link_or_copy, read},
    description::{BACKUP, BACKUP_UNFINISHED},
    relative,
    workplace::Workplace,
};
use crate::{
    engine::{
        Engine,
        directory::DatabaseId,
        manifest::{
            Edit, Manifest, ManifestOptions, ManifestState, files::numbered, ids::IDS_EXTENSION,
        },
        wal::{LogError, LogMark, LogScan, LogStart, path_of_segment},
    },
    vfs::Vfs,
};

/// Bytes of a segment's header, which is copied as it is.
const SEGMENT_HEADER_BYTES: usize = 512;
const TABLE_EXTENSION: &str = "table";

/// What a checkpoint has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointReport {
    /// The database.
    pub database_id: DatabaseId,
    /// The last commit in it: it has every commit up to it, and none above.
    pub version: Version,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// How many files it has.
    pub files: u64,
    /// How long they are together.
    pub bytes: u64,
    /// How much of that was linked, and takes no room of its own.
    pub linked_bytes: u64,
}

impl fmt::Display for CheckpointReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "everything up to version {}: {} files of {} bytes, {} of them linked",
            self.version, self.files, self.bytes, self.linked_bytes
        )
    }
}

impl Engine {
    /// Writes a consistent copy of the database to a directory that must not be there yet, or be
    /// empty, while commits go on. What [`restore`](super::restore()) makes a database of.
    ///
    /// A checkpoint that fails, is broken off by `on_progress` or is cut short by a crash leaves
    /// nothing that could be taken for a backup.
    pub fn checkpoint(
        &self,
        destination: &Path,
        on_progress: OnProgress<'_>,
    ) -> Result<CheckpointReport, BackupError> {
        let shared = self.shared();
        if self.is_poisoned() {
            return Err(BackupError::EngineStopped);
        }
        let options = &shared.options;
        let place = Workplace::begin(&*options.vfs, destination, BACKUP_UNFINISHED, BACKUP)?;
        let hold = self.segments().hold();
        // After that of the log: it is as long as these tables need it.
        let tables_hold = shared.live.hold();
        let state = tables_hold.state().clone();
        let mark = self.mark_log().ok_or(BackupError::EngineStopped)?;
        let source = Source {
            vfs: &options.vfs,
            database_id: self.database_id(),
            seed: options.seed,
            tables: self.data_directory().tables_path(),
            manifest: self.data_directory().manifest_path(),
            log: hold.directory().to_path_buf(),
            log_start: LogStart {
                first_segment: state
                    .flushed()
                    .map_or_else(|| hold.first_segment(), |flushed| flushed.log_start),
                flushed: state.flushed().map_or(Version::ZERO, |flushed| flushed.version),
            },
            log_bytes: self.segments().closed_bytes() + mark.position,
            mark,
            ceiling: shared.ceiling(),
            // After the mark: no commit up to it is younger.
            created_at_ms: options.clock.wall_millis(),
            state,
        };
        let report = source.write(&place, on_progress)?;
        drop((hold, tables_hold));
        place.finish();
        Ok(report)
    }
}

/// Everything that a backup is made of.
struct Source<'a> {
    vfs: &'a Arc<dyn Vfs>,
    database_id: DatabaseId,
    seed: u64,
    tables: PathBuf,
    manifest: PathBuf,
    log: PathBuf,
    log_start: LogStart,
    /// About how much there is to copy of it.
    log_bytes: u64,
    mark: LogMark,
    ceiling: Version,
    created_at_ms: u64,
    state: ManifestState,
}

impl Source<'_> {
    fn write(
        &self,
        place: &Workplace<'_>,
        on_progress: OnProgress<'_>,
    ) -> Result<CheckpointReport, BackupError> {
        let table_bytes: u64 =
            self.state.tables.values().map(|(_, properties)| properties.bytes).sum();
        let mut meter = Meter::new(table_bytes + self.log_bytes, on_progress);
        meter.advance(0)?;
        let mut files = vec![];
        let linked_bytes = self.write_tables(place, &mut files, &mut meter)?;
        self.write_manifest(place, &mut files, &mut meter)?;
        self.write_log(place, &mut files, &mut meter)?;
        place.sync()?;
        let description = BackupDescription {
            database_id: self.database_id,
            version: self.mark.last_version.max(self.log_start.flushed),
            created_at_ms: self.created_at_ms,
            ceiling: self.ceiling,
            flushed: self.log_start.flushed,
            log_start: self.log_start.first_segment,
            log_end: self.mark,
            files,
        };
        meter.finish()?;
        self.write_description(place, &description)?;
        Ok(CheckpointReport {
            database_id: self.database_id,
            version: description.version,
            created_at_ms: self.created_at_ms,
            files: description.files.len() as u64,
            bytes: description.files.iter().map(|file| file.bytes).sum(),
            linked_bytes,
        })
    }

    /// Answers how much was linked.
    fn write_tables(
        &self,
        place: &Workplace<'_>,
        files: &mut Vec<BackupFile>,
        meter: &mut Meter<'_>,
    ) -> Result<u64, BackupError> {
        let directory = place.directory(TABLES)?;
        let mut linked_bytes = 0;
        for (number, (_, properties)) in &self.state.tables {
            let from = numbered(&self.tables, number.0, TABLE_EXTENSION);
            let to = numbered(&directory, number.0, TABLE_EXTENSION);
            let bytes = properties.bytes;
            if link_or_copy(&**self.vfs, &from, &to, bytes, meter)? {
                linked_bytes += bytes;
            }
            files.push(BackupFile { path: relative(TABLES, &to), bytes, crc: None });
        }
        Ok(linked_bytes)
    }

    fn write_manifest(
        &self,
        place: &Workplace<'_>,
        files: &mut Vec<BackupFile>,
        meter: &mut Meter<'_>,
    ) -> Result<(), BackupError> {
        let directory = place.directory(MANIFEST)?;
        if let Some(number) = self.state.flushed().and_then(|flushed| flushed.ids) {
            let to = numbered(&directory, number, IDS_EXTENSION);
            let crc =
                copy(&**self.vfs, &numbered(&self.manifest, number, IDS_EXTENSION), &to, meter)?;
            self.enter(files, MANIFEST, &to, Some(crc))?;
        }
        let options = ManifestOptions {
            database_id: self.database_id.0,
            seed: self.seed,
            bytes_max: u64::MAX,
        };
        let (mut manifest, _) = Manifest::open(self.vfs, &directory, options)?;
        manifest.commit(&Edit {
            added: self.state.tables.values().cloned().collect(),
            removed: vec![],
            flushed: self.state.flushed(),
            ceiling: Some(self.ceiling),
        })?;
        if let Some(path) = manifest.path() {
            let mut crc = crc32fast::Hasher::new();
            read(&**self.vfs, &path, &mut |piece| {
                crc.update(piece);
                Ok(())
            })?;
            self.enter(files, MANIFEST, &path, Some(crc.finalize()))?;
        }
        Ok(())
    }

    /// Copies the log up to the mark, and checks on the way that it is what was written.
    fn write_log(
        &self,
        place: &Workplace<'_>,
        files: &mut Vec<BackupFile>,
        meter: &mut Meter<'_>,
    ) -> Result<(), BackupError> {
        let directory = place.directory(LOG)?;
        let mut scan = LogScan::new(self.database_id.0, self.log_start);
        while scan.next_segment() <= self.mark.segment {
            let number = scan.next_segment();
            let from = path_of_segment(&self.log, number);
            let to = path_of_segment(&directory, number);
            let mut output = Output::create(&**self.vfs, &to)?;
            let mut header = [0; SEGMENT_HEADER_BYTES];
            self.vfs.open_for_reading(&from)?.read_exact_at(&mut header, 0)?;
            output.write(&header)?;
            let end_offset = (number == self.mark.segment).then_some(self.mark.position);
            scan.read_segment(&**self.vfs, &self.log, end_offset, &mut |record| {
                output.pad_to(record.offset)?;
                output.write(record.bytes)?;
                meter.advance(record.bytes.len() as u64)?;
                Ok::<_, BackupError>(ControlFlow::Continue(()))
            })?;
            let bytes = output.bytes();
            let crc = output.finish()?;
            files.push(BackupFile { path: relative(LOG, &to), bytes, crc: Some(crc) });
        }
        if scan.previous() != self.mark.previous || scan.last_version() != self.mark.last_version {
            let (path, offset) = scan.before().cloned().unwrap_or_default();
            let what = "records that were written are not here";
            return Err(LogError::Damaged { path, offset, what }.into());
        }
        Ok(())
    }

    /// From here on it is a backup, when the names are durable.
    fn write_description(
        &self,
        place: &Workplace<'_>,
        description: &BackupDescription,
    ) -> Result<(), BackupError> {
        let unfinished = place.path().join(BACKUP_UNFINISHED);
        let file = self.vfs.open(&unfinished)?;
        file.write_all_at(&description.encode(), 0)?;
        file.sync_all()?;
        self.vfs.rename(&unfinished, &place.path().join(BACKUP))?;
        self.vfs.sync_directory(place.path())?;
        Ok(())
    }

    fn enter(
        &self,
        files: &mut Vec<BackupFile>,
        directory: &str,
        path: &Path,
        crc: Option<u32>,
    ) -> Result<(), BackupError> {
        let bytes = self.vfs.open_for_reading(path)?.len()?;
        files.push(BackupFile { path: relative(directory, path), bytes, crc });
        Ok(())
    }
}
