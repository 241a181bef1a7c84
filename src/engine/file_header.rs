//! The first sector of a file to which records are added: what the file is, in which format, what else
//! its header says, and a checksum over all of it.
//!
//! ```text
//!  magic        format   fields                            zeros          crc32
//!  8 bytes      4        as the sort of file has them                     4
//! ```

/// Bytes of a header: one sector.
pub(in crate::engine) const FILE_HEADER_BYTES: usize = 512;

/// A sort of file, in the format that this program writes.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct FileKind {
    pub(in crate::engine) magic: [u8; 8],
    pub(in crate::engine) format: u32,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum HeaderError {
    Damaged,
    UnknownFormat(u32),
}

impl FileKind {
    /// The header with these fields, which leave room for the rest.
    pub(in crate::engine) fn encode(&self, fields: &[&[u8]]) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(FILE_HEADER_BYTES);
        bytes.extend_from_slice(&self.magic);
        bytes.extend_from_slice(&self.format.to_le_bytes());
        for field in fields {
            bytes.extend_from_slice(field);
        }
        assert!(bytes.len() <= FILE_HEADER_BYTES - 4, "a header's fields fit into a sector");
        bytes.resize(FILE_HEADER_BYTES - 4, 0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes.try_into().expect("it was made 512 bytes long")
    }

    /// The fields of a header, read by `read` from their beginning. `read` answers `None` where the
    /// bytes end too soon.
    pub(in crate::engine) fn decode<T>(
        &self,
        bytes: &[u8; FILE_HEADER_BYTES],
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, HeaderError> {
        let fields = self.fields(bytes).unwrap_or(Err(HeaderError::Damaged))?;
        read(fields).ok_or(HeaderError::Damaged)
    }

    /// `None` where the bytes end too soon, which an array of this length doesn't.
    fn fields<'a>(
        &self,
        bytes: &'a [u8; FILE_HEADER_BYTES],
    ) -> Option<Result<&'a [u8], HeaderError>> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        let (magic, rest) = covered.split_first_chunk::<8>()?;
        if *magic != self.magic || u32::from_le_bytes(*crc) != crc32fast::hash(covered) {
            return Some(Err(HeaderError::Damaged));
        }
        let (format, fields) = rest.split_first_chunk::<4>()?;
        let format = u32::from_le_bytes(*format);
        Some(if format == self.format {
            Ok(fields)
        } else {
            Err(HeaderError::UnknownFormat(format))
        })
    }
}
