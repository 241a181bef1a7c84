//! The shortcuts of a server's hot path: a get read from where it lies in the socket's buffer, and
//! ranges and batches written row by row to where they leave from.
//!
//! Nothing here decides what the protocol is. [`GetView::peek`] either recognises a plain, complete
//! and well-formed get or declines, and whatever it declines goes the ordinary way through
//! [`crate::codec::FrameCodec`] and [`crate::request::Request::decode`]; the writers give the bytes
//! that [`crate::response::Response`] would. Tests hold both to that.

use bytes::{BufMut, BytesMut};

use crate::{
    frame::Flags, keyspace::KeyspaceId, limits::FRAME_HEADER_BYTES, request::Opcode,
    version::Version,
};

/// The fields of a get before its key: version, keyspace, the key's length.
const GET_FIXED_BYTES: usize = 8 + 4 + 4;

/// A get that lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetView<'a> {
    /// The request's id.
    pub request_id: u32,
    /// When; `None` for the newest.
    pub version: Option<Version>,
    /// Where.
    pub keyspace: KeyspaceId,
    /// What.
    pub key: &'a [u8],
}

impl<'a> GetView<'a> {
    /// The get with which `buffer` begins, and how many bytes its frame takes; `None` if something
    /// else does, if it isn't complete or well-formed, if it has any flag, or if it is longer than
    /// `frame_bytes_max`.
    #[inline]
    pub fn peek(buffer: &'a [u8], frame_bytes_max: usize) -> Option<(Self, usize)> {
        let (head, rest) = buffer.split_first_chunk::<{ 4 + FRAME_HEADER_BYTES }>()?;
        let [l0, l1, l2, l3, opcode, flags, r0, r1, r2, r3] = *head;
        if opcode != Opcode::Get as u8 || flags != Flags::NONE.0 {
            return None;
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let payload_bytes = length.checked_sub(FRAME_HEADER_BYTES)?;
        let (fixed, key) = rest.get(..payload_bytes)?.split_first_chunk::<GET_FIXED_BYTES>()?;
        let [v0, v1, v2, v3, v4, v5, v6, v7, s0, s1, s2, s3, k0, k1, k2, k3] = *fixed;
        let version = Version(u64::from_be_bytes([v0, v1, v2, v3, v4, v5, v6, v7]));
        let key_bytes = u32::from_be_bytes([k0, k1, k2, k3]) as usize;
        if key_bytes != key.len() || version > Version::MAX || length > frame_bytes_max {
            return None;
        }
        let get = Self {
            request_id: u32::from_be_bytes([r0, r1, r2, r3]),
            version: (version != Version::ZERO).then_some(version),
            keyspace: KeyspaceId(u32::from_be_bytes([s0, s1, s2, s3])),
            key,
        };
        Some((get, 4 + length))
    }
}

/// The bytes of a get's answer before the value: length, opcode, flags, request's id, read version,
/// whether there is a value, the version that wrote it, the value's length.
const GET_ANSWER_HEAD_BYTES: usize = 4 + FRAME_HEADER_BYTES + 8 + 1 + 8 + 4;

/// Writes the frame of [`crate::response::Response::Get`] with all that comes before the value at
/// once: without flags, to a get without any.
#[inline]
pub fn write_get_frame(
    buffer: &mut BytesMut,
    request_id: u32,
    version: Version,
    found: Option<(Version, &[u8])>,
) {
    let (written_at, value) = found.unwrap_or_default();
    let head_bytes =
        if found.is_some() { GET_ANSWER_HEAD_BYTES } else { GET_ANSWER_HEAD_BYTES - 12 };
    // What doesn't fit is beyond every limit, and the peer refuses it.
    let length = u32::try_from(head_bytes - 4 + value.len()).unwrap_or(u32::MAX);
    let value_bytes = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let mut head = [0; GET_ANSWER_HEAD_BYTES];
    let mut rest = head.as_mut_slice();
    rest.put_u32(length);
    rest.put_slice(&[Opcode::Get.response(), Flags::NONE.0]);
    rest.put_u32(request_id);
    rest.put_u64(version.0);
    rest.put_u8(u8::from(found.is_some()));
    rest.put_u64(written_at.0);
    rest.put_u32(value_bytes);
    buffer.reserve(head_bytes + value.len());
    buffer.put_slice(head.get(..head_bytes).unwrap_or_default());
    buffer.put_slice(value);
}

/// Writes the payload of [`crate::response::Response::GetRange`] row by row.
#[derive(Debug)]
pub struct RangeWriter {
    more_at: usize,
    rows: u32,
}

impl RangeWriter {
    /// Begins the payload at the end of `buffer`.
    pub fn begin(buffer: &mut BytesMut, version: Version) -> Self {
        buffer.put_u64(version.0);
        let more_at = buffer.len();
        buffer.put_u8(0);
        buffer.put_u32(0);
        Self { more_at, rows: 0 }
    }

    /// Appends a row.
    pub fn row(&mut self, buffer: &mut BytesMut, key: &[u8], value: &[u8]) {
        buffer.put_u32(key.len() as u32);
        buffer.put_slice(key);
        buffer.put_u32(value.len() as u32);
        buffer.put_slice(value);
        self.rows += 1;
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Ends the payload: `more` tells whether there may be more rows after these.
    pub fn finish(self, buffer: &mut BytesMut, more: bool) {
        if let Some(place) = buffer.get_mut(self.more_at..self.more_at + 5) {
            let [r0, r1, r2, r3] = self.rows.to_be_bytes();
            place.copy_from_slice(&[u8::from(more), r0, r1, r2, r3]);
        }
    }
}

/// Writes the payload of [`crate::response::Response::GetBatch`] value by value.
#[derive(Debug)]
pub struct BatchWriter;

impl BatchWriter {
    /// Begins the payload at the end of `buffer`; `count` values must follow.
    pub fn begin(buffer: &mut BytesMut, version: Version, count: usize) -> Self {
        buffer.put_u64(version.0);
        buffer.put_u32(count as u32);
        Self
    }

