//! A stream of bytes gives the same frames, and the same end, however it is cut; and every frame
//! decodes to a message or an error.

use bytes::{Bytes, BytesMut};
use plinth_protocol::{codec::FrameCodec, frame::Frame, request::Request, response::Response};
use tokio_util::codec::Decoder;

/// The first byte says how the rest is cut.
pub(crate) fn frame(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = decode(stream, stream.len().max(1));
    let cut = decode(stream, usize::from(cut) + 1);
    assert_eq!(whole, cut);
    for frame in whole.0 {
        let payload: Bytes = frame.payload.clone();
        drop(Request::decode(frame.opcode, payload));
        drop(Response::decode(frame));
    }
}

/// The frames of a stream that arrives in pieces, and the error that ends it, if one does.
fn decode(stream: &[u8], piece: usize) -> (Vec<Frame>, Option<String>) {
    let (mut codec, mut buffer, mut frames) =
        (FrameCodec::new(1 << 16), BytesMut::new(), Vec::new());
    for piece in stream.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
        assert!(buffer.capacity() <= 4 * (1 << 16), "the buffer grew to {}", buffer.capacity());
    }
    (frames, None)
}
