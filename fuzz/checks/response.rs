//! A payload that decodes to a response is the only encoding of that response.

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    frame::{Flags, Frame},
    response::Response,
};

/// The first byte is the opcode.
pub(crate) fn response(data: &[u8]) {
    let Some((&opcode, payload)) = data.split_first() else { return };
    let decode =
        |payload| Response::decode(Frame { opcode, flags: Flags::NONE, request_id: 0, payload });
    let Ok(response) = decode(Bytes::copy_from_slice(payload)) else { return };
    let mut again = BytesMut::new();
    response.write_fields(&mut again);
    if matches!(response, Response::Error(_)) {
        // The flags of an unknown code and text that isn't UTF-8 are read, but not kept.
        assert!(decode(again.freeze()).is_ok(), "{response:?}");
    } else {
        assert_eq!(again, payload, "{response:?}");
    }
}
