//! How a page of a range comes about: a walk over segments from one selector towards the other.
//!
//! A run goes as far as what is known reaches. Where it meets the unknown it says what to ask, and
//! goes on with the answer; selectors are moved towards plain keys as more becomes known. Where it
//! stops, and so where the page ends and what the transaction has depended on, is the same as in
//! FoundationDB's client. Three of its habits are not plain to see:
//!
//! - A page that bytes bound and that has rows ends where the unknown begins. So where it ends
//!   depends on what was read before.
//! - A selector counts a key that a `compare_and_clear` of this transaction has removed. A page
//!   leaves it out.
//! - A selector that counts back or ahead from the far end wants to see as many rows behind the
//!   page as it counts, before the page can be cut by it.

use bytes::Bytes;
use plinth_protocol::{Error, KeySelector, response::KeyValue};

use super::{
    question::{Answer, Asking, Question, at_key, is_plain},
    room::Room,
    segments::{Kind, Segment, Segments},
};

/// What the run needs to go on.
#[derive(Debug)]
pub(super) enum Step {
    Done,
    Ask(Question),
    /// The key that the far selector resolves to.
    Resolve(KeySelector),
}

/// Where the run is with its far selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    /// Waits for the far selector's key before it begins.
    Resolving,
    Going,
    /// Waits for the far selector's key to cut the rows by it.
    Cutting,
    Done,
}

/// A walk. "Near" is the selector that it starts at, "far" the one that it goes to.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact, independent of the others")]
pub(super) struct Run {
    begin: KeySelector,
    end: KeySelector,
    reverse: bool,
    /// The first key that can't be read.
    max: Bytes,
    room: Room,
    stage: Stage,
    /// What was left of the selectors' offsets when they had gone as far as they could.
    begin_offset: i32,
    end_offset: i32,
    asked: u32,
    rows_past: i64,
    pub(super) rows: Vec<KeyValue>,
    pub(super) more: bool,
    pub(super) is_before_first: bool,
    pub(super) is_after_last: bool,
    /// The least and the greatest key that a selector has counted though it isn't there.
    pub(super) ghosts: Option<(Bytes, Bytes)>,
}

impl Run {
    /// A run between two selectors without `or_equal`.
    pub(super) fn new(
        begin: KeySelector,
        end: KeySelector,
        reverse: bool,
        max: Bytes,
        room: Room,
    ) -> Self {
        Self {
            begin_offset: begin.offset,
            end_offset: end.offset,
            begin,
            end,
            reverse,
            max,
            room,
            stage: Stage::New,
            asked: 0,
            rows_past: 0,
            rows: Vec::new(),
            more: false,
            is_before_first: false,
            is_after_last: false,
            ghosts: None,
        }
    }

    /// The question that brings the whole page, where nothing of it is known.
    pub(super) fn whole(&self) -> Question {
        Question { begin: self.begin.clone(), end: self.end.clone(), room: self.room }
    }

    /// The answer to that question, as it is.
    pub(super) fn take(&mut self, answer: Answer) {
        for row in &answer.rows {
            self.room.take(row);
        }
        self.rows = answer.rows;
        self.more = answer.more;
        self.is_before_first = answer.is_before_first;
        self.is_after_last = answer.is_after_last;
        self.stage = Stage::Done;
    }

    /// Ends the page of the answer: all is known of it, but for what is beyond a limit.
    pub(super) fn end(&mut self, is_all_known: bool) {
        self.more = self.room.is_full() || !is_all_known;
    }

