//! Frames of requests that differ in a few byte strings only.

use std::array;

use bytes::{BufMut as _, Bytes, BytesMut};
use plinth_protocol::{frame::Flags, request::Request};

/// Where a frame's length ends, and its request id begins.
const LENGTH_BYTES: usize = 4;
const REQUEST_ID_AT: usize = 6;

/// Bytes of a hole while the template is made: such that they occur nowhere else.
const MARK_BYTES: usize = 24;

/// A request's frame with `N` holes for byte strings, in the order in which they occur.
#[derive(Debug)]
pub(crate) struct Template<const N: usize> {
    /// What comes before each hole, without the hole's length.
    before: [Vec<u8>; N],
    /// What comes after the last.
    after: Vec<u8>,
}

impl<const N: usize> Template<N> {
    /// The template of the requests that `make` makes, each of whose strings occurs once, in order.
    pub(crate) fn new(make: impl FnOnce([Bytes; N]) -> Request) -> Self {
        let mark = |hole| Bytes::from(vec![0xA0 + hole as u8; MARK_BYTES]);
        let mut frame = BytesMut::new();
        make(array::from_fn(mark)).write_frame(&mut frame, Flags::NONE, 0);
        let mut rest = frame.to_vec();
        let before = array::from_fn(|hole| {
            let found = rest.windows(MARK_BYTES).position(|window| window == mark(hole));
            let at = found.expect("the request holds each of its strings, in order");
            let mut before: Vec<u8> = rest.drain(..at + MARK_BYTES).collect();
            before.truncate(at - LENGTH_BYTES);
            before
        });
        Self { before, after: rest }
    }

    /// Appends the request with these strings.
    pub(crate) fn write(&self, output: &mut BytesMut, id: u32, holes: [&[u8]; N]) {
        let begin = output.len();
        for (before, hole) in self.before.iter().zip(holes) {
            output.put_slice(before);
            output.put_u32(hole.len() as u32);
            output.put_slice(hole);
        }
        output.put_slice(&self.after);
        patch_head(output, begin, id);
    }
}

/// Fills in the length and the id of the frame that was appended at `begin`.
pub(crate) fn patch_head(output: &mut BytesMut, begin: usize, id: u32) {
    let length = (output.len() - begin - LENGTH_BYTES) as u32;
    patch(output, begin, &length.to_be_bytes());
    patch(output, begin + REQUEST_ID_AT, &id.to_be_bytes());
}

/// Overwrites what lies at `at`, if there is room.
pub(crate) fn patch(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = buffer.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use plinth_protocol::{Commit, KeyspaceId, Mutation, MutationOp};

    use super::*;

    #[test]
    fn a_template_gives_the_frame_of_the_request() {
        let set = |[key, value]: [Bytes; 2]| {
            let op = MutationOp::Set { key, value };
            let mutation = Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op };
            Request::Commit(Commit { mutations: vec![mutation], ..Commit::default() })
        };
        let template = Template::new(set);
        for value in [&b""[..], b"v", &[b'.'; 40], &[0xA1; 24]] {
            let mut frame = BytesMut::from(&b"before"[..]);
            template.write(&mut frame, 9, [b"key", value]);
            let mut expected = BytesMut::from(&b"before"[..]);
            let strings = [Bytes::from_static(b"key"), Bytes::copy_from_slice(value)];
            set(strings).write_frame(&mut expected, Flags::NONE, 9);
            assert_eq!(frame, expected);
        }
        let ping = Template::new(|[]| Request::ServerInfo);
        let (mut frame, mut expected) = (BytesMut::new(), BytesMut::new());
        ping.write(&mut frame, 7, []);
        Request::ServerInfo.write_frame(&mut expected, Flags::NONE, 7);
        assert_eq!(frame, expected);
    }
}
