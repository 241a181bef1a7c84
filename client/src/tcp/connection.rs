//! One connection as its users see it: requests go in, each answer comes out where it is waited for.
//!
//! All requests of all transactions go into one buffer, from which the [`driver`](super::driver)
//! writes what has come together at once. An answer finds its request by the request id, which is a
//! slot's number and how often the slot was used: a late answer to a request that nobody waits for
//! any more finds nothing.
//!
//! Both directions are bounded: a request waits to be sent while too many are in flight, or too many
//! bytes wait to be written.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use bytes::BytesMut;
use plinth_protocol::{
    Error, ErrorCode,
    frame::{Flags, Frame},
    limits::Limits,
    request::Request,
};
use tokio::sync::Notify;

use crate::lock::lock;

/// Bits of a request id that are the slot's number; the others count its uses.
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// The id of requests whose answers nobody waits for.
pub(super) const UNHEARD: u32 = u32::MAX;
/// No further request is taken while more bytes than this wait to be written.
const UNWRITTEN_BYTES_MAX: usize = 4 << 20;
/// How many ticks of the driver make up the operation timeout.
pub(super) const TICKS_PER_TIMEOUT: u64 = 16;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The request was not sent.
    NotSent(Error),
    /// The connection broke after the request may have been sent.
    Lost(Error),
    /// The server did not answer in time.
    TimedOut,
}

/// How long a request may wait for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The operation timeout.
    Limited,
    /// For ever: a watch.
    Endless,
}

/// Tells a database from all others.
pub(super) type DatabaseId = [u8; 16];

/// What a connection agreed on with its server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) limits: Limits,
    pub(super) database_id: DatabaseId,
    pub(super) flags: Flags,
}

#[derive(Debug)]
pub(super) struct Connection {
    core: Mutex<Core>,
    pub(super) agreed: Agreed,
    in_flight_max: usize,
    /// Tells the driver that there is something to write, or that it is over.
    pub(super) wake_driver: Notify,
    /// Tells those who wait to send that there may be room.
    room: Notify,
}

#[derive(Debug, Default)]
struct Core {
    unwritten: BytesMut,
    slots: Vec<Slot>,
    /// Slots to be used again, the longest unused first, so that ids repeat as late as they can.
    free: VecDeque<u32>,
    in_flight: usize,
    watches: usize,
    is_awaiting_room: bool,
    closed: Option<Error>,
    tick: u64,
    heard_at: u64,
    is_pinged: bool,
}

#[derive(Debug, Default)]
struct Slot {
    uses: u32,
    patience: Option<Patience>,
    sent_at: u64,
    waker: Option<Waker>,
    answer: Option<Result<Frame, Unanswered>>,
}

impl Connection {
    pub(super) fn new(agreed: Agreed, in_flight_max: usize) -> Self {
        Self {
            core: Mutex::default(),
            agreed,
            in_flight_max,
            wake_driver: Notify::new(),
            room: Notify::new(),
        }
    }

    /// The database that it leads to.
    pub(super) fn database_id(&self) -> DatabaseId {
        self.agreed.database_id
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.core).closed.is_some()
    }

    /// Sends a request as soon as there is room, and waits for its answer.
    pub(super) async fn request(
        self: &Arc<Self>,
        request: &Request,
        patience: Patience,
    ) -> Result<Frame, Unanswered> {
        let answer = match self.send(request, patience)? {
            Some(answer) => answer,
            None => Box::pin(self.send_when_possible(request, patience)).await?,
        };
        answer.await
    }

    /// Waits for room, and puts a request on its way.
    async fn send_when_possible(
        self: &Arc<Self>,
        request: &Request,
        patience: Patience,
    ) -> Result<Answer, Unanswered> {
        loop {
            let room = self.room.notified();
            if let Some(answer) = self.send(request, patience)? {
                return Ok(answer);
            }
            room.await;
        }
    }

    /// Puts a request on its way; `None` if there is no room now.
    fn send(
        self: &Arc<Self>,
        request: &Request,
        patience: Patience,
    ) -> Result<Option<Answer>, Unanswered> {
        let (id, was_empty) = {
            let mut core = lock(&self.core);
            if let Some(error) = &core.closed {
                return Err(Unanswered::NotSent(error.clone()));
            }
            let is_crowded = patience == Patience::Limited && core.in_flight >= self.in_flight_max;
            if is_crowded || core.unwritten.len() > UNWRITTEN_BYTES_MAX {
                core.is_awaiting_room = true;
                return Ok(None);
            }
            let Some(id) = core.take_slot(patience) else {
                core.is_awaiting_room = true;
                return Ok(None);
            };
            let was_empty = core.unwritten.is_empty();
            request.write_frame(&mut core.unwritten, self.agreed.flags, id);
            (id, was_empty)
        };
        if was_empty {
            self.wake_driver.notify_one();
        }
        Ok(Some(Answer { connection: Arc::clone(self), id, is_done: false }))
    }

    /// Sends a request whose answer doesn't matter, if the connection is there.
    pub(super) fn tell(&self, request: &Request) {
        let mut core = lock(&self.core);
        if core.closed.is_none() {
            request.write_frame(&mut core.unwritten, self.agreed.flags, UNHEARD);
            drop(core);
            self.wake_driver.notify_one();
        }
    }

    /// Swaps what is to be written for an empty buffer.
    pub(super) fn take_unwritten(&self, written: &mut BytesMut) {
        let mut core = lock(&self.core);
        std::mem::swap(&mut core.unwritten, written);
        if core.is_awaiting_room {
            core.is_awaiting_room = false;
            drop(core);
            self.room.notify_waiters();
        }
    }

    /// Hands answers to those who wait for them.
    pub(super) fn answer(&self, frames: &mut Vec<Frame>, wakers: &mut Vec<Waker>) {
        {
            let mut core = lock(&self.core);
            core.heard_at = core.tick;
            core.is_pinged = false;
            for frame in frames.drain(..) {
                core.fill(frame.request_id, Ok(frame), wakers);
            }
        }
        for waker in wakers.drain(..) {
            waker.wake();
        }
    }

    /// A moment has passed: gives up requests that have waited too long. `false` if the server
    /// seems to be gone.
    pub(super) fn tick(&self) -> bool {
        let mut wakers = Vec::new();
        let mut core = lock(&self.core);
        core.tick += 1;
        let tick = core.tick;
        if core.in_flight + core.watches == 0 {
            core.heard_at = tick;
            return true;
        }
        for slot in &mut core.slots {
            let is_late = slot.patience == Some(Patience::Limited)
                && slot.answer.is_none()
                && slot.sent_at + TICKS_PER_TIMEOUT < tick;
            if is_late {
                slot.answer = Some(Err(Unanswered::TimedOut));
                wakers.extend(slot.waker.take());
            }
        }
        let quiet_for = tick - core.heard_at;
        if quiet_for >= TICKS_PER_TIMEOUT / 2 && !core.is_pinged {
            core.is_pinged = true;
            let ping = Request::Ping { payload: bytes::Bytes::new() };
            ping.write_frame(&mut core.unwritten, self.agreed.flags, UNHEARD);
            self.wake_driver.notify_one();
        }
        drop(core);
        for waker in wakers {
            waker.wake();
        }
        quiet_for <= TICKS_PER_TIMEOUT + 1
    }

    /// Ends the connection: whoever waits is told why.
    pub(super) fn close(&self, error: &Error) {
        let mut wakers = Vec::new();
        {
            let mut core = lock(&self.core);
            if core.closed.is_some() {
                return;
            }
            core.closed = Some(error.clone());
            core.unwritten = BytesMut::new();
            for slot in &mut core.slots {
                if slot.patience.is_some() && slot.answer.is_none() {
                    slot.answer = Some(Err(Unanswered::Lost(error.clone())));
                    wakers.extend(slot.waker.take());
                }
            }
        }
        for waker in wakers {
            waker.wake();
        }
        self.room.notify_waiters();
        self.wake_driver.notify_one();
    }
}

