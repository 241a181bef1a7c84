//! Read-only mappings of sealed files: where the `unsafe` of [`super::Region`] is.
//!
//! A mapping is a `[u8]` that the disk could change behind the compiler's back. It doesn't, because
//! of what every caller of [`super::File::map`] promises, and the engine keeps:
//!
//! - a file is mapped when it is sealed: written, synced, and never written or cut again;
//! - its name may be removed, but its bytes stay until the last mapping is gone;
//! - the data directory is locked, so that no other process of ours writes there. Another program
//!   that does could change bytes under a reader; so could it damage any other file of the
//!   database. Checksums are looked at when bytes are read first.
//!
//! A page that the disk can't deliver, or that was cut off, ends the process with `SIGBUS`. That is
//! not unsound: nothing goes on with wrong bytes. Readers read blocks that are not in memory with
//! `pread` before they touch the mapping, so that a failing disk is an error as a rule.

#![expect(unsafe_code, reason = "mapping a file, and asking what of it is in memory")]

use std::{fs, io, ops::Range};

use memmap2::{Mmap, MmapOptions};

use super::Advice;

/// How many pages are asked for at once.
const PAGES_AT_ONCE: usize = 64;

/// All of a file.
#[derive(Debug)]
pub(super) struct Mapping {
    map: Mmap,
    page_bytes: usize,
}

impl Mapping {
    /// Maps all the bytes that the file has now.
    pub(super) fn new(file: &fs::File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut options = MmapOptions::new();
        options.len(len);
        // SAFETY: nobody changes the file as long as it is mapped: the caller of `File::map`
        // promises that it is sealed, as told at the head of this module.
        let map = unsafe { options.map(file) }?;
        Ok(Self { map, page_bytes: rustix::param::page_size() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Whether all pages that these bytes lie in are in memory. The range must be in the file.
    pub(super) fn is_resident(&self, range: Range<usize>) -> bool {
        let Some(bytes) = self.map.get(range) else { return false };
        if bytes.is_empty() {
            return true;
        }
        let address = bytes.as_ptr().addr();
        let before = address % self.page_bytes;
        // The mapping begins at a page, so that the page's first byte is in it too.
        let first = bytes.as_ptr().wrapping_sub(before);
        let pages = (before + bytes.len()).div_ceil(self.page_bytes);
        (0..pages).step_by(PAGES_AT_ONCE).all(|page| {
            let count = PAGES_AT_ONCE.min(pages - page);
            self.are_resident(first.wrapping_add(page * self.page_bytes), count)
        })
    }

    /// Whether these pages are in memory, at most [`PAGES_AT_ONCE`].
    fn are_resident(&self, first: *const u8, count: usize) -> bool {
        let mut found = [0_u8; PAGES_AT_ONCE];
        let found = &mut found[..count];
        let (address, len) = (first.cast_mut().cast(), count * self.page_bytes);
        // SAFETY: the kernel looks at the addresses and doesn't touch what is there; it writes one
        // byte for each page, and there is room for `count`.
        let answer = unsafe { libc::mincore(address, len, found.as_mut_ptr()) };
        answer == 0 && found.iter().all(|page| page & 1 == 1)
    }

    /// Passes a hint on for the part of this range that is in the file.
    pub(super) fn advise(&self, range: Range<usize>, advice: Advice) {
        let end = range.end.min(self.map.len());
        let Some(len) = end.checked_sub(range.start).filter(|len| *len > 0) else { return };
        let advice = match advice {
            Advice::Normal => memmap2::Advice::Normal,
            Advice::Random => memmap2::Advice::Random,
            Advice::Sequential => memmap2::Advice::Sequential,
            Advice::WillNeed => memmap2::Advice::WillNeed,
        };
        // A hint that isn't taken is none that anybody misses.
        _ = self.map.advise_range(advice, range.start, len);
    }
}
