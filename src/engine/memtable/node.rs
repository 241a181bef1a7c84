//! A key and its versions: a node with the key in it, and a chain of records from the newest to the
//! oldest.
//!
//! ```text
//! node: newest | keyspace, key length | key …
//!         │
//!         ▼
//! record: older | version | value length, order, kind | value …
//!         │
//!         ▼
//! record: older | …
//! ```
//!
//! Each is one block of memory: a header and the bytes right behind it, so that a point read
//! touches two blocks and a small value costs 24 bytes more than itself. One writer puts records in
//! front and cuts the chain off at the back; readers follow the chain meanwhile.

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    marker::PhantomData,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering},
};

use plinth_protocol::{KeyspaceId, Version};

use super::reclaim::{ReadGuard, Retired};
use crate::engine::{
    key::KeyRef,
    prefetch::{CACHE_LINE, prefetch},
    visible::Stamp,
};

/// The first part of a block, which knows how many bytes are behind it.
trait Header {
    fn tail_len(&self) -> usize;
}

fn layout<H>(tail_len: usize) -> Layout {
    let (layout, _) = Layout::new::<H>()
        .extend(Layout::array::<u8>(tail_len).expect("lengths are below 4 GiB"))
        .expect("header and tail are below 5 GiB");
    layout
}

/// Allocates a block.
fn allocate<H: Header>(header: H, tail: &[u8]) -> NonNull<H> {
    assert_eq!(header.tail_len(), tail.len());
    let layout = layout::<H>(tail.len());
    // SAFETY: the layout is not of size zero, because a header isn't.
    let block = unsafe { alloc(layout) };
    let Some(block) = NonNull::new(block.cast::<H>()) else { handle_alloc_error(layout) };
    // SAFETY: the block is new, aligned for the header, and large enough for the tail behind it.
    unsafe { fill(block, header, tail) };
    block
}

/// Writes all of a block.
///
/// # Safety
/// The block was allocated for a header with a tail of this length, and nobody else looks at it.
unsafe fn fill<H: Header>(block: NonNull<H>, header: H, tail: &[u8]) {
    // SAFETY: the caller says that the block is one for such a header; headers need no drop.
    unsafe { block.write(header) };
    // SAFETY: the tail is within the block that was allocated for it.
    let to = unsafe { block.add(1) };
    // SAFETY: the block has room for the tail behind the header; what nobody else looks at doesn't
    // overlap with what the caller has borrowed.
    unsafe { ptr::copy_nonoverlapping(tail.as_ptr(), to.cast::<u8>().as_ptr(), tail.len()) };
}

/// The bytes behind the header.
///
/// # Safety
/// The block came from [`allocate`] and lives for `'g`.
unsafe fn tail<'g, H: Header>(block: NonNull<H>) -> &'g [u8] {
    // SAFETY: the caller says that the block lives.
    let len = unsafe { block.as_ref() }.tail_len();
    // SAFETY: the tail begins right behind the header, in the same allocation.
    let begin = unsafe { block.add(1) };
    // SAFETY: `allocate` wrote as many bytes, and nothing writes them again.
    unsafe { std::slice::from_raw_parts(begin.cast::<u8>().as_ptr(), len) }
}

/// Frees a block.
///
/// # Safety
/// The block came from [`allocate`], and nobody looks at it any more.
unsafe fn free<H: Header>(block: NonNull<H>) {
    // SAFETY: the caller says that the block still lives.
    let len = unsafe { block.as_ref() }.tail_len();
    // SAFETY: the same layout as in `allocate`; headers need no drop.
    unsafe { dealloc(block.cast::<u8>().as_ptr(), layout::<H>(len)) };
}

/// What a record says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    Clear,
}

#[derive(Debug)]
struct RecordHeader {
    older: AtomicPtr<RecordHeader>,
    version: Version,
    value_len: u32,
    order: u16,
    kind: Kind,
}

const _: () = assert!(size_of::<RecordHeader>() == 24);

impl RecordHeader {
    fn new(older: *mut Self, stamp: Stamp, value: Option<&[u8]>) -> Self {
        let value_len = value.map_or(0, <[u8]>::len);
        Self {
            older: AtomicPtr::new(older),
            version: stamp.version,
            value_len: u32::try_from(value_len).expect("values are shorter than 4 GiB"),
            order: stamp.order,
            kind: if value.is_some() { Kind::Set } else { Kind::Clear },
        }
    }
}

impl Header for RecordHeader {
    fn tail_len(&self) -> usize {
        self.value_len as usize
    }
}

