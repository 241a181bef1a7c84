//! Collects the entries of a block and writes them down.

use std::ops::Range;

use plinth_protocol::Version;

use super::{FLAG_BITS, FLAG_CLEARED, FLAG_MORE, FLAG_ORDER, HEAD_BYTES, HEADER_BYTES, PREFIX_MAX};
use crate::engine::{
    key::common_prefix,
    layer::Entry,
    table::{
        coding::{put_varint, varint_bytes, width_of},
        probe::put_key,
    },
    visible::Stamp,
};

/// Entries that become a block. Its buffers are used again for the next.
#[derive(Debug)]
pub(in crate::engine::table) struct BlockBuilder {
    block_bytes: usize,
    /// The keys, as they are stored, one behind the other.
    keys: Vec<u8>,
    values: Vec<u8>,
    /// Where each key ends in `keys`, and its versions in `versions`.
    ends: Vec<(usize, usize)>,
    versions: Vec<Pending>,
    prefix: usize,
    least: Version,
    greatest: Version,
    /// What the versions take at most.
    version_bytes: usize,
    record: Vec<u8>,
}

/// A version whose value is in the buffer.
#[derive(Debug)]
struct Pending {
    stamp: Stamp,
    value: Option<Range<usize>>,
}

impl BlockBuilder {
    /// Builds blocks that are closed before they would be larger than this, but for a single entry.
    pub(in crate::engine::table) fn new(block_bytes: usize) -> Self {
        Self {
            block_bytes,
            keys: Vec::new(),
            values: Vec::new(),
            ends: Vec::new(),
            versions: Vec::new(),
            prefix: 0,
            least: Version::MAX,
            greatest: Version::ZERO,
            version_bytes: 0,
            record: Vec::new(),
        }
    }

    /// The newest version in the block.
    pub(in crate::engine::table) fn greatest(&self) -> Version {
        self.greatest
    }

    /// Bytes of keys and values so far.
    pub(in crate::engine::table) fn bytes(&self) -> usize {
        self.keys.len() + self.values.len()
    }

    fn key(&self, at: usize) -> &[u8] {
        let begin = at.checked_sub(1).and_then(|at| self.ends.get(at)).map_or(0, |end| end.0);
        let end = self.ends.get(at).map_or(0, |end| end.0);
        self.keys.get(begin..end).unwrap_or_default()
    }

    /// Adds an entry, whose key is not in the block yet. False, and nothing is added, if the block
    /// is full.
    pub(in crate::engine::table) fn add_key(&mut self, entry: Entry<'_>) -> bool {
        let begin = self.keys.len();
        put_key(&mut self.keys, entry.key);
        let (before, key) = self.keys.split_at(begin);
        let first = before.get(..self.ends.first().map_or(0, |end| end.0)).unwrap_or_default();
        let prefix = match self.ends.first() {
            Some(_) => common_prefix(first.get(..self.prefix).unwrap_or(first), key),
            None => key.len().min(PREFIX_MAX),
        };
        let version_bytes = self.version_bytes + bytes_max(&entry);
        let count = self.ends.len() + 1;
        if count > 1 && self.size_max(prefix, count, version_bytes) > self.block_bytes {
            self.keys.truncate(begin);
            return false;
        }
        self.prefix = prefix;
        self.ends.push((self.keys.len(), self.versions.len()));
        self.push_version(&entry, version_bytes);
        true
    }

    /// Adds an older version of the last key. False, and nothing is added, if the block is full.
    pub(in crate::engine::table) fn add_version(&mut self, entry: Entry<'_>) -> bool {
        let version_bytes = self.version_bytes + bytes_max(&entry);
        if self.size_max(self.prefix, self.ends.len(), version_bytes) > self.block_bytes {
            return false;
        }
        self.push_version(&entry, version_bytes);
        true
    }

