//! A binary connection: frames in, answers out.
//!
//! ```text
//!  socket ─► input ─► frames ─► reads: engine ────────────► output ─► one write
//!                       │                                     ▲
//!                       ├─► commits: engine's queue ─► mailbox┤
//!                       └─► waits, watches, long work ────────┘
//! ```
//!
//! The task works in rounds. A round takes the mail, handles every complete frame that has been
//! read (up to a bound, so that other connections get their turn), and sends all answers in one
//! write. Reads are answered on the spot, through one look into the engine that lasts as long as the
//! round and never across an `await`. Everything that has to wait, reads from the disk too, goes
//! elsewhere and comes back as mail, so one connection's requests never wait for each other.
//!
//! What a connection can make the server hold is bounded: while too much output waits for the peer,
//! or too many requests are under way, its input waits unread. When it ends, its watches, pins,
//! streams and waits end with it; its commits are finished by the engine.

mod aside;
mod dispatch;
mod hello;
mod range;
mod read;
mod view;
mod watch;

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    io,
    sync::Arc,
};

use bytes::Buf;
use plinth_protocol::{
    Error, ErrorCode,
    codec::FrameCodec,
    frame::{Flags, Frame},
    limits::HELLO_FRAME_BYTES_MAX,
    response::Response,
};
use tokio::task::{JoinSet, yield_now};
use tokio_util::codec::Decoder;

pub(in crate::server) use self::aside::{Done, Whose};
use self::{aside::Queued, range::Streaming, view::View, watch::Watching};
use super::{
    context::ServerContext,
    mailbox::{Event, Mailbox, ReplyTo},
    wire::{Overdue, Wants, Wire},
    workers::Worker,
};
use crate::engine::{Engine, Pin};

/// The most frames of one round. Enough that the round's own cost is nothing beside them, few
/// enough that a connection with a full buffer holds up others for well under a millisecond.
const ROUND_FRAMES_MAX: usize = 256;

/// The bytes of answers after which a round takes no further frame.
const ROUND_OUTPUT_BYTES: usize = 256 << 10;

/// How a connection ends.
#[derive(Debug)]
pub(super) enum Closing {
    /// The peer has gone, or there is nothing more to say.
    Quietly,
    /// With a last answer.
    With(ReplyTo, Error),
}

impl From<io::Error> for Closing {
    fn from(_: io::Error) -> Self {
        Self::Quietly
    }
}

/// A binary connection.
pub(super) struct Session {
    context: Arc<ServerContext>,
    worker: Arc<Worker>,
    wire: Wire,
    mailbox: Arc<Mailbox>,
    /// Mail being read; kept for its memory.
    events: Vec<Event>,
    codec: FrameCodec,
    /// How all frames are sent since the hello.
    flags: Flags,
    has_greeted: bool,
    is_stopping: bool,
    /// Whether every complete frame of the input has been taken. Streams fill the output after
    /// that, so there is always a moment at which a cancel is read.
    needs_input: bool,
    /// Requests whose answer comes by mail, watches aside.
    in_flight: usize,
    watches: HashMap<u32, Watching>,
    watch_serial: u64,
    pins: HashMap<u64, Pin>,
    pin_serial: u64,
    stream_serial: u64,
    /// Streams whose next chunk is read on the spot, in turn.
    streams: VecDeque<Streaming>,
    /// Streams whose next chunk is being fetched from the disk.
    cold_streams: Vec<Streaming>,
    /// What waits for a blocking thread, and how much is done by one.
    queued: VecDeque<Queued>,
    aside_running: usize,
    work: JoinSet<()>,
}

