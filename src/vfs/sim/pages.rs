//! A file's bytes, in pages that copies share until they are written.
//!
//! Pages that were never written take no memory and read as zeros, so that a large preallocated
//! file costs nothing, and a copy of a whole disk costs little.

use std::{collections::BTreeMap, hash::Hasher, sync::Arc};

/// What the operating system writes back as one.
pub(super) const PAGE_BYTES: usize = 4096;
/// What the disk writes as one.
pub(super) const SECTOR_BYTES: usize = 512;

/// One page's bytes.
pub(super) type Page = [u8; PAGE_BYTES];

const ZEROS: Page = [0; PAGE_BYTES];

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

impl Pages {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// One page; what lies past the end of the file is zeros.
    pub(super) fn page(&self, number: u64) -> &Page {
        self.pages.get(&number).map_or(&ZEROS, |page| page)
    }

    /// Replaces one page, without touching the length.
    pub(super) fn put_page(&mut self, number: u64, page: &Page) {
        self.pages.insert(number, Arc::new(*page));
    }

    /// All of them.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Adds the length and the bytes to a hash. Zeros that were written and zeros that were not are
    /// the same. A plain checksum of a page would not do: records that carry their own are all the
    /// same to it.
    pub(super) fn hash_into(&self, hasher: &mut impl Hasher) {
        hasher.write_u64(self.len);
        for (number, page) in &self.pages {
            if **page != ZEROS {
                hasher.write_u64(*number);
                hasher.write(&page[..]);
            }
        }
    }

    /// Fills the buffer from this offset on; false if the file ends before.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return false;
        }
        each_page(offset, buffer.len(), |number, within, part| {
            buffer[part].copy_from_slice(&self.page(number)[within]);
        });
        true
    }

    /// Writes the bytes at this offset; the file grows if need be.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        each_page(offset, bytes.len(), |number, within, part| {
            let page = self.pages.entry(number).or_insert_with(|| Arc::new(ZEROS));
            Arc::make_mut(page)[within].copy_from_slice(&bytes[part]);
        });
        if !bytes.is_empty() {
            self.len = self.len.max(offset + bytes.len() as u64);
        }
    }

    /// Cuts or extends the file; bytes that were cut off don't come back.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE_BYTES as u64));
            let within = (len % PAGE_BYTES as u64) as usize;
            if within != 0
                && let Some(page) = self.pages.get_mut(&(len / PAGE_BYTES as u64))
            {
                Arc::make_mut(page)[within..].fill(0);
            }
        }
        self.len = len;
    }
}

/// Calls `visit` with the number of each page that these bytes of a file lie in, the range within
/// the page, and the range within the bytes.
pub(super) fn each_page(
    offset: u64,
    bytes: usize,
    mut visit: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>),
) {
    let mut done = 0;
    while done < bytes {
        let position = offset + done as u64;
        let within = (position % PAGE_BYTES as u64) as usize;
        let count = (PAGE_BYTES - within).min(bytes - done);
        visit(position / PAGE_BYTES as u64, within..within + count, done..done + count);
        done += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_pages_and_cut_bytes_do_not_come_back() {
        let mut pages = Pages::default();
        pages.write(&[7; 100], 4050);
        assert_eq!(pages.len(), 4150);
        let mut bytes = [1; 102];
        assert!(!pages.read(&mut bytes, 4049));
        assert!(pages.read(&mut bytes[..101], 4049));
        assert_eq!((bytes[0], bytes[1], bytes[100]), (0, 7, 7));
        pages.set_len(4060);
        pages.set_len(9000);
        assert!(pages.read(&mut bytes, 4049));
        assert_eq!(bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>(), 70);
    }
}
