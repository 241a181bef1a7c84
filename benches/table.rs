//! What a table costs: building one of a million keys of 16 bytes with 100-byte values, and reading
//! it warm.
//!
//! `cargo bench --bench table`. The rows in the comparison that the engine is measured by are point
//! gets and scans of 100 rows from a random key. First it prints how many bytes a row takes in the
//! file, and the open table on the heap.

use std::{ops::ControlFlow, path::PathBuf, sync::OnceLock};

use divan::{Bencher, black_box, counter::ItemsCount};
use plinth_protocol::{KeyspaceId, Version};
use plinthdb::{
    engine::table::{Compression, LoneTable, Patience, TableOptions, TableReader},
    vfs::OsVfs,
};

const KEYS: u64 = 1_000_000;
const VALUE: &[u8] = &[b'v'; 100];
const SPACE: KeyspaceId = KeyspaceId::DEFAULT;
/// Operations of one sample.
const BATCH: u64 = 10_000;
const SCANS: u64 = 1_000;
/// Gets of one reader, which keeps the blocks that it unpacks.
const ROUND: u64 = 50;

fn main() {
    for compression in [Compression::None, Compression::Lz4] {
        let (bytes, heap) = (filled(compression).bytes(), filled(compression).heap_bytes());
        #[expect(clippy::print_stdout, reason = "a benchmark reports")]
        {
            println!(
                "{compression:?}: {KEYS} keys in {bytes} bytes, {} a row; open it takes {heap}",
                bytes / KEYS
            );
        }
    }
    divan::main();
}

fn key(at: u64) -> [u8; 16] {
    let mut key = *b"user000000000000";
    let mut rest = at;
    for digit in key.iter_mut().rev().take(12) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

fn directory() -> PathBuf {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| tempfile::tempdir().expect("a temporary directory")).path().into()
}

/// The file is removed at once; whoever has it open goes on using it.
fn write(compression: Compression) -> LoneTable {
    let path = directory().join(format!("{compression:?}.table"));
    let options = TableOptions { compression, ..TableOptions::default() };
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let rows = keys.iter().map(|key| (SPACE, &key[..], VALUE));
    let table = LoneTable::write(&OsVfs, &path, &options, Version(9), rows);
    std::fs::remove_file(&path).expect("the file is there");
    table.expect("a table")
}

fn filled(compression: Compression) -> &'static LoneTable {
    static TABLES: [OnceLock<LoneTable>; 2] = [const { OnceLock::new() }; 2];
    TABLES[usize::from(compression == Compression::Lz4)].get_or_init(|| write(compression))
}

/// A sequence of numbers without order.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 20
}

fn reader() -> TableReader {
    TableReader::new(Patience::Wait, 1)
}

#[divan::bench(args = [Compression::None, Compression::Lz4], sample_count = 20)]
fn get_hit(bencher: Bencher<'_, '_>, compression: Compression) {
    let (table, mut state) = (filled(compression), 1);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH / ROUND {
            let reader = reader();
            for _ in 0..ROUND {
                let key = key(random(&mut state) % KEYS);
                let value = table.get(SPACE, &key, Version(10), &reader).expect("readable");
                assert_eq!(black_box(value).map(<[u8]>::len), Some(100));
            }
        }
    });
}

#[divan::bench(sample_count = 20)]
fn get_miss(bencher: Bencher<'_, '_>) {
    let (table, mut state) = (filled(Compression::None), 1);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let reader = reader();
        for _ in 0..BATCH {
            let mut key = key(random(&mut state) % KEYS);
            key[15] = b'x';
            let value = table.get(SPACE, &key, Version(10), &reader).expect("readable");
            assert_eq!(black_box(value), None);
        }
    });
}

#[divan::bench(args = [(false, Compression::None), (true, Compression::None), (false, Compression::Lz4)], sample_count = 20)]
fn scan_100(bencher: Bencher<'_, '_>, (is_reverse, compression): (bool, Compression)) {
    let (table, mut state) = (filled(compression), 1);
    bencher.counter(ItemsCount::new(SCANS)).bench_local(|| {
        let reader = reader();
        for _ in 0..SCANS {
            let from = key(random(&mut state) % (KEYS - 200) + 100);
            let (mut rows, mut bytes) = (0, 0);
            let scanned =
                table.scan(SPACE, &from, is_reverse, Version(10), &reader, &mut |key, value| {
                    rows += 1;
                    bytes += black_box(key).len() + black_box(value).len();
                    if rows < 100 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
            scanned.expect("readable");
            assert_eq!((rows, bytes), (100, 11_600));
        }
    });
}

#[divan::bench(args = [Compression::None, Compression::Lz4], sample_count = 3, sample_size = 1)]
fn build(bencher: Bencher<'_, '_>, compression: Compression) {
    bencher.counter(ItemsCount::new(KEYS)).bench_local(|| write(compression));
}

#[divan::bench(args = [Compression::None, Compression::Lz4], sample_count = 5, sample_size = 1)]
fn go_through_all(bencher: Bencher<'_, '_>, compression: Compression) {
    let table = filled(compression);
    bencher.counter(ItemsCount::new(KEYS)).bench_local(|| {
        assert_eq!(table.count().expect("readable").0, KEYS);
    });
}