    /// Goes on until something has to be asked, or to the end.
    pub(super) fn advance(&mut self, segments: &Segments<'_>) -> Result<Step, Error> {
        let (mut here, far) = self.place(segments);
        if self.stage == Stage::New {
            self.stage = Stage::Going;
            if self.is_inverted() {
                return Ok(self.finish_empty(false));
            }
            if (is_plain(&self.begin) && self.begin.key == self.max)
                || (is_plain(&self.end) && self.end.key.is_empty())
            {
                return Ok(self.finish_empty(true));
            }
            if !is_plain(self.far()) && self.begin.key > self.end.key {
                self.stage = Stage::Resolving;
                return Ok(Step::Resolve(self.far().clone()));
            }
        }
        loop {
            if let Some(step) = self.check_ends(&here, &far) {
                return Ok(step);
            }
            if self.reverse {
                // What lies before the end counts, not what begins there.
                if is_plain(&self.end) && self.end.key == here.begin {
                    if self.has_enough_past() && here == far {
                        return Ok(self.finish());
                    }
                    let Some(previous) = segments.previous(&here) else { return Ok(self.finish()) };
                    here = previous;
                }
            } else if here == far && (here.is_passable() || self.is_at_far(&here)) {
                return Ok(self.finish());
            }
            match &here.kind {
                Kind::Unreadable => return Err(super::read::unreadable()),
                Kind::Unknown => {
                    if self.room.has_byte_limit() && !self.rows.is_empty() && self.has_enough_past()
                    {
                        self.more = true;
                        return Ok(self.finish());
                    }
                    return Ok(Step::Ask(self.question(segments, &here, &far)));
                }
                Kind::Row(_) if self.room.is_full() => self.rows_past += 1,
                Kind::Row(value) => {
                    let row = KeyValue { key: here.begin.clone(), value: value.clone() };
                    self.room.take(&row);
                    self.rows.push(row);
                }
                Kind::Empty | Kind::Ghost => {}
            }
            if !self.reverse {
                here = segments.next(&here);
                continue;
            }
            match segments.previous(&here) {
                Some(previous) if here != far => here = previous,
                _ => return Ok(self.finish()),
            }
        }
    }

    /// Whether the run is over where it is, or can't go on without the far selector's key.
    fn check_ends(&mut self, here: &Segment, far: &Segment) -> Option<Step> {
        if self.rows.is_empty() && self.is_inverted() {
            return Some(self.finish_empty(false));
        }
        let is_nowhere = if self.reverse {
            self.begin.offset > 0 && self.begin.key >= self.max
        } else {
            self.end.offset <= 1 && self.end.key.is_empty()
        };
        if is_nowhere {
            return Some(self.finish_empty(true));
        }
        if self.has_crossed() {
            if is_plain(self.far()) || self.rows.is_empty() {
                return Some(self.finish());
            }
            self.stage = Stage::Cutting;
            return Some(Step::Resolve(self.far().clone()));
        }
        let is_beyond_far = here.is_passable()
            && if self.reverse {
                self.has_enough_past() && here.begin < far.begin
            } else {
                here.begin > far.begin
            };
        if is_beyond_far {
            let is_cut = is_plain(self.far());
            return Some(if is_cut { self.finish() } else { self.finish_empty(true) });
        }
        (self.room.is_full() && self.has_enough_past()).then(|| self.finish())
    }

