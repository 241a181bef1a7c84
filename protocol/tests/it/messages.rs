//! Messages: what is written is read back, and whatever is read is written back.

use bytes::{BufMut, Bytes, BytesMut};
use plinth_protocol::{
    Error, ErrorCode,
    field::{FieldError, FieldTrace},
    frame::{Flags, Frame},
    hello::Hello,
    limits::{CREDENTIALS_BYTES_MAX, ERROR_MESSAGE_BYTES_MAX, FEATURES_MAX, NAME_BYTES_MAX},
    request::{Opcode, Request, RequestError},
    response::{Response, ResponseError},
};
use proptest::{
    prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest},
    sample::Index,
};

use crate::{
    arbitrary,
    examples::{Message, examples},
};

fn payload(message: &Message) -> Bytes {
    let mut payload = BytesMut::new();
    message.write_fields(&mut payload);
    payload.freeze()
}

fn decode_response(opcode: u8, payload: Bytes) -> Result<Response, ResponseError> {
    Response::decode(Frame { opcode, flags: Flags::NONE, request_id: 0, payload })
}

/// What `bytes` decode to, both ways, if they decode: then they are the message's only encoding.
fn check_canonical(opcode: u8, bytes: &Bytes) {
    if let Ok(request) = Request::decode(opcode, bytes.clone()) {
        assert_eq!(payload(&Message::Request(request.clone())), bytes, "{request:?}");
    }
    if let Ok(response) = decode_response(opcode, bytes.clone()) {
        let again = payload(&Message::Response(response.clone()));
        if matches!(response, Response::Error(_)) {
            // The flags of an unknown code and text that isn't UTF-8 are read, but not kept.
            assert!(matches!(decode_response(opcode, again), Ok(Response::Error(_))));
        } else {
            assert_eq!(again, bytes, "{response:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_read_back(request in arbitrary::request()) {
        let bytes = payload(&Message::Request(request.clone()));
        prop_assert_eq!(Request::decode(request.opcode() as u8, bytes), Ok(request));
    }

    #[test]
    fn every_response_is_read_back(response in arbitrary::response()) {
        let bytes = payload(&Message::Response(response.clone()));
        prop_assert_eq!(decode_response(response.opcode(), bytes), Ok(response));
    }

    #[test]
    fn a_trace_has_exactly_the_bytes_of_the_message(request in arbitrary::request()) {
        let mut trace = FieldTrace::default();
        request.write_fields(&mut trace);
        let traced: Vec<u8> = trace.fields.iter().flat_map(|field| field.bytes.clone()).collect();
        prop_assert_eq!(payload(&Message::Request(request)), traced);
    }

    #[test]
    fn a_payload_that_ends_early_or_late_is_refused(request in arbitrary::request()) {
        let opcode = request.opcode();
        let bytes = payload(&Message::Request(request));
        for end in 0..bytes.len() {
            let error = Request::decode(opcode as u8, bytes.slice(..end));
            prop_assert!(
                matches!(error, Err(RequestError::Malformed(at, FieldError::Truncated { .. }))
                    if at == opcode),
                "cut at {}: {:?}", end, error
            );
        }
        let long = Bytes::from([&bytes[..], &[0]].concat());
        prop_assert_eq!(
            Request::decode(opcode as u8, long),
            Err(RequestError::Malformed(opcode, FieldError::Trailing { count: 1 }))
        );
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(
        opcode in any::<u8>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        check_canonical(opcode, &Bytes::from(bytes));
    }

    #[test]
    fn a_message_with_a_damaged_byte_is_refused_or_canonical(
        request in arbitrary::request(),
        response in arbitrary::response(),
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        for message in [Message::Request(request), Message::Response(response)] {
            let mut bytes = payload(&message).to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            check_canonical(message.opcode(), &Bytes::from(bytes));
        }
    }
}

/// Every place in every example that could be a count or a length, made as large as can be: decoding
/// refuses it at once. (That nothing is allocated for it shows in the time: 4 billion items would
/// not pass unnoticed.)
#[test]
fn a_count_that_the_payload_cannot_hold_is_refused() {
    for example in examples() {
        let bytes = payload(&example.message);
        for at in 0..bytes.len().saturating_sub(3) {
            let mut damaged = bytes.to_vec();
            damaged[at..at + 4].copy_from_slice(&[0xFF; 4]);
            check_canonical(example.message.opcode(), &Bytes::from(damaged));
        }
    }
    let mut keys = BytesMut::new();
    keys.put_u64(0);
    keys.put_u32(0);
    keys.put_u32(u32::MAX);
    let refused =
        RequestError::Malformed(Opcode::GetBatch, FieldError::Truncated { field: "keys" });
    assert_eq!(Request::decode(Opcode::GetBatch as u8, keys.freeze()), Err(refused));
}

#[test]
fn a_hello_beyond_its_limits_is_refused() {
    let limit = |field| Err(RequestError::Malformed(Opcode::Hello, field));
    let decode = |hello: Hello| {
        let bytes = payload(&Message::Request(Request::Hello(hello)));
        Request::decode(Opcode::Hello as u8, bytes)
    };
    let hello = || Hello::new("test/1", &[]);
    let long = |length| Bytes::from(vec![b'x'; length]);

    let fits = Hello {
        features: vec![long(NAME_BYTES_MAX); FEATURES_MAX],
        client: long(NAME_BYTES_MAX),
        credentials: long(CREDENTIALS_BYTES_MAX),
        ..hello()
    };
    assert_eq!(decode(fits.clone()), Ok(Request::Hello(fits)));

    let value = FEATURES_MAX as u64 + 1;
    let features = vec![Bytes::new(); FEATURES_MAX + 1];
    assert_eq!(
        decode(Hello { features, ..hello() }),
        limit(FieldError::Invalid { field: "features", value })
    );
    let value = NAME_BYTES_MAX as u64 + 1;
    assert_eq!(
        decode(Hello { client: long(NAME_BYTES_MAX + 1), ..hello() }),
        limit(FieldError::Invalid { field: "client", value })
    );
    let value = CREDENTIALS_BYTES_MAX as u64 + 1;
    assert_eq!(
        decode(Hello { credentials: long(CREDENTIALS_BYTES_MAX + 1), ..hello() }),
        limit(FieldError::Invalid { field: "credentials", value })
    );
    let mut magic = payload(&Message::Request(Request::Hello(hello()))).to_vec();
    magic[0] = b'p';
    assert_eq!(
        Request::decode(Opcode::Hello as u8, magic.into()),
        limit(FieldError::Invalid { field: "magic", value: 0x704C_5448 })
    );
}

#[test]
fn hellos_agree_on_the_newest_version_that_both_speak() {
    let speaks = |version_min, version| {
        Hello { version_min, version, ..Hello::new("test/1", &[]) }.negotiate()
    };
    assert_eq!(speaks(1, 1), Some(1));
    assert_eq!(speaks(1, 9), Some(1), "a newer client that still speaks ours");
    assert_eq!(speaks(2, 9), None, "a newer client that doesn't");
    assert_eq!(speaks(0, 0), None, "a client older than anything");
    assert_eq!(speaks(9, 1), None, "a client that contradicts itself");
}

#[test]
fn credentials_are_never_printed() {
    let hello = Hello { credentials: Bytes::from_static(b"swordfish"), ..Hello::new("x", &[]) };
    assert!(!format!("{:?}", Request::Hello(hello)).contains("swordfish"));
}

#[test]
fn a_long_error_message_is_cut_between_characters() {
    let message = "ä".repeat(ERROR_MESSAGE_BYTES_MAX);
    let error = Response::Error(Error::new(ErrorCode::INTERNAL_ERROR, format!("x{message}")));
    let bytes = payload(&Message::Response(error));
    let Ok(Response::Error(read)) = decode_response(Opcode::ERROR, bytes) else {
        panic!("an error is read as an error");
    };
    assert_eq!(read.message.len(), ERROR_MESSAGE_BYTES_MAX - 1);
    assert!(!read.message.contains('\u{FFFD}'));
}

#[test]
fn a_versionstamp_that_does_not_fit_is_refused() {
    let example = examples().into_iter().find(|example| example.name == "commit");
    let bytes = payload(&example.expect("there is one").message);
    let offset = bytes.windows(4).position(|window| window == [0, 0, 0, 4]);
    assert!(offset.is_some());
    let at = bytes.windows(9).position(|window| window == b"moved\0\0\0\x04").expect("the stamp");
    let mut late = bytes.to_vec();
    late[at + 8] = 5;
    assert_eq!(
        Request::decode(Opcode::Commit as u8, late.into()),
        Err(RequestError::Malformed(
            Opcode::Commit,
            FieldError::Invalid { field: "offset", value: 5 }
        ))
    );
}
