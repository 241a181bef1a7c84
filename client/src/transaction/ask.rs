//! Asking the database: one question, as FoundationDB's client and server would answer it.
//!
//! The server ends its reply where its own account of the bytes says, which is larger than the
//! client's, and says then that there is more, whether there is or not. The client is content with
//! one reply that has the rows it must have; else it asks for the rest.

use bytes::Bytes;
use plinth_protocol::{
    Error, KeyRange, KeySelector, range::key_after, request::RangeOptions, response::KeyValue,
};

use super::{
    Transaction,
    question::{ANSWER_BYTES_MAX, Answer, Question},
    room::Room,
    source::Source,
};
use crate::{Backend, Snapshot};

/// What FoundationDB's servers count for a row beside its key and value.
const SERVER_ROW_BYTES: usize = 24;
/// How many rows of its own a small FoundationDB has beyond the users' keys.
const SYSTEM_ROWS: usize = 100;
/// The bytes of the first of them, key and value; the others have about as many as the last.
const SYSTEM_ROW_BYTES: [usize; 3] = [27, 34, 29];

/// What an end of a question resolves to.
struct Place {
    key: Bytes,
    /// Whether the database has no such row, not even of its own.
    is_off: bool,
    /// How many rows beyond the last key it is. FoundationDB has rows of its own there, which it
    /// reads and doesn't show.
    rows_beyond: usize,
}

/// A reply under way: what the client still has room for, and what the server will still give.
struct Reply {
    room: Room,
    server_bytes: usize,
    keys_only: bool,
}

impl Reply {
    fn new(room: Room) -> Self {
        let mut reply = Self { room, server_bytes: usize::MAX, keys_only: false };
        reply.renew();
        reply
    }

    /// What the server will give for the next request.
    fn renew(&mut self) {
        if self.room.has_byte_limit() {
            self.server_bytes = match self.room.bytes {
                0 => ANSWER_BYTES_MAX,
                bytes => bytes.min(ANSWER_BYTES_MAX),
            };
        }
    }

    /// Counts a row; whether it is the last that there is room for.
    fn take(&mut self, bytes: usize) -> bool {
        self.room.take_bytes(bytes);
        if self.room.is_full() {
            return true;
        }
        if self.room.has_byte_limit() {
            self.server_bytes = self.server_bytes.saturating_sub(bytes + SERVER_ROW_BYTES);
            if self.server_bytes == 0 {
                if self.room.may_end() {
                    return true;
                }
                self.renew();
            }
        }
        false
    }
}

