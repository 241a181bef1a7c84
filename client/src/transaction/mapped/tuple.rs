//! Packed tuples, as far as mappers need them: cut into elements, strings taken out and put in.
//!
//! An element begins with a byte for its type. Strings end with a zero byte, and a zero byte within
//! them is followed by `0xFF`; numbers have the length that their type says.

use bytes::Bytes;

const NULL: u8 = 0x00;
const BYTES: u8 = 0x01;
const STRING: u8 = 0x02;
const NESTED: u8 = 0x05;
const NEGATIVE_LONG: u8 = 0x0B;
const ZERO: u8 = 0x14;
const POSITIVE_LONG: u8 = 0x1D;
/// How deep tuples may lie in tuples.
const DEPTH_MAX: usize = 64;

/// The elements of a packed tuple, each as packed; `None` if the bytes are none.
pub(super) fn elements(packed: &Bytes) -> Option<Vec<Bytes>> {
    let mut elements = Vec::new();
    let mut at = 0;
    while at < packed.len() {
        let length = length(packed.get(at..)?, 0)?;
        elements.push(packed.slice(at..at + length));
        at += length;
    }
    Some(elements)
}

/// How many bytes the first element has.
fn length(packed: &[u8], depth: usize) -> Option<usize> {
    let (&kind, rest) = packed.split_first()?;
    let length = 1 + match kind {
        NULL | ZERO | 0x26 | 0x27 => 0,
        BYTES | STRING => end_of_string(rest)?,
        NESTED => end_of_nested(rest, depth)?,
        NEGATIVE_LONG => 1 + usize::from(rest.first()? ^ 0xFF),
        POSITIVE_LONG => 1 + usize::from(*rest.first()?),
        0x0C..ZERO => usize::from(ZERO - kind),
        0x15..POSITIVE_LONG => usize::from(kind - ZERO),
        0x20 => 4,
        0x21 | 0x31 => 8,
        0x30 => 16,
        0x32 => 10,
        0x33 => 12,
        _ => return None,
    };
    (length <= packed.len()).then_some(length)
}

/// How many bytes a string has after its type, the zero byte at the end included.
fn end_of_string(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        if bytes.get(at) != Some(&0xFF) {
            return Some(at);
        }
        at += 1;
    }
}

/// The same of a tuple in a tuple, in which null is a zero byte and `0xFF`.
fn end_of_nested(bytes: &[u8], depth: usize) -> Option<usize> {
    if depth == DEPTH_MAX {
        return None;
    }
    let mut at = 0;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (&NULL, Some(0xFF)) => at += 2,
            (&NULL, _) => return Some(at + 1),
            _ => at += length(bytes.get(at..)?, depth + 1)?,
        }
    }
}

/// What a packed string holds; `None` of another element.
pub(super) fn string(element: &Bytes) -> Option<Vec<u8>> {
    let (kind, rest) = element.split_first()?;
    if ![BYTES, STRING].contains(kind) {
        return None;
    }
    let (_, body) = rest.split_last()?;
    let mut out = Vec::with_capacity(body.len());
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        out.push(*byte);
        if *byte == 0 {
            // The mark of a zero byte that is not the end.
            bytes.next();
        }
    }
    Some(out)
}

/// Packs a string of the type that `like` has.
pub(super) fn pack_like(like: &Bytes, text: &[u8]) -> Bytes {
    let mut packed = vec![like.first().copied().unwrap_or(BYTES)];
    for &byte in text {
        packed.push(byte);
        if byte == 0 {
            packed.push(0xFF);
        }
    }
    packed.push(0);
    packed.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_are_told_apart() {
        let packed: &[&[u8]] = &[
            b"\x00",
            b"\x01a\x00\xFFb\x00",
            b"\x02text\x00",
            b"\x05\x00\xFF\x01x\x00\x15\x07\x00",
            b"\x0C\0\0\0\0\0\0\0\0",
            b"\x13\xFE",
            b"\x14",
            b"\x15\x01",
            b"\x1C\0\0\0\0\0\0\0\x01",
            b"\x1D\x09\x01\0\0\0\0\0\0\0\0",
            b"\x0B\xF6\xFE\0\0\0\0\0\0\0\0",
            b"\x20\0\0\0\0",
            b"\x21\0\0\0\0\0\0\0\0",
            b"\x26",
            b"\x27",
            &[0x30; 17],
            &[0x33; 13],
        ];
        let all: Vec<u8> = packed.concat();
        assert_eq!(elements(&all.into()).unwrap(), packed);
        assert_eq!(string(&Bytes::from_static(packed[1])).unwrap(), b"a\0b");
        assert_eq!(string(&Bytes::from_static(packed[7])), None);
        assert_eq!(pack_like(&Bytes::from_static(b"\x01\x00"), b"a\0b"), packed[1]);
        assert_eq!(elements(&Bytes::new()).unwrap(), Vec::<Bytes>::new());
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_no_tuple() {
        for bytes in
            [&b"\x01a"[..], b"\x01\x00\xFF", b"\x15", b"\x30abc", b"\x40", b"\x05\x01", b"\xFF"]
        {
            assert_eq!(elements(&Bytes::copy_from_slice(bytes)), None, "{bytes:?}");
        }
        assert_eq!(elements(&vec![NESTED; 100_000].into()), None, "too deep");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_cut_into_all_of_it_or_refused(bytes: Vec<u8>) {
            if let Some(elements) = elements(&Bytes::from(bytes.clone())) {
                prop_assert_eq!(elements.concat(), bytes);
            }
        }
    }
}
