//! Fields: how messages are written and read, one primitive after the other.
//!
//! A message describes itself once, by naming its fields to a [`FieldSink`]. A `BytesMut` as sink
//! gives the bytes and the names vanish; [`FieldTrace`] as sink keeps the names, for people.
//! Reading goes through [`FieldReader`], which can't run past the end and reports trailing bytes.
//!
//! Integers are big-endian. A byte string is its length, 4 bytes, and its bytes. An option is one
//! byte, 0 or 1, then the value if 1. A list is its count, 4 bytes, then its items.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A length or a count on the wire. One that does not fit belongs to a frame beyond every limit:
/// the peer refuses the frame, whatever stands here.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Takes the fields of a message, in order.
pub trait FieldSink {
    /// One byte.
    fn u8(&mut self, name: &'static str, value: u8);
    /// Two bytes.
    fn u16(&mut self, name: &'static str, value: u16);
    /// Four bytes.
    fn u32(&mut self, name: &'static str, value: u32);
    /// Eight bytes.
    fn u64(&mut self, name: &'static str, value: u64);
    /// Bytes as they are, without a length.
    fn raw(&mut self, name: &'static str, value: &[u8]);

    /// A length of four bytes, then the bytes.
    fn bytes(&mut self, name: &'static str, value: &[u8]) {
        self.u32("length", count(value.len()));
        self.raw(name, value);
    }

    /// A byte of 0 or 1.
    fn bool(&mut self, name: &'static str, value: bool) {
        self.u8(name, u8::from(value));
    }

    /// Whether there is a value, then the value, written by `write`.
    fn option<T>(
        &mut self,
        name: &'static str,
        value: Option<&T>,
        write: impl FnOnce(&mut Self, &T),
    ) {
        self.bool(name, value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// How many, then each, written by `write`.
    fn list<T>(&mut self, name: &'static str, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.u32(name, count(items.len()));
        for item in items {
            write(self, item);
        }
    }
}

impl FieldSink for BytesMut {
    fn u8(&mut self, _: &'static str, value: u8) {
        self.put_u8(value);
    }

    fn u16(&mut self, _: &'static str, value: u16) {
        self.put_u16(value);
    }

    fn u32(&mut self, _: &'static str, value: u32) {
        self.put_u32(value);
    }

    fn u64(&mut self, _: &'static str, value: u64) {
        self.put_u64(value);
    }

    fn raw(&mut self, _: &'static str, value: &[u8]) {
        self.put_slice(value);
    }
}

/// One field of a message that was written for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedField {
    /// What the field is called.
    pub name: &'static str,
    /// Its bytes on the wire.
    pub bytes: Vec<u8>,
    /// The number that the bytes are, where they are one.
    pub number: Option<u64>,
}

/// Collects the fields of a message with their names.
#[derive(Debug, Default)]
pub struct FieldTrace {
    /// The fields so far.
    pub fields: Vec<TracedField>,
}

impl FieldTrace {
    fn number(&mut self, name: &'static str, value: u64, bytes: &[u8]) {
        self.fields.push(TracedField { name, bytes: bytes.to_vec(), number: Some(value) });
    }
}

impl FieldSink for FieldTrace {
    fn u8(&mut self, name: &'static str, value: u8) {
        self.number(name, value.into(), &value.to_be_bytes());
    }

    fn u16(&mut self, name: &'static str, value: u16) {
        self.number(name, value.into(), &value.to_be_bytes());
    }

    fn u32(&mut self, name: &'static str, value: u32) {
        self.number(name, value.into(), &value.to_be_bytes());
    }

    fn u64(&mut self, name: &'static str, value: u64) {
        self.number(name, value, &value.to_be_bytes());
    }

    fn raw(&mut self, name: &'static str, value: &[u8]) {
        self.fields.push(TracedField { name, bytes: value.to_vec(), number: None });
    }
}

/// Why a payload could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The payload ended inside this field.
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// The field holds what it must not, or is too long or too short.
    Invalid {
        /// The field.
        field: &'static str,
        /// What it held; of a byte string or a list, its length.
        value: u64,
    },
    /// Bytes were left after the last field.
    Trailing {
        /// How many.
        count: usize,
    },
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { field } => write!(f, "the payload ends inside the field '{field}'"),
            Self::Invalid { field, value } => {
                write!(f, "the field '{field}' can't have the value {value}")
            }
            Self::Trailing { count } => write!(f, "{count} bytes follow the last field"),
        }
    }
}

impl std::error::Error for FieldError {}

/// Reads fields off a payload. Byte strings are slices of it, not copies: whoever keeps one for
/// long keeps all the bytes that were received with it, and copies it instead.
#[derive(Debug)]
pub struct FieldReader {
    rest: Bytes,
}

impl FieldReader {
    /// Reads `payload` from its beginning.
    pub fn new(payload: Bytes) -> Self {
        Self { rest: payload }
    }

    fn need(&self, field: &'static str, count: usize) -> Result<(), FieldError> {
        if self.rest.len() < count { Err(FieldError::Truncated { field }) } else { Ok(()) }
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, FieldError> {
        self.need(field, 1)?;
        Ok(self.rest.get_u8())
    }

    /// Two bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, FieldError> {
        self.need(field, 2)?;
        Ok(self.rest.get_u16())
    }

    /// Four bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, FieldError> {
        self.need(field, 4)?;
        Ok(self.rest.get_u32())
    }

    /// Eight bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, FieldError> {
        self.need(field, 8)?;
        Ok(self.rest.get_u64())
    }

    /// `count` bytes as they are.
    pub fn raw(&mut self, field: &'static str, count: usize) -> Result<Bytes, FieldError> {
        self.need(field, count)?;
        Ok(self.rest.split_to(count))
    }

    /// `N` bytes as they are.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FieldError> {
        self.need(field, N)?;
        let mut array = [0; N];
        self.rest.copy_to_slice(&mut array);
        Ok(array)
    }

