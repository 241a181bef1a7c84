//! Bytes to frames and back, incremental.
//!
//! The decoder looks at a frame's four length bytes once they are there, checks them against the
//! limit, and then waits for the rest without looking again: the work is in proportion to the bytes,
//! however they are cut. The buffer grows with what has arrived, not with what a length promises.

use std::fmt;

use bytes::{Buf, BufMut, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::{
    error::ErrorCode,
    frame::{Flags, Frame},
    limits::{FRAME_BYTES_CEILING, FRAME_HEADER_BYTES, Limits},
};

/// The most that the decoder asks the buffer to grow at once, in bytes.
const RESERVE_BYTES_MAX: usize = 64 << 10;

/// Why bytes are not a frame. After any of these the stream can't be trusted any more.
#[derive(Debug)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is beyond the limit.
    TooLarge {
        /// What the frame says.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The length does not even cover the frame's own header.
    TooShort {
        /// What the frame says.
        length: usize,
    },
    /// A flag that has no meaning is set.
    UnknownFlags {
        /// All flags of the frame.
        flags: u8,
    },
    /// The frame has no checksum although both sides agreed on checksums.
    MissingChecksum,
    /// The checksum is another.
    BadChecksum {
        /// What the frame says.
        stated: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The stream failed.
    Io(std::io::Error),
}

impl FrameError {
    /// The code under which the peer is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::FRAME_TOO_LARGE,
            Self::TooShort { .. } | Self::UnknownFlags { .. } => ErrorCode::PROTOCOL_VIOLATION,
            Self::MissingChecksum | Self::BadChecksum { .. } => ErrorCode::BAD_CHECKSUM,
            Self::Io(_) => ErrorCode::CONNECTION_FAILED,
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { length, limit } => {
                write!(f, "a frame of {length} bytes is longer than the {limit} allowed")
            }
            Self::TooShort { length } => {
                write!(f, "a frame's length of {length} does not cover its own header")
            }
            Self::UnknownFlags { flags } => write!(f, "the frame has unknown flags: {flags:#04x}"),
            Self::MissingChecksum => {
                f.write_str("the frame has no checksum, which its connection agreed to send")
            }
            Self::BadChecksum { stated, computed } => {
                write!(f, "the frame says checksum {stated:#010x}, its bytes give {computed:#010x}")
            }
            Self::Io(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<std::io::Error> for FrameError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads and writes frames.
#[derive(Clone, Copy, Debug)]
pub struct FrameCodec {
    frame_bytes_max: usize,
    requires_checksum: bool,
}

impl FrameCodec {
    /// A codec that refuses frames whose length field exceeds `frame_bytes_max`.
    pub fn new(frame_bytes_max: usize) -> Self {
        let frame_bytes_max = frame_bytes_max.min(FRAME_BYTES_CEILING - 1);
        Self { frame_bytes_max, requires_checksum: false }
    }

    /// The same, but a received frame without a checksum is an error, as it is once both sides have
    /// agreed on [`FEATURE_CHECKSUM`](crate::hello::FEATURE_CHECKSUM): else a damaged flag would
    /// switch the checking off.
    pub fn requiring_checksum(self) -> Self {
        Self { requires_checksum: true, ..self }
    }
}

impl Default for FrameCodec {
    fn default() -> Self {
        Self::new(Limits::DEFAULT.frame_bytes_max)
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some((&head, _)) = buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(head) as usize;
        if length > self.frame_bytes_max {
            return Err(FrameError::TooLarge { length, limit: self.frame_bytes_max });
        }
        if length < FRAME_HEADER_BYTES {
            return Err(FrameError::TooShort { length });
        }
        if buffer.len() < 4 + length {
            buffer.reserve((4 + length - buffer.len()).min(RESERVE_BYTES_MAX));
            return Ok(None);
        }
        buffer.advance(4);
        let mut body = buffer.split_to(length).freeze();
        let flags = Flags(body.get(1).copied().unwrap_or_default());
        if flags.0 & !Flags::KNOWN.0 != 0 {
            return Err(FrameError::UnknownFlags { flags: flags.0 });
        }
        if flags.contains(Flags::CHECKSUM) {
            let Some(end) = length.checked_sub(4).filter(|end| *end >= FRAME_HEADER_BYTES) else {
                return Err(FrameError::TooShort { length });
            };
            let stated = body.split_off(end).get_u32();
            let computed = crc32fast::hash(&body);
            if stated != computed {
                return Err(FrameError::BadChecksum { stated, computed });
            }
        } else if self.requires_checksum {
            return Err(FrameError::MissingChecksum);
        }
        let opcode = body.get_u8();
        body.advance(1);
        let request_id = body.get_u32();
        Ok(Some(Frame { opcode, flags, request_id, payload: body }))
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, frame: Frame, buffer: &mut BytesMut) -> Result<(), FrameError> {
        let length = frame.encoded_len() - 4;
        if length > self.frame_bytes_max {
            return Err(FrameError::TooLarge { length, limit: self.frame_bytes_max });
        }
        buffer.reserve(4 + length);
        write_frame(buffer, frame.opcode, frame.flags, frame.request_id, |buffer| {
            buffer.put_slice(&frame.payload);
        });
        Ok(())
    }
}

/// Appends one frame to `buffer`, its payload written in place by `write_payload`.
///
/// Returns the length that the frame states. It is not checked against a limit here: whoever writes
/// what others chose the size of compares it with the peer's limit, and truncates `buffer` to where
/// it was if the frame is too long.
pub fn write_frame(
    buffer: &mut BytesMut,
    opcode: u8,
    flags: Flags,
    request_id: u32,
    write_payload: impl FnOnce(&mut BytesMut),
) -> usize {
    let frame = FrameWriter::begin(buffer, opcode, request_id);
    write_payload(buffer);
    frame.finish(buffer, flags)
}

/// A frame whose payload is being appended to a buffer: length, flags and checksum are filled in
/// afterwards, so nothing is copied, and the flags may depend on what the payload turned out to be.
#[derive(Debug)]
#[must_use = "a frame that is begun must be finished or cancelled"]
pub struct FrameWriter {
    start: usize,
}

impl FrameWriter {
    /// Begins a frame at the end of `buffer`; its payload is appended next.
    pub fn begin(buffer: &mut BytesMut, opcode: u8, request_id: u32) -> Self {
        let start = buffer.len();
        let [r0, r1, r2, r3] = request_id.to_be_bytes();
        buffer.put_slice(&[0, 0, 0, 0, opcode, 0, r0, r1, r2, r3]);
        Self { start }
    }

    /// Ends the frame and returns the length that it states.
    pub fn finish(self, buffer: &mut BytesMut, flags: Flags) -> usize {
        if let Some(place) = buffer.get_mut(self.start + 5) {
            *place = flags.0;
        }
        if flags.contains(Flags::CHECKSUM) {
            let checksum = crc32fast::hash(buffer.get(self.start + 4..).unwrap_or_default());
            buffer.put_u32(checksum);
        }
        let length = buffer.len() - self.start - 4;
        if let Some(head) = buffer.get_mut(self.start..self.start + 4) {
            // What doesn't fit is beyond every limit; so is this, and the peer refuses it.
            head.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
        length
    }

    /// Takes the frame back out of the buffer, with all of its payload.
    pub fn cancel(self, buffer: &mut BytesMut) {
        buffer.truncate(self.start);
    }
}
