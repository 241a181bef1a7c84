//! What the log costs beside the disk below it.
//!
//! `cargo bench --bench log`. Compare `append_and_sync` with `disk::write_and_sync`, which writes as
//! many bytes and syncs them with nothing around it; the files are in the target directory.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use plinth_protocol::{KeyspaceId, Version};
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

/// The start of an engine after a crash, with a log that no cache holds.
mod start_after_a_crash {
    use super::{
        Arc, Bencher, Bytes, BytesCount, CommittedTransaction, DurabilityMode, Engine,
        EngineOptions, KeyspaceId, Log, LogOptions, LogStart, OsVfs, RecordEncoder, StorageOptions,
        TempDir, Version, Vfs, Write, directory,
    };

    const LOG_BYTES: u64 = 1 << 30;
    /// Writes of a record: about as many as the commits that come while one is written have.
    const WRITES_A_RECORD: u64 = 1024;
    /// Every key comes again, as in a database in use.
    const KEYS: u64 = 1_000_003;

    fn options(directory: &TempDir) -> EngineOptions {
        // Everything stays in the log: a flush would let go of what has gone to tables.
        let storage = StorageOptions {
            memtable_bytes: 16 * LOG_BYTES,
            log_bytes_max: 16 * LOG_BYTES,
            ..StorageOptions::default()
        };
        EngineOptions {
            durability: DurabilityMode::None,
            storage,
            ..EngineOptions::new(directory.path().join("data"))
        }
    }

    fn transaction(version: Version, writes: std::ops::Range<u64>) -> CommittedTransaction {
        let write = |number: u64| Write::Set {
            keyspace: KeyspaceId::DEFAULT,
            key: Bytes::from(format!("user/{:011}", number * 7919 % KEYS)),
            value: Bytes::from_static(&[b'v'; 100]),
        };
        CommittedTransaction {
            version,
            order: 0,
            idempotency_id: None,
            committed_at_ms: 1_700_000_000_000,
            writes: writes.map(write).collect(),
        }
    }

    /// A data directory with a log of a gibibyte, of transactions with so many writes each.
    fn with_a_log(writes: u64) -> (TempDir, u64) {
        let directory = directory();
        let options = options(&directory);
        let database_id = options.new_database_id.0;
        let engine = Engine::open(options).expect("a new database");
        let mut version = engine.stats().ceiling;
        drop(engine);
        let (log_options, start) =
            (LogOptions { database_id, ..LogOptions::default() }, LogStart::default());
        let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
        let path = directory.path().join("data").join("log");
        let (mut log, _) = Log::recover(&vfs, &path, log_options, start, &mut |_| Ok(()))
            .expect("a log that was closed");
        let mut encoder = RecordEncoder::new();
        let mut next = 0;
        while log.bytes() < LOG_BYTES {
            let transactions = (0..WRITES_A_RECORD / writes).map(|_| {
                (version, next) = (Version(version.0 + 1), next + writes);
                transaction(version, next - writes..next)
            });
            encoder.clear();
            encoder.batch(&transactions.collect::<Vec<_>>()).expect("in order");
            log.append(&mut encoder).expect("a disk that works");
        }
        log.sync().expect("a disk that works");
        (directory, log.bytes())
    }

    /// The log's files, when no cache holds them.
    fn cold_files(directory: &TempDir) -> Vec<Box<dyn plinthdb::vfs::File>> {
        let path = directory.path().join("data").join("log");
        let names = OsVfs.list(&path).expect("a directory");
        let segments = names.iter().map(|name| path.join(name));
        let segments = segments.filter(|path| path.extension().is_some_and(|end| end == "log"));
        let files: Vec<_> = segments.map(|path| OsVfs.open(&path).expect("a file")).collect();
        for file in &files {
            // What is not on the disk can't be let go of.
            file.sync_all().expect("a disk that works");
            file.uncache(0..file.len().expect("a disk that works"));
        }
        files
    }

    #[divan::bench(args = [1, 256], sample_count = 3, sample_size = 1)]
    fn writes_a_transaction(bencher: Bencher<'_, '_>, writes: u64) {
        let (directory, bytes) = with_a_log(writes);
        bencher
            .with_inputs(|| drop(cold_files(&directory)))
            .input_counter(move |()| BytesCount::new(bytes))
            // Given back, so that its end is not measured.
            .bench_local_values(|()| Engine::open(options(&directory)).expect("a sound log"));
    }

    /// Reads such a log in pieces of a mebibyte: what the others are compared with.
    #[divan::bench(sample_count = 3, sample_size = 1)]
    fn sequential_read(bencher: Bencher<'_, '_>) {
        let (directory, bytes) = with_a_log(256);
        let mut piece = vec![1; 1 << 20];
        bencher
            .with_inputs(|| cold_files(&directory))
            .input_counter(move |_| BytesCount::new(bytes))
            .bench_local_values(|files| {
                for file in &files {
                    let bytes = file.len().expect("a disk that works");
                    for at in 0..bytes >> 20 {
                        file.read_exact_at(&mut piece, at << 20).expect("a disk that works");
                    }
                }
            });
    }
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
