//! Reads a manifest from its beginning to the place where no sound record follows.

use std::path::{Path, PathBuf};

use super::{
    ManifestError, ManifestState,
    body::decode,
    record::{
        MANIFEST_HEADER_BYTES, ManifestHeader, Place, RECORD_HEADER_BYTES, RecordHeader,
        SECTOR_BYTES, TYPE_EDIT, TYPE_SNAPSHOT,
    },
};
use crate::{
    engine::file_header::HeaderError,
    vfs::{File, Vfs},
};

/// How much is looked at a time when a later record is searched.
const WINDOW_BYTES: u64 = 1 << 20;

/// What a manifest comes to.
#[derive(Debug)]
pub(super) struct ReadManifest {
    pub(super) state: ManifestState,
    /// How many records were read, the first one included.
    pub(super) records: u64,
    /// Where a record began that was not whole.
    pub(super) torn_at: Option<u64>,
}

struct Reader {
    path: PathBuf,
    file: Box<dyn File>,
    file_bytes: u64,
    salt: u64,
    offset: u64,
    previous: u32,
}

/// Reads the manifest in this file.
pub(super) fn read(
    vfs: &dyn Vfs,
    path: &Path,
    number: u64,
    database_id: [u8; 16],
) -> Result<ReadManifest, ManifestError> {
    let mut reader = Reader::open(vfs, path, number, database_id)?;
    let mut read = ReadManifest { state: ManifestState::default(), records: 0, torn_at: None };
    while let Some((record_type, body)) = reader.next()? {
        let offset = reader.offset;
        let expected = if read.records == 0 { TYPE_SNAPSHOT } else { TYPE_EDIT };
        if ![TYPE_SNAPSHOT, TYPE_EDIT].contains(&record_type) {
            return Err(ManifestError::UnknownRecord { path: reader.path, offset, record_type });
        }
        if record_type != expected {
            return Err(reader.damaged("a record is of another type than its place asks for"));
        }
        let (edit, next_number) = decode(&body).map_err(|what| reader.damaged(what))?;
        read.state.apply(&edit).map_err(|what| reader.damaged(what))?;
        if next_number < read.state.next_number {
            return Err(reader.damaged("the record's next number is taken"));
        }
        read.state.next_number = next_number;
        read.records += 1;
        reader.offset = end_of(offset, body.len());
    }
    if read.records == 0 {
        return Err(reader.damaged("the manifest's first record is damaged"));
    }
    if reader.has_later_record()? {
        return Err(reader.damaged("a record was here and was durable, as a later one shows"));
    }
    if reader.offset < reader.file_bytes {
        read.torn_at = Some(reader.offset);
    }
    Ok(read)
}

/// Where the record after one with a body of this length begins.
pub(super) fn end_of(offset: u64, body_bytes: usize) -> u64 {
    (offset + (RECORD_HEADER_BYTES + body_bytes) as u64).next_multiple_of(SECTOR_BYTES)
}

impl Reader {
    fn open(
        vfs: &dyn Vfs,
        path: &Path,
        number: u64,
        database_id: [u8; 16],
    ) -> Result<Self, ManifestError> {
        let file = vfs.open_for_reading(path)?;
        let file_bytes = file.len()?;
        let mut reader =
            Self { path: path.into(), file, file_bytes, salt: 0, offset: 0, previous: 0 };
        let mut header = [0; MANIFEST_HEADER_BYTES];
        if file_bytes < header.len() as u64 {
            return Err(reader.damaged("the file is shorter than a manifest's header"));
        }
        reader.file.read_exact_at(&mut header, 0)?;
        let header = match ManifestHeader::decode(&header) {
            Ok(header) => header,
            Err(HeaderError::Damaged) => {
                return Err(reader.damaged("the manifest's header is damaged"));
            }
            Err(HeaderError::UnknownFormat(format)) => {
                return Err(ManifestError::UnknownFormat { path: reader.path, format });
            }
        };
        if header.database_id != database_id {
            return Err(ManifestError::Foreign { path: reader.path });
        }
        if header.number != number {
            return Err(reader.damaged("the manifest's header has another number than its name"));
        }
        reader.salt = header.salt;
        reader.offset = MANIFEST_HEADER_BYTES as u64;
        Ok(reader)
    }

    fn damaged(&self, what: &'static str) -> ManifestError {
        ManifestError::Damaged { path: self.path.clone(), offset: self.offset, what }
    }

    /// The type and the body of the record here, or none where no sound one is.
    fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, ManifestError> {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        let body_offset = self.offset + bytes.len() as u64;
        if body_offset > self.file_bytes {
            return Ok(None);
        }
        self.file.read_exact_at(&mut bytes, self.offset)?;
        let place = Place { salt: self.salt, offset: self.offset };
        let Some((header, crc)) = RecordHeader::decode(&bytes, place) else { return Ok(None) };
        if u64::from(header.body_bytes) > self.file_bytes - body_offset {
            return Ok(None);
        }
        let mut body = vec![0; header.body_bytes as usize];
        self.file.read_exact_at(&mut body, body_offset)?;
        if crc32fast::hash(&body) != header.body_crc {
            return Ok(None);
        }
        if header.previous != self.previous {
            return Err(self.damaged("this record does not follow from the one before it"));
        }
        self.previous = crc;
        Ok(Some((header.record_type, body)))
    }

    /// Whether the header of a record lies behind the place where reading ended. Each record was
    /// synced before the next was written, so then this place was durable once.
    fn has_later_record(&self) -> Result<bool, ManifestError> {
        let mut window = Vec::new();
        let mut begin = self.offset + SECTOR_BYTES;
        while begin < self.file_bytes {
            window.resize((self.file_bytes - begin).min(WINDOW_BYTES) as usize, 0);
            self.file.read_exact_at(&mut window, begin)?;
            let mut offset = begin;
            for sector in window.chunks(SECTOR_BYTES as usize) {
                let place = Place { salt: self.salt, offset };
                if let Some(bytes) = sector.first_chunk::<RECORD_HEADER_BYTES>()
                    && RecordHeader::decode(bytes, place).is_some()
                {
                    return Ok(true);
                }
                offset += SECTOR_BYTES;
            }
            begin += window.len() as u64;
        }
        Ok(false)
    }
}
