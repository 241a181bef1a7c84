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
}

impl Reply {
    fn new(room: Room) -> Self {
        let mut reply = Self { room, server_bytes: usize::MAX };
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
        let rows_beyond = end.rows_beyond.saturating_sub(begin.rows_beyond);
        if range.is_empty() && rows_beyond == 0 {
            return Ok(if is_exact { Answer::default() } else { answer });
        }
        let mut reply = Reply::new(question.room);
        let mut is_full = false;
        if reverse {
            for row in (begin.rows_beyond..end.rows_beyond).rev() {
                answer.is_after_last = true;
                is_full = is_full || reply.take(system_row_bytes(row));
            }
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
            answer.is_after_last = rows_beyond > 0 && !answer.more;
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
                keys_only: false,
                streams: false,
            };
            let chunk = self.ask_range(transaction, rest.clone(), options).await?;
            let Some(last) = chunk.rows.last().map(|row| row.key.clone()) else { break };
            for row in chunk.rows {
                let is_last = reply.take(row.key.len() + row.value.len());
                rows.push(row);
                if is_last {
                    return Ok(true);
                }
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
        if selector.offset == 1 {
            let key = selector.key.clone().min(self.end.clone());
            return Ok(Place { key, is_off: false, rows_beyond: 0 });
        }
        let key = self.ask_key(transaction, selector.clone()).await?;
        let mut place = Place { key, is_off: false, rows_beyond: 0 };
        if selector.offset < 1 {
            place.is_off = place.key.is_empty();
        } else if place.key >= self.end {
            let rows_max = usize::try_from(selector.offset - 1).unwrap_or(usize::MAX);
            let rest = KeyRange { begin: selector.key.clone(), end: self.end.clone() };
            let mut reply = Reply::new(Room::new(rows_max, usize::MAX));
            let mut rows = Vec::new();
            self.ask_rows(transaction, &rest, false, &mut reply, &mut rows).await?;
            place.rows_beyond = rows_max.saturating_sub(rows.len());
            if place.rows_beyond > SYSTEM_ROWS {
                place.rows_beyond = SYSTEM_ROWS;
                place.is_off = true;
            }
        }
        Ok(place)
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
