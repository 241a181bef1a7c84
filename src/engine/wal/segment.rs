//! A segment: its name, its header, and how it comes into being.
//!
//! A segment is made under another name (`.new`) and renamed when its header is durable. So a file
//! that has a segment's name has had a sound header, and one that has none now is damaged.
//!
//! The file has its full length from the start. Bytes are also written as zeros, a stretch at a
//! time ahead of the records, so that a sync behind a record has no metadata to write.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use plinth_protocol::Version;

use super::{LogError, LogOptions};
use crate::{
    engine::file_header::{FILE_HEADER_BYTES, FileKind, HeaderError},
    vfs::{File, Vfs, VfsError},
};

/// Bytes of a segment's header: one sector.
pub(super) const SEGMENT_HEADER_BYTES: usize = FILE_HEADER_BYTES;
/// What a disk writes as one. Records that are synced apart never share one.
pub(super) const SECTOR_BYTES: u64 = 512;
/// The number of the first segment.
pub(super) const FIRST_SEGMENT: u64 = 1;

const KIND: FileKind = FileKind { magic: *b"PLINTHWL", format: 1 };
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What a segment's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) database_id: [u8; 16],
    pub(super) number: u64,
    /// Unguessable; the checksums of the records cover it, so that no bytes in a value and no
    /// bytes of another segment pass for a record.
    pub(super) salt: u64,
    /// The last version of the segments before this one.
    pub(super) after_version: Version,
    /// The checksum of the last record of the segments before this one; zero for the first.
    pub(super) previous: u32,
    /// The file had another life before: what lies before this and isn't a record of this segment
    /// is left from there and means nothing. Zero for a new file.
    pub(super) stale_to: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        KIND.encode(&[
            &self.previous.to_le_bytes(),
            &self.database_id,
            &self.number.to_le_bytes(),
            &self.salt.to_le_bytes(),
            &self.after_version.0.to_le_bytes(),
            &self.stale_to.to_le_bytes(),
        ])
    }

    pub(super) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, HeaderError> {
        KIND.decode(bytes, |fields| {
            let (previous, rest) = fields.split_first_chunk::<4>()?;
            let (database_id, rest) = rest.split_first_chunk::<16>()?;
            let (number, rest) = rest.split_first_chunk::<8>()?;
            let (salt, rest) = rest.split_first_chunk::<8>()?;
            let (after_version, rest) = rest.split_first_chunk::<8>()?;
            let (stale_to, _) = rest.split_first_chunk::<8>()?;
            Some(Self {
                database_id: *database_id,
                number: u64::from_le_bytes(*number),
                salt: u64::from_le_bytes(*salt),
                after_version: Version(u64::from_le_bytes(*after_version)),
                previous: u32::from_le_bytes(*previous),
                stale_to: u64::from_le_bytes(*stale_to),
            })
        })
    }
}

/// The path of a segment.
pub(super) fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}.log"))
}

/// The path of a segment that is being made.
pub(super) fn unfinished_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}.new"))
}

/// What a name in the log's directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Segment(u64),
    /// A segment that was being made when the program ended.
    Unfinished,
    /// Room for a segment.
    Spare(u64),
    /// Ends like a segment and is none.
    Unexpected,
    /// Nothing of ours.
    Other,
}

impl Name {
    pub(super) fn of(name: &OsStr) -> Self {
        let path = Path::new(name);
        let number = path.file_stem().and_then(OsStr::to_str);
        let number = number.and_then(|number| number.parse::<u64>().ok());
        let number = number.filter(|number| {
            let stem = path.file_stem().unwrap_or_default();
            *number >= FIRST_SEGMENT && *stem == *format!("{number:016}")
        });
        match (path.extension().and_then(OsStr::to_str), number) {
            (Some("log"), Some(number)) => Self::Segment(number),
            (Some("log"), None) => Self::Unexpected,
            (Some("new"), Some(_)) => Self::Unfinished,
            (Some("spare"), Some(serial)) => Self::Spare(serial),
            _ => Self::Other,
        }
    }
}

