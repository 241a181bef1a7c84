//! What the log costs beside the disk below it.
//!
//! `cargo bench --bench log`. Compare `append_and_sync` with `disk::write_and_sync`, which writes as
//! many bytes and syncs them with nothing around it; the files are in the target directory.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use plinth_protocol::{Commit, KeyspaceId, Mutation, MutationOp, Version};
use plinthdb::{
    engine::{
        DurabilityMode, Engine, EngineOptions, StorageOptions,
        wal::{Log, LogOptions, LogRecord, LogStart, RecordEncoder},
        write::{CommittedTransaction, Write},
    },
    vfs::{OsVfs, Vfs},
};
use tempfile::TempDir;

/// As the `plinth` binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// One transaction with one write of 16 and 100 bytes.
fn transaction(version: u64) -> CommittedTransaction {
    CommittedTransaction {
        version: Version(version),
        order: 0,
        idempotency_id: None,
        committed_at_ms: 1_700_000_000_000,
        writes: vec![Write::Set {
            keyspace: KeyspaceId::DEFAULT,
            key: Bytes::from(format!("user/{version:011}")),
            value: Bytes::from_static(&[b'v'; 100]),
        }],
    }
}

fn batch(first: u64, count: u64) -> Vec<CommittedTransaction> {
    (first..first + count).map(transaction).collect()
}

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk")
}

fn recover(directory: &Path) -> (Log, u64) {
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let mut transactions = 0;
    let (log, _) = Log::recover(
        &vfs,
        &directory.join("log"),
        LogOptions::default(),
        LogStart::default(),
        &mut |record| {
            if let LogRecord::Batch(batch) = record {
                transactions += batch.len() as u64;
            }
            Ok(())
        },
    )
    .expect("a sound log");
    (log, transactions)
}

/// A batch of so many transactions, encoded, written and synced.
#[divan::bench(args = [1, 16, 256], sample_count = 500)]
fn append_and_sync(bencher: Bencher<'_, '_>, transactions: u64) {
    let directory = directory();
    let (mut log, _) = recover(directory.path());
    let mut encoder = RecordEncoder::new();
    let mut next = 1;
    bencher
        .with_inputs(|| {
            next += transactions;
            batch(next, transactions)
        })
        .bench_local_values(|batch| {
            encoder.clear();
            encoder.batch(&batch).expect("in order");
            log.append(&mut encoder).expect("a disk that works");
            log.sync().expect("a disk that works");
        });
}

#[divan::bench(args = [1, 16, 256])]
fn encode(bencher: Bencher<'_, '_>, transactions: u64) {
    let batch = batch(1, transactions);
    let mut encoder = RecordEncoder::new();
    bencher.bench_local(|| {
        encoder.clear();
        encoder.batch(&batch).expect("in order");
        encoder.bytes()
    });
}

/// Recovery of a log of 256 MiB, among which the checks of all checksums and the renewal of the last
/// segment.
#[divan::bench(sample_count = 3)]
fn recovery(bencher: Bencher<'_, '_>) {
    let directory = directory();
    let (mut log, _) = recover(directory.path());
    let mut encoder = RecordEncoder::new();
    let mut next = 1;
    while log.bytes() < 256 << 20 {
        encoder.clear();
        encoder.batch(&batch(next, 256)).expect("in order");
        log.append(&mut encoder).expect("a disk that works");
        next += 256;
    }
    log.sync().expect("a disk that works");
    let bytes = log.bytes();
    drop(log);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let (_, transactions) = recover(directory.path());
        assert_eq!(transactions, next - 1);
    });
}

/// The start of an engine after a crash with a log of a gibibyte: recovery, and everything applied.
#[divan::bench(sample_count = 2)]
fn start_after_a_crash(bencher: Bencher<'_, '_>) {
    const LOG_BYTES: u64 = 1 << 30;
    let directory = directory();
    // Everything stays in the log: a flush would let go of what has gone to tables.
    let storage = StorageOptions {
        memtable_bytes: 16 * LOG_BYTES,
        log_bytes_max: 16 * LOG_BYTES,
        ..StorageOptions::default()
    };
    let options = || EngineOptions {
        durability: DurabilityMode::None,
        storage: storage.clone(),
        ..EngineOptions::new(directory.path().join("data"))
    };
    let engine = Engine::open(options()).expect("a new database");
    let mut next: u64 = 0;
    while engine.stats().log_bytes < LOG_BYTES {
        let mut commit = Commit::default();
        for _ in 0..256 {
            // Every key comes again, as in a database in use.
            let key = Bytes::from(format!("user/{:011}", next * 7919 % 1_000_003));
            let op = MutationOp::Set { key, value: Bytes::from_static(&[b'v'; 100]) };
            let keyspace = KeyspaceId::DEFAULT;
            commit.mutations.push(Mutation { keyspace, adds_conflict: false, op });
            next += 1;
        }
        engine.commit_blocking(commit).expect("a disk that works");
    }
    let bytes = engine.stats().log_bytes;
    drop(engine);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        // Given back, so that its end is not measured.
        Engine::open(options()).expect("a sound log")
    });
}

/// The disk without a log.
mod disk {
    use super::{Bencher, BytesCount, OsVfs, Vfs, directory};

    /// Writes so many bytes behind each other into a file that is filled with zeros, and syncs.
    #[divan::bench(args = [192, 2560, 38400], sample_count = 500)]
    fn write_and_sync(bencher: Bencher<'_, '_>, bytes: usize) {
        const FILE_BYTES: u64 = 64 << 20;
        let directory = directory();
        let file = OsVfs.create(&directory.path().join("file")).expect("a new file");
        file.write_all_at(&vec![0; FILE_BYTES as usize], 0).expect("a disk that works");
        file.sync_all().expect("a disk that works");
        let bytes = vec![1; bytes];
        let mut offset = 0;
        bencher.bench_local(|| {
            offset = if offset + bytes.len() as u64 > FILE_BYTES { 0 } else { offset };
            file.write_all_at(&bytes, offset).expect("a disk that works");
            file.sync_data().expect("a disk that works");
            offset = (offset + bytes.len() as u64).next_multiple_of(512);
        });
    }

    /// Reads 256 MiB in pieces of one.
    #[divan::bench(sample_count = 3)]
    fn sequential_read(bencher: Bencher<'_, '_>) {
        const PIECE_BYTES: usize = 1 << 20;
        let directory = directory();
        let file = OsVfs.create(&directory.path().join("file")).expect("a new file");
        let mut piece = vec![1; PIECE_BYTES];
        for at in 0..256 {
            file.write_all_at(&piece, at << 20).expect("a disk that works");
        }
        bencher.counter(BytesCount::new(256 * PIECE_BYTES)).bench_local(|| {
            for at in 0..256 {
                file.read_exact_at(&mut piece, at << 20).expect("a disk that works");
            }
        });
    }
}
