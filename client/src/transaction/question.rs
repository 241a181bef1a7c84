//! What a walk asks the database when it meets the unknown.
//!
//! A question goes as far as it is worth: over keys that are known and over single cleared ones, up
//! to the next range that is known to be empty. Rows that the walk will not take, because they are
//! cleared or because selectors only count them, are asked for on top of what the page has room
//! for. The figures are FoundationDB's: where a page ends depends on them.

use bytes::Bytes;
use plinth_protocol::{KeyRange, KeySelector, range::key_after, response::KeyValue};

use super::{
    room::Room,
    segments::{BEYOND, Segment, Segments},
};

/// The most bytes that a question of a page that bytes bound asks for.
pub(super) const ANSWER_BYTES_MAX: usize = 80_000;
/// At most this many segments are read over at first; later questions read over more.
const SEGMENTS_MAX: usize = 100;
/// From this question on the figures don't grow any more.
const GROWTH_MAX: u32 = 20;

/// What to ask the database: rows between two selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) begin: KeySelector,
    pub(super) end: KeySelector,
    pub(super) room: Room,
}

/// The answer to a question.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// In the order of reading.
    pub(super) rows: Vec<KeyValue>,
    /// Whether a limit ended it.
    pub(super) more: bool,
    /// Whether it began before the first key.
    pub(super) is_before_first: bool,
    /// Whether it went on after the last key.
    pub(super) is_after_last: bool,
}

pub(super) fn at_key(key: Bytes) -> KeySelector {
    KeySelector::first_greater_or_equal(key)
}

/// Whether the selector is a plain key.
pub(super) fn is_plain(selector: &KeySelector) -> bool {
    selector.offset == 1
}

impl Question {
    /// What an answer makes known.
    pub(super) fn known(&self, answer: &Answer, reverse: bool) -> KeyRange {
        let is_cut_low = reverse && answer.more;
        let is_cut_high = !reverse && answer.more;
        let mut low = if answer.is_before_first {
            Bytes::new()
        } else if self.begin.offset <= 1 && !is_cut_low {
            self.begin.key.clone()
        } else {
            Bytes::from_static(BEYOND)
        };
        let mut high = if answer.is_after_last {
            Bytes::from_static(BEYOND)
        } else if self.end.offset >= 1 && !is_cut_high {
            self.end.key.clone()
        } else {
            Bytes::new()
        };
        if let (Some(first), Some(last)) = (answer.rows.first(), answer.rows.last()) {
            let (least, greatest) = if reverse { (last, first) } else { (first, last) };
            if is_cut_low || least.key < low {
                low = least.key.clone();
            }
            if is_cut_high || greatest.key >= high {
                high = key_after(&greatest.key);
            }
        }
        KeyRange { begin: low, end: high }
    }
}

/// Where a walk stands when it asks.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) segments: &'a Segments<'a>,
    /// The unknown segment that it has met.
    pub(super) here: &'a Segment,
    /// Where its far selector is.
    pub(super) far: &'a Segment,
    pub(super) begin: &'a KeySelector,
    pub(super) end: &'a KeySelector,
    /// The first key that can't be read.
    pub(super) max: &'a Bytes,
    /// What is left of the page's limits.
    pub(super) room: Room,
    /// How many questions it has asked before.
    pub(super) asked: u32,
}

