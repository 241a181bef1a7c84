//! One round's look into the engine.

use plinth_protocol::Version;

use crate::engine::{Engine, TryReader};

/// One round's look into the engine, opened by the first read that needs it.
///
/// Every request of the round was received before the look is taken, so the newest version that the
/// look holds serves all of them: it is at least the newest that anyone had been told of when any of
/// them was sent.
pub(super) struct View<'e> {
    engine: &'e Engine,
    reader: Option<TryReader>,
}

impl<'e> View<'e> {
    pub(super) fn new(engine: &'e Engine) -> Self {
        Self { engine, reader: None }
    }

    /// The look.
    #[inline]
    pub(super) fn reader(&mut self) -> &TryReader {
        self.reader.get_or_insert_with(|| self.engine.try_reader())
    }

    /// The newest version that it holds.
    #[inline]
    pub(super) fn newest(&mut self) -> Version {
        self.reader().newest()
    }
}
