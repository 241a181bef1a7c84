//! Mappers: a tuple that makes a key, or the beginning of keys, of each row.
//!
//! Its elements are copied into the key, but for strings in braces: `{K[2]}` stands for the third
//! element of the row's key, `{V[0]}` for the first of its value, and `{...}` at the end for
//! everything that may follow. Doubled braces are plain ones.

use bytes::{Bytes, BytesMut};
use plinth_protocol::{Error, ErrorCode, response::KeyValue};

use super::tuple::{elements, pack_like, string};

/// What a mapper does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapper {
    parts: Vec<Part>,
    /// Whether it makes the beginning of keys, not one key.
    pub(super) is_prefix: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// An element as packed.
    Fixed(Bytes),
    /// An element of the row's key.
    OfKey(usize),
    /// An element of the row's value.
    OfValue(usize),
}

impl Mapper {
    /// Understands a packed mapper.
    pub(super) fn parse(packed: &Bytes) -> Result<Self, Error> {
        let all = elements(packed).ok_or(ErrorCode::MAPPER_NOT_TUPLE)?;
        let mut mapper = Self { parts: Vec::with_capacity(all.len()), is_prefix: false };
        for (index, element) in all.iter().enumerate() {
            match string(element).as_deref() {
                Some(b"{...}") if index + 1 < all.len() => {
                    return Err(ErrorCode::MAPPER_BAD_RANGE_DESCRIPTOR.into());
                }
                Some(b"{...}") => mapper.is_prefix = true,
                Some(text) => mapper.parts.push(Part::of_string(element, text)?),
                None => mapper.parts.push(Part::Fixed(element.clone())),
            }
        }
        Ok(mapper)
    }

    /// The key, or the beginning of keys, that it makes of a row.
    pub(super) fn map(&self, row: &KeyValue) -> Result<Bytes, Error> {
        let (mut of_key, mut of_value) = (None, None);
        let mut key = BytesMut::new();
        for part in &self.parts {
            let (all, index) = match part {
                Part::Fixed(element) => {
                    key.extend_from_slice(element);
                    continue;
                }
                Part::OfKey(index) => {
                    (cut(&mut of_key, &row.key, ErrorCode::KEY_NOT_TUPLE)?, *index)
                }
                Part::OfValue(index) => {
                    (cut(&mut of_value, &row.value, ErrorCode::VALUE_NOT_TUPLE)?, *index)
                }
            };
            key.extend_from_slice(all.get(index).ok_or(ErrorCode::MAPPER_BAD_INDEX)?);
        }
        Ok(key.freeze())
    }
}

/// The elements of a tuple, cut once.
fn cut<'a>(
    elements_of: &'a mut Option<Vec<Bytes>>,
    packed: &Bytes,
    otherwise: ErrorCode,
) -> Result<&'a [Bytes], Error> {
    if elements_of.is_none() {
        *elements_of = Some(elements(packed).ok_or(otherwise)?);
    }
    Ok(elements_of.as_deref().unwrap_or_default())
}

impl Part {
    fn of_string(element: &Bytes, text: &[u8]) -> Result<Self, Error> {
        if let Some(plain) = unescape(text) {
            return Ok(Self::Fixed(pack_like(element, &plain)));
        }
        let (of, rest) = match text {
            [b'{', b'K', b'[', rest @ .., b']', b'}'] => (Self::OfKey as fn(usize) -> Self, rest),
            [b'{', b'V', b'[', rest @ .., b']', b'}'] => (Self::OfValue as fn(usize) -> Self, rest),
            _ => return Ok(Self::Fixed(element.clone())),
        };
        let index = std::str::from_utf8(rest).ok().and_then(|digits| digits.parse().ok());
        index.map(of).ok_or_else(|| ErrorCode::MAPPER_BAD_INDEX.into())
    }
}

/// The text with single braces where it has doubled ones; `None` if it has none such.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let is_doubled = |pair: &[u8]| pair == b"{{" || pair == b"}}";
    if !text.windows(2).any(is_doubled) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(byte) = rest.first() {
        out.push(*byte);
        let step = if rest.get(..2).is_some_and(is_doubled) { 2 } else { 1 };
        rest = rest.get(step..).unwrap_or_default();
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(texts: &[&str]) -> Bytes {
        let like = Bytes::from_static(b"\x02\x00");
        texts.iter().flat_map(|text| pack_like(&like, text.as_bytes())).collect()
    }

    fn mapped(mapper: &[&str], row: &KeyValue) -> Result<Bytes, ErrorCode> {
        let mapper = Mapper::parse(&packed(mapper)).map_err(|error| error.code)?;
        mapper.map(row).map_err(|error| error.code)
    }

    #[test]
    fn elements_of_the_row_take_their_places() {
        let row = KeyValue { key: packed(&["index", "red", "7"]), value: packed(&["seven"]) };
        let made = mapped(&["record", "{K[2]}", "{V[0]}", "{{K[1]}}", "{...}"], &row);
        assert_eq!(made, Ok(packed(&["record", "7", "seven", "{K[1]}"])));
        assert_eq!(mapped(&["{K[3]}"], &row), Err(ErrorCode::MAPPER_BAD_INDEX));
        assert_eq!(mapped(&["{V[-1]}"], &row), Err(ErrorCode::MAPPER_BAD_INDEX));
        assert_eq!(mapped(&["{K[x]}"], &row), Err(ErrorCode::MAPPER_BAD_INDEX));
        let late = mapped(&["{...}", "after"], &row);
        assert_eq!(late, Err(ErrorCode::MAPPER_BAD_RANGE_DESCRIPTOR));
    }

    #[test]
    fn what_is_no_tuple_is_said_to_be_none() {
        let row = KeyValue { key: "\x7F".into(), value: "\x7F".into() };
        assert_eq!(mapped(&["{K[0]}"], &row), Err(ErrorCode::KEY_NOT_TUPLE));
        assert_eq!(mapped(&["{V[0]}"], &row), Err(ErrorCode::VALUE_NOT_TUPLE));
        assert_eq!(mapped(&["fixed"], &row), Ok(packed(&["fixed"])), "nobody asks");
        let error = Mapper::parse(&Bytes::from_static(b"\x7F")).unwrap_err();
        assert_eq!(error.code, ErrorCode::MAPPER_NOT_TUPLE);
    }
}
