//! The first frame of a binary connection.

use bytes::Bytes;
use plinth_protocol::{
    Error, ErrorCode,
    codec::FrameCodec,
    frame::{Flags, Frame},
    hello::{FEATURE_CHECKSUM, Hello, HelloReply, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN},
    request::{Opcode, Request},
    response::Response,
};

use super::{Closing, ReplyTo, Session};
use crate::server::context::HELLO_FEATURES;

const SERVER: &str = concat!("plinth/", env!("CARGO_PKG_VERSION"));

impl Session {
    /// Takes the first frame, which must be a hello that this server can agree with.
    pub(super) fn greet(&mut self, to: ReplyTo, frame: Frame) -> Result<(), Closing> {
        let refuse = |code, text: String| Err(Closing::With(to, Error::new(code, text)));
        if frame.opcode != Opcode::Hello as u8 {
            let text = format!(
                "the first frame of a connection must be a hello, and this has opcode {:#04x}",
                frame.opcode
            );
            return refuse(ErrorCode::HELLO_EXPECTED, text);
        }
        let hello = match Request::decode(frame.opcode, frame.payload) {
            Ok(Request::Hello(hello)) => hello,
            Ok(_) => return refuse(ErrorCode::HELLO_EXPECTED, "say hello first".to_owned()),
            // Without knowing what the peer speaks there is nothing to go on with.
            Err(error) => return refuse(ErrorCode::PROTOCOL_VIOLATION, error.to_string()),
        };
        let Some(version) = hello.negotiate() else {
            let text = format!(
                "the client speaks versions {} to {} of the protocol, this server {} to {}",
                hello.version_min, hello.version, PROTOCOL_VERSION_MIN, PROTOCOL_VERSION
            );
            return refuse(ErrorCode::PROTOCOL_VERSION_UNSUPPORTED, text);
        };
        if let Some(unknown) = hello.features.iter().find(|name| !is_known(name)) {
            let text = format!("this server has no feature '{}'", unknown.escape_ascii());
            return refuse(ErrorCode::UNKNOWN_FEATURE, text);
        }
        self.agree(to, hello, version);
        Ok(())
    }

    fn agree(&mut self, to: ReplyTo, hello: Hello, version: u16) {
        tracing::debug!(client = %hello.client.escape_ascii(), "a client said hello");
        let limits = self.context.protocol;
        self.has_greeted = true;
        self.codec = FrameCodec::new(limits.frame_bytes_max);
        if hello.features.iter().any(|name| name == FEATURE_CHECKSUM) {
            self.codec = self.codec.requiring_checksum();
            self.flags = Flags::CHECKSUM;
        }
        let reply = HelloReply {
            version,
            features: hello.features,
            server: Bytes::from_static(SERVER.as_bytes()),
            database_id: self.context.engine.database_id().0,
            limits,
        };
        self.answer(to, &Response::Hello(reply));
    }
}

fn is_known(feature: &Bytes) -> bool {
    HELLO_FEATURES.iter().any(|name| name == feature)
}
