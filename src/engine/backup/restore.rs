//! Makes a new database of a backup, and of the log behind it: to a version, to a time, or to the
//! end of what there is.
//!
//! 1. The backup's tables are linked or copied, each read and checked to its last block.
//! 2. The log is read: the backup's own, then the archived segments that follow. What lies before
//!    the point that is wanted is written to the new database's log, record by record.
//! 3. Versions are reserved above all that the old database can have handed out.
//! 4. When everything is durable, an identity makes the directory a database: a new one, so that it
//!    is never taken for the old one, nor its log for the old one's.
//!
//! The old and the new database can go on side by side; they have nothing in common but the past.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use plinth_protocol::Version;

use super::{
    BackupDescription, BackupError, LOG, MANIFEST, OnProgress, TABLES,
    copy::{Meter, link_or_copy, read},
    workplace::Workplace,
};
use crate::{
    clock::Clock,
    engine::{
        EngineOptions,
        directory::{DatabaseId, IDENTITY, RESTORING, write_identity},
        manifest::{
            Edit, Flushed, Manifest, ManifestOptions, ManifestState,
            files::numbered,
            ids::{read_ids, write_ids},
            look::look,
        },
        table::{Table, TableError},
        version_clock::versions_in,
        wal::{
            Log, LogError, LogOptions, LogRecord, LogScan, LogStart, RecordEncoder, ScannedRecord,
            path_of_segment, segments_in, version_before,
        },
        write::CommittedTransaction,
    },
    vfs::Vfs,
};

/// How much is gathered before it is written to the new log.
const WRITE_BYTES: usize = 1 << 20;

/// How far versions leap beyond all that the old database can have handed out.
const LEAP: Duration = Duration::from_hours(1);

/// To which point of its history a database is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreTo {
    /// The last commit that there is.
    End,
    /// The last commit up to this version.
    Version(Version),
    /// The last commit before the first one that was made after this time, in milliseconds since
    /// 1970 by the clock of the server then.
    Time(u64),
}

/// How to restore.
#[derive(Clone)]
pub struct RestoreOptions {
    /// Where files are.
    pub vfs: Arc<dyn Vfs>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Directories with segments of the log: archives, or the log of a database that is gone.
    pub archives: Vec<PathBuf>,
    /// To which point.
    pub to: RestoreTo,
    /// The name that the new database gets.
    pub new_database_id: DatabaseId,
    /// How the new database's log is cut into files. What it says of ids is overridden, and nothing
    /// is archived.
    pub log: LogOptions,
}

impl RestoreOptions {
    /// On the real disk, without archives, and under an id of its own.
    pub fn new(to: RestoreTo) -> Self {
        let fresh = EngineOptions::default();
        Self {
            vfs: fresh.vfs,
            clock: fresh.clock,
            archives: vec![],
            to,
            new_database_id: fresh.new_database_id,
            log: LogOptions { seed: fresh.seed, ..fresh.log },
        }
    }
}

/// What a restore has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The database that the backup is of.
    pub from_database_id: DatabaseId,
    /// The new database.
    pub database_id: DatabaseId,
    /// The last commit that the new database has.
    pub version: Version,
    /// When that was committed, in milliseconds since 1970; when the backup was made, if it is the
    /// last one of that.
    pub committed_at_ms: u64,
    /// The new database goes on above this version.
    pub ceiling: Version,
    /// How many tables it has.
    pub tables: u64,
    /// How many transactions its log has.
    pub transactions: u64,
}

