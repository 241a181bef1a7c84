//! What the store costs: reads and writes among a million keys of 16 bytes with 100-byte values.
//!
//! `cargo bench --bench memtable`. Beside it, the same done with `crossbeam-skiplist` and with a
//! `BTreeMap`, which know neither versions nor, the latter, concurrent readers: the measurement
//! that decided for the memtable's own structures. First it prints how much memory the keys take.

use std::{
    alloc::{GlobalAlloc, Layout},
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use divan::{Bencher, black_box, counter::ItemsCount};
use plinth_protocol::{KeyRange, KeyspaceId, Version};
use plinthdb::engine::{
    store::{Store, StoreOptions, StoreWriter},
    write::Write,
};

const KEYS: u64 = 1_000_000;
const KEY_BYTES: usize = 16;
const VALUE: &[u8] = &[b'v'; 100];
const SPACE: KeyspaceId = KeyspaceId::DEFAULT;
/// Operations of one sample.
const BATCH: u64 = 10_000;

/// The allocator of the `plinth` binary, where it is compiled in.
#[cfg(feature = "cli")]
use mimalloc::MiMalloc as Inner;
#[cfg(not(feature = "cli"))]
use std::alloc::System as Inner;

/// Counts what is allocated and not yet freed.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "counting what the store allocates")]
// SAFETY: hands everything on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { Inner.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { Inner.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { Inner.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let (store, _) = filled();
    let bytes = ALLOCATED.load(Ordering::Relaxed) - before;
    let user_bytes = KEYS as usize * (KEY_BYTES + VALUE.len());
    #[expect(clippy::print_stdout, reason = "a benchmark reports")]
    {
        println!(
            "{KEYS} keys: {bytes} bytes allocated for {user_bytes} of keys and values, \
             {} % of them; the store counts {}",
            bytes * 100 / user_bytes,
            store.stats().bytes,
        );
    }
    divan::main();
}

/// The keys in no order: each number once.
fn key(at: u64) -> Bytes {
    let scattered = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) % KEYS;
    Bytes::from(format!("user{scattered:012}"))
}

fn set(at: u64) -> Write {
    Write::Set { keyspace: SPACE, key: key(at), value: Bytes::from_static(VALUE) }
}

/// A sequence of numbers without order.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 20
}

fn filled() -> (Store, StoreWriter) {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    for batch in 0..KEYS / 1000 {
        let sets: Vec<Write> = (0..1000).map(|at| set(batch * 1000 + at)).collect();
        writer.apply(Version(batch + 1), 0, &sets);
    }
    (store, writer)
}

fn shared() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| filled().0)
}

/// As many keys as a sample takes.
fn random_keys() -> Vec<Bytes> {
    let mut state = random_seed();
    (0..BATCH).map(|_| key(random(&mut state) % KEYS)).collect()
}

fn random_seed() -> u64 {
    static SEED: AtomicUsize = AtomicUsize::new(1);
    SEED.fetch_add(77_777, Ordering::Relaxed) as u64
}

#[divan::bench(threads = [1, 2], sample_count = 50)]
fn get(bencher: Bencher<'_, '_>) {
    let store = shared();
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(random_keys).bench_refs(|keys| {
        let reader = store.reader();
        for key in keys {
            black_box(reader.get(SPACE, key, Version::MAX).ok());
        }
    });
}

fn scan_100(bencher: Bencher<'_, '_>, reverse: bool) {
    let store = shared();
    bencher.counter(ItemsCount::new(BATCH / 100)).with_inputs(random_keys).bench_refs(|keys| {
        let reader = store.reader();
        for key in keys.iter().step_by(100) {
            let mut left = 100;
            let mut range = KeyRange::new(key.clone(), Bytes::from_static(b"v"));
            if reverse {
                range = KeyRange::new(Bytes::new(), key.clone());
            }
            let visit = &mut |key: &[u8], found: plinthdb::engine::store::Found<'_>| {
                black_box((key.first(), found.value.first()));
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            black_box(reader.scan(SPACE, &range, Version::MAX, reverse, visit).ok());
        }
    });
}