impl Core {
    fn take_slot(&mut self, patience: Patience) -> Option<u32> {
        let index = match self.free.pop_front() {
            Some(index) => index,
            None if self.slots.len() < SLOT_MASK as usize => {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u32
            }
            None => return None,
        };
        let slot = self.slots.get_mut(index as usize)?;
        slot.uses = slot.uses.wrapping_add(1) & (u32::MAX >> SLOT_BITS);
        slot.patience = Some(patience);
        slot.sent_at = self.tick;
        match patience {
            Patience::Limited => self.in_flight += 1,
            Patience::Endless => self.watches += 1,
        }
        Some(slot.uses << SLOT_BITS | index)
    }

    /// The slot of a request id that is waited for.
    fn slot(&mut self, id: u32) -> Option<&mut Slot> {
        let slot = self.slots.get_mut((id & SLOT_MASK) as usize)?;
        (slot.uses == id >> SLOT_BITS && slot.patience.is_some()).then_some(slot)
    }

    fn fill(&mut self, id: u32, answer: Result<Frame, Unanswered>, wakers: &mut Vec<Waker>) {
        if let Some(slot) = self.slot(id)
            && slot.answer.is_none()
        {
            slot.answer = Some(answer);
            wakers.extend(slot.waker.take());
        }
    }

    fn release(&mut self, id: u32) {
        let Some(slot) = self.slot(id) else { return };
        let patience = slot.patience.take();
        slot.answer = None;
        slot.waker = None;
        match patience {
            Some(Patience::Limited) => self.in_flight -= 1,
            Some(Patience::Endless) => self.watches -= 1,
            None => {}
        }
        self.free.push_back(id & SLOT_MASK);
    }
}

/// An answer that is under way.
struct Answer {
    connection: Arc<Connection>,
    id: u32,
    is_done: bool,
}

impl Answer {
    /// Gives the slot back, and room to whoever waits for it.
    fn release(&mut self, mut core: MutexGuard<'_, Core>) {
        self.is_done = true;
        core.release(self.id);
        if core.is_awaiting_room {
            core.is_awaiting_room = false;
            drop(core);
            self.connection.room.notify_waiters();
        }
    }
}

impl Future for Answer {
    type Output = Result<Frame, Unanswered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let connection = Arc::clone(&self.connection);
        let mut core = lock(&connection.core);
        let Some(slot) = core.slot(self.id) else {
            return Poll::Ready(Err(Unanswered::Lost(ErrorCode::CONNECTION_FAILED.into())));
        };
        if let Some(answer) = slot.answer.take() {
            self.release(core);
            return Poll::Ready(answer);
        }
        if slot.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            slot.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Answer {
    /// Nobody waits any more. A watch is ended at the server too; anything else is answered soon.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let connection = Arc::clone(&self.connection);
        let mut core = lock(&connection.core);
        let is_waiting_watch = core
            .slot(self.id)
            .is_some_and(|slot| slot.patience == Some(Patience::Endless) && slot.answer.is_none());
        if is_waiting_watch && core.closed.is_none() {
            let cancel = Request::Cancel { request_id: self.id };
            cancel.write_frame(&mut core.unwritten, connection.agreed.flags, UNHEARD);
            connection.wake_driver.notify_one();
        }
        self.release(core);
    }
}