/// Makes a new database of the backup in the directory `from`, in a directory that must not be
/// there yet, or be empty. One that was cut short is no database, and can be restored to again.
pub fn restore(
    from: &Path,
    to: &Path,
    options: &RestoreOptions,
    on_progress: OnProgress<'_>,
) -> Result<RestoreReport, BackupError> {
    let vfs = &*options.vfs;
    let backup = BackupDescription::read(vfs, from)?;
    let is_too_early = match options.to {
        RestoreTo::End => false,
        RestoreTo::Version(version) => version < backup.version,
        RestoreTo::Time(ms) => ms < backup.created_at_ms,
    };
    if is_too_early {
        let (earliest, earliest_ms) = (backup.version, backup.created_at_ms);
        return Err(BackupError::TooEarly { earliest, earliest_ms });
    }
    let total_bytes = check_files(vfs, from, &backup)?;
    let sources = Sources::find(vfs, from, &backup, &options.archives)?;
    let place = Workplace::begin(vfs, to, RESTORING, IDENTITY)?;
    // Tables are read, and then linked or copied.
    let table_bytes = backup.bytes_in(TABLES);
    let mut meter = Meter::new(total_bytes + table_bytes, on_progress);
    let look = look(vfs, &from.join(MANIFEST), backup.database_id.0)?;
    let state = look.map(|look| look.state).unwrap_or_default();
    restore_tables(vfs, from, &place, &state, &mut meter)?;
    let mut replay = Replay::begin(options, &backup, &place)?;
    replay.read(&sources, &mut meter)?;
    let ceiling = replay.ceiling(&sources)?;
    let (version, committed_at_ms, transactions) = replay.finish(ceiling)?;
    restore_manifest(options, from, &place, &backup, &state, ceiling)?;
    check_sums(vfs, from, &backup)?;
    place.sync()?;
    meter.finish()?;
    write_identity(vfs, place.path(), options.new_database_id)?;
    vfs.remove(&place.path().join(RESTORING))?;
    vfs.sync_directory(place.path())?;
    let tables = state.tables.len() as u64;
    place.finish();
    Ok(RestoreReport {
        from_database_id: backup.database_id,
        database_id: options.new_database_id,
        version,
        committed_at_ms,
        ceiling,
        tables,
        transactions,
    })
}

/// Checks that every file is there and as long as it was. Answers how long they are together.
fn check_files(vfs: &dyn Vfs, from: &Path, backup: &BackupDescription) -> Result<u64, BackupError> {
    let mut total = 0;
    for file in &backup.files {
        let path = from.join(&file.path);
        let bytes = vfs.open_for_reading(&path)?.len()?;
        if bytes != file.bytes {
            let what = "the file has not the length that the backup's description names";
            return Err(BackupError::Damaged { path, offset: bytes.min(file.bytes), what });
        }
        total += bytes;
    }
    Ok(total)
}

/// Checks the files whose checksums the description has. Those who read them have looked for damage
/// by then, and would have named the place; this finds what means nothing to them.
fn check_sums(vfs: &dyn Vfs, from: &Path, backup: &BackupDescription) -> Result<(), BackupError> {
    for file in &backup.files {
        let Some(expected) = file.crc else { continue };
        let path = from.join(&file.path);
        let mut crc = crc32fast::Hasher::new();
        read(vfs, &path, &mut |piece| {
            crc.update(piece);
            Ok(())
        })?;
        if crc.finalize() != expected {
            let what = "the file's checksum is not the one that the backup's description names";
            return Err(BackupError::Damaged { path, offset: 0, what });
        }
    }
    Ok(())
}

/// Checks every table to its last block, and takes it over.
fn restore_tables(
    vfs: &dyn Vfs,
    from: &Path,
    place: &Workplace<'_>,
    state: &ManifestState,
    meter: &mut Meter<'_>,
) -> Result<(), BackupError> {
    let directory = place.directory(TABLES)?;
    for (number, (_, properties)) in &state.tables {
        let from = numbered(&from.join(TABLES), number.0, "table");
        let to = numbered(&directory, number.0, "table");
        let table = Table::open(vfs, &from, *number)?;
        if table.properties() != properties {
            let what = "the table is another one than the manifest names";
            return Err(TableError::damaged(&from, 0, what).into());
        }
        if let Some(error) = table.verify(&mut |_| {}).into_iter().next() {
            return Err(error.into());
        }
        meter.advance(properties.bytes)?;
        link_or_copy(vfs, &from, &to, properties.bytes, meter)?;
    }
    Ok(())
}

/// Writes the new database's manifest: the same tables, and the new log behind them.
fn restore_manifest(
    options: &RestoreOptions,
    from: &Path,
    place: &Workplace<'_>,
    backup: &BackupDescription,
    state: &ManifestState,
    ceiling: Version,
) -> Result<(), BackupError> {
    let directory = place.directory(MANIFEST)?;
    let vfs = &*options.vfs;
    let database_id = options.new_database_id.0;
    let mut flushed = None;
    if let Some(Flushed { version, ids, .. }) = state.flushed() {
        if let Some(number) = ids {
            let known = read_ids(vfs, &from.join(MANIFEST), number, backup.database_id.0)?;
            write_ids(vfs, &directory, number, database_id, &known)?;
        }
        flushed = Some(Flushed { version, log_start: LogStart::default().first_segment, ids });
    }
    let manifest_options =
        ManifestOptions { database_id, seed: options.log.seed, bytes_max: u64::MAX };
    let (mut manifest, _) = Manifest::open(&options.vfs, &directory, manifest_options)?;
    manifest.commit(&Edit {
        added: state.tables.values().cloned().collect(),
        removed: vec![],
        flushed,
        ceiling: Some(ceiling),
    })?;
    Ok(())
}

