//! A socket with its two buffers and its deadlines: what binary and text connections share.
//!
//! A connection's task alternates between working on what it has and [`Wire::wait`], which sends
//! what is ready, reads what has come, looks into the mailbox and minds the deadlines, all in one
//! poll. Both buffers are bounded by their users: the input because nothing is read while a whole
//! frame or line waits in it, the output because nothing is worked on while too much waits in it.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout},
};

use super::{
    config::ServerLimits,
    mailbox::{Event, Mailbox},
    statistics::Tally,
};

/// How much room for reading there is: as a rule, while a buffer is used up, at most without need.
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_LEAST: usize = 1 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

/// Buffers that grew beyond this are given back once they are empty.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// How long, and how many bytes, a closing connection goes on reading, so that the peer gets to see
/// the last answer: a socket that is closed with unread input takes back what it has sent.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1 << 20;

/// What a connection waits for, besides its mail and its output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wants {
    /// Whether there is room for more input.
    pub(super) input: bool,
    /// Whether nothing is under way, so that silence means idleness.
    pub(super) is_idle: bool,
    /// Whether to come back when no output is left.
    pub(super) drained: bool,
}

/// What has come of waiting. Several may have come at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wake {
    /// There is new input.
    pub(super) has_input: bool,
    /// There is mail.
    pub(super) has_mail: bool,
    /// A deadline has passed.
    pub(super) overdue: Option<Overdue>,
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// A frame or line was begun, or a connection opened, and then nothing came.
    Input,
    /// Nothing was under way for too long.
    Idle,
    /// The peer doesn't read its answers.
    Output,
}

/// The deadlines, each there only while it matters.
#[derive(Debug)]
struct Deadlines {
    frame: Duration,
    idle: Option<Duration>,
    write: Duration,
    input_due: Option<Instant>,
    output_due: Option<Instant>,
    quiet_since: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    alarm_at: Option<Instant>,
}

/// A socket with its buffers and deadlines.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    /// What has been read and not yet used.
    pub(super) input: BytesMut,
    /// What has been answered and not yet sent.
    pub(super) output: BytesMut,
    /// Whether the peer has said that it will send no more.
    pub(super) is_ended: bool,
    /// What the connection counts, on the socket and elsewhere.
    pub(super) tally: Tally,
    read_bytes: usize,
    deadlines: Deadlines,
}

