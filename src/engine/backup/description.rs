//! `BACKUP`: what a backup is, and every file of it.
//!
//! It is written last, so a directory that has it is a whole backup. A file's checksum is there
//! where the checkpoint read the file anyway; tables have checksums of their own within.

use std::path::Path;

use plinth_protocol::Version;

use super::BackupError;
use crate::{
    engine::{directory::DatabaseId, wal::LogMark},
    vfs::Vfs,
};

/// The name of the file.
pub(in crate::engine) const BACKUP: &str = "BACKUP";
/// Its name until the backup is whole.
pub(super) const BACKUP_UNFINISHED: &str = "BACKUP.new";

const MAGIC: [u8; 8] = *b"PLINTHBK";
const FORMAT: u32 = 1;
/// The longest there is: over half a million files.
const BYTES_MAX: u64 = 64 << 20;

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupDescription {
    /// The database that it is of.
    pub database_id: DatabaseId,
    /// The last commit that it has. It has every commit up to it, and none above.
    pub version: Version,
    /// When it was made, in milliseconds since 1970: not before any of its commits.
    pub created_at_ms: u64,
    /// The database had not handed out any version above.
    pub ceiling: Version,
    /// Its tables have the commits up to this version, the log those above.
    pub flushed: Version,
    /// The first segment of its log.
    pub log_start: u64,
    /// Where its log ends.
    pub log_end: LogMark,
    /// Its files, but for this one.
    pub files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// Where it is in the backup, with `/` between directory and name.
    pub path: String,
    /// How long it is.
    pub bytes: u64,
    /// The CRC-32 of its bytes, if it is known.
    pub crc: Option<u32>,
}

impl BackupDescription {
    /// Reads the description of the backup in this directory.
    pub fn read(vfs: &dyn Vfs, directory: &Path) -> Result<Self, BackupError> {
        let path = directory.join(BACKUP);
        if !vfs.exists(&path)? {
            return Err(BackupError::NoBackup { path: directory.to_path_buf() });
        }
        let damaged = |what| BackupError::Damaged { path: path.clone(), offset: 0, what };
        let file = vfs.open_for_reading(&path)?;
        let length = file.len()?;
        if length > BYTES_MAX {
            return Err(damaged("the file is longer than any description"));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0)?;
        match decode(&bytes) {
            Ok(description) => Ok(description),
            Err(Undecodable::Damaged(what)) => Err(damaged(what)),
            Err(Undecodable::Format(format)) => Err(BackupError::UnknownFormat { path, format }),
        }
    }

    /// How long the files in one of its directories are together.
    pub(super) fn bytes_in(&self, directory: &str) -> u64 {
        let is_in = |file: &&BackupFile| file.path.split('/').next() == Some(directory);
        self.files.iter().filter(is_in).map(|file| file.bytes).sum()
    }