    /// Goes on with the far selector's key.
    pub(super) fn resolved(&mut self, key: &Bytes) {
        self.is_before_first |= key.is_empty();
        self.is_after_last |= *key >= self.max;
        let is_cutting = self.stage == Stage::Cutting;
        let resolved = at_key(key.clone());
        if is_cutting {
            if self.reverse {
                self.begin = resolved;
            } else {
                self.end = resolved;
            }
            self.finish();
            return;
        }
        self.stage = Stage::Going;
        let is_empty = if self.reverse {
            *key >= self.end.key && self.end.offset <= 1
        } else {
            self.begin.key >= *key && self.begin.offset > 0
        };
        if is_empty {
            self.finish_empty(false);
        } else if (self.reverse && *key >= self.max) || (!self.reverse && key.is_empty()) {
            self.finish_empty(true);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    fn far(&self) -> &KeySelector {
        if self.reverse { &self.begin } else { &self.end }
    }

    fn is_inverted(&self) -> bool {
        self.begin_offset >= self.end_offset && self.begin.key >= self.end.key
    }

    /// Whether nothing lies between the selectors any more.
    fn has_crossed(&self) -> bool {
        let is_at_edge = if self.reverse {
            self.end.offset <= 1 && self.end.key.is_empty()
        } else {
            self.begin.offset >= 1 && self.begin.key >= self.max
        };
        is_at_edge || (self.begin.offset >= self.end.offset && self.begin.key >= self.end.key)
    }

    /// How many rows have to be seen behind the last of the page, because the far selector counts
    /// back over them.
    fn rows_past_wanted(&self) -> i64 {
        if self.reverse { i64::from(self.begin.offset) - 1 } else { 1 - i64::from(self.end.offset) }
    }

    fn has_enough_past(&self) -> bool {
        self.rows_past >= self.rows_past_wanted()
    }

    fn is_at_far(&self, here: &Segment) -> bool {
        self.begin.offset > 0 && is_plain(&self.end) && self.end.key == here.begin
    }

    /// Moves both selectors as far as what is known allows; the segments they are in, the near one
    /// first.
    fn place(&mut self, segments: &Segments<'_>) -> (Segment, Segment) {
        let begin = self.settle(segments, false);
        let end = self.settle(segments, true);
        if self.reverse { (end, begin) } else { (begin, end) }
    }

    /// Moves one selector towards a plain key; the segment it is in then.
    fn settle(&mut self, segments: &Segments<'_>, is_end: bool) -> Segment {
        let selector = if is_end { &self.end } else { &self.begin };
        let KeySelector { mut key, mut offset, .. } = selector.clone();
        let was_plain = is_plain(selector);
        let mut here = segments.at(&key);
        if offset <= 0
            && here.begin == key
            && let Some(previous) = segments.previous(&here)
        {
            here = previous;
        }
        while offset > 1 && here.is_passable() && here.end < self.max {
            if here.is_key() {
                offset -= 1;
                self.count(&here);
            }
            here = segments.next(&here);
            key = here.begin.clone();
        }
        while offset < 1 && here.is_passable() && !here.begin.is_empty() {
            if here.is_key() {
                offset += 1;
                self.count(&here);
                if offset == 1 {
                    key = here.begin.clone();
                    break;
                }
            }
            let Some(previous) = segments.previous(&here) else { break };
            here = previous;
            key = here.end.clone();
        }
        if !was_plain {
            *(if is_end { &mut self.end_offset } else { &mut self.begin_offset }) = offset;
        }
        if here.is_passable() && offset > 1 {
            self.is_after_last = true;
            (key, offset) = (self.max.clone(), 1);
        } else if here.is_passable() && offset < 1 {
            self.is_before_first = true;
            (key, offset) = (Bytes::new(), 1);
        } else {
            while here.is_empty() && here.end < self.max {
                here = segments.next(&here);
                key = here.begin.clone();
            }
        }
        let selector = if is_end { &mut self.end } else { &mut self.begin };
        *selector = KeySelector { key, or_equal: false, offset };
        here
    }

    /// Remembers a key that a selector counts, if it isn't there.
    fn count(&mut self, key: &Segment) {
        if key.kind == Kind::Ghost {
            let key = &key.begin;
            let (least, greatest) = self.ghosts.get_or_insert_with(|| (key.clone(), key.clone()));
            if key < least {
                *least = key.clone();
            } else if key > greatest {
                *greatest = key.clone();
            }
        }
    }

    /// What to ask at an unknown segment.
    fn question(&mut self, segments: &Segments<'_>, here: &Segment, far: &Segment) -> Question {
        if self.reverse {
            if is_plain(&self.end) && here.end < self.end.key {
                self.end = at_key(here.end.clone());
            }
        } else if is_plain(&self.begin) && here.begin > self.begin.key {
            self.begin = at_key(here.begin.clone());
        }
        let asking = Asking {
            segments,
            here,
            far,
            begin: &self.begin,
            end: &self.end,
            max: &self.max,
            room: self.room,
            asked: self.asked,
        };
        let question = if self.reverse { asking.backward() } else { asking.forward() };
        self.asked += 1;
        question
    }

    fn finish_empty(&mut self, keeps_edges: bool) -> Step {
        self.rows.clear();
        self.more = false;
        if !keeps_edges {
            self.is_before_first = false;
            self.is_after_last = false;
        }
        self.stage = Stage::Done;
        Step::Done
    }

    fn finish(&mut self) -> Step {
        self.more = self.more || self.room.is_full();
        if self.reverse && is_plain(&self.begin) {
            let keep = self.rows.partition_point(|row| row.key >= self.begin.key);
            self.more &= keep == self.rows.len();
            self.rows.truncate(keep);
        } else if !self.reverse && is_plain(&self.end) {
            let keep = self.rows.partition_point(|row| row.key < self.end.key);
            self.more &= keep == self.rows.len();
            self.rows.truncate(keep);
        }
        if self.reverse {
            self.is_before_first &= !self.more;
        } else {
            self.is_after_last &= !self.more;
        }
        self.stage = Stage::Done;
        Step::Done
    }
}