/// A segment that records are appended to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) file: Box<dyn File>,
    /// The length of the file.
    pub(super) capacity: u64,
    /// What lies before this has been written at least once, with zeros where there are no records.
    pub(super) filled: u64,
}

/// A segment that has no name yet.
#[derive(Debug)]
pub(super) struct Unfinished {
    header: SegmentHeader,
    file: Box<dyn File>,
    /// Bytes that have been written one behind the other.
    written: u64,
}

impl Unfinished {
    /// Begins a segment: a file under another name with a header.
    pub(super) fn create(
        vfs: &dyn Vfs,
        directory: &Path,
        header: SegmentHeader,
    ) -> Result<Self, LogError> {
        let file = vfs.create(&unfinished_path(directory, header.number))?;
        file.write_all_at(&header.encode(), 0)?;
        Ok(Self { header, file, written: SEGMENT_HEADER_BYTES as u64 })
    }

    /// Adds bytes behind those that were written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        self.file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Gives the segment its room, makes it durable, then gives it its name and makes that durable.
    /// A segment that had this name is replaced.
    pub(super) fn finish(
        self,
        vfs: &dyn Vfs,
        directory: &Path,
        capacity: u64,
        options: &LogOptions,
    ) -> Result<Segment, LogError> {
        let number = self.header.number;
        let capacity = capacity.max(self.written);
        self.file.allocate(capacity)?;
        let mut segment =
            Segment { header: self.header, file: self.file, capacity, filled: self.written };
        segment.fill_to(self.written, options.zero_fill_bytes)?;
        segment.file.sync_all()?;
        vfs.rename(&unfinished_path(directory, number), &segment_path(directory, number))?;
        vfs.sync_directory(directory)?;
        Ok(segment)
    }
}

impl Segment {
    /// Makes sure that what lies before `end` is written when the records that end there are: zeros
    /// from there to the end of the stretch.
    pub(super) fn fill_to(&mut self, end: u64, stretch: u64) -> Result<(), LogError> {
        if end < self.filled || self.filled == self.capacity {
            return Ok(());
        }
        let stretch = stretch.max(SECTOR_BYTES);
        let target = (end + 1).checked_next_multiple_of(stretch).unwrap_or(u64::MAX);
        let target = target.min(self.capacity).max(end);
        fill(&*self.file, self.filled.max(end), target)?;
        self.filled = target;
        Ok(())
    }
}

/// Writes zeros.
pub(super) fn fill(file: &dyn File, begin: u64, end: u64) -> Result<(), VfsError> {
    let mut position = begin;
    while position < end {
        let count = (end - position).min(ZEROS.len() as u64) as usize;
        file.write_all_at(ZEROS.get(..count).unwrap_or(&ZEROS), position)?;
        position += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_no_bit_may_change() {
        let header = SegmentHeader {
            database_id: *b"0123456789abcdef",
            number: 7,
            salt: 0xDEAD_BEEF,
            after_version: Version(99),
            previous: 5,
            stale_to: 1 << 20,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), Err(HeaderError::Damaged), "bit {bit}");
        }
        let mut newer = bytes;
        newer[8] = 2;
        let crc = crc32fast::hash(&newer[..508]);
        newer[508..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&newer), Err(HeaderError::UnknownFormat(2)));
    }

    #[test]
    fn names_are_told_apart() {
        let name = |name: &str| Name::of(OsStr::new(name));
        assert_eq!(name("0000000000000012.log"), Name::Segment(12));
        assert_eq!(name("0000000000000012.new"), Name::Unfinished);
        assert_eq!(name("0000000000000012.spare"), Name::Spare(12));
        for odd in ["12.log", "0000000000000000.log", "x.log", "+000000000000012.log"] {
            assert_eq!(name(odd), Name::Unexpected, "{odd}");
        }
        assert_eq!(name("notes.txt"), Name::Other);
        assert_eq!(name(".log"), Name::Other);
    }
}