#[derive(Debug)]
struct NodeHeader {
    newest: AtomicPtr<RecordHeader>,
    keyspace: KeyspaceId,
    key_len: u32,
}

const _: () = assert!(size_of::<NodeHeader>() == 16);

impl Header for NodeHeader {
    fn tail_len(&self) -> usize {
        self.key_len as usize
    }
}

/// One version of a key, as seen under a guard.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct RecordRef<'g> {
    block: NonNull<RecordHeader>,
    guard: PhantomData<&'g ReadGuard>,
}

impl<'g> RecordRef<'g> {
    fn header(self) -> &'g RecordHeader {
        // SAFETY: references are only made of records that live under the guard.
        unsafe { self.block.as_ref() }
    }

    /// When it was written.
    pub(in crate::engine) fn stamp(self) -> Stamp {
        let header = self.header();
        Stamp { version: header.version, order: header.order }
    }

    /// The value; none if the record clears the key.
    pub(in crate::engine) fn value(self) -> Option<&'g [u8]> {
        match self.header().kind {
            Kind::Clear => None,
            // SAFETY: as for `header`.
            Kind::Set => Some(unsafe { tail(self.block) }),
        }
    }

    /// Whether the record gives the key a value.
    pub(in crate::engine) fn is_set(self) -> bool {
        self.header().kind == Kind::Set
    }

    /// The version before it, if it is still kept.
    pub(in crate::engine) fn older(self) -> Option<Self> {
        let older = NonNull::new(self.header().older.load(Ordering::Acquire))?;
        Some(Self { block: older, guard: PhantomData })
    }

    /// How much memory the record takes.
    pub(super) fn bytes(self) -> usize {
        layout::<RecordHeader>(self.header().tail_len()).size()
    }

    /// Begins to fetch the version before it.
    pub(super) fn prefetch_older(self) {
        prefetch(self.header().older.load(Ordering::Relaxed).cast::<u8>());
    }

    /// Drops everything older, as soon as no reader can see it.
    pub(super) fn cut(self, guard: &ReadGuard) -> Freed {
        let older = self.header().older.swap(ptr::null_mut(), Ordering::AcqRel);
        retire_chain(older, guard)
    }
}

/// What was given back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freed {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Freed {
    pub(super) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

fn retire_chain(newest: *mut RecordHeader, guard: &ReadGuard) -> Freed {
    let mut freed = Freed::default();
    let mut next = NonNull::new(newest);
    while let Some(block) = next {
        let record = RecordRef { block, guard: PhantomData::<&ReadGuard> };
        freed.records += 1;
        freed.bytes += record.bytes() as u64;
        next = record.older().map(|older| older.block);
    }
    if freed.records > 0 {
        let retired = Retired(newest);
        guard.retire(move || {
            // SAFETY: the chain was unlinked before, and by the epoch no reader is left.
            unsafe { free_chain(retired.into_inner()) };
        });
    }
    freed
}

/// # Safety
/// Nobody looks at the chain any more.
unsafe fn free_chain(newest: *mut RecordHeader) {
    let mut next = NonNull::new(newest);
    while let Some(block) = next {
        // SAFETY: the caller says that the chain still lives.
        next = NonNull::new(unsafe { block.as_ref() }.older.load(Ordering::Acquire));
        // SAFETY: the caller says that nobody looks; what comes next was read before.
        unsafe { free(block) };
    }
}

/// A key with its versions, as seen under a guard.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct NodeRef<'g> {
    pointer: NodePointer,
    guard: PhantomData<&'g ReadGuard>,
}

