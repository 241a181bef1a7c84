//! The task of one connection: writes what has come together, reads what there is, hands it out.

use std::{io, sync::Arc, task::Waker, time::Duration};

use bytes::{Buf, BytesMut};
use plinth_protocol::{
    Error, ErrorCode,
    codec::FrameCodec,
    frame::{Flags, Frame},
    request::Opcode,
    response::Response,
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{MissedTickBehavior, interval},
};
use tokio_util::codec::Decoder;

use super::connection::{Connection, TICKS_PER_TIMEOUT, UNHEARD};

/// How much room there is for each read of the socket.
const READ_BYTES: usize = 64 << 10;
/// With less room than this, there is to be more.
const READ_BYTES_MIN: usize = 4 << 10;
/// A written buffer larger than this is not kept for the next frames.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What the driver needs.
pub(super) struct Driver {
    pub(super) connection: Arc<Connection>,
    pub(super) stream: TcpStream,
    pub(super) codec: FrameCodec,
    /// What was read behind the hello.
    pub(super) input: BytesMut,
    pub(super) address: Arc<str>,
    pub(super) operation_timeout: Duration,
}

/// Closes the connection whatever way its task ends.
struct CloseOnDrop {
    connection: Arc<Connection>,
    address: Arc<str>,
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let text = format!("The connection to {} has ended with its runtime", self.address);
        self.connection.close(&Error::new(ErrorCode::CONNECTION_FAILED, text));
    }
}

impl Driver {
    pub(super) async fn run(mut self) {
        let _close = CloseOnDrop {
            connection: Arc::clone(&self.connection),
            address: Arc::clone(&self.address),
        };
        let error = match self.drive().await {
            Ok(()) => return,
            Err(error) => error,
        };
        self.connection.close(&error);
    }

    /// Runs until the connection is closed or fails.
    async fn drive(&mut self) -> Result<(), Error> {
        let (mut reader, writer) = self.stream.split();
        let connection = &self.connection;
        let mut inbox = Inbox {
            connection,
            codec: self.codec,
            address: &self.address,
            frames: Vec::new(),
            wakers: Vec::new(),
        };
        let period = self.operation_timeout / TICKS_PER_TIMEOUT as u32;
        let mut ticks = interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut output = BytesMut::new();
        inbox.dispatch(&mut self.input)?;
        loop {
            let mut is_blocked = false;
            while !is_blocked {
                if output.is_empty() {
                    if output.capacity() > KEPT_BYTES_MAX {
                        output = BytesMut::new();
                    }
                    connection.take_unwritten(&mut output);
                }
                if output.is_empty() {
                    break;
                }
                match writer.try_write(&output) {
                    Ok(count) => output.advance(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => is_blocked = true,
                    Err(error) => return Err(inbox.failed(&error)),
                }
            }
            if connection.is_closed() {
                return Ok(());
            }
            if self.input.capacity() - self.input.len() < READ_BYTES_MIN {
                self.input.reserve(READ_BYTES);
            }
            tokio::select! {
                biased;
                _ = ticks.tick() => {
                    if !connection.tick() {
                        let text = format!("The server at {} has gone silent", self.address);
                        return Err(Error::new(ErrorCode::TIMED_OUT, text));
                    }
                }
                read = reader.read_buf(&mut self.input) => match read {
                    Ok(0) => {
                        let text = format!("The server at {} has hung up", self.address);
                        return Err(Error::new(ErrorCode::CONNECTION_FAILED, text));
                    }
                    Ok(_) => inbox.dispatch(&mut self.input)?,
                    Err(error) => return Err(inbox.failed(&error)),
                },
                ready = writer.writable(), if is_blocked => {
                    ready.map_err(|error| inbox.failed(&error))?;
                }
                () = connection.wake_driver.notified() => {}
            }
        }
    }
}

/// Where what was read goes.
struct Inbox<'a> {
    connection: &'a Connection,
    codec: FrameCodec,
    address: &'a str,
    frames: Vec<Frame>,
    wakers: Vec<Waker>,
}

impl Inbox<'_> {
    /// Hands out all whole frames of the input.
    fn dispatch(&mut self, input: &mut BytesMut) -> Result<(), Error> {
        let mut fault = None;
        loop {
            match self.codec.decode(input) {
                Ok(None) => break,
                Ok(Some(frame)) if frame.flags.contains(Flags::MORE) => {
                    let text = format!("The server at {} streams what nobody asked", self.address);
                    fault = Some(Error::new(ErrorCode::PROTOCOL_VIOLATION, text));
                    break;
                }
                Ok(Some(frame)) => {
                    if let Some(error) = farewell(&frame) {
                        fault = Some(error);
                    }
                    self.frames.push(frame);
                }
                Err(error) => {
                    let text = format!("What {} sends can't be understood: {error}", self.address);
                    fault = Some(Error::new(error.code(), text));
                    break;
                }
            }
        }
        if !self.frames.is_empty() {
            self.connection.answer(&mut self.frames, &mut self.wakers);
        }
        fault.map_or(Ok(()), Err)
    }

    fn failed(&self, error: &io::Error) -> Error {
        let text = format!("The connection to {} has failed: {error}", self.address);
        Error::new(ErrorCode::CONNECTION_FAILED, text)
    }
}

/// The error of a frame after which the server closes the connection.
fn farewell(frame: &Frame) -> Option<Error> {
    if frame.opcode != Opcode::ERROR || !(frame.request_id == UNHEARD || frame.request_id == 0) {
        return None;
    }
    match Response::decode(frame.clone()) {
        Ok(Response::Error(error)) if error.code.closes_connection() => Some(error),
        _ => None,
    }
}
