//! A block that a cursor or a stream stands in.

use super::{
    block::{BlockView, Layout},
    error::TableError,
    frame::{Frame, FrameType},
    index::BlockPlace,
    reader::Table,
};

/// A block that somebody stands in: where it is mapped, or unpacked in a buffer of its own.
#[derive(Debug)]
pub(super) struct LoadedBlock<'t> {
    mapped: Option<&'t [u8]>,
    unpacked: Vec<u8>,
    layout: Layout,
}

impl<'t> LoadedBlock<'t> {
    /// No block.
    pub(super) fn none() -> Self {
        Self { mapped: None, unpacked: Vec::new(), layout: Layout::default() }
    }

    /// Stands in the block of this frame.
    pub(super) fn load(
        &mut self,
        table: &Table,
        place: &BlockPlace,
        frame: Frame<'t>,
    ) -> Result<(), TableError> {
        self.layout = Layout::default();
        if frame.kind == FrameType::Data {
            self.mapped = Some(frame.content);
        } else {
            self.mapped = None;
            table.unpack(&frame, place.range.start, &mut self.unpacked)?;
        }
        let layout = Layout::read(self.content()).filter(|layout| layout.keys() > 0);
        self.layout = layout.ok_or_else(|| table.makes_no_sense(place))?;
        Ok(())
    }

    pub(super) fn content(&self) -> &[u8] {
        self.mapped.unwrap_or(&self.unpacked)
    }

    pub(super) fn view(&self) -> BlockView<'_> {
        self.layout.view(self.content())
    }
}
