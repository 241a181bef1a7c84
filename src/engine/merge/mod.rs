//! Merging: from the layers of the store to the rows that a read sees.
//!
//! The layers stand side by side, newest first, each with a cursor that shows its keys in order. The
//! next key is the least of those that the cursors stand at; where several stand at the same, the
//! newest layer has the say, and the others step on.
//!
//! ```text
//!   layer 0  ·    ·  b=2 ·  [c, g) cleared  ·
//!   layer 1  a=1  ·  b=1 ·   d ─────────seek▶ g
//!   layer 2  ·    ·   ·  ·   e ─────────seek▶ h
//! ```
//!
//! A range tombstone hides what is older: its own layer's older entries, and all of the layers
//! below. So those don't step through what it covers, however much that is: they are sent to its
//! end.

mod known_span;
mod level;

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{
    key::{KeyBuf, KeyRef},
    layer::{Entry, LayerCursor},
    memtable::{Direction, HIDDEN_MAX},
    read_error::ReadError,
};
use known_span::KnownSpan;
pub(super) use level::LevelCursor;

/// A layer in a merge.
struct Layer<'a> {
    cursor: Box<dyn LayerCursor + 'a>,
    /// The layer's range tombstones around the key that was looked at last.
    span: KnownSpan,
}

/// What a read at one version sees, from one end of a range to the other.
pub(super) struct Merge<'a> {
    direction: Direction,
    /// Newest first.
    layers: Vec<Layer<'a>>,
    /// The layers that stand at a key, by that key and, where it is the same, newest first.
    order: Vec<usize>,
}

impl<'a> Merge<'a> {
    /// Merges layers, newest first, that were not positioned yet.
    pub(super) fn new(
        direction: Direction,
        layers: impl IntoIterator<Item = Box<dyn LayerCursor + 'a>>,
    ) -> Self {
        let layers: Vec<_> =
            layers.into_iter().map(|cursor| Layer { cursor, span: KnownSpan::default() }).collect();
        let order = Vec::with_capacity(layers.len());
        Self { direction, layers, order }
    }

    /// Shows what is seen of the keys from `begin` to before `end`, until `visit` breaks. After
    /// passing over many keys that are not seen it stops, and tells at which it did: that is still
    /// to be looked at.
    pub(super) fn scan(
        &mut self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        visit: &mut dyn FnMut(Entry<'_>, &[u8]) -> ControlFlow<()>,
    ) -> Result<Option<Bytes>, ReadError> {
        if begin >= end {
            return Ok(None);
        }
        let from = if self.direction == Direction::Forward { begin } else { end };
        for layer in &mut self.layers {
            layer.cursor.seek(from)?;
        }
        self.sort();
        let mut hidden_left = HIDDEN_MAX;
        loop {
            let Some(top) = self.order.first().copied() else { return Ok(None) };
            let covering = self.covering(top)?;
            let Some(head) = self.head(top) else { return Ok(None) };
            let is_beyond = match self.direction {
                Direction::Forward => end <= head.key,
                Direction::Reverse => head.key < begin,
            };
            if is_beyond {
                return Ok(None);
            }
            match head.value {
                Some(value) if covering.is_none() => {
                    if visit(head, value).is_break() {
                        return Ok(None);
                    }
                }
                _ if hidden_left == 0 => return Ok(Some(Bytes::copy_from_slice(head.key.key))),
                _ => hidden_left -= 1,
            }
            self.step()?;
            if let Some(covering) = covering {
                self.skip(covering)?;
            }
        }
    }

    fn head(&self, layer: usize) -> Option<Entry<'_>> {
        self.layers.get(layer)?.cursor.head()
    }

    /// The newest layer with a range tombstone that hides what this one stands at.
    fn covering(&mut self, layer: usize) -> Result<Option<usize>, ReadError> {
        let Some((this, newer)) =
            self.layers.get_mut(..=layer).and_then(|layers| layers.split_last_mut())
        else {
            return Ok(None);
        };
        let Some(head) = this.cursor.head() else { return Ok(None) };
        for (at, other) in newer.iter_mut().enumerate() {
            if other.span.stamp_at(head.key, &mut *other.cursor)?.is_some() {
                return Ok(Some(at));
            }
        }
        if this.span.is_clear() {
            return Ok(None);
        }
        // The key has to be copied, because the cursor that it is asked of stands at it.
        let (key, stamp) = (KeyBuf::from(head.key), head.stamp);
        let cleared = this.span.stamp_at(key.as_ref(), &mut *this.cursor)?;
        Ok(cleared.is_some_and(|cleared| stamp < cleared).then_some(layer))
    }

    /// Steps on, over the key that the first layer stands at, everywhere.
    fn step(&mut self) -> Result<(), ReadError> {
        let Some(key) = self.order.first().and_then(|&first| self.head(first)).map(|head| head.key)
        else {
            return Ok(());
        };
        let stands_there = |&&at: &&usize| self.head(at).is_some_and(|head| head.key == key);
        let count = 1 + self.order.iter().skip(1).take_while(stands_there).count();
        for at in (0..count).rev() {
            let Some(&layer) = self.order.get(at) else { continue };
            if let Some(layer) = self.layers.get_mut(layer) {
                layer.cursor.advance()?;
            }
            self.settle(at);
        }
        Ok(())
    }

    /// Brings a layer to its place in the order, after it has stepped on.
    fn settle(&mut self, mut at: usize) {
        let Some(&layer) = self.order.get(at) else { return };
        if self.head(layer).is_none() {
            self.order.remove(at);
            return;
        }
        while let Some(&next) = self.order.get(at + 1)
            && self.is_before(next, layer)
        {
            self.order.swap(at, at + 1);
            at += 1;
        }
    }

    /// Whether one layer comes before another in the order; both stand at keys.
    fn is_before(&self, one: usize, other: usize) -> bool {
        let (Some(head), Some(other_head)) = (self.head(one), self.head(other)) else {
            return false;
        };
        let by_key = head.key.cmp(&other_head.key);
        let by_key = if self.direction == Direction::Forward { by_key } else { by_key.reverse() };
        by_key.then(one.cmp(&other)).is_lt()
    }

    fn sort(&mut self) {
        self.order.clear();
        for layer in 0..self.layers.len() {
            // In front, and from there to its place.
            self.order.insert(0, layer);
            self.settle(0);
        }
    }

    /// Sends the layers below the one whose range tombstone hides the present key to its end.
    fn skip(&mut self, covering: usize) -> Result<(), ReadError> {
        let Some((newer, older)) = self.layers.split_at_mut_checked(covering + 1) else {
            return Ok(());
        };
        let Some(span) = newer.last().map(|layer| &layer.span) else { return Ok(()) };
        let end = match self.direction {
            Direction::Forward => span.end(),
            Direction::Reverse => span.begin(),
        };
        // A tombstone has ends.
        let Some(end) = end else { return Ok(()) };
        for layer in older {
            layer.cursor.seek(end)?;
        }
        self.sort();
        Ok(())
    }
}
