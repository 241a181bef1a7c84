//! What the conflict index costs, with a window of a million written keys.
//!
//! `cargo bench --bench conflict`.

use bytes::Bytes;
use divan::{Bencher, black_box, counter::ItemsCount};
use plinth_protocol::{ConflictRange, KeyRange, KeyspaceId, Version};
use plinthdb::engine::conflict::ConflictIndex;

const WINDOW: u64 = 1_000_000;
const SPACE: KeyspaceId = KeyspaceId::DEFAULT;
/// Operations of one sample.
const BATCH: u64 = 1000;

fn main() {
    divan::main();
}

/// Scattered keys, each number another one.
fn key(at: u64) -> Bytes {
    Bytes::from(format!("user{:012}", at.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000_000_000_000))
}

fn points(from: u64) -> Vec<ConflictRange> {
    (from..from + BATCH).map(|at| ConflictRange::Key(key(at))).collect()
}

/// Ranges that hold about so many of the window's keys.
fn ranges(from: u64, width: u64) -> Vec<ConflictRange> {
    let range = |at: u64| {
        let begin = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000_000_000_000;
        let end = begin.saturating_add(width * 1_000_000_000_000 / WINDOW);
        KeyRange::new(format!("user{begin:012}"), format!("user{end:012}")).into()
    };
    (from..from + BATCH).map(range).collect()
}

fn filled() -> ConflictIndex {
    let mut index = ConflictIndex::new(Version::ZERO, 1);
    for version in 1..=WINDOW {
        index.insert(SPACE, &ConflictRange::Key(key(version)), Version(version));
    }
    index
}

#[divan::bench]
fn insert_a_key_and_expire_one(bencher: Bencher<'_, '_>) {
    let mut index = filled();
    let mut version = WINDOW;
    let mut next = WINDOW;
    let inputs = || {
        next += BATCH;
        points(next)
    };
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(inputs).bench_local_refs(|keys| {
        for key in keys {
            version += 1;
            index.insert(SPACE, key, Version(version));
            index.expire(Version(version - WINDOW));
        }
    });
}

/// Of keys that were written, but before the reader's version.
#[divan::bench]
fn check_a_key(bencher: Bencher<'_, '_>) {
    let mut index = filled();
    let mut next = 0;
    let inputs = || {
        next += BATCH;
        points(next % WINDOW)
    };
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(inputs).bench_local_refs(|keys| {
        for key in keys {
            black_box(index.check(SPACE, key, Version(WINDOW - 1)));
        }
    });
}

/// Of ranges with so many written keys within.
#[divan::bench(args = [10, 1000, 100_000])]
fn check_a_range(bencher: Bencher<'_, '_>, width: u64) {
    let mut index = filled();
    let mut next = 0;
    let inputs = || {
        next += BATCH;
        ranges(next, width)
    };
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(inputs).bench_local_refs(|ranges| {
        for range in ranges {
            black_box(index.check(SPACE, range, Version(WINDOW - 1)));
        }
    });
}

/// Of ranges with so many written keys within, which go.
#[divan::bench(args = [10, 1000])]
fn insert_a_range(bencher: Bencher<'_, '_>, width: u64) {
    let mut index = filled();
    let mut next = 0;
    let inputs = || {
        next += BATCH;
        ranges(next, width)
    };
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(inputs).bench_local_refs(|ranges| {
        for range in ranges {
            index.insert(SPACE, range, Version(WINDOW + 1));
        }
    });
}