    fn push_version(&mut self, entry: &Entry<'_>, version_bytes: usize) {
        let begin = self.values.len();
        let value = entry.value.map(|value| {
            self.values.extend_from_slice(value);
            begin..self.values.len()
        });
        self.versions.push(Pending { stamp: entry.stamp, value });
        if let Some(last) = self.ends.last_mut() {
            last.1 = self.versions.len();
        }
        self.least = self.least.min(entry.stamp.version);
        self.greatest = self.greatest.max(entry.stamp.version);
        self.version_bytes = version_bytes;
    }

    /// What the block takes at most with so many keys, of which all begin with so many bytes.
    fn size_max(&self, prefix: usize, keys: usize, version_bytes: usize) -> usize {
        // Head, place, and the length of the suffix.
        let slots = keys * (HEAD_BYTES + 2 + 3);
        let suffixes = self.keys.len().saturating_sub(keys * prefix);
        HEADER_BYTES + prefix + slots + suffixes + version_bytes
    }

    /// Appends the block to `out`, and begins the next.
    pub(in crate::engine::table) fn write(&mut self, out: &mut Vec<u8>) {
        let width = width_of(self.greatest.0 - self.least.0.min(self.greatest.0));
        out.extend_from_slice(&(self.ends.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.prefix as u16).to_le_bytes());
        out.extend_from_slice(&[width as u8, 0, 0, 0]);
        out.extend_from_slice(&self.least.0.to_le_bytes());
        out.extend_from_slice(self.key(0).get(..self.prefix).unwrap_or_default());
        for at in 0..self.ends.len() {
            let mut head = [0; HEAD_BYTES];
            for (to, from) in head.iter_mut().zip(self.key(at).iter().skip(self.prefix)) {
                *to = *from;
            }
            out.extend_from_slice(&u32::from_be_bytes(head).to_le_bytes());
        }
        let mut records = std::mem::take(&mut self.record);
        let mut first = 0;
        for at in 0..self.ends.len() {
            out.extend_from_slice(&(records.len() as u16).to_le_bytes());
            let suffix = self.key(at).get(self.prefix..).unwrap_or_default();
            put_varint(&mut records, suffix.len() as u64);
            records.extend_from_slice(suffix.get(HEAD_BYTES..).unwrap_or_default());
            let end = self.ends.get(at).map_or(first, |end| end.1);
            for number in first..end {
                self.write_version(number, number + 1 < end, width, &mut records);
            }
            first = end;
        }
        out.extend_from_slice(&records);
        records.clear();
        self.record = records;
        self.clear();
    }

    fn write_version(&self, number: usize, has_more: bool, width: usize, out: &mut Vec<u8>) {
        let Some(pending) = self.versions.get(number) else { return };
        let value = match &pending.value {
            Some(range) => self.values.get(range.clone()).unwrap_or_default(),
            None => &[],
        };
        let mut tag = (value.len() as u64) << FLAG_BITS;
        tag |= if pending.value.is_none() { FLAG_CLEARED } else { 0 };
        tag |= if pending.stamp.order > 0 { FLAG_ORDER } else { 0 };
        tag |= if has_more { FLAG_MORE } else { 0 };
        put_varint(out, tag);
        let version = (pending.stamp.version.0 - self.least.0).to_le_bytes();
        out.extend_from_slice(version.get(..width).unwrap_or(&version));
        if pending.stamp.order > 0 {
            out.extend_from_slice(&pending.stamp.order.to_le_bytes());
        }
        out.extend_from_slice(value);
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
        self.ends.clear();
        self.versions.clear();
        self.prefix = 0;
        self.least = Version::MAX;
        self.greatest = Version::ZERO;
        self.version_bytes = 0;
    }
}

/// What a version takes at most: tag, version, order, value.
fn bytes_max(entry: &Entry<'_>) -> usize {
    let value = entry.value.map_or(0, <[u8]>::len);
    varint_bytes((value as u64) << FLAG_BITS) + 8 + 2 + value
}
