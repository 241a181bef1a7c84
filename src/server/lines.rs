//! A connection in text mode: lines in, lines out, for a person with `nc`.
//!
//! Cuts the input into lines and hands them to a [`TextSession`] one by one, so answers come in the
//! order of the lines; lines of watches that fire come in between. Line ends are `\n` or `\r\n`, and
//! the last line needs none.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use plinth_protocol::{Error, ErrorCode};
use tokio::sync::mpsc::Receiver;

use super::{
    context::ServerContext,
    mailbox::{Event, Mailbox},
    text::{Answer, InfoSource, JobSource, TextSession},
    wire::{Overdue, Wake, Wants, Wire},
};
use crate::embedded::EngineBackend;

/// The most lines after which answers leave and other connections get their turn.
const ROUND_LINES_MAX: usize = 64;

/// An error as a line of text.
pub(super) fn error_line(error: &Error) -> String {
    Answer::Failed(error.clone()).to_text()
}

/// A connection in text mode.
pub(super) struct Lines {
    context: Arc<ServerContext>,
    wire: Wire,
    mailbox: Arc<Mailbox>,
    events: Vec<Event>,
    session: TextSession<EngineBackend>,
    /// Lines of watches.
    watched: Receiver<String>,
    /// How much of the input is known to hold no line end.
    scanned: usize,
    has_spoken: bool,
}

/// Why a connection in text mode ends.
enum Ending {
    Quietly,
    With(Error),
}

impl Lines {
    /// A connection whose first byte is that of a line.
    pub(super) fn new(context: Arc<ServerContext>, wire: Wire, mailbox: Arc<Mailbox>) -> Self {
        let source = Arc::clone(&context);
        let info: InfoSource = Arc::new(move || {
            let info = source.info();
            Box::pin(async move { Ok(info) })
        });
        let backend = EngineBackend::sharing(&context.aside);
        let (session, watched) = TextSession::new(backend, info);
        let desk = Arc::clone(&context);
        let jobs: JobSource = Arc::new(move |request| {
            let desk = Arc::clone(&desk);
            Box::pin(async move { desk.answer_about_jobs(request).await })
        });
        let session = session.with_allowance(context.text_allowance.clone()).with_jobs(jobs);
        Self {
            context,
            wire,
            mailbox,
            events: Vec::new(),
            session,
            watched,
            scanned: 0,
            has_spoken: false,
        }
    }

    /// Serves the connection until it ends, and gives the socket back with what is still to be sent.
    pub(super) async fn run(mut self) -> Wire {
        if let Ending::With(error) = self.rounds().await {
            self.wire.output.put_slice(error_line(&error).as_bytes());
        }
        self.hand_over();
        self.wire
    }

    async fn rounds(&mut self) -> Ending {
        loop {
            let mut lines = 0;
            while lines < ROUND_LINES_MAX && self.has_room() {
                let line = match self.next_line() {
                    Ok(Some(line)) => line,
                    Ok(None) => break,
                    Err(error) => return Ending::With(error),
                };
                lines += 1;
                if let Err(ending) = self.take_line(&line).await {
                    return ending;
                }
            }
            self.hand_over();
            if lines == ROUND_LINES_MAX {
                if self.wire.flush_some().await.is_err() {
                    return Ending::Quietly;
                }
                tokio::task::yield_now().await;
                continue;
            }
            self.wire.set_partial(!self.wire.input.is_empty(), lines > 0);
            if self.wire.is_ended && self.wire.input.is_empty() {
                return Ending::Quietly;
            }
            if let Err(ending) = self.wait().await {
                return ending;
            }
        }
    }

    fn has_room(&self) -> bool {
        self.wire.output.len() < self.context.limits.output_bytes_max
    }

    async fn wait(&mut self) -> Result<(), Ending> {
        let has_room = self.has_room();
        let wants = Wants { input: has_room, is_idle: true, drained: !has_room };
        let wake: Wake = tokio::select! {
            wake = self.wire.wait(&self.mailbox, &mut self.events, wants) => {
                wake.map_err(|_| Ending::Quietly)?
            }
            Some(line) = self.watched.recv(), if has_room => {
                self.wire.output.put_slice(line.as_bytes());
                return Ok(());
            }
        };
        // The only mail that a connection without requests gets is the order to stop.
        if wake.has_mail {
            return Err(Ending::With(ErrorCode::SHUTTING_DOWN.into()));
        }
        let text = match wake.overdue {
            None => return Ok(()),
            Some(Overdue::Output) => {
                // Who has not read it so far is not waited for once more.
                self.wire.output.clear();
                return Err(Ending::Quietly);
            }
            Some(Overdue::Idle) => "the connection was silent for longer than the server allows",
            Some(Overdue::Input) => "the line took longer than the server allows",
        };
        Err(Ending::With(Error::new(ErrorCode::TOO_SLOW, text)))
    }

    /// Takes the next whole line off the input, without its end.
    fn next_line(&mut self) -> Result<Option<Bytes>, Error> {
        let limit = self.context.limits.line_bytes_max;
        let input = &mut self.wire.input;
        let end = input.iter().skip(self.scanned).position(|&byte| byte == b'\n');
        let end = end.map(|at| at + self.scanned);
        if end.unwrap_or(input.len()) > limit {
            let text = format!("the line is longer than the {limit} bytes allowed");
            return Err(Error::new(ErrorCode::FRAME_TOO_LARGE, text));
        }
        let mut line = match end {
            Some(end) => {
                let line = input.split_to(end).freeze();
                input.advance(1);
                line
            }
            None if self.wire.is_ended && !input.is_empty() => input.split().freeze(),
            None => {
                self.scanned = input.len();
                return Ok(None);
            }
        };
        self.scanned = 0;
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Ok(Some(line))
    }

    async fn take_line(&mut self, line: &[u8]) -> Result<(), Ending> {
        self.wire.tally.requests += 1;
        if !self.has_spoken && is_http(line) {
            let text = "this is not an HTTP server";
            return Err(Ending::With(Error::new(ErrorCode::PROTOCOL_VIOLATION, text)));
        }
        self.has_spoken = true;
        let reply = self.session.line(line).await;
        if let Answer::Failed(_) = reply.answer {
            self.wire.tally.failed += 1;
        }
        self.wire.output.put_slice(reply.to_text().as_bytes());
        if reply.is_last { Err(Ending::Quietly) } else { Ok(()) }
    }

    fn hand_over(&mut self) {
        self.mailbox.counts.add(&mut self.wire.tally);
    }
}

/// Whether a first line is that of an HTTP request: a web page must not be able to make a browser
/// send commands to a server on the same machine.
fn is_http(line: &[u8]) -> bool {
    line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_request_is_recognised() {
        assert!(is_http(b"POST / HTTP/1.1"));
        assert!(is_http(b"GET /x HTTP/1.0"));
        assert!(!is_http(b"get HTTP/1.1x"));
        assert!(!is_http(b"set k \"HTTP/1.1\""));
    }
}
