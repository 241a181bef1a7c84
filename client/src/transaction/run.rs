//! How a page of a range comes about: a walk over segments from one selector towards the other.
//!
//! A run goes as far as what is known reaches. Where it meets the unknown it says what to ask, and
//! goes on with the answer; selectors are moved towards plain keys as more becomes known. Where it
//! stops, and so where the page ends and what the transaction has depended on, is the same as in
//! FoundationDB's client.

use bytes::Bytes;
use plinth_protocol::{Error, KeyRange, KeySelector, range::key_after, response::KeyValue};

use super::segments::{BEYOND, Kind, Segment, Segments};

/// What FoundationDB's client counts for a row beside its key and value.
pub(super) const ROW_BYTES: usize = 8;

/// At most this many single cleared keys are read over in the first question; later ones read over
/// more.
const SINGLE_CLEARS_MAX: usize = 100;

/// How much a question, or a page, may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// The most rows; `usize::MAX` for no limit.
    pub(super) rows: usize,
    /// Enough bytes; `usize::MAX` for no limit.
    pub(super) bytes: usize,
}

impl Room {
    fn is_full(self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    fn has_byte_limit(self) -> bool {
        self.bytes != usize::MAX
    }

    pub(super) fn take(&mut self, row: &KeyValue) {
        let bytes = row.key.len() + row.value.len() + ROW_BYTES;
        if self.rows != usize::MAX {
            self.rows = self.rows.saturating_sub(1);
        }
        if self.bytes != usize::MAX {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

/// What to ask the database: rows between two selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) begin: KeySelector,
    pub(super) end: KeySelector,
    pub(super) room: Room,
    /// So many rows are needed, whatever their bytes.
    pub(super) rows_min: usize,
}

/// The answer to a question.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// In the order of reading.
    pub(super) rows: Vec<KeyValue>,
    pub(super) more: bool,
    pub(super) is_before_first: bool,
    pub(super) is_after_last: bool,
}

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
    begin_offset: i32,
    end_offset: i32,
    questions: u32,
    rows_past: i64,
    pub(super) rows: Vec<KeyValue>,
    pub(super) more: bool,
    pub(super) is_before_first: bool,
    pub(super) is_after_last: bool,
}

fn at_key(key: Bytes) -> KeySelector {
    KeySelector::first_greater_or_equal(key)
}

fn is_plain(selector: &KeySelector) -> bool {
    selector.offset == 1
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
            begin,
            end,
            reverse,
            max,
            room,
            stage: Stage::New,
            begin_offset: 1,
            end_offset: 1,
            questions: 0,
            rows_past: 0,
            rows: Vec::new(),
            more: false,
            is_before_first: false,
            is_after_last: false,
        }
    }

    /// The question that brings the whole page, where nothing of it is known.
    pub(super) fn whole(&self, room: Room) -> Question {
        Question { begin: self.begin.clone(), end: self.end.clone(), room, rows_min: 1 }
    }

    /// The answer to that question.
    pub(super) fn take(&mut self, answer: Answer) {
        for row in &answer.rows {
            self.room.take(row);
        }
        self.rows = answer.rows;
        self.more = answer.more || self.room.is_full();
        self.is_before_first = answer.is_before_first;
        self.is_after_last = answer.is_after_last;
        self.stage = Stage::Done;
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
            if self.rows.is_empty() && self.is_inverted() {
                return Ok(self.finish_empty(false));
            }
            let is_nowhere = if self.reverse {
                self.begin.offset >= 1 && self.begin.key >= self.max
            } else {
                self.end.offset <= 1 && self.end.key.is_empty()
            };
            if is_nowhere {
                return Ok(self.finish_empty(true));
            }
            if self.has_crossed() {
                if is_plain(self.far()) || self.rows.is_empty() {
                    return Ok(self.finish());
                }
                self.stage = Stage::Cutting;
                return Ok(Step::Resolve(self.far().clone()));
            }
            let is_beyond_far = here.is_passable()
                && if self.reverse {
                    self.rows_past >= self.rows_past_wanted() && here.begin < far.begin
                } else {
                    here.begin > far.begin
                };
            if is_beyond_far {
                let is_cut = is_plain(self.far());
                return Ok(if is_cut { self.finish() } else { self.finish_empty(true) });
            }
            let has_enough_past = self.rows_past >= self.rows_past_wanted();
            if self.room.is_full() && has_enough_past {
                return Ok(self.finish());
            }
            if self.reverse && is_plain(&self.end) && here.end < self.end.key {
                self.end = at_key(here.end.clone());
            }
            if here == far && (here.is_passable() || self.is_at_far(&here)) && !self.reverse {
                return Ok(self.finish());
            }
            match &here.kind {
                Kind::Unreadable => return Err(super::read::unreadable()),
                Kind::Unknown => {
                    if self.room.has_byte_limit() && !self.rows.is_empty() && has_enough_past {
                        self.more = true;
                        return Ok(self.finish());
                    }
                    return Ok(Step::Ask(self.question(segments, &here, &far)));
                }
                Kind::Row(value) => {
                    if self.room.is_full() {
                        self.rows_past += 1;
                    } else {
                        let row = KeyValue { key: here.begin.clone(), value: value.clone() };
                        self.room.take(&row);
                        self.rows.push(row);
                    }
                }
                Kind::Empty => {}
            }
            if self.reverse {
                if here == far {
                    return Ok(self.finish());
                }
                let Some(previous) = segments.previous(&here) else { return Ok(self.finish()) };
                here = previous;
            } else {
                here = segments.next(&here);
            }
        }
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

    /// What an answer makes known.
    pub(super) fn known(&self, question: &Question, answer: &Answer) -> KeyRange {
        let (begin, end) = (&question.begin, &question.end);
        let is_cut_low = self.reverse && answer.more;
        let is_cut_high = !self.reverse && answer.more;
        let knows_low = answer.is_before_first || (begin.offset <= 1 && !is_cut_low);
        let knows_high = answer.is_after_last || (end.offset >= 1 && !is_cut_high);
        let mut low = match (answer.is_before_first, knows_low) {
            (true, _) => Bytes::new(),
            (_, true) => begin.key.clone(),
            (_, false) => Bytes::from_static(BEYOND),
        };
        let mut high = match (answer.is_after_last, knows_high) {
            (true, _) => Bytes::from_static(BEYOND),
            (_, true) => end.key.clone(),
            (_, false) => Bytes::new(),
        };
        if let (Some(first), Some(last)) = (answer.rows.first(), answer.rows.last()) {
            let (least, greatest) = if self.reverse { (last, first) } else { (first, last) };
            if is_cut_low || least.key < low {
                low = least.key.clone();
            }
            if is_cut_high || greatest.key >= high {
                high = key_after(&greatest.key);
            }
        }
        KeyRange { begin: low, end: high }
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

    fn is_at_far(&self, here: &Segment) -> bool {
        self.begin.offset > 0 && is_plain(&self.end) && self.end.key == here.begin
    }

    /// Moves both selectors as far as what is known allows; the segments they are in, the near one
    /// first.
    fn place(&mut self, segments: &Segments<'_>) -> (Segment, Segment) {
        let begin = self.settle(segments, false);
        let end = self.settle(segments, true);
        if !self.reverse {
            return (begin, end);
        }
        // What lies before the end counts, not what begins there.
        let is_before = is_plain(&self.end) && end.begin == self.end.key;
        let before = if is_before { segments.previous(&end) } else { None };
        (before.unwrap_or(end), begin)
    }

    /// Moves one selector towards a plain key; the segment it is in then.
    fn settle(&mut self, segments: &Segments<'_>, is_end: bool) -> Segment {
        let selector = if is_end { &mut self.end } else { &mut self.begin };
        let mut key = selector.key.clone();
        let mut offset = selector.offset;
        let mut here = segments.at(&key);
        if offset <= 0
            && here.begin == key
            && let Some(previous) = segments.previous(&here)
        {
            here = previous;
        }
        while offset > 1 && here.is_passable() && here.end < self.max {
            if here.is_row() {
                offset -= 1;
            }
            here = segments.next(&here);
            key = here.begin.clone();
        }
        while offset < 1 && here.is_passable() && !here.begin.is_empty() {
            if here.is_row() {
                offset += 1;
                if offset == 1 {
                    key = here.begin.clone();
                    break;
                }
            }
            let Some(previous) = segments.previous(&here) else { break };
            here = previous;
            key = here.end.clone();
        }
        let moved_offset = offset;
        if here.is_passable() && offset > 1 {
            self.is_after_last = true;
            (key, offset) = (self.max.clone(), 1);
        } else if here.is_passable() && offset < 1 {
            self.is_before_first = true;
            (key, offset) = (Bytes::new(), 1);
        }
        *(if is_end { &mut self.end_offset } else { &mut self.begin_offset }) = moved_offset;
        let selector = if is_end { &mut self.end } else { &mut self.begin };
        *selector = KeySelector { key, or_equal: false, offset };
        here
    }

    /// What to ask at an unknown segment.
    fn question(&mut self, segments: &Segments<'_>, here: &Segment, far: &Segment) -> Question {
        let (last, single_clears) = self.unknown_stretch(segments, here, far);
        let mut additional = single_clears;
        let mut count = |rows: i32| additional += rows.unsigned_abs() as usize;
        let (begin, end);
        if self.reverse {
            begin = if last.begin <= far.begin {
                if self.begin.offset > 1 {
                    count(self.begin.offset - 1);
                    at_key(self.begin.key.clone())
                } else {
                    self.begin.clone()
                }
            } else {
                if self.begin.offset > 1 {
                    count(self.begin.offset - 1);
                }
                at_key(last.begin)
            };
            if self.end.offset < 1 {
                count(1 - self.end.offset);
                end = at_key(self.end.key.clone());
            } else {
                count(self.end.offset - 1);
                end = self.end.clone();
            }
        } else {
            end = if last.begin >= far.begin {
                if self.end.offset < 1 {
                    count(1 - self.end.offset);
                    at_key(self.end.key.clone())
                } else {
                    self.end.clone()
                }
            } else {
                if self.end.offset < 1 {
                    count(1 - self.end.offset);
                }
                at_key(last.end)
            };
            if is_plain(&self.begin) {
                let key = here.begin.clone().max(self.begin.key.clone());
                self.begin = at_key(key);
                begin = self.begin.clone();
            } else if self.begin.offset > 1 {
                count(self.begin.offset - 1);
                begin = at_key(self.begin.key.clone());
            } else {
                count(1 - self.begin.offset);
                begin = self.begin.clone();
            }
        }
        // A selector that counts away from the other one is read over at least up to its own key.
        let (begin, end): (KeySelector, KeySelector) = (begin, end);
        let (begin, end) = match self.reverse {
            false if begin.offset < 1 && end.key < begin.key => {
                let far = at_key(begin.key.clone());
                (begin, far)
            }
            true if end.offset > 1 && begin.key > end.key => (at_key(end.key.clone()), end),
            _ => (begin, end),
        };
        self.questions += 1;
        let rows = match self.room.rows {
            usize::MAX => usize::MAX,
            rows => rows.max(1).saturating_add(additional),
        };
        let room = Room { rows, bytes: self.room.bytes.max(1) };
        Question { begin, end, room, rows_min: additional.saturating_add(1) }
    }

    /// The last unknown segment of those that one question covers, and how many single cleared keys
    /// lie between.
    fn unknown_stretch(
        &self,
        segments: &Segments<'_>,
        here: &Segment,
        far: &Segment,
    ) -> (Segment, usize) {
        let limit = SINGLE_CLEARS_MAX
            + if self.questions == 0 { 0 } else { 1_usize << self.questions.min(20) };
        let (mut last, mut single_clears) = (here.clone(), 0);
        let (mut at, mut clears) = (here.clone(), 0);
        loop {
            let is_there = if self.reverse { at.begin <= far.begin } else { at.begin >= far.begin };
            let next = match self.reverse {
                _ if is_there => None,
                true => segments.previous(&at),
                false => Some(segments.next(&at)),
            };
            let Some(next) = next else { break };
            at = next;
            if at.is_unknown() {
                (last, single_clears) = (at.clone(), clears);
            } else if at.kind == Kind::Empty && key_after(&at.begin) == at.end && clears < limit {
                clears += 1;
            } else if !at.is_row() {
                break;
            }
        }
        (last, single_clears)
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
