//! What may be given as a key or a value.

use bytes::Bytes;

/// Becomes bytes: without a copy if it owns them, with one if it is borrowed.
pub trait IntoBytes {
    /// The bytes.
    fn into_bytes(self) -> Bytes;
}

/// Copies bytes. Of a short piece clones cost nothing but a count: `Bytes` alone would allocate once
/// more for the first.
pub fn copied(bytes: &[u8]) -> Bytes {
    match bytes.len() {
        0 => Bytes::new(),
        1..=32 => Short::<32>::of(bytes),
        33..=64 => Short::<64>::of(bytes),
        65..=128 => Short::<128>::of(bytes),
        _ => Bytes::copy_from_slice(bytes),
    }
}

/// A few bytes, in the same allocation as their count of owners.
struct Short<const N: usize> {
    length: u8,
    bytes: [u8; N],
}

impl<const N: usize> Short<N> {
    /// These bytes, up to `N` of them.
    fn of(bytes: &[u8]) -> Bytes {
        let mut short = Self { length: bytes.len() as u8, bytes: [0; N] };
        if let Some(place) = short.bytes.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        Bytes::from_owner(short)
    }
}

impl<const N: usize> AsRef<[u8]> for Short<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl IntoBytes for Bytes {
    fn into_bytes(self) -> Bytes {
        self
    }
}

impl IntoBytes for &Bytes {
    fn into_bytes(self) -> Bytes {
        self.clone()
    }
}

impl IntoBytes for Vec<u8> {
    fn into_bytes(self) -> Bytes {
        self.into()
    }
}

impl IntoBytes for String {
    fn into_bytes(self) -> Bytes {
        self.into()
    }
}

impl IntoBytes for &String {
    fn into_bytes(self) -> Bytes {
        copied(self.as_bytes())
    }
}

impl IntoBytes for &Vec<u8> {
    fn into_bytes(self) -> Bytes {
        copied(self)
    }
}

impl IntoBytes for &str {
    fn into_bytes(self) -> Bytes {
        copied(self.as_bytes())
    }
}

impl IntoBytes for &[u8] {
    fn into_bytes(self) -> Bytes {
        copied(self)
    }
}

impl<const N: usize> IntoBytes for &[u8; N] {
    fn into_bytes(self) -> Bytes {
        copied(self)
    }
}

impl<const N: usize> IntoBytes for [u8; N] {
    fn into_bytes(self) -> Bytes {
        copied(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_what_was_copied() {
        let all: Vec<u8> = (0..=255).collect();
        for length in 0..all.len() {
            let copy = copied(&all[..length]);
            let (clone, slice) = (copy.clone(), copy.slice(length / 2..));
            drop(copy);
            assert_eq!(clone, all[..length]);
            assert_eq!(slice, all[length / 2..length]);
        }
    }
}
