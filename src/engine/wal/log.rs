//! The log's writing end.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LogError, LogMark, RecordEncoder, Segments,
    chain::Chain,
    record::Place,
    segment::{SECTOR_BYTES, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, Unfinished},
};
use crate::{engine::RecoveryProgress, random::Random, vfs::Vfs};

/// How a log is to be kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The length of a segment. A record that is longer gets a segment of its own length.
    pub segment_bytes: u64,
    /// How far ahead of the records zeros are written: one sync in so many bytes also has metadata
    /// to write.
    pub zero_fill_bytes: u64,
    /// The most retired segments that are kept to be used again.
    pub spares_max: usize,
    /// Where every segment is kept for good when it is closed, if anywhere.
    pub archive: Option<PathBuf>,
    /// Whether recovery reads on a thread of its own, ahead of the caller.
    pub reads_ahead: bool,
    /// Says how far recovery is.
    pub progress: Arc<RecoveryProgress>,
    /// Which database the log belongs to; a segment of another one is refused.
    pub database_id: [u8; 16],
    /// Seeds the segments' salts. Where clients can choose what is written, they must not be able
    /// to guess it.
    pub seed: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            zero_fill_bytes: 1 << 20,
            spares_max: 4,
            archive: None,
            reads_ahead: true,
            progress: Arc::default(),
            database_id: [0; 16],
            seed: 0,
        }
    }
}

/// The log. [`Log::recover`] opens it.
#[derive(Debug)]
pub struct Log {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    options: LogOptions,
    segment: Segment,
    /// Where the next record goes.
    pub(super) position: u64,
    /// What lies before this in the segment is durable.
    durable_to: u64,
    /// Bytes of the segments before, also of those that went since.
    before: u64,
    /// The last record and the last version.
    chain: Chain,
    segments: Arc<Segments>,
    /// The first failure; there is no way back from it.
    failure: Option<String>,
}

/// Where the log stands when it is opened.
#[derive(Debug)]
pub(super) struct LogEnd {
    pub(super) position: u64,
    pub(super) chain: Chain,
    pub(super) segments: Segments,
}

impl Log {
    /// A log whose last segment has been made durable up to its end.
    pub(super) fn open(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        options: LogOptions,
        segment: Segment,
        end: LogEnd,
    ) -> Self {
        let position = end.position.next_multiple_of(SECTOR_BYTES);
        Self {
            vfs: Arc::clone(vfs),
            directory: directory.to_path_buf(),
            options,
            segment,
            position,
            durable_to: position,
            before: end.segments.closed_bytes(),
            chain: end.chain,
            segments: Arc::new(end.segments),
            failure: None,
        }
    }

    /// Writes the records behind those before, with one call. They are not durable before
    /// [`Log::sync`]. Records that don't fit into the segment go to the next one together.
    ///
    /// After a failure of the file system nothing more is taken: see [`LogError::Stopped`]. Records
    /// that are out of order are refused without harm.
    pub fn append(&mut self, records: &mut RecordEncoder) -> Result<(), LogError> {
        self.check_running()?;
        if let Some(first) = records.first_batch_version()
            && first <= self.chain.last_version
        {
            return Err(LogError::OutOfOrder { version: first, after: self.chain.last_version });
        }
        if records.is_empty() {
            return Ok(());
        }
        let result = self.write(records);
        self.stop_on_failure(result)
    }

