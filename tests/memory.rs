//! What the store takes from the allocator, counted there: as much as it says, not more than twice
//! what users put in, and all of it given back.
//!
//! A test binary of its own, because an allocator is a program's.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use plinth_protocol::{KeyRange, KeyspaceId, Version};
use plinthdb::engine::{
    store::{Store, StoreOptions, StoreWriter},
    write::Write,
};

const KEYS: u64 = 50_000;
const KEY_BYTES: usize = 16;
const VALUE_BYTES: usize = 100;
const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

/// Counts what is allocated and not yet freed.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "counting what the store allocates")]
// SAFETY: hands everything on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is allocated once nothing waits to be freed any more.
fn allocated() -> usize {
    for _ in 0..1000 {
        crossbeam_epoch::pin().flush();
    }
    ALLOCATED.load(Ordering::Relaxed)
}

fn apply(writer: &mut StoreWriter, version: u64, keys: impl Iterator<Item = u64>) {
    let value = Bytes::from(vec![version as u8; VALUE_BYTES]);
    let set = |at: u64| {
        let scattered = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let key = Bytes::from(format!("{scattered:016x}"));
        Write::Set { keyspace: SPACE, key, value: value.clone() }
    };
    writer.apply(Version(version), 0, &keys.map(set).collect::<Vec<_>>());
}

fn count_rows(store: &Store, version: u64, reverse: bool) -> u64 {
    let mut rows = 0;
    let all = KeyRange::new("", "\u{7f}");
    let count = &mut |_: &[u8], _: plinthdb::engine::store::Found<'_>| {
        rows += 1;
        ControlFlow::Continue(())
    };
    store.reader().scan(SPACE, &all, Version(version), reverse, count).expect("readable");
    rows
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn the_store_takes_little_and_gives_all_of_it_back() {
    let before = allocated();
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    for version in 1..=KEYS / 1000 {
        apply(&mut writer, version, (version - 1) * 1000..version * 1000);
    }
    let mut version = KEYS / 1000;
    let loaded = allocated() - before;
    let user_bytes = KEYS as usize * (KEY_BYTES + VALUE_BYTES);
    assert!(loaded < user_bytes * 2, "{loaded} bytes for {user_bytes}");
    let counted = store.stats().bytes as usize;
    assert!(counted < loaded && loaded < counted * 5 / 4, "{counted} counted of {loaded}");

    // Much reading leaves nothing behind, and neither does overwriting everything again and again,
    // nor clearing it.
    for round in 0..5 {
        version += 1;
        apply(&mut writer, version, 0..KEYS);
        writer.set_horizon(Version(version));
        while writer.maintain() {}
        assert_eq!(count_rows(&store, version, round % 2 == 0), KEYS);
    }
    let overwritten = allocated() - before;
    assert!(overwritten < loaded + user_bytes / 10, "{overwritten} bytes after {loaded}");

    let clear = Write::ClearRange { keyspace: SPACE, begin: "".into(), end: "\u{7f}".into() };
    version += 1;
    writer.apply(Version(version), 0, &[clear]);
    writer.set_horizon(Version(version));
    while writer.maintain() {}
    assert_eq!(count_rows(&store, version, false), 0);
    // The index keeps its size, for the keys to come, and the writer's queue its room.
    let cleared = allocated() - before;
    assert!(cleared < user_bytes / 2, "{cleared} bytes after {overwritten}");

    apply(&mut writer, version + 1, 0..1000);
    drop((store, writer));
    let left = allocated().saturating_sub(before);
    assert!(left < 64 << 10, "{left} bytes are left");
}