#[divan::bench(threads = [1, 2], sample_count = 50)]
fn scan_100_forward(bencher: Bencher<'_, '_>) {
    scan_100(bencher, false);
}

#[divan::bench(sample_count = 50)]
fn scan_100_reverse(bencher: Bencher<'_, '_>) {
    scan_100(bencher, true);
}

/// A transaction of so many writes each; the window is a hundred thousand writes.
#[divan::bench(args = [1, 1000], sample_count = 50)]
fn overwrite(bencher: Bencher<'_, '_>, size: u64) {
    let (_, mut writer) = filled();
    let mut version = KEYS;
    let inputs = || -> Vec<Vec<Write>> {
        let mut state = random_seed();
        let transaction = |_| (0..size).map(|_| set(random(&mut state) % KEYS)).collect();
        (0..BATCH / size).map(transaction).collect()
    };
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(inputs).bench_local_refs(|transactions| {
        for transaction in transactions {
            version += 1;
            writer.apply(Version(version), 0, transaction);
            writer.set_horizon(Version(version.saturating_sub(100_000 / size)));
        }
    });
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn load_in_random_order(bencher: Bencher<'_, '_>) {
    let inputs = || -> Vec<Write> { (0..KEYS).map(set).collect() };
    bencher.counter(ItemsCount::new(KEYS)).with_inputs(inputs).bench_local_refs(|writes| {
        let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
        for (version, transaction) in (1..).zip(writes.chunks(1000)) {
            writer.apply(Version(version), 0, transaction);
        }
        // Dropped outside of the measurement.
        (store, writer)
    });
}

/// Clearing all keys with one range, and setting one again, which is the same as any other day.
#[divan::bench(sample_count = 20)]
fn clear_a_wide_range(bencher: Bencher<'_, '_>) {
    let (_, mut writer) = filled();
    let mut version = KEYS;
    let clear =
        Write::ClearRange { keyspace: SPACE, begin: Bytes::new(), end: Bytes::from_static(b"v") };
    bencher.bench_local(|| {
        version += 1;
        writer.apply(Version(version), 0, std::slice::from_ref(&clear));
    });
}

fn skip_map() -> SkipMap<Bytes, Bytes> {
    let map = SkipMap::new();
    for at in 0..KEYS {
        map.insert(key(at), Bytes::copy_from_slice(VALUE));
    }
    map
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn skip_map_load_in_random_order(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(KEYS)).bench_local(skip_map);
}

#[divan::bench(sample_count = 20)]
fn skip_map_get(bencher: Bencher<'_, '_>) {
    let map = skip_map();
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(random_keys).bench_local_refs(|keys| {
        for key in keys {
            black_box(map.get(key).map(|entry| entry.value().first().copied()));
        }
    });
}

#[divan::bench(sample_count = 20)]
fn skip_map_scan_100(bencher: Bencher<'_, '_>) {
    let map = skip_map();
    let counter = ItemsCount::new(BATCH / 100);
    bencher.counter(counter).with_inputs(random_keys).bench_local_refs(|keys| {
        for key in keys.iter().step_by(100) {
            let mut entry = map.lower_bound(std::ops::Bound::Included(key));
            for _ in 0..100 {
                let Some(present) = entry else { break };
                black_box((present.key().first(), present.value().first()));
                entry = present.next();
            }
        }
    });
}

fn b_tree_map() -> BTreeMap<Bytes, Bytes> {
    (0..KEYS).map(|at| (key(at), Bytes::copy_from_slice(VALUE))).collect()
}

#[divan::bench(sample_count = 20)]
fn b_tree_map_get(bencher: Bencher<'_, '_>) {
    let map = b_tree_map();
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(random_keys).bench_local_refs(|keys| {
        for key in keys {
            black_box(map.get(key).map(|value| value.first()));
        }
    });
}