impl Wire {
    /// Takes over a socket; its first bytes are due within the time for a hello.
    pub(super) fn new(stream: TcpStream, limits: &ServerLimits) -> Self {
        let now = Instant::now();
        Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            is_ended: false,
            tally: Tally::default(),
            read_bytes: READ_BYTES_MIN,
            deadlines: Deadlines {
                frame: limits.frame_timeout,
                idle: limits.idle_timeout,
                write: limits.write_timeout,
                input_due: Some(now + limits.hello_timeout),
                output_due: None,
                quiet_since: now,
                alarm: None,
                alarm_at: None,
            },
        }
    }

    /// Says whether the input holds the beginning of a frame or line, and whether it is another one
    /// than before: its time runs from its first byte.
    pub(super) fn set_partial(&mut self, is_partial: bool, is_another: bool) {
        let deadlines = &mut self.deadlines;
        if !is_partial {
            deadlines.input_due = None;
        } else if is_another || deadlines.input_due.is_none() {
            deadlines.input_due = Some(Instant::now() + deadlines.frame);
        }
    }

    /// Sends and receives until something has come. `events` must be empty; mail is put there.
    pub(super) async fn wait(
        &mut self,
        mailbox: &Mailbox,
        events: &mut Vec<Event>,
        wants: Wants,
    ) -> io::Result<Wake> {
        poll_fn(|context| {
            let mut wake = Wake::default();
            let had_output = !self.output.is_empty();
            let is_drained = self.poll_flush(context)?.is_ready();
            if wants.input && !self.is_ended {
                wake.has_input = self.poll_read(context)?.is_ready();
            }
            wake.has_mail = mailbox.poll(context, events);
            let is_done = wants.drained && had_output && is_drained;
            if wake.has_input || wake.has_mail || is_done {
                return Poll::Ready(Ok(wake));
            }
            wake.overdue = self.deadlines.poll(context, wants.is_idle);
            if wake.overdue.is_some() {
                return Poll::Ready(Ok(wake));
            }
            self.tally.waits += 1;
            Poll::Pending
        })
        .await
    }

    /// Sends what the socket takes at once.
    pub(super) async fn flush_some(&mut self) -> io::Result<()> {
        poll_fn(|context| {
            let _ = self.poll_flush(context)?;
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Sends the output; ready when none is left.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            match pin!(self.stream.write(&self.output)).poll(context)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => {
                    self.tally.socket_writes += 1;
                    self.tally.output_bytes += count as u64;
                    self.deadlines.output_due = None;
                    if count == self.output.len() {
                        self.output.clear();
                    } else {
                        self.output.advance(count);
                    }
                }
                Poll::Pending => {
                    if self.deadlines.output_due.is_none() {
                        self.deadlines.output_due = Some(Instant::now() + self.deadlines.write);
                    }
                    return Poll::Pending;
                }
            }
        }
        if self.output.capacity() > KEPT_BYTES_MAX {
            self.output = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once; ready when there is more input, or its end.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES_MAX {
            self.input = BytesMut::new();
        }
        self.make_room();
        let room = self.input.capacity() - self.input.len();
        match pin!(self.stream.read_buf(&mut self.input)).poll(context)? {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(0) => self.is_ended = true,
            Poll::Ready(count) => {
                self.tally.socket_reads += 1;
                self.tally.input_bytes += count as u64;
                if count == room {
                    self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
                }
                self.deadlines.heard();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Makes room for reading. Where requests that are under way still need the front of the buffer,
    /// as commits do, its rest is used up before there is another.
    fn make_room(&mut self) {
        let input = &mut self.input;
        let has_room = input.capacity() - input.len() >= READ_BYTES_MIN
            || input.try_reclaim(READ_BYTES_MIN)
            || input.capacity() - input.len() >= READ_BYTES_LEAST;
        if !has_room {
            input.reserve(self.read_bytes);
        }
    }

    /// Sends what is left, as far as the peer takes it in time, and closes.
    pub(super) async fn close(mut self) {
        let Self { stream, output, deadlines, .. } = &mut self;
        let sent = timeout(deadlines.write, async {
            stream.write_all(output).await?;
            stream.shutdown().await
        });
        if !matches!(sent.await, Ok(Ok(()))) {
            return;
        }
        let drained = async {
            let mut scrap = BytesMut::with_capacity(READ_BYTES_MIN);
            let mut count = 0;
            while count < LINGER_BYTES_MAX {
                scrap.clear();
                match stream.read_buf(&mut scrap).await {
                    Ok(read) if read > 0 => count += read,
                    _ => break,
                }
            }
        };
        // Too slow a peer is left to itself.
        let _ = timeout(LINGER, drained).await;
    }
}

impl Deadlines {
    /// Something was heard of the peer.
    fn heard(&mut self) {
        if self.idle.is_some() {
            self.quiet_since = Instant::now();
        }
    }

    /// The deadline that has passed, if one has; else the task is woken when the next one does.
    fn poll(&mut self, context: &mut Context<'_>, is_idle: bool) -> Option<Overdue> {
        let idle_due = self.idle.filter(|_| is_idle).map(|idle| self.quiet_since + idle);
        let next = [self.input_due, self.output_due, idle_due].into_iter().flatten().min()?;
        // An alarm that is set earlier than needed is left alone: setting it costs more than one
        // look too many.
        while self.alarm_at.is_none_or(|at| at > next) || self.is_ringing(context) {
            let now = Instant::now();
            let is_past = |due: Option<Instant>| due.is_some_and(|due| due <= now);
            if is_past(self.output_due) {
                return Some(Overdue::Output);
            } else if is_past(self.input_due) {
                return Some(Overdue::Input);
            } else if is_past(idle_due) {
                return Some(Overdue::Idle);
            }
            self.set_alarm(next);
        }
        None
    }

    fn set_alarm(&mut self, at: Instant) {
        self.alarm_at = Some(at);
        match &mut self.alarm {
            Some(alarm) => alarm.as_mut().reset(at),
            none => *none = Some(Box::pin(sleep_until(at))),
        }
    }

    /// Whether the alarm has gone off; it is not set any more then.
    fn is_ringing(&mut self, context: &mut Context<'_>) -> bool {
        let rings =
            self.alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(context).is_ready());
        if rings {
            self.alarm_at = None;
        }
        rings
    }
}