impl Session {
    /// A session on a connection whose first byte is that of a frame.
    pub(super) fn new(
        context: Arc<ServerContext>,
        worker: &Arc<Worker>,
        wire: Wire,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            context,
            worker: Arc::clone(worker),
            wire,
            mailbox,
            events: Vec::new(),
            codec: FrameCodec::new(HELLO_FRAME_BYTES_MAX),
            flags: Flags::NONE,
            has_greeted: false,
            is_stopping: false,
            needs_input: true,
            in_flight: 0,
            watches: HashMap::new(),
            watch_serial: 0,
            pins: HashMap::new(),
            pin_serial: 0,
            stream_serial: 0,
            streams: VecDeque::new(),
            cold_streams: Vec::new(),
            queued: VecDeque::new(),
            aside_running: 0,
            work: JoinSet::new(),
        }
    }

    /// Serves the connection until it ends, and gives the socket back with what is still to be
    /// sent. All else that the connection held is let go.
    pub(super) async fn run(mut self) -> Wire {
        let Err(closing) = self.rounds().await;
        self.end(closing)
    }

    /// Answers the first frame with an error, whatever it is.
    pub(super) async fn refuse(mut self, error: Error) -> Wire {
        let closing = loop {
            match self.codec.decode(&mut self.wire.input) {
                Ok(Some(frame)) => {
                    let to = ReplyTo { request_id: frame.request_id, flags: Flags::NONE };
                    break Closing::With(to, error);
                }
                Ok(None) if !self.wire.is_ended => {}
                _ => break Closing::With(self.to_nobody(), error),
            }
            let wants = Wants { input: true, is_idle: true, drained: false };
            match self.wire.wait(&self.mailbox, &mut self.events, wants).await {
                Ok(wake) if wake.overdue.is_none() && !wake.has_mail => {}
                _ => break Closing::With(self.to_nobody(), error),
            }
        };
        self.end(closing)
    }

    fn end(mut self, closing: Closing) -> Wire {
        match closing {
            // Who has not read it so far is not waited for once more.
            Closing::Quietly => self.wire.output.clear(),
            Closing::With(to, error) => {
                tracing::debug!(code = error.code.0, "closing a connection: {error}");
                self.answer_error(to, error);
            }
        }
        self.hand_over();
        self.let_go();
        self.wire
    }

    /// Ends what the connection has begun elsewhere, commits aside.
    fn let_go(&mut self) {
        self.watches.clear();
        self.pins.clear();
        self.streams.clear();
        self.cold_streams.clear();
        self.queued.clear();
        self.work.abort_all();
    }

    async fn rounds(&mut self) -> Result<Infallible, Closing> {
        // One handle for all rounds: to count one up and down is dear where all connections do.
        let engine = self.context.engine.clone();
        loop {
            let is_behind = self.round(&engine)?;
            self.hand_over();
            if is_behind {
                self.wire.flush_some().await?;
                yield_now().await;
                continue;
            }
            if self.is_finished() {
                return Err(Closing::Quietly);
            }
            let wants = Wants {
                input: self.needs_input && !self.is_stopping,
                is_idle: self.in_flight == 0
                    && self.watches.is_empty()
                    && self.pins.is_empty()
                    && self.cold_streams.is_empty(),
                drained: !self.has_room() || !self.streams.is_empty() || self.is_ending(),
            };
            let wake = self.wire.wait(&self.mailbox, &mut self.events, wants).await?;
            if let Some(overdue) = wake.overdue {
                return Err(self.overdue(overdue));
            }
        }
    }

    /// Whether there is room for the answer to another request.
    fn has_room(&self) -> bool {
        self.in_flight < self.context.limits.requests_max
            && self.wire.output.len() < self.context.limits.output_bytes_max
    }

    /// Whether no further request will be taken.
    fn is_ending(&self) -> bool {
        self.wire.is_ended || self.is_stopping
    }

    /// Whether nothing more can come of this connection.
    fn is_finished(&self) -> bool {
        self.is_ending()
            && self.in_flight == 0
            && self.streams.is_empty()
            && self.cold_streams.is_empty()
            && self.wire.output.is_empty()
    }

    fn overdue(&self, overdue: Overdue) -> Closing {
        let text = match overdue {
            // Who doesn't read can't be told either.
            Overdue::Output => return Closing::Quietly,
            Overdue::Idle => "the connection was silent for longer than the server allows",
            Overdue::Input if self.has_greeted => {
                "a frame took longer than the server allows from its first byte to its last"
            }
            Overdue::Input => "the hello took longer than the server allows",
        };
        Closing::With(self.to_nobody(), Error::new(ErrorCode::TOO_SLOW, text))
    }

    /// Answers what there is to answer; true if there is more to do without waiting.
    fn round(&mut self, engine: &Engine) -> Result<bool, Closing> {
        let mut view = View::new(engine);
        self.take_mail(&mut view);
        let mut is_behind = false;
        if !self.is_stopping {
            is_behind = self.take_frames(&mut view)?;
            is_behind |= self.pump_streams(&mut view);
        }
        self.begin_queued();
        Ok(is_behind)
    }

    /// Handles the complete frames of the input; true if the round was too short for all of them.
    fn take_frames(&mut self, view: &mut View<'_>) -> Result<bool, Closing> {
        let frame_bytes_max = self.context.protocol.frame_bytes_max;
        let output_bytes = self.wire.output.len() + ROUND_OUTPUT_BYTES;
        let mut frames = 0;
        self.needs_input = false;
        loop {
            if !self.has_room() {
                // What lies unread because of this server is not late.
                self.wire.set_partial(false, false);
                return Ok(false);
            }
            if frames == ROUND_FRAMES_MAX || self.wire.output.len() > output_bytes {
                return Ok(true);
            }
            if self.has_greeted && self.flags == Flags::NONE {
                let bounds = read::Bounds {
                    frame_bytes_max,
                    gets_max: ROUND_FRAMES_MAX - frames,
                    output_bytes: output_bytes.min(self.context.limits.output_bytes_max),
                };
                let (input, output) = (&self.wire.input, &mut self.wire.output);
                let answered = read::answer_gets(view, input, output, bounds);
                if answered.gets > 0 {
                    self.wire.input.advance(answered.bytes);
                    self.wire.tally.requests += answered.gets as u64;
                    self.wire.tally.reads += answered.gets as u64;
                    frames += answered.gets;
                    continue;
                }
            }
            match self.codec.decode(&mut self.wire.input) {
                Ok(Some(frame)) => self.take_frame(view, frame)?,
                Ok(None) => break,
                Err(error) => {
                    let error = Error::new(error.code(), error.to_string());
                    return Err(Closing::With(self.to_nobody(), error));
                }
            }
            frames += 1;
        }
        self.needs_input = true;
        let is_partial = !self.wire.input.is_empty();
        if is_partial && self.wire.is_ended {
            let text = "the stream ends inside a frame";
            let error = Error::new(ErrorCode::PROTOCOL_VIOLATION, text);
            return Err(Closing::With(self.to_nobody(), error));
        }
        if self.has_greeted {
            self.wire.set_partial(is_partial, frames > 0);
        }
        Ok(false)
    }

    fn take_frame(&mut self, view: &mut View<'_>, frame: Frame) -> Result<(), Closing> {
        self.wire.tally.requests += 1;
        let flags = Flags(self.flags.0 | frame.flags.0 & Flags::CHECKSUM.0);
        let to = ReplyTo { request_id: frame.request_id, flags };
        if frame.flags.contains(Flags::MORE) {
            let text = "the flag MORE has no meaning in a request";
            return Err(Closing::With(to, Error::new(ErrorCode::PROTOCOL_VIOLATION, text)));
        }
        if self.has_greeted { self.take_request(view, to, frame) } else { self.greet(to, frame) }
    }

    fn take_mail(&mut self, view: &mut View<'_>) {
        if self.events.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            match event {
                Event::Committed { to, outcome } => {
                    self.in_flight -= 1;
                    self.answer_commit(to, outcome);
                }
                Event::Answered { to, response } => {
                    self.in_flight -= 1;
                    self.answer(to, &response);
                }
                Event::Aside { whose, outcome } => self.take_aside(whose, outcome),
                Event::Again { to, request } => {
                    self.in_flight -= 1;
                    self.read_again(view, to, &request);
                }
                Event::Watched { request_id, serial, outcome } => {
                    self.answer_watch(request_id, serial, outcome);
                }
                Event::Stop => self.stop(),
            }
        }
        self.events = events;
        while self.work.try_join_next().is_some() {}
    }

    /// Takes no further request; what was begun and can't be finished is told so.
    fn stop(&mut self) {
        self.is_stopping = true;
        let watches = std::mem::take(&mut self.watches);
        let streams = std::mem::take(&mut self.streams);
        let streams = streams.into_iter().chain(std::mem::take(&mut self.cold_streams));
        let ended = watches.into_values().map(|watching| watching.to);
        for to in ended.chain(streams.map(|streaming| streaming.stream.to)) {
            self.answer_error(to, ErrorCode::SHUTTING_DOWN.into());
        }
    }

    /// Where a last answer goes that belongs to no request.
    fn to_nobody(&self) -> ReplyTo {
        ReplyTo { request_id: 0, flags: self.flags }
    }

    fn answer(&mut self, to: ReplyTo, response: &Response) {
        if let Response::Error(_) = response {
            self.wire.tally.failed += 1;
        }
        response.write_frame(&mut self.wire.output, to.flags, to.request_id);
    }

    fn answer_error(&mut self, to: ReplyTo, error: Error) {
        self.answer(to, &Response::Error(error));
    }

    /// Shows others what the connection has counted.
    fn hand_over(&mut self) {
        self.mailbox.counts.add(&mut self.wire.tally);
    }
}
