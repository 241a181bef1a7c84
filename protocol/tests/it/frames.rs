//! Frames: the same ones come out however the bytes are cut, with work in proportion to the bytes.

use bytes::{BufMut, Bytes, BytesMut};
use plinth_protocol::{
    codec::{FrameCodec, FrameError},
    frame::{Flags, Frame},
    limits::{FRAME_BYTES_CEILING, Limits},
};
use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest},
    sample::Index,
};
use tokio_util::codec::{Decoder, Encoder};

fn frame() -> impl Strategy<Value = Frame> {
    (any::<u8>(), 0..4_u8, any::<u32>(), vec(any::<u8>(), 0..300)).prop_map(
        |(opcode, flags, request_id, payload)| Frame {
            opcode,
            flags: Flags(flags),
            request_id,
            payload: payload.into(),
        },
    )
}

fn encoded(frames: &[Frame]) -> BytesMut {
    let mut buffer = BytesMut::new();
    for frame in frames {
        FrameCodec::default().encode(frame.clone(), &mut buffer).expect("within the limit");
    }
    buffer
}

fn decode(codec: &mut FrameCodec, buffer: &mut BytesMut) -> Vec<Frame> {
    std::iter::from_fn(|| codec.decode(buffer).expect("a good stream")).collect()
}

proptest! {
    #[test]
    fn frames_come_out_the_same_however_the_bytes_are_cut(
        frames in vec(frame(), 0..6),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let bytes = encoded(&frames);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();

        let (mut codec, mut buffer, mut read, mut begin) =
            (FrameCodec::default(), BytesMut::new(), Vec::new(), 0);
        for cut in cuts {
            buffer.put_slice(&bytes[begin..cut]);
            read.extend(decode(&mut codec, &mut buffer));
            begin = cut;
        }
        prop_assert_eq!(read, frames);
        prop_assert_eq!(buffer.len(), 0);
    }

    #[test]
    fn arbitrary_bytes_give_frames_or_an_error(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..100),
            (0..40_u8, vec(any::<u8>(), 0..60)).prop_map(|(length, rest)| {
                [&[0, 0, 0, length][..], &rest].concat()
            }),
        ],
    ) {
        let (mut codec, mut buffer) = (FrameCodec::default(), BytesMut::from(&bytes[..]));
        while let Ok(Some(frame)) = codec.decode(&mut buffer) {
            let again = encoded(std::slice::from_ref(&frame));
            let end = bytes.len() - buffer.len();
            prop_assert_eq!(&bytes[end - again.len()..end], &again[..]);
        }
    }
}

/// A mebibyte, a byte at a time. Each byte costs one look at the length; the buffer is moved to a
/// larger one a few times in all, not once a byte.
#[test]
fn a_byte_at_a_time_costs_no_more_than_the_bytes() {
    let payload = Bytes::from(vec![7; 1 << 20]);
    let sent = Frame { opcode: 1, flags: Flags::CHECKSUM, request_id: 2, payload };
    let bytes = encoded(std::slice::from_ref(&sent));
    let (mut codec, mut buffer) = (FrameCodec::default(), BytesMut::new());
    let (mut moves, mut place, mut read) = (0, buffer.as_ptr(), Vec::new());
    for &byte in &bytes {
        buffer.put_u8(byte);
        read.extend(codec.decode(&mut buffer).expect("a good stream"));
        moves += u32::from(buffer.as_ptr() != place);
        place = buffer.as_ptr();
    }
    assert_eq!(read, [sent]);
    assert!(moves < 40, "the buffer was moved {moves} times");
}

#[test]
fn a_length_reserves_no_more_than_a_little_ahead_of_what_has_come() {
    let mut buffer = BytesMut::new();
    buffer.put_u32(Limits::DEFAULT.frame_bytes_max as u32);
    buffer.put_slice(&[0; 100]);
    assert!(matches!(FrameCodec::default().decode(&mut buffer), Ok(None)));
    assert!(buffer.capacity() <= 256 << 10, "reserved {}", buffer.capacity());
}

#[test]
fn the_limit_holds_before_anything_is_reserved_and_for_sending_too() {
    let mut codec = FrameCodec::new(100);
    let mut buffer = BytesMut::from(&[0, 0, 0, 101][..]);
    let error = codec.decode(&mut buffer);
    assert!(matches!(error, Err(FrameError::TooLarge { length: 101, limit: 100 })));
    assert!(buffer.capacity() < 100);

    let payload = |length| Bytes::from(vec![0; length]);
    let frame = Frame { opcode: 1, flags: Flags::NONE, request_id: 1, payload: payload(94) };
    codec.encode(frame.clone(), &mut BytesMut::new()).expect("exactly the limit");
    let long = Frame { payload: payload(95), ..frame };
    assert!(matches!(
        codec.encode(long, &mut BytesMut::new()),
        Err(FrameError::TooLarge { length: 101, limit: 100 })
    ));
    let mut no_limit = FrameCodec::new(usize::MAX);
    let mut first_text = BytesMut::from(&[4, 0, 0, 0][..]);
    assert!(matches!(
        no_limit.decode(&mut first_text),
        Err(FrameError::TooLarge { length: FRAME_BYTES_CEILING, .. })
    ));
}

#[test]
fn a_frame_shorter_than_its_header_is_an_error() {
    for length in 0..6_u8 {
        let mut buffer = BytesMut::from(&[0, 0, 0, length, 1, 0, 0, 0, 0, 0][..]);
        let error = FrameCodec::default().decode(&mut buffer);
        assert!(matches!(error, Err(FrameError::TooShort { .. })), "length {length}");
    }
    let mut no_room_for_checksum = BytesMut::from(&[0, 0, 0, 9, 1, 1, 0, 0, 0, 0, 0, 0, 0][..]);
    let error = FrameCodec::default().decode(&mut no_room_for_checksum);
    assert!(matches!(error, Err(FrameError::TooShort { length: 9 })));
}

#[test]
fn any_damaged_bit_behind_the_length_is_noticed() {
    let sent = Frame {
        opcode: 0x11,
        flags: Flags::CHECKSUM,
        request_id: 7,
        payload: Bytes::from_static(b"greeting"),
    };
    let bytes = encoded(std::slice::from_ref(&sent));
    let mut codec = FrameCodec::default().requiring_checksum();
    assert_eq!(decode(&mut codec, &mut bytes.clone()), [sent]);
    for bit in 32..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(codec.decode(&mut damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn a_missing_checksum_is_an_error_where_it_was_agreed_on() {
    let frame =
        Frame { opcode: 2, flags: Flags::NONE, request_id: 1, payload: Bytes::from_static(b"x") };
    let mut buffer = encoded(&[frame]);
    let error = FrameCodec::default().requiring_checksum().decode(&mut buffer);
    assert!(matches!(error, Err(FrameError::MissingChecksum)));
}
