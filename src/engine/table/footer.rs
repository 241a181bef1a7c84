//! The last 64 bytes of a table.
//!
//! ```text
//!   number (8) │ length of the file (8) │ offsets of the tombstones, the filter, the index and the
//!   properties (8 each) │ CRC-32 (4) │ format (4) │ magic (8)
//! ```
//!
//! The blocks begin at zero, and every section ends where the next one begins; one that isn't there
//! is empty. In every format the last 16 bytes mean the same, and the checksum covers all of the 64
//! but itself.

use std::ops::Range;

use super::{coding::Input, options::TableNumber};

pub(super) const FOOTER_BYTES: usize = 64;
const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"PLINTHTB";
/// Where the checksum is.
const CRC_AT: usize = 48;

/// Where the sections of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) number: TableNumber,
    pub(super) file_bytes: u64,
    pub(super) tombstones: u64,
    pub(super) filter: u64,
    pub(super) index: u64,
    pub(super) properties: u64,
}

/// Why the bytes are no footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FooterError {
    /// They are not what was written.
    Damaged(&'static str),
    /// Of a format that is not known.
    UnknownFormat(u32),
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        let numbers = [
            self.number.0,
            self.file_bytes,
            self.tombstones,
            self.filter,
            self.index,
            self.properties,
        ];
        for number in numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&MAGIC);
        let mut bytes: [u8; FOOTER_BYTES] =
            bytes.try_into().expect("the fields above are 64 bytes");
        let crc = checksum(&bytes);
        if let Some(field) = bytes.get_mut(CRC_AT..CRC_AT + 4) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    /// The footer of the table of this number, whose file has this length.
    pub(super) fn decode(
        bytes: &[u8; FOOTER_BYTES],
        number: TableNumber,
        file_bytes: u64,
    ) -> Result<Self, FooterError> {
        let damaged = FooterError::Damaged;
        let (footer, crc, format, magic) =
            fields(bytes).ok_or(damaged("the footer is too short"))?;
        if magic != MAGIC {
            return Err(damaged("it does not end as a table does"));
        }
        if crc != checksum(bytes) {
            return Err(damaged("the footer's checksum is wrong"));
        }
        if format != FORMAT {
            return Err(FooterError::UnknownFormat(format));
        }
        if footer.number != number {
            return Err(damaged("it is another table, by the number in its footer"));
        }
        if footer.file_bytes != file_bytes {
            return Err(damaged("the file does not have the length that its footer says"));
        }
        let ends = [
            footer.tombstones,
            footer.filter,
            footer.index,
            footer.properties,
            file_bytes.saturating_sub(FOOTER_BYTES as u64),
        ];
        if !ends.is_sorted() {
            return Err(damaged("the footer's sections are not in order"));
        }
        Ok(footer)
    }

    pub(super) fn data(&self) -> Range<u64> {
        0..self.tombstones
    }

    pub(super) fn tombstones(&self) -> Range<u64> {
        self.tombstones..self.filter
    }

    pub(super) fn filter(&self) -> Range<u64> {
        self.filter..self.index
    }

    pub(super) fn index(&self) -> Range<u64> {
        self.index..self.properties
    }

    pub(super) fn properties(&self) -> Range<u64> {
        self.properties..self.file_bytes - FOOTER_BYTES as u64
    }
}

fn fields(bytes: &[u8]) -> Option<(Footer, u32, u32, [u8; 8])> {
    let mut input = Input::new(bytes);
    let footer = Footer {
        number: TableNumber(input.u64()?),
        file_bytes: input.u64()?,
        tombstones: input.u64()?,
        filter: input.u64()?,
        index: input.u64()?,
        properties: input.u64()?,
    };
    Some((footer, input.u32()?, input.u32()?, input.array()?))
}

fn checksum(bytes: &[u8; FOOTER_BYTES]) -> u32 {
    let (before, rest) = bytes.split_at(CRC_AT);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(before);
    hasher.update(rest.get(4..).unwrap_or_default());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOOTER: Footer = Footer {
        number: TableNumber(3),
        file_bytes: 1000,
        tombstones: 100,
        filter: 100,
        index: 300,
        properties: 500,
    };

    #[test]
    fn a_footer_comes_back_and_no_bit_may_change() {
        let bytes = FOOTER.encode();
        assert_eq!(Footer::decode(&bytes, TableNumber(3), 1000), Ok(FOOTER));
        assert!(Footer::decode(&bytes, TableNumber(4), 1000).is_err());
        assert!(Footer::decode(&bytes, TableNumber(3), 1001).is_err());
        for bit in 0..FOOTER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = Footer::decode(&flipped, TableNumber(3), 1000).unwrap_err();
            assert!(matches!(error, FooterError::Damaged(_)), "bit {bit}: {error:?}");
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = FOOTER.encode();
        bytes[52] = 2;
        let crc = checksum(&bytes);
        bytes[48..52].copy_from_slice(&crc.to_le_bytes());
        let error = Footer::decode(&bytes, TableNumber(3), 1000).unwrap_err();
        assert_eq!(error, FooterError::UnknownFormat(2));
    }

    #[test]
    fn sections_out_of_order_are_refused() {
        let bytes = Footer { filter: 400, ..FOOTER }.encode();
        assert!(Footer::decode(&bytes, TableNumber(3), 1000).is_err());
        let bytes = Footer { properties: 990, ..FOOTER }.encode();
        assert!(Footer::decode(&bytes, TableNumber(3), 1000).is_err());
    }
}