/// Where each segment of the log is to be read from.
struct Sources {
    /// The backup's own log, and its last segment, which may go on in an archive.
    own: (PathBuf, u64),
    archives: Vec<(PathBuf, BTreeSet<u64>)>,
}

impl Sources {
    fn find(
        vfs: &dyn Vfs,
        from: &Path,
        backup: &BackupDescription,
        archives: &[PathBuf],
    ) -> Result<Self, BackupError> {
        let archives = archives.iter().map(|directory| {
            let segments = segments_in(vfs, directory)?.into_iter().collect();
            Ok((directory.clone(), segments))
        });
        Ok(Self {
            own: (from.join(LOG), backup.log_end.segment),
            archives: archives.collect::<Result<_, LogError>>()?,
        })
    }

    /// The directory to read this segment from.
    fn directory(&self, number: u64) -> Option<&Path> {
        let (own, last_own) = &self.own;
        if number < *last_own {
            return Some(own);
        }
        let mut archives = self.archives.iter();
        let found = archives.find(|(_, segments)| segments.contains(&number));
        let found = found.map(|(directory, _)| directory.as_path());
        found.or_else(|| (number == *last_own).then_some(own))
    }

    /// Where this segment, which nobody has, should be.
    fn missing(&self, number: u64) -> LogError {
        let directory = self.archives.first().map_or(&self.own.0, |(directory, _)| directory);
        LogError::MissingSegment { path: path_of_segment(directory, number) }
    }

    /// The last segment that there is.
    fn last(&self) -> u64 {
        let archived = self.archives.iter().filter_map(|(_, segments)| segments.last().copied());
        archived.max().unwrap_or(0).max(self.own.1)
    }
}

/// Reads the old log and writes the new one.
struct Replay<'a> {
    options: &'a RestoreOptions,
    backup: &'a BackupDescription,
    scan: LogScan,
    writer: Writer<'a>,
}

/// Writes the new log, up to the point that is wanted.
struct Writer<'a> {
    to: RestoreTo,
    backup: &'a BackupDescription,
    log: Log,
    encoder: RecordEncoder,
    /// Whether everything behind here is behind the point that is wanted.
    is_reached: bool,
    /// The checksum of the record before, once there was one.
    before: Option<u32>,
    /// Whether the place has been passed at which the backup's log ended.
    has_passed_end: bool,
    last: Version,
    last_at_ms: u64,
    transactions: u64,
}

impl<'a> Replay<'a> {
    fn begin(
        options: &'a RestoreOptions,
        backup: &'a BackupDescription,
        place: &Workplace<'_>,
    ) -> Result<Self, BackupError> {
        let directory = place.directory(LOG)?;
        let log_options = LogOptions {
            database_id: options.new_database_id.0,
            archive: None,
            ..options.log.clone()
        };
        let nothing = &mut |_| Ok(());
        let (log, _) =
            Log::recover(&options.vfs, &directory, log_options, LogStart::default(), nothing)?;
        let start = LogStart { first_segment: backup.log_start, flushed: backup.flushed };
        let writer = Writer {
            to: options.to,
            backup,
            log,
            encoder: RecordEncoder::new(),
            is_reached: false,
            before: None,
            has_passed_end: false,
            last: backup.flushed,
            last_at_ms: backup.created_at_ms,
            transactions: 0,
        };
        let scan = LogScan::new(backup.database_id.0, start);
        Ok(Self { options, backup, scan, writer })
    }

    fn read(&mut self, sources: &Sources, meter: &mut Meter<'_>) -> Result<(), BackupError> {
        let Self { scan, writer, backup, options } = self;
        while !writer.is_reached && scan.next_segment() <= sources.last() {
            let number = scan.next_segment();
            let Some(directory) = sources.directory(number) else {
                return Err(sources.missing(number).into());
            };
            scan.read_segment(&*options.vfs, directory, None, &mut |record| {
                let bytes = record.bytes.len() as u64;
                let flow = writer.take(number, record)?;
                meter.advance(bytes)?;
                Ok::<_, BackupError>(flow)
            })?;
        }
        if !writer.has_passed_end
            && (scan.previous() != backup.log_end.previous
                || scan.last_version().max(backup.flushed) != backup.version)
        {
            let (path, offset) = scan.before().cloned().unwrap_or_default();
            let what = "the log ends before the place at which it ended in the backup";
            return Err(BackupError::Damaged { path, offset, what });
        }
        match options.to {
            RestoreTo::Version(wanted) if !writer.is_reached && wanted > writer.last => {
                Err(BackupError::TooLate { wanted, last: writer.last })
            }
            _ => Ok(()),
        }
    }

