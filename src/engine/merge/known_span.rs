//! What a merge remembers of a layer's range tombstones.

use crate::engine::{
    key::{KeyBuf, KeyRef},
    layer::{LayerCursor, Span},
    read_error::ReadError,
    visible::Stamp,
};

/// The span that a layer was asked for last, so that it is asked once for each.
#[derive(Debug, Default)]
pub(super) struct KnownSpan {
    is_known: bool,
    begin: Option<KeyBuf>,
    end: Option<KeyBuf>,
    stamp: Option<Stamp>,
}

impl KnownSpan {
    /// The newest range clear of a key.
    pub(super) fn stamp_at(
        &mut self,
        key: KeyRef<'_>,
        layer: &mut dyn LayerCursor,
    ) -> Result<Option<Stamp>, ReadError> {
        if !(self.is_known && self.contains(key)) {
            let Span { begin, end, stamp } = layer.span(key)?;
            self.is_known = true;
            self.begin = begin.map(KeyBuf::from);
            self.end = end.map(KeyBuf::from);
            self.stamp = stamp;
        }
        Ok(self.stamp)
    }

    fn contains(&self, key: KeyRef<'_>) -> bool {
        self.begin().is_none_or(|begin| begin <= key) && self.end().is_none_or(|end| key < end)
    }

    /// Whether the layer is known to have no range tombstones at all.
    pub(super) fn is_clear(&self) -> bool {
        self.is_known && self.begin.is_none() && self.end.is_none() && self.stamp.is_none()
    }

    /// The first key of the span; none if it has no beginning.
    pub(super) fn begin(&self) -> Option<KeyRef<'_>> {
        self.begin.as_ref().map(KeyBuf::as_ref)
    }

    /// The first key after; none if the span has no end.
    pub(super) fn end(&self) -> Option<KeyRef<'_>> {
        self.end.as_ref().map(KeyBuf::as_ref)
    }
}