impl Asking<'_> {
    /// The question of a walk from the beginning to the end.
    pub(super) fn forward(&self) -> Question {
        let clears_max = self.clears_max();
        let (last, mut clears) = self.stretch(false, clears_max);
        let mut additional = 0;
        let mut end;
        if last != *self.far {
            end = at_key(last.end.clone());
            additional += back(self.end);
        } else if self.end.offset < 1 {
            end = at_key(self.end.key.clone());
            additional += back(self.end);
        } else {
            end = self.end.clone();
            if end.offset > 1 {
                clears += self.clears_after(&last, clears_max - clears);
                end.offset = moved(end.offset, clears);
            }
        }
        additional += clears;
        let mut begin;
        if self.begin.offset >= 1 {
            begin = at_key(self.begin.key.clone());
            additional += ahead(self.begin);
        } else {
            begin = self.begin.clone();
            let clears = self.clears_before(self.here, clears_max);
            begin.offset = moved(begin.offset, -clears);
            additional += clears;
        }
        if end.key < begin.key {
            end.key = begin.key.clone();
        }
        let room = self.room_for(additional, 2 - i64::from(begin.offset));
        Question { begin, end, room }
    }

    /// The question of a walk from the end to the beginning.
    pub(super) fn backward(&self) -> Question {
        let clears_max = self.clears_max();
        let (last, mut clears) = self.stretch(true, clears_max);
        let mut additional = 0;
        let mut begin;
        if last != *self.far {
            begin = at_key(last.begin.clone());
            additional += ahead(self.begin);
        } else if self.begin.offset > 1 {
            begin = at_key(self.begin.key.clone());
            additional += ahead(self.begin);
        } else {
            begin = self.begin.clone();
            if begin.offset < 1 {
                clears += self.clears_before(&last, clears_max - clears);
                begin.offset = moved(begin.offset, -clears);
            }
        }
        additional += clears;
        let mut end;
        if self.end.offset <= 1 {
            end = at_key(self.end.key.clone());
            additional += back(self.end);
        } else {
            end = self.end.clone();
            let clears = self.clears_after(self.here, clears_max);
            end.offset = moved(end.offset, clears);
            additional += clears;
        }
        if begin.key > end.key {
            begin.key = end.key.clone();
        }
        let room = self.room_for(additional, i64::from(end.offset));
        Question { begin, end, room }
    }

    /// How many single cleared keys a question reads over: none at first, then ever more.
    fn clears_max(&self) -> i64 {
        if self.asked == 0 { 0 } else { 1 << self.asked.min(GROWTH_MAX) }
    }

    /// What to ask for: `additional` rows that the page won't take, and so many as the selector
    /// that is nearer needs for itself.
    fn room_for(&self, additional: i64, selector_rows: i64) -> Room {
        let wanted = |rows: usize| {
            let rows = i64::try_from(rows.max(1)).unwrap_or(i64::MAX);
            usize::try_from(rows.saturating_add(additional).max(selector_rows)).unwrap_or(1)
        };
        let Room { mut rows, bytes, .. } = self.room;
        if self.room.has_row_limit() {
            rows = wanted(rows);
        }
        let bytes = match bytes {
            // The page is full, and rows are only counted.
            0 => {
                if !self.room.has_row_limit() {
                    rows = wanted(1);
                }
                usize::MAX
            }
            usize::MAX => usize::MAX,
            bytes => {
                let grown = bytes.saturating_mul(1 << self.asked.min(GROWTH_MAX));
                grown.min(ANSWER_BYTES_MAX)
            }
        };
        Room { rows, bytes, rows_min: wanted(1) }
    }

    /// The last unknown segment of those that one question covers, and how many single cleared keys
    /// lie between, as far as they count.
    fn stretch(&self, reverse: bool, clears_max: i64) -> (Segment, i64) {
        let (mut last, mut clears) = (self.here.clone(), 0);
        let is_there = if reverse {
            self.here.begin <= self.far.begin
        } else {
            self.here.begin >= self.far.begin
        };
        if is_there {
            return (last, 0);
        }
        let segments_max =
            SEGMENTS_MAX + usize::try_from(clears_max).unwrap_or(usize::MAX - SEGMENTS_MAX);
        let mut walk = Clears::new(self.segments, self.here, reverse);
        for _ in 0..segments_max {
            if walk.at.begin == self.far.begin || !walk.step() {
                break;
            }
            clears = walk.count;
            if walk.at.is_unknown() {
                last = walk.at.clone();
            }
        }
        (last, clears.min(clears_max))
    }

    /// How many single cleared keys lie after an unknown segment.
    fn clears_after(&self, from: &Segment, clears_max: i64) -> i64 {
        let mut walk = Clears::new(self.segments, from, false);
        while walk.count < clears_max && walk.at.end < *self.max && walk.step() {}
        walk.count.min(clears_max)
    }

    /// How many single cleared keys lie before an unknown segment.
    fn clears_before(&self, from: &Segment, clears_max: i64) -> i64 {
        let mut walk = Clears::new(self.segments, from, true);
        while walk.count < clears_max && !walk.at.begin.is_empty() && walk.step() {}
        walk.count.min(clears_max)
    }
}

/// How many rows a selector counts back over.
fn back(selector: &KeySelector) -> i64 {
    (1 - i64::from(selector.offset)).max(0)
}

/// How many rows a selector counts ahead over.
fn ahead(selector: &KeySelector) -> i64 {
    (i64::from(selector.offset) - 1).max(0)
}

fn moved(offset: i32, by: i64) -> i32 {
    let moved = i64::from(offset).saturating_add(by);
    i32::try_from(moved).unwrap_or(if by < 0 { i32::MIN } else { i32::MAX })
}

/// A walk from an unknown segment up to the first range that is known to be empty and holds more
/// than one key, counting those that hold one.
#[derive(Debug)]
struct Clears<'a> {
    segments: &'a Segments<'a>,
    reverse: bool,
    at: Segment,
    /// Where the empty ranges that lie side by side here began.
    empty_from: Bytes,
    count: i64,
}

impl<'a> Clears<'a> {
    fn new(segments: &'a Segments<'a>, from: &Segment, reverse: bool) -> Self {
        let empty_from = if reverse { from.end.clone() } else { from.begin.clone() };
        Self { segments, reverse, at: from.clone(), empty_from, count: 0 }
    }

    /// Goes over the segment that it is at. Whether it may go on.
    fn step(&mut self) -> bool {
        let beyond = if self.reverse { &self.at.begin } else { &self.at.end };
        if self.at.is_unreadable() {
            return false;
        }
        if self.at.is_empty() {
            let (low, high) =
                if self.reverse { (beyond, &self.empty_from) } else { (&self.empty_from, beyond) };
            if key_after(low) != *high {
                return false;
            }
            self.count += 1;
        } else {
            self.empty_from = beyond.clone();
        }
        if self.reverse {
            let Some(previous) = self.segments.previous(&self.at) else { return false };
            self.at = previous;
        } else {
            self.at = self.segments.next(&self.at);
        }
        true
    }
}