impl<S: Snapshot> Source<S> {
    /// Asks the database alone.
    pub(super) async fn ask<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        question: &Question,
        reverse: bool,
    ) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        let mut begin = question.begin.clone();
        if begin.key.is_empty() && begin.offset < 1 {
            answer.is_before_first = true;
            begin = KeySelector::first_greater_or_equal(Bytes::new());
        }
        if question.end.key.is_empty() && question.end.offset <= 1 {
            return Ok(answer);
        }
        let begin = self.place_of(transaction, &begin).await?;
        let end = self.place_of(transaction, &question.end).await?;
        let is_exact = begin.is_off || end.is_off;
        let range = KeyRange { begin: begin.key, end: end.key };
        let beyond = begin.rows_beyond..end.rows_beyond;
        let reaches_beyond = !beyond.is_empty() || (end.is_off && range.end == self.end);
        if range.is_empty() && beyond.is_empty() {
            answer.is_before_first &= !is_exact;
            return Ok(answer);
        }
        let mut reply = Reply::new(question.room);
        let mut is_full = false;
        if reverse {
            answer.is_after_last = reaches_beyond;
            is_full = beyond.rev().any(|row| reply.take(system_row_bytes(row)));
        }
        if !is_full {
            is_full =
                self.ask_rows(transaction, &range, reverse, &mut reply, &mut answer.rows).await?;
        }
        answer.more = is_full;
        if is_exact {
            let is_at_edge = answer.rows.last().is_some_and(|last| {
                if reverse { last.key == range.begin } else { key_after(&last.key) == range.end }
            });
            answer.more = is_full && (reply.room.is_full() || !is_at_edge);
            answer.is_before_first = range.begin.is_empty() && !(reverse && answer.more);
        }
        if !reverse {
            answer.is_after_last = reaches_beyond && !answer.more;
        }
        Ok(answer)
    }

    /// Asks for the rows of a range until there is no room. Whether there is none.
    async fn ask_rows<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        range: &KeyRange,
        reverse: bool,
        reply: &mut Reply,
        rows: &mut Vec<KeyValue>,
    ) -> Result<bool, Error> {
        let mut rest = range.clone();
        while !rest.is_empty() {
            let options = RangeOptions {
                rows_max: limit(reply.room.rows),
                bytes_target: limit(reply.server_bytes),
                reverse,
                keys_only: reply.keys_only,
                streams: false,
            };
            let mut chunk = self.ask_range(transaction, rest.clone(), options).await?;
            let Some(last) = chunk.rows.last().map(|row| row.key.clone()) else { break };
            let mut taken = chunk.rows.iter();
            let is_full = taken.any(|row| reply.take(row.key.len() + row.value.len()));
            let left = taken.len();
            chunk.rows.truncate(chunk.rows.len() - left);
            if rows.is_empty() {
                *rows = chunk.rows;
            } else {
                rows.append(&mut chunk.rows);
            }
            if is_full {
                return Ok(true);
            }
            if !chunk.more {
                break;
            }
            if reverse {
                rest.end = last;
            } else {
                rest.begin = key_after(&last);
            }
        }
        Ok(false)
    }

    async fn place_of<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        selector: &KeySelector,
    ) -> Result<Place, Error> {
        let mut place = Place { key: selector.key.clone(), is_off: false, rows_beyond: 0 };
        if selector.offset == 1 {
            place.key = place.key.min(self.end.clone());
            return Ok(place);
        }
        place.key = self.ask_key(transaction, selector.clone()).await?;
        if selector.offset < 1 {
            place.is_off = place.key.is_empty();
        } else if place.key >= self.end {
            let rows_beyond = self.rows_beyond(transaction, selector).await?;
            place.is_off = rows_beyond.is_none();
            place.rows_beyond = rows_beyond.unwrap_or_else(|| self.system_rows());
        }
        Ok(place)
    }

    /// How many rows beyond the last key a selector goes that goes off there; `None` if beyond all.
    async fn rows_beyond<B: Backend<Snapshot = S>>(
        &self,
        transaction: &Transaction<B>,
        selector: &KeySelector,
    ) -> Result<Option<usize>, Error> {
        // So many rows lie before the one that it means, some of them beyond.
        let wanted = usize::try_from(selector.offset - 1).unwrap_or_default();
        let near = wanted.min(self.system_rows());
        let mut rest = KeyRange { begin: selector.key.clone(), end: self.end.clone() };
        if let Ok(offset @ 1..) = i32::try_from(wanted - near) {
            let least = KeySelector { offset, ..selector.clone() };
            let least = self.ask_key(transaction, least).await?;
            if least >= self.end {
                return Ok(None);
            }
            rest.begin = key_after(&least);
        }
        let mut reply = Reply::new(Room::new(near, usize::MAX));
        reply.keys_only = true;
        let mut rows = Vec::new();
        if near > 0 {
            self.ask_rows(transaction, &rest, false, &mut reply, &mut rows).await?;
        }
        Ok(Some(near.saturating_sub(rows.len())))
    }

    /// How many rows there are beyond the last key that can be read.
    fn system_rows(&self) -> usize {
        if self.end.as_ref() == b"\xFF" { SYSTEM_ROWS } else { 0 }
    }
}

/// The bytes of key and value of a row beyond the users' keys.
fn system_row_bytes(row: usize) -> usize {
    let last = SYSTEM_ROW_BYTES.len() - 1;
    SYSTEM_ROW_BYTES.get(row.min(last)).copied().unwrap_or_default()
}

/// A limit as a backend wants it, where 0 is none.
fn limit(limit: usize) -> u32 {
    if limit == usize::MAX { 0 } else { u32::try_from(limit).unwrap_or(u32::MAX) }
}