    /// Its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.log_end.previous.to_le_bytes());
        bytes.extend_from_slice(&self.database_id.0);
        let numbers = [
            self.version.0,
            self.created_at_ms,
            self.ceiling.0,
            self.flushed.0,
            self.log_start,
            self.log_end.segment,
            self.log_end.position,
            self.files.len() as u64,
        ];
        for number in numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for file in &self.files {
            bytes.extend_from_slice(&file.bytes.to_le_bytes());
            bytes.extend_from_slice(&file.crc.unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(&u16::from(file.crc.is_some()).to_le_bytes());
            bytes.extend_from_slice(&(file.path.len() as u16).to_le_bytes());
            bytes.extend_from_slice(file.path.as_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Undecodable {
    Damaged(&'static str),
    Format(u32),
}

const SHORT: Undecodable = Undecodable::Damaged("the description ends in the middle");

fn decode(bytes: &[u8]) -> Result<BackupDescription, Undecodable> {
    let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(SHORT)?;
    if !bytes.starts_with(&MAGIC) || crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return Err(Undecodable::Damaged("the description's checksum does not match"));
    }
    let mut rest = Rest(covered.get(MAGIC.len()..).unwrap_or_default());
    let format = rest.u32()?;
    if format != FORMAT {
        return Err(Undecodable::Format(format));
    }
    let previous = rest.u32()?;
    let database_id = DatabaseId(*rest.chunk::<16>()?);
    let version = rest.version()?;
    let created_at_ms = rest.u64()?;
    let (ceiling, flushed) = (rest.version()?, rest.version()?);
    let log_start = rest.u64()?;
    let (segment, position) = (rest.u64()?, rest.u64()?);
    let count = rest.u64()?;
    // Each takes at least sixteen bytes, so nothing is allocated that the file can't hold.
    if count > rest.0.len() as u64 / 16 {
        return Err(Undecodable::Damaged("the description counts more files than it can hold"));
    }
    let files = (0..count).map(|_| rest.file()).collect::<Result<_, _>>()?;
    if !rest.0.is_empty() {
        return Err(Undecodable::Damaged("the description goes on behind its end"));
    }
    let log_end = LogMark { segment, position, previous, last_version: version };
    Ok(BackupDescription {
        database_id,
        version,
        created_at_ms,
        ceiling,
        flushed,
        log_start,
        log_end,
        files,
    })
}

/// What is still to be decoded.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Undecodable> {
        let (chunk, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(chunk)
    }

    fn u16(&mut self) -> Result<u16, Undecodable> {
        self.chunk().map(|bytes| u16::from_le_bytes(*bytes))
    }

    fn u32(&mut self) -> Result<u32, Undecodable> {
        self.chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Result<u64, Undecodable> {
        self.chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    fn version(&mut self) -> Result<Version, Undecodable> {
        let version = Version(self.u64()?);
        if version > Version::MAX {
            return Err(Undecodable::Damaged("a version is above the greatest that there is"));
        }
        Ok(version)
    }

    fn file(&mut self) -> Result<BackupFile, Undecodable> {
        let bytes = self.u64()?;
        let crc = self.u32()?;
        let has_crc = self.u16()? != 0;
        let length = usize::from(self.u16()?);
        let (path, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        let path = String::from_utf8(path.to_vec()).ok().filter(|path| is_inside(path));
        let path = path.ok_or(Undecodable::Damaged("a file's path is none within the backup"))?;
        Ok(BackupFile { path, bytes, crc: has_crc.then_some(crc) })
    }
}

/// Whether a path is one of ours: a directory, a slash, and a name. It must never lead out.
fn is_inside(path: &str) -> bool {
    let name = path.split_once('/').map(|(directory, name)| (directory, Path::new(name)));
    name.is_some_and(|(directory, name)| {
        [super::TABLES, super::MANIFEST, super::LOG].contains(&directory)
            && name.file_name() == Some(name.as_os_str())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::format_page::check;

    fn example() -> BackupDescription {
        let file = |path: &str, bytes, crc| BackupFile { path: path.to_owned(), bytes, crc };
        BackupDescription {
            database_id: DatabaseId(*b"0123456789abcdef"),
            version: Version(7_812_500_000),
            created_at_ms: 1_800_000_000_000,
            ceiling: Version(7_872_500_000),
            flushed: Version(7_000_000_000),
            log_start: 3,
            log_end: LogMark {
                segment: 4,
                position: 4096,
                previous: 0xDEAD_BEEF,
                last_version: Version(7_812_500_000),
            },
            files: vec![
                file("tables/0000000000000001.table", 1 << 20, None),
                file("log/0000000000000003.log", 4096, Some(0x1234_5678)),
            ],
        }
    }

    #[test]
    fn the_page_shows_a_description() {
        check("backup", &example().encode());
    }

    #[test]
    fn a_description_comes_back_and_no_bit_may_change() {
        let bytes = example().encode();
        assert_eq!(decode(&bytes), Ok(example()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&flipped), Err(Undecodable::Damaged(_))), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_though_their_checksum_is_right(bytes: Vec<u8>, keep in 0..200_usize) {
            let mut forged = example().encode();
            forged.truncate(keep.max(16));
            forged.extend_from_slice(&bytes);
            forged.extend_from_slice(&[0; 4]);
            if let Ok(description) = decode(&with_crc(forged.clone())) {
                prop_assert_eq!(decode(&description.encode()), Ok(description));
            }
        }
    }

    fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
        let end = bytes.len() - 4;
        let crc = crc32fast::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn what_makes_no_sense_is_refused_though_its_checksum_is_right() {
        let mut newer = example().encode();
        newer[8] = 2;
        assert_eq!(decode(&with_crc(newer)), Err(Undecodable::Format(2)));
        let mut crowded = example().encode();
        crowded[88] = 200;
        assert!(decode(&with_crc(crowded)).is_err());
        for path in ["../IDENTITY", "tables/../../x", "/etc/passwd", "tables/", "x/y", "LOCK"] {
            let mut wrong = example();
            wrong.files[0].path = path.to_owned();
            let refused = Undecodable::Damaged("a file's path is none within the backup");
            assert_eq!(decode(&wrong.encode()), Err(refused), "{path}");
        }
    }
}
