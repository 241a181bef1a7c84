//! The chain that records make: each names the one before it, also across segments.

use std::path::Path;

use plinth_protocol::Version;

use super::{
    LogError, LogRecord, LogStart, TornTail,
    body::decode::CheckedRecord,
    reader::{ReadRecord, SegmentReader},
    record::TYPE_BATCH,
    segment::{FIRST_SEGMENT, SegmentHeader},
};

/// The end of the chain as far as it has been read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    /// The checksum of the last record.
    pub(super) previous: u32,
    /// The last version of the last batch.
    pub(super) last_version: Version,
}

impl Chain {
    /// A chain that is read from the beginning of this segment on.
    pub(super) fn begin(header: &SegmentHeader) -> Self {
        Self { previous: header.previous, last_version: header.after_version }
    }

    /// Goes on to the next record, which must follow from the last one.
    pub(super) fn follow(&mut self, read: &ReadRecord, path: &Path) -> Result<(), LogError> {
        let header = &read.header;
        let what = if header.last_version > Version::MAX {
            "this record's version is above the greatest that there is"
        } else if header.previous != self.previous {
            "this record does not follow from the one before it"
        } else if header.record_type == TYPE_BATCH && header.first_version <= self.last_version {
            "this record's versions are not above those before it"
        } else {
            self.previous = read.header_crc;
            if header.record_type == TYPE_BATCH {
                self.last_version = header.last_version;
            }
            return Ok(());
        };
        Err(LogError::Damaged { path: path.to_path_buf(), offset: read.offset, what })
    }

    /// Checks that a segment goes on with the chain; the one before it ended here.
    pub(super) fn check_next(
        &self,
        next: &SegmentHeader,
        (path, offset): (&Path, u64),
    ) -> Result<(), LogError> {
        if next.previous == self.previous && next.after_version == self.last_version {
            return Ok(());
        }
        // The header is sound, so it is the segment before that has lost its end.
        let what = "the records end before the one that the next segment's header names";
        Err(LogError::Damaged { path: path.to_path_buf(), offset, what })
    }
}

/// Checks that a segment can be the first one. What came before it must be elsewhere.
pub(super) fn check_first(reader: &SegmentReader, start: LogStart) -> Result<(), LogError> {
    let SegmentHeader { number, previous, after_version, .. } = reader.header;
    let path = || reader.path.clone();
    if after_version > start.flushed {
        let (needed, begins) = (start.flushed, after_version);
        return Err(LogError::MissingTransactions { path: path(), needed, begins });
    }
    if number == FIRST_SEGMENT && previous != 0 {
        let what = "the first segment's header names a record before it";
        return Err(LogError::Damaged { path: path(), offset: 0, what });
    }
    Ok(())
}

/// What lies behind the last record of a segment that has no successor: nothing, or a torn tail, or
/// damage.
pub(super) fn end_of_last(reader: &mut SegmentReader) -> Result<Option<TornTail>, LogError> {
    let rest = reader.rest()?;
    let (path, offset) = (reader.path.clone(), reader.offset);
    if rest.has_witness {
        let what = "a record was here and was durable, as a later one says";
        return Err(LogError::Damaged { path, offset, what });
    }
    Ok((rest.bytes > 0).then_some(TornTail { path, offset, bytes: rest.bytes }))
}

impl ReadRecord {
    /// What the record says of versions above `after`; nothing, if it is a batch without them.
    pub(super) fn contents(
        &self,
        path: &Path,
        after: Version,
    ) -> Result<Option<LogRecord>, LogError> {
        self.checked(path, after)?.as_ref().map(CheckedRecord::to_record).transpose()
    }

    /// The same, where it was read to.
    pub(super) fn checked(
        &self,
        path: &Path,
        after: Version,
    ) -> Result<Option<CheckedRecord>, LogError> {
        let header = &self.header;
        if header.record_type == TYPE_BATCH && header.last_version <= after {
            return Ok(None);
        }
        let record = self.check(path, after)?;
        if let CheckedRecord::Batch(batch) = &record
            && batch.versions() != Some((header.first_version, header.last_version))
        {
            let what = "this record's versions are not those that its header names";
            return Err(LogError::Damaged { path: path.into(), offset: self.offset, what });
        }
        Ok(Some(record))
    }
}
