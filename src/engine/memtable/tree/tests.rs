//! Readers beside the writer.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use bytes::Bytes;
use plinth_protocol::KeyspaceId;

use super::*;
use crate::engine::visible::Stamp;

const KEYS: u64 = if cfg!(miri) { 200 } else { 20_000 };

fn node(at: u64, key: &str) -> NodePointer {
    let stamp = Stamp { version: Version(at + 1), order: 0 };
    NodePointer::allocate(KeyRef::new(KeyspaceId(0), key.as_bytes()), stamp, Some(&Bytes::new()))
}

#[test]
fn a_scan_beside_the_writer_finds_all_that_was_there_when_it_began_in_order() {
    let (tree, added) = (Tree::new(), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for direction in [Direction::Forward, Direction::Reverse] {
            let (tree, added, is_over) = (&tree, &added, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Acquire) {
                    let guard = ReadGuard::pin();
                    let there = added.load(Ordering::Acquire);
                    let is_forward = direction == Direction::Forward;
                    let from = KeyRef::new(KeyspaceId(u32::from(!is_forward)), b"");
                    let mut cursor = tree.seek(from, Version(KEYS), &guard);
                    let (mut last, mut found): (Option<KeyRef<'_>>, _) = (None, 0);
                    while let Some(node) =
                        if is_forward { cursor.next() } else { cursor.previous() }
                    {
                        let key = node.key();
                        assert!(last.is_none_or(|last| (last < key) == is_forward && last != key));
                        last = Some(key);
                        found += u64::from(node.newest().stamp().version.0 <= there);
                    }
                    assert_eq!(found, there);
                }
            });
        }
        for at in 0..KEYS {
            let guard = ReadGuard::pin();
            let pointer = node(at, &format!("user{:08}", at * 7919 % KEYS));
            // SAFETY: just made.
            tree.insert(unsafe { pointer.get(&guard) }, &guard);
            added.store(at + 1, Ordering::Release);
        }
        is_over.store(true, Ordering::Release);
    });
}