    /// Appends the next key's value.
    pub fn value(&mut self, buffer: &mut BytesMut, value: Option<&[u8]>) {
        buffer.put_u8(u8::from(value.is_some()));
        if let Some(value) = value {
            buffer.put_u32(value.len() as u32);
            buffer.put_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use tokio_util::codec::Decoder;

    use super::*;
    use crate::{
        codec::{FrameCodec, write_frame},
        request::Request,
        response::{KeyValue, Response, VersionedValue},
    };

    /// What the ordinary way makes of the beginning of `bytes`.
    fn ordinary(bytes: &[u8], frame_bytes_max: usize) -> Option<(u32, Request, usize)> {
        let mut buffer = BytesMut::from(bytes);
        let frame = FrameCodec::new(frame_bytes_max).decode(&mut buffer).ok()??;
        let taken = bytes.len() - buffer.len();
        let request = Request::decode(frame.opcode, frame.payload).ok()?;
        Some((frame.request_id, request, taken))
    }

    fn is_as_ordinary(bytes: &[u8], frame_bytes_max: usize) -> bool {
        match GetView::peek(bytes, frame_bytes_max) {
            None => true,
            Some((get, taken)) => {
                let request = Request::Get {
                    version: get.version,
                    keyspace: get.keyspace,
                    key: Bytes::copy_from_slice(get.key),
                };
                ordinary(bytes, frame_bytes_max) == Some((get.request_id, request, taken))
            }
        }
    }

    proptest! {
        #[test]
        fn a_get_is_recognised_and_read_as_the_codec_reads_it(
            version in 0..3_u64, keyspace: u32, key: Vec<u8>, request_id: u32,
            tail: Vec<u8>, cut: prop::sample::Index,
        ) {
            let request = Request::Get {
                version: (version > 0).then_some(Version(version)),
                keyspace: KeyspaceId(keyspace),
                key: key.into(),
            };
            let mut buffer = BytesMut::new();
            request.write_frame(&mut buffer, Flags::NONE, request_id);
            let frame_bytes = buffer.len();
            prop_assert!(GetView::peek(&buffer[..cut.index(frame_bytes)], 1 << 20).is_none());
            buffer.extend_from_slice(&tail);
            prop_assert!(GetView::peek(&buffer, 1 << 20).is_some());
            prop_assert!(GetView::peek(&buffer, frame_bytes - 5).is_none());
            prop_assert!(is_as_ordinary(&buffer, 1 << 20));
        }

        #[test]
        fn what_is_changed_in_one_byte_is_declined_or_read_as_the_codec_reads_it(
            key: Vec<u8>, at: prop::sample::Index, byte: u8,
        ) {
            let request = Request::Get { version: None, keyspace: KeyspaceId(7), key: key.into() };
            let mut buffer = BytesMut::new();
            request.write_frame(&mut buffer, Flags::NONE, 9);
            let at = at.index(buffer.len());
            buffer[at] = byte;
            prop_assert!(is_as_ordinary(&buffer, 1 << 20));
        }
    }

    #[test]
    fn an_answer_to_a_get_written_at_once_is_the_responses_own_bytes() {
        for value in [None, Some(Bytes::new()), Some(Bytes::from(vec![7; 300]))] {
            let mut direct = BytesMut::from(&b"before"[..]);
            let found = value.as_deref().map(|value| (Version(0x0102_0304_0506), value));
            write_get_frame(&mut direct, 0x8000_0001, Version(u64::MAX >> 1), found);
            let mut whole = BytesMut::from(&b"before"[..]);
            let value =
                value.map(|value| VersionedValue { value, version: Version(0x0102_0304_0506) });
            let version = Version(u64::MAX >> 1);
            Response::Get { version, value }.write_frame(&mut whole, Flags::NONE, 0x8000_0001);
            assert_eq!(direct, whole);
        }
    }

    #[test]
    fn rows_and_values_written_one_by_one_are_the_responses_own_bytes() {
        let row = |key: &str, value: &str| KeyValue {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
        };
        let rows = vec![row("a", "1"), row("b", ""), row("", "3")];
        let mut direct = BytesMut::new();
        write_frame(&mut direct, Opcode::GetRange.response(), Flags::NONE, 5, |buffer| {
            let mut writer = RangeWriter::begin(buffer, Version(77));
            for row in &rows {
                writer.row(buffer, &row.key, &row.value);
            }
            assert_eq!(writer.rows(), 3);
            writer.finish(buffer, true);
        });
        let mut whole = BytesMut::new();
        Response::GetRange { opcode: Opcode::GetRange, version: Version(77), rows, more: true }
            .write_frame(&mut whole, Flags::NONE, 5);
        assert_eq!(direct, whole);

        let values = vec![Some(Bytes::from_static(b"x")), None, Some(Bytes::new())];
        direct.clear();
        write_frame(&mut direct, Opcode::GetBatch.response(), Flags::NONE, 6, |buffer| {
            let mut writer = BatchWriter::begin(buffer, Version(78), values.len());
            for value in &values {
                writer.value(buffer, value.as_deref());
            }
        });
        whole.clear();
        Response::GetBatch { opcode: Opcode::GetBatch, version: Version(78), values }.write_frame(
            &mut whole,
            Flags::NONE,
            6,
        );
        assert_eq!(direct, whole);
    }
}
