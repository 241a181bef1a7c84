//! A sealed file's bytes, without copying them.
//!
//! On the real disk a [`Region`] is a mapping: reading it reads the file, and waits for the disk
//! where the bytes are not in memory. Who must not wait asks [`Region::is_resident`] first. A disk
//! that fails while a mapping is read can't say so in a result; the system ends the process with a
//! signal. So bytes that may not be in memory are read with [`super::File::read_exact_at`] first,
//! which can say so, and the mapping is used when they are.
//!
//! In memory a region shares the file's bytes. On the simulated disk it is a copy of the bytes, and what is not in memory is made up from
//! a seed, so that both ways are taken in tests.

use std::{
    fmt,
    ops::{Deref, Range},
    sync::Arc,
};

use super::{mapping::Mapping, sim::ColdPages};

/// A read-only view of all bytes of a sealed file.
pub struct Region {
    bytes: RegionBytes,
}

enum RegionBytes {
    Mapped(Mapping),
    Owned { bytes: Box<[u8]>, cold: Arc<ColdPages> },
    Shared(Arc<Vec<u8>>),
}

/// How a region is about to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// No way in particular.
    Normal,
    /// Here and there: reading ahead is wasted.
    Random,
    /// From front to back: reading ahead pays.
    Sequential,
    /// Soon: reading it in may begin.
    WillNeed,
}

impl Region {
    pub(super) fn mapped(mapping: Mapping) -> Self {
        Self { bytes: RegionBytes::Mapped(mapping) }
    }

    pub(super) fn shared(bytes: Arc<Vec<u8>>) -> Self {
        Self { bytes: RegionBytes::Shared(bytes) }
    }

    pub(super) fn owned(bytes: Box<[u8]>, cold: Arc<ColdPages>) -> Self {
        Self { bytes: RegionBytes::Owned { bytes, cold } }
    }

    /// Whether these bytes are in memory, so that reading them doesn't wait for the disk. They may
    /// go at any moment. False for bytes that are not in the file, and where the system won't say;
    /// true where it pretends, as for files that the process could not write.
    pub fn is_resident(&self, range: Range<usize>) -> bool {
        range.end <= self.len()
            && match &self.bytes {
                RegionBytes::Mapped(mapping) => mapping.is_resident(range),
                RegionBytes::Shared(_) => true,
                RegionBytes::Owned { cold, .. } => {
                    !cold.has_any(range.start as u64..range.end as u64)
                }
            }
    }

    /// Says how the part of this range that is in the file is about to be read. A hint: nothing
    /// fails, and nothing depends on it.
    pub fn advise(&self, range: Range<usize>, advice: Advice) {
        if let RegionBytes::Mapped(mapping) = &self.bytes {
            mapping.advise(range, advice);
        }
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            RegionBytes::Mapped(mapping) => mapping.bytes(),
            RegionBytes::Owned { bytes, .. } => bytes,
            RegionBytes::Shared(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({} bytes)", self.len())
    }
}