impl<'g> NodeRef<'g> {
    fn header(self) -> &'g NodeHeader {
        // SAFETY: references are only made of nodes that live under the guard.
        unsafe { self.pointer.0.as_ref() }
    }

    /// The key.
    pub(in crate::engine) fn key(self) -> KeyRef<'g> {
        // SAFETY: as for `header`.
        let key = unsafe { tail(self.pointer.0) };
        KeyRef { keyspace: self.header().keyspace, key }
    }

    /// The newest version.
    pub(in crate::engine) fn newest(self) -> RecordRef<'g> {
        let newest = self.header().newest.load(Ordering::Acquire);
        let block = NonNull::new(newest).expect("a node is born with a record and keeps one");
        RecordRef { block, guard: PhantomData }
    }

    /// The newest version that a read at `version` sees.
    pub(in crate::engine) fn at(self, version: Version) -> Option<RecordRef<'g>> {
        let mut record = self.newest();
        while record.header().version > version {
            record = record.older()?;
        }
        Some(record)
    }

    /// Begins to fetch the newest version, which is to be looked at soon.
    pub(super) fn prefetch_newest(self) {
        let newest = self.header().newest.load(Ordering::Relaxed).cast::<u8>();
        prefetch(newest);
        prefetch(newest.wrapping_add(CACHE_LINE));
    }

    /// The pointer, to be kept where the writer unlinks it in time.
    pub(super) fn pointer(self) -> NodePointer {
        self.pointer
    }

    /// How much memory the node takes without its records.
    pub(super) fn bytes(self) -> usize {
        layout::<NodeHeader>(self.header().tail_len()).size()
    }

    /// Puts a version in front. Only the writer does this.
    pub(super) fn push(self, stamp: Stamp, value: Option<&[u8]>) -> RecordRef<'g> {
        let newest = self.header().newest.load(Ordering::Relaxed);
        let block = new_record(newest, stamp, value);
        self.header().newest.store(block.as_ptr(), Ordering::Release);
        RecordRef { block, guard: PhantomData }
    }

    /// Puts a version in the place of all that there are, at once. Answers how many bytes the
    /// record took that was there before, and how many it takes now.
    ///
    /// # Safety
    /// Nobody but the caller looks at the node, nor keeps a pointer to a record of it. The node has
    /// one record.
    pub(super) unsafe fn replace(self, stamp: Stamp, value: Option<&[u8]>) -> (usize, usize) {
        let before = self.newest();
        debug_assert!(before.older().is_none(), "the node has one record");
        let bytes = before.bytes();
        if before.header().tail_len() == value.unwrap_or_default().len() {
            let header = RecordHeader::new(ptr::null_mut(), stamp, value);
            // SAFETY: the block has a tail of the same length, and the caller says that nobody else
            // looks at it.
            unsafe { fill(before.block, header, value.unwrap_or_default()) };
            return (bytes, bytes);
        }
        let block = new_record(ptr::null_mut(), stamp, value);
        self.header().newest.store(block.as_ptr(), Ordering::Release);
        // SAFETY: it came from `allocate`, is unlinked now, and the caller says that nobody looks.
        unsafe { free(before.block) };
        (bytes, self.newest().bytes())
    }

    /// Drops the node and its versions, as soon as no reader can see them.
    ///
    /// # Safety
    /// The node is unlinked from everything that leads to it, and this is done once.
    pub(super) unsafe fn retire(self, guard: &ReadGuard) -> Freed {
        let mut freed = retire_chain(self.header().newest.load(Ordering::Relaxed), guard);
        freed.bytes += self.bytes() as u64;
        let retired = Retired(self.pointer.0.as_ptr());
        guard.retire(move || {
            if let Some(block) = NonNull::new(retired.into_inner()) {
                // SAFETY: the caller said that it is unlinked; by the epoch no reader is left.
                unsafe { free(block) };
            }
        });
        freed
    }
}

fn new_record(
    older: *mut RecordHeader,
    stamp: Stamp,
    value: Option<&[u8]>,
) -> NonNull<RecordHeader> {
    allocate(RecordHeader::new(older, stamp, value), value.unwrap_or_default())
}

/// A node, for keeping in the memtable's structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct NodePointer(NonNull<NodeHeader>);

// SAFETY: a node is bytes and atomics; who may look at it when is the matter of `get`.
unsafe impl Send for NodePointer {}
// SAFETY: as above.
unsafe impl Sync for NodePointer {}

impl NodePointer {
    /// A new node with one record.
    pub(super) fn allocate(key: KeyRef<'_>, stamp: Stamp, value: Option<&[u8]>) -> Self {
        let record = new_record(ptr::null_mut(), stamp, value);
        let header = NodeHeader {
            newest: AtomicPtr::new(record.as_ptr()),
            keyspace: key.keyspace,
            key_len: u32::try_from(key.key.len()).expect("keys are shorter than 4 GiB"),
        };
        Self(allocate(header, key.key))
    }

