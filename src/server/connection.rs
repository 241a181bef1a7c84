//! A connection's beginning: the first byte says what the peer speaks.
//!
//! | first byte | door |
//! | --- | --- |
//! | 0x00 to 0x03 | a frame's length: the binary protocol |
//! | a letter or a space | text mode |
//! | 0x16 | a TLS hello: refused with a word, as this server has no TLS |
//! | anything else | one line that says so, and the end |

use std::{sync::Arc, time::Duration};

use bytes::BufMut;
use plinth_protocol::{Error, ErrorCode};
use tokio::net::TcpStream;

use super::{
    config::ServerLimits,
    context::ServerContext,
    lines::{self, Lines},
    mailbox::Mailbox,
    session::Session,
    wire::{Wants, Wire},
    workers::Worker,
};

/// How long a connection that is refused may take for its first frame or line.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What a peer speaks, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Binary,
    Text,
    Tls,
    Unknown(u8),
}

impl Door {
    fn of(first: u8) -> Self {
        match first {
            0x00..=0x03 => Self::Binary,
            b' ' | b'a'..=b'z' | b'A'..=b'Z' => Self::Text,
            0x16 => Self::Tls,
            other => Self::Unknown(other),
        }
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    context: &Arc<ServerContext>,
    worker: &Arc<Worker>,
    serial: u64,
    stream: TcpStream,
) {
    let mailbox = Arc::new(Mailbox::new(&worker.relay));
    let entry = Entry::new(context, serial, &mailbox);
    let mut wire = Wire::new(stream, &context.limits);
    let wire = match first_byte(&mut wire, &mailbox).await {
        First::Byte(first) => match Door::of(first) {
            Door::Binary => Session::new(Arc::clone(context), worker, wire, mailbox).run().await,
            Door::Text => Lines::new(Arc::clone(context), wire, mailbox).run().await,
            door => turn_away(wire, door),
        },
        First::TooLate => {
            let text = "the connection has said nothing for longer than the server allows";
            say_last(wire, &Error::new(ErrorCode::TOO_SLOW, text))
        }
        First::Never => wire,
    };
    drop(entry);
    wire.close().await;
}

/// Tells a connection, in its own language, that it can't be served.
pub(super) async fn refuse(
    context: Arc<ServerContext>,
    worker: &Arc<Worker>,
    stream: TcpStream,
    error: Error,
) {
    let hello_timeout = context.limits.hello_timeout.min(REFUSAL_TIMEOUT);
    let limits = ServerLimits { hello_timeout, ..context.limits };
    let mailbox = Arc::new(Mailbox::new(&worker.relay));
    let mut wire = Wire::new(stream, &limits);
    let counts = Arc::clone(&mailbox);
    let wire = match first_byte(&mut wire, &mailbox).await {
        First::Byte(0x00..=0x03) => {
            Session::new(Arc::clone(&context), worker, wire, mailbox).refuse(error).await
        }
        _ => say_last(wire, &error),
    };
    context.count_ended(&counts);
    wire.close().await;
}

/// What came of waiting for the first byte.
enum First {
    Byte(u8),
    TooLate,
    /// The peer has gone, or the server stops.
    Never,
}

async fn first_byte(wire: &mut Wire, mailbox: &Mailbox) -> First {
    let mut events = Vec::new();
    let wants = Wants { input: true, is_idle: true, drained: false };
    loop {
        if let Some(&first) = wire.input.first() {
            return First::Byte(first);
        }
        match wire.wait(mailbox, &mut events, wants).await {
            Ok(wake) if wake.overdue.is_some() => return First::TooLate,
            Ok(wake) if !wake.has_mail && !wire.is_ended => {}
            _ => return First::Never,
        }
    }
}

fn say_last(mut wire: Wire, error: &Error) -> Wire {
    wire.output.put_slice(lines::error_line(error).as_bytes());
    wire
}

fn turn_away(wire: Wire, door: Door) -> Wire {
    let text = match door {
        Door::Tls => "this server does not speak TLS: connect without it".to_owned(),
        Door::Unknown(first) => {
            format!("the byte {first:#04x} begins neither a frame nor a line of text")
        }
        Door::Binary | Door::Text => return wire,
    };
    say_last(wire, &Error::new(ErrorCode::PROTOCOL_VIOLATION, text))
}

/// A mailbox's entry in the server's list, for as long as the connection is served.
struct Entry<'c> {
    context: &'c ServerContext,
    serial: u64,
}

impl<'c> Entry<'c> {
    fn new(context: &'c ServerContext, serial: u64, mailbox: &Arc<Mailbox>) -> Self {
        context.enter(serial, mailbox);
        Self { context, serial }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.context.leave(self.serial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides() {
        assert_eq!(Door::of(0), Door::Binary);
        assert_eq!(Door::of(3), Door::Binary);
        assert_eq!(Door::of(4), Door::Unknown(4));
        assert_eq!(Door::of(b'g'), Door::Text);
        assert_eq!(Door::of(b' '), Door::Text);
        assert_eq!(Door::of(0x16), Door::Tls);
        assert_eq!(Door::of(b'*'), Door::Unknown(b'*'));
        assert_eq!(Door::of(b'\n'), Door::Unknown(b'\n'));
    }
}
