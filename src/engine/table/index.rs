//! The index: where each block is, and from which key on.
//!
//! ```text
//!   separators (sorted keys) │ data end (8) │ for each block: offset (8), greatest version (8),
//!                                             continues (8)
//! ```
//!
//! A block's separator is above all keys of the block before, and not above its own. Only where one
//! key's versions go on from one block into the next, the next one's separator is that key, and
//! *continues* is the version of the last entry before; otherwise it is all ones. So for a key at a
//! version there is one block where the search begins.

use std::ops::Range;

use plinth_protocol::Version;

use super::{
    coding::{Input, Nonsense},
    probe::Probe,
    sorted_keys::{SortedKeys, SortedKeysBuilder},
};
use crate::engine::{key::KeyRef, prefetch::prefetch_lines};

/// *Continues* of a block that begins with a key of its own.
const NEW_KEY: u64 = u64::MAX;
const PLACE_BYTES: usize = 24;

/// What the index will say.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    separators: SortedKeysBuilder,
    places: Vec<u8>,
}

impl IndexBuilder {
    /// A block begins at `offset`; `continues` is the version before, if it goes on with a key of
    /// the block before.
    pub(super) fn push(
        &mut self,
        separator: KeyRef<'_>,
        offset: u64,
        greatest: Version,
        continues: Option<Version>,
    ) {
        self.separators.push(separator);
        let continues = continues.map_or(NEW_KEY, |version| version.0);
        for number in [offset, greatest.0, continues] {
            self.places.extend_from_slice(&number.to_le_bytes());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.separators.len()
    }

    /// Bytes that the index takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.separators.bytes() + self.len() * (PLACE_BYTES + 12)
    }

    pub(super) fn write(&self, data_end: u64, out: &mut Vec<u8>) {
        self.separators.write(out);
        out.extend_from_slice(&data_end.to_le_bytes());
        out.extend_from_slice(&self.places);
    }
}

/// Where a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockPlace {
    /// With its trailer.
    pub(super) range: Range<u64>,
    pub(super) greatest: Version,
    /// The version of the last entry of the block before, if this block goes on with its key.
    pub(super) continues: Option<Version>,
}

/// The index as it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Index<'a> {
    separators: SortedKeys<'a>,
    data_end: u64,
    places: &'a [[u8; PLACE_BYTES]],
    /// Empty if there is none.
    outline: &'a [u64],
}

impl<'a> Index<'a> {
    pub(super) fn read(content: &'a [u8]) -> Option<Self> {
        let mut input = Input::new(content);
        let separators = SortedKeys::read(&mut input)?;
        let data_end = input.u64()?;
        let places = input.arrays(separators.len())?;
        Some(Self { separators, data_end, places, outline: &[] })
    }

    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn data_end(&self) -> u64 {
        self.data_end
    }

    pub(super) fn separator(&self, block: usize) -> Option<KeyRef<'a>> {
        self.separators.key(block)
    }

    pub(super) fn place(&self, block: usize) -> Option<BlockPlace> {
        let mut place = Input::new(self.places.get(block)?);
        let (offset, greatest, continues) = (place.u64()?, place.u64()?, place.u64()?);
        let end = match self.places.get(block + 1) {
            Some(next) => Input::new(next).u64()?,
            None => self.data_end,
        };
        Some(BlockPlace {
            range: offset..end,
            greatest: Version(greatest),
            continues: (continues != NEW_KEY).then_some(Version(continues)),
        })
    }

    /// The block where the newest version of a key up to this one is, if there is any. None if the
    /// key is below all blocks' keys.
    #[inline]
    pub(super) fn find(
        &self,
        probe: Probe<'_>,
        version: Version,
    ) -> Result<Option<usize>, Nonsense> {
        let counts = |block| self.continues(block).is_some_and(|before| version.0 < before);
        let count = self.separators.count(probe, self.outline, counts).ok_or(Nonsense)?;
        Ok(count.checked_sub(1))
    }

    /// A part of the separators that is small enough to be at hand, by which the others are found
    /// sooner: eight bytes for sixteen blocks.
    pub(super) fn outline(&self) -> Box<[u64]> {
        self.separators.outline()
    }

    /// The same index, searched with its outline.
    #[inline]
    pub(super) fn with_outline(self, outline: &'a [u64]) -> Self {
        Self { outline, ..self }
    }

    /// Begins to fetch what [`find`](Self::find) and [`place`](Self::place) will look at.
    #[inline]
    pub(super) fn prefetch(&self, probe: Probe<'_>) {
        let near = self.separators.near(probe, self.outline);
        self.separators.prefetch(&near);
        prefetch_lines(self.places.get(near).unwrap_or_default());
    }

    /// How many blocks' separators are below a key.
    pub(super) fn count_below(&self, probe: Probe<'_>) -> Result<usize, Nonsense> {
        self.separators.count(probe, self.outline, |_| false).ok_or(Nonsense)
    }

    fn continues(&self, block: usize) -> Option<u64> {
        let (_, continues) = self.places.get(block)?.split_last_chunk::<8>()?;
        Some(u64::from_le_bytes(*continues))
    }
}

#[cfg(test)]
mod tests {
    use plinth_protocol::KeyspaceId;

    use super::*;

    #[test]
    fn the_version_decides_among_blocks_of_one_key() {
        let mut builder = IndexBuilder::default();
        let key = |key| KeyRef::new(KeyspaceId(0), key);
        builder.push(key(b"a"), 0, Version(9), None);
        builder.push(key(b"k"), 100, Version(40), Some(Version(41)));
        builder.push(key(b"k"), 200, Version(20), Some(Version(21)));
        builder.push(key(b"m"), 300, Version(7), None);
        let mut bytes = vec![];
        builder.write(400, &mut bytes);
        let index = Index::read(&bytes).unwrap();
        let find = |name, version| index.find(Probe::new(key(name)), Version(version)).unwrap();
        assert_eq!(find(b"", 50), None);
        assert_eq!(find(b"a", 50), Some(0));
        assert_eq!(find(b"k", 41), Some(0));
        assert_eq!(find(b"k", 40), Some(1));
        assert_eq!(find(b"k", 21), Some(1));
        assert_eq!(find(b"k", 20), Some(2));
        assert_eq!(find(b"l", 50), Some(2));
        assert_eq!(find(b"z", 0), Some(3));
        let continued =
            BlockPlace { range: 200..300, greatest: Version(20), continues: Some(Version(21)) };
        assert_eq!(index.place(2), Some(continued));
        assert_eq!(index.place(3).unwrap().range, 300..400);
        assert_eq!((index.place(3).unwrap().continues, index.place(4)), (None, None));
        assert!((0..bytes.len()).all(|end| Index::read(&bytes[..end]).is_none()));
    }
}