    /// The node.
    ///
    /// # Safety
    /// The pointer was found in something reachable under this guard, or the caller is the writer
    /// and has not retired the node.
    pub(super) unsafe fn get(self, _guard: &ReadGuard) -> NodeRef<'_> {
        NodeRef { pointer: self, guard: PhantomData }
    }

    /// Frees the node and its records at once.
    ///
    /// # Safety
    /// Nobody looks at the node any more.
    pub(super) unsafe fn free(self) {
        // SAFETY: the caller says that the node still lives.
        let newest = unsafe { self.0.as_ref() }.newest.load(Ordering::Acquire);
        // SAFETY: the caller says that nobody looks.
        unsafe { free_chain(newest) };
        // SAFETY: the same.
        unsafe { free(self.0) };
    }

    /// Begins to fetch the node, which is to be looked at soon.
    pub(super) fn prefetch(self) {
        prefetch(self.0.cast().as_ptr());
    }

    /// Begins to fetch the newest version, which is to be looked at soon.
    ///
    /// # Safety
    /// The node has not been freed.
    pub(super) unsafe fn prefetch_newest(self) {
        // SAFETY: the caller says that the node still lives.
        prefetch(unsafe { self.0.as_ref() }.newest.load(Ordering::Relaxed).cast::<u8>());
    }

    /// For lock-free slots that hold a node or nothing.
    pub(super) fn into_slot(self) -> *mut () {
        self.0.cast().as_ptr()
    }

    /// The node that a slot holds.
    ///
    /// # Safety
    /// The slot holds null or what [`into_slot`](Self::into_slot) gave.
    pub(super) unsafe fn from_slot(slot: *mut ()) -> Option<Self> {
        NonNull::new(slot).map(|block| Self(block.cast()))
    }
}

/// A record that the writer keeps in mind, to cut its chain when the horizon has passed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordPointer(NonNull<RecordHeader>);

// SAFETY: as for `NodePointer`.
unsafe impl Send for RecordPointer {}

impl RecordPointer {
    pub(super) fn of(record: RecordRef<'_>) -> Self {
        Self(record.block)
    }

    /// Begins to fetch the record.
    pub(super) fn prefetch(self) {
        prefetch(self.0.as_ptr().cast());
    }

    /// The record.
    ///
    /// # Safety
    /// The caller is the writer, and has not retired the record.
    pub(super) unsafe fn get(self, _guard: &ReadGuard) -> RecordRef<'_> {
        RecordRef { block: self.0, guard: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { version: Version(1), order: 0 };

    fn key(key: &[u8]) -> KeyRef<'_> {
        KeyRef::new(KeyspaceId(7), key)
    }

    #[test]
    fn a_node_keeps_its_key_and_every_version_until_cut() {
        let guard = ReadGuard::pin();
        let pointer = NodePointer::allocate(key(b"k"), STAMP, Some(b"one"));
        // SAFETY: just made.
        let node = unsafe { pointer.get(&guard) };
        assert_eq!(node.key(), key(b"k"));
        let second = Stamp { version: Version(5), order: 2 };
        let record = node.push(second, None);
        assert_eq!(node.at(Version(4)).unwrap().value(), Some(&b"one"[..]));
        assert_eq!(node.at(Version(5)).unwrap().value(), None);
        assert_eq!(node.newest().stamp(), second);
        assert!(node.at(Version(0)).is_none());
        let seen = record.older().unwrap();
        assert_eq!(record.cut(&guard).records, 1);
        assert!(record.older().is_none());
        assert_eq!(seen.value(), Some(&b"one"[..]), "what was seen before stays under the guard");
        // SAFETY: nothing leads to the node.
        let freed = unsafe { node.retire(&guard) };
        assert_eq!((freed.records, freed.bytes), (1, 24 + 17));
    }

    #[test]
    fn a_version_takes_the_place_of_the_one_before_whatever_their_lengths() {
        let guard = ReadGuard::pin();
        let pointer = NodePointer::allocate(key(b"k"), STAMP, Some(b"one"));
        // SAFETY: just made.
        let node = unsafe { pointer.get(&guard) };
        let values = [Some(&b"two"[..]), Some(b"three"), Some(b""), None, None, Some(b"six")];
        let mut bytes = 24 + 3;
        for (version, value) in (2..).zip(values) {
            let stamp = Stamp { version: Version(version), order: 7 };
            // SAFETY: the node is known here alone, and has the record of the last turn.
            let (before, after) = unsafe { node.replace(stamp, value) };
            assert_eq!((before, after), (bytes, 24 + value.map_or(0, <[u8]>::len)));
            bytes = after;
            assert_eq!((node.newest().stamp(), node.newest().value()), (stamp, value));
            assert!(node.newest().older().is_none());
        }
        // SAFETY: nothing else leads to the node.
        unsafe { pointer.free() };
    }

    #[test]
    fn empty_keys_and_values_are_keys_and_values() {
        let guard = ReadGuard::pin();
        let pointer = NodePointer::allocate(key(b""), STAMP, Some(b""));
        // SAFETY: just made.
        let node = unsafe { pointer.get(&guard) };
        assert_eq!(node.key().key, b"");
        assert_eq!(node.newest().value(), Some(&b""[..]));
        // SAFETY: nothing else leads to the node.
        unsafe { pointer.free() };
    }
}
