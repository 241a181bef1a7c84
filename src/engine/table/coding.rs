//! Numbers and lengths in a table's bytes. All numbers are little-endian; the lengths in records
//! have seven bits a byte, low bits first, the highest bit set where more follow.

/// The bytes make no sense: the place where they lie is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

/// Bytes that are taken apart from the front; nothing if there are too few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    /// So many numbers of `N` bytes, where they lie.
    pub(super) fn arrays<const N: usize>(&mut self, len: usize) -> Option<&'a [[u8; N]]> {
        let (arrays, _) = self.bytes(len.checked_mul(N)?)?.as_chunks();
        Some(arrays)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Option<u64> {
        let first = self.u8()?;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7F);
        for shift in (7..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A length that may be a place in memory.
    #[inline]
    pub(super) fn length(&mut self) -> Option<usize> {
        self.varint().and_then(|value| usize::try_from(value).ok())
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Appends a number, seven bits a byte.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`put_varint`] appends.
pub(super) fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// How many bytes hold this number: none for zero, eight at most.
pub(super) fn width_of(value: u64) -> usize {
    (64 - value.leading_zeros() as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_varint_comes_back_and_is_as_long_as_promised(shift in 0u32..64, bits: u64) {
            let value = bits >> shift;
            let mut bytes = vec![];
            put_varint(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varint_bytes(value));
            let mut input = Input::new(&bytes);
            prop_assert_eq!(input.varint(), Some(value));
            prop_assert!(input.rest().is_empty());
            prop_assert_eq!(Input::new(&bytes[..bytes.len() - 1]).varint(), None);
            let width = width_of(value);
            prop_assert!(width == 8 || value >> (8 * width) == 0);
            prop_assert!(width == 0 || value >> (8 * (width - 1)) != 0);
        }
    }

    #[test]
    fn an_endless_varint_is_none() {
        assert_eq!(Input::new(&[0xFF; 12]).varint(), None);
        assert_eq!(Input::new(&[1; 3]).arrays::<4>(usize::MAX), None);
    }
}
