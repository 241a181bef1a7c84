//! How tables are named and how they are built.

use std::fmt;

/// A table's number: it names the file, and every checksum in the file covers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableNumber(pub u64);

impl fmt::Display for TableNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How blocks are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: reads take values from the mapped file.
    #[default]
    None,
    /// With LZ4, where a block becomes half as large or smaller. A read unpacks the block.
    Lz4,
}

/// How a table is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// How large a block becomes before the next one begins, unpacked; a single larger entry has
    /// a block of its own. From 64 bytes to 32 KiB: what is outside is taken as the nearer of both.
    pub block_bytes: usize,
    /// Bits of the filter for each key; without a filter at zero. Ten let one absent key in a
    /// hundred pass.
    pub filter_bits_per_key: u32,
    /// How blocks are packed.
    pub compression: Compression,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { block_bytes: 8 << 10, filter_bits_per_key: 10, compression: Compression::None }
    }
}
