//! A payload that decodes to a request is the only encoding of that request, and the shortcut for
//! gets recognises exactly the gets.

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    codec::write_frame, direct::GetView, field::FieldTrace, frame::Flags, request::Request,
};

/// The first byte is the opcode.
pub(crate) fn request(data: &[u8]) {
    let Some((&opcode, payload)) = data.split_first() else { return };
    let mut frame = BytesMut::new();
    let length =
        write_frame(&mut frame, opcode, Flags::NONE, 7, |frame| frame.extend_from_slice(payload));
    let peeked = GetView::peek(&frame, length).map(|(get, taken)| {
        assert_eq!((get.request_id, taken), (7, frame.len()));
        let key = Bytes::copy_from_slice(get.key);
        Request::Get { version: get.version, keyspace: get.keyspace, key }
    });

    let decoded = Request::decode(opcode, Bytes::copy_from_slice(payload)).ok();
    assert_eq!(peeked, decoded.clone().filter(|request| matches!(request, Request::Get { .. })));
    let Some(request) = decoded else { return };
    let mut again = BytesMut::new();
    request.write_fields(&mut again);
    assert_eq!(again, payload, "{request:?}");

    let mut trace = FieldTrace::default();
    request.write_fields(&mut trace);
    let traced: Vec<u8> = trace.fields.into_iter().flat_map(|field| field.bytes).collect();
    assert_eq!(traced, payload, "{request:?}");
}