    /// A byte string.
    pub fn bytes(&mut self, field: &'static str) -> Result<Bytes, FieldError> {
        let length = self.u32(field)?;
        self.raw(field, length as usize)
    }

    /// A byte of 0 or 1.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, FieldError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(FieldError::Invalid { field, value: value.into() }),
        }
    }

    /// An option, its value read by `read`.
    pub fn option<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, FieldError>,
    ) -> Result<Option<T>, FieldError> {
        if self.bool(field)? { read(self).map(Some) } else { Ok(None) }
    }

    /// A list, each item read by `read`. An item takes `item_bytes_min` bytes at least (not 0): a
    /// count that the rest of the payload can't hold is refused before anything is allocated, and
    /// no more is allocated ahead than there are bytes left.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        item_bytes_min: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, FieldError>,
    ) -> Result<Vec<T>, FieldError> {
        let count = self.u32(field)? as usize;
        if count > self.rest.len() / item_bytes_min.max(1) {
            return Err(FieldError::Truncated { field });
        }
        let ahead = self.rest.len() / size_of::<T>().max(1);
        let mut items = Vec::with_capacity(count.min(ahead));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// A list of at most `count_max` items; else like [`FieldReader::list`].
    pub fn short_list<T>(
        &mut self,
        field: &'static str,
        item_bytes_min: usize,
        count_max: usize,
        read: impl FnMut(&mut Self) -> Result<T, FieldError>,
    ) -> Result<Vec<T>, FieldError> {
        match self.rest.first_chunk::<4>().map(|head| u32::from_be_bytes(*head)) {
            Some(count) if count as usize > count_max => {
                Err(FieldError::Invalid { field, value: count.into() })
            }
            _ => self.list(field, item_bytes_min, read),
        }
    }

    /// A byte string of at most `length_max` bytes.
    pub fn short_bytes(
        &mut self,
        field: &'static str,
        length_max: usize,
    ) -> Result<Bytes, FieldError> {
        let value = self.bytes(field)?;
        if value.len() > length_max {
            return Err(FieldError::Invalid { field, value: value.len() as u64 });
        }
        Ok(value)
    }

    /// Ends the reading: nothing may be left.
    pub fn finish(self) -> Result<(), FieldError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(FieldError::Trailing { count }),
        }
    }
}