    /// Makes everything that was appended durable.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.check_running()?;
        let result = self.sync_segment();
        self.stop_on_failure(result)
    }

    /// Makes everything that was appended durable, and says how far that is.
    pub fn mark(&mut self) -> Result<LogMark, LogError> {
        self.sync()?;
        Ok(LogMark {
            segment: self.segment.header.number,
            position: self.position,
            previous: self.chain.previous,
            last_version: self.chain.last_version,
        })
    }

    /// How many bytes the log takes, without the room ahead.
    pub fn bytes(&self) -> u64 {
        self.segments.closed_bytes() + self.position
    }

    /// Where the log ends: how many bytes it has, with those of segments that went since it was
    /// opened.
    pub(crate) fn end(&self) -> u64 {
        self.before + self.position
    }

    /// Which segments there are, for whoever makes the oldest ones unnecessary.
    pub fn segments(&self) -> Arc<Segments> {
        Arc::clone(&self.segments)
    }

    /// How many bytes of records the segment that is appended to can still take.
    pub(crate) fn room_left(&self) -> u64 {
        self.segment.capacity.saturating_sub(self.position.next_multiple_of(SECTOR_BYTES))
    }

    /// Whether there is room for a ceiling's record; if not, it is made where that can be.
    pub(crate) fn make_room_for_ceiling(&self) -> bool {
        let has_room = self.room_left() >= SECTOR_BYTES || self.segments.stats().spares > 0;
        has_room || self.segments.make_spare(self.options.segment_bytes).is_ok()
    }

    /// The number of the segment that is appended to.
    pub fn segment_number(&self) -> u64 {
        self.segment.header.number
    }

    fn write(&mut self, records: &mut RecordEncoder) -> Result<(), LogError> {
        let bytes = records.bytes() as u64;
        if self.position + bytes > self.segment.capacity {
            self.rotate(bytes)?;
        }
        let last_version = records.last_batch_version();
        let place = Place { salt: self.segment.header.salt, offset: self.position };
        let end = self.position + bytes;
        // Up to the next sector, where the next record begins after a sync: there may be something
        // from an earlier life of the file.
        let written = end.next_multiple_of(SECTOR_BYTES).min(self.segment.capacity);
        let padding = (written - end) as usize;
        let (sealed, previous) = records.seal(place, self.durable_to, self.chain.previous, padding);
        self.segment.fill_to(end, self.options.zero_fill_bytes)?;
        self.segment.file.write_all_at(sealed, self.position)?;
        self.position = end;
        self.chain.previous = previous;
        self.chain.last_version = last_version.unwrap_or(self.chain.last_version);
        Ok(())
    }

    /// Makes this segment durable to its end and begins the next one, with room for this many bytes
    /// at least. Thus a segment that has a successor has no torn tail.
    fn rotate(&mut self, bytes: u64) -> Result<(), LogError> {
        self.sync_segment()?;
        let number = self.segment.header.number + 1;
        let header = SegmentHeader {
            database_id: self.options.database_id,
            number,
            salt: self.options.salt(number),
            after_version: self.chain.last_version,
            previous: self.chain.previous,
            stale_to: 0,
        };
        let segment = match self.segments.segment_of_spare(&header, bytes) {
            Some(segment) => segment?,
            None => self.new_segment(header, bytes)?,
        };
        self.segments.rotated(number, self.chain.last_version, self.position);
        self.before += self.position;
        self.segment = segment;
        self.position = SEGMENT_HEADER_BYTES as u64;
        self.durable_to = self.position;
        Ok(())
    }

    fn new_segment(&self, header: SegmentHeader, bytes: u64) -> Result<Segment, LogError> {
        let capacity = self.options.segment_bytes.max(SEGMENT_HEADER_BYTES as u64 + bytes);
        let capacity = capacity.next_multiple_of(SECTOR_BYTES);
        let unfinished = Unfinished::create(&*self.vfs, &self.directory, header)?;
        unfinished.finish(&*self.vfs, &self.directory, capacity, &self.options)
    }

    fn sync_segment(&mut self) -> Result<(), LogError> {
        if self.durable_to == self.position {
            return Ok(());
        }
        self.segment.file.sync_data()?;
        // The next record begins a sector, so that writing it can't harm what is durable now.
        self.position = self.position.next_multiple_of(SECTOR_BYTES);
        self.durable_to = self.position;
        Ok(())
    }

    fn check_running(&self) -> Result<(), LogError> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(LogError::Stopped { failure: failure.clone() }),
        }
    }

    fn stop_on_failure(&mut self, result: Result<(), LogError>) -> Result<(), LogError> {
        if let Err(error) = &result {
            self.failure = Some(error.to_string());
        }
        result
    }
}

impl LogOptions {
    /// The salt of a segment.
    pub(super) fn salt(&self, number: u64) -> u64 {
        Random::new(self.seed ^ Random::new(number).next_u64()).next_u64()
    }
}