    /// A version above all that the old database can have handed out: above all that the log says,
    /// to its last segment, and above what two clocks of its speed would have come to by now.
    fn ceiling(&self, sources: &Sources) -> Result<Version, BackupError> {
        let Self { options, backup, scan, writer } = self;
        let mut highest = backup.ceiling.max(scan.ceiling()).max(writer.last);
        for number in scan.next_segment()..=sources.last() {
            // Nothing of it is needed but this, so its damage is no harm.
            highest = highest.max(last_words(&*options.vfs, sources, number, backup));
        }
        highest = highest.max(last_words(&*options.vfs, sources, sources.last(), backup));
        let age_ms = options.clock.wall_millis().saturating_sub(backup.created_at_ms);
        let age = versions_in(Duration::from_millis(age_ms));
        let ticked = backup.ceiling.0.saturating_add(age.saturating_mul(2));
        let ceiling = highest.0.max(ticked).checked_add(versions_in(LEAP));
        let ceiling = ceiling.map(Version).filter(|ceiling| *ceiling < Version::MAX);
        ceiling.ok_or(BackupError::VersionsExhausted)
    }

    /// Makes the new log durable. Answers the last commit, its time, and how many there are.
    fn finish(self, ceiling: Version) -> Result<(Version, u64, u64), BackupError> {
        let mut writer = self.writer;
        writer.encoder.ceiling(ceiling)?;
        writer.flush()?;
        writer.log.sync()?;
        Ok((writer.last, writer.last_at_ms, writer.transactions))
    }
}

/// The highest version that this segment speaks of, as far as it can be read.
fn last_words(
    vfs: &dyn Vfs,
    sources: &Sources,
    number: u64,
    backup: &BackupDescription,
) -> Version {
    let Some(directory) = sources.directory(number) else { return Version::ZERO };
    let database_id = backup.database_id.0;
    let before = version_before(vfs, directory, number, database_id).unwrap_or(Version::ZERO);
    if number < sources.last() {
        return before;
    }
    let start = LogStart { first_segment: number, flushed: Version::MAX };
    let mut scan = LogScan::new(database_id, start);
    let goes_on = &mut |_: ScannedRecord<'_>| Ok::<_, LogError>(ControlFlow::Continue(()));
    if let Err(error) = scan.read_segment(vfs, directory, None, goes_on) {
        tracing::warn!(%error, "the end of the log can't be read, and isn't needed");
    }
    before.max(scan.last_version()).max(scan.ceiling())
}

impl Writer<'_> {
    /// Takes over what of a record lies before the point that is wanted; breaks off behind it.
    fn take(
        &mut self,
        segment: u64,
        record: ScannedRecord<'_>,
    ) -> Result<ControlFlow<()>, BackupError> {
        self.check_end(segment, &record)?;
        self.before = Some(record.checksum);
        let Some(LogRecord::Batch(mut batch)) = record.record else {
            return Ok(ControlFlow::Continue(()));
        };
        let behind = batch.iter().position(|transaction| self.is_behind(transaction));
        if let Some(behind) = behind {
            batch.truncate(behind);
            self.is_reached = true;
        }
        if let Some(last) = batch.last() {
            self.encoder.batch(&batch)?;
            self.last = last.version;
            self.last_at_ms = last.committed_at_ms;
            self.transactions += batch.len() as u64;
        }
        if self.encoder.bytes() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(if self.is_reached { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Whether a transaction lies behind the point that is wanted. The backup's own never do.
    fn is_behind(&self, transaction: &CommittedTransaction) -> bool {
        transaction.version > self.backup.version
            && match self.to {
                RestoreTo::End => false,
                RestoreTo::Version(version) => transaction.version > version,
                RestoreTo::Time(ms) => transaction.committed_at_ms > ms,
            }
    }

    /// At the place where the backup's log ended, the log must be what it was then: an archive of
    /// another history is not taken for its continuation.
    fn check_end(&mut self, segment: u64, record: &ScannedRecord<'_>) -> Result<(), BackupError> {
        let end = &self.backup.log_end;
        let is_behind =
            segment > end.segment || segment == end.segment && record.offset >= end.position;
        if self.has_passed_end || !is_behind {
            return Ok(());
        }
        self.has_passed_end = true;
        if self.before.is_some_and(|before| before != end.previous) {
            return Err(BackupError::OtherHistory { segment });
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BackupError> {
        self.log.append(&mut self.encoder)?;
        self.encoder.clear();
        Ok(())
    }
}
