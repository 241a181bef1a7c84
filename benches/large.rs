//! A database much larger than its memtable: how fast it is filled, what it takes on the disk and in
//! memory, how fast it opens after a crash, and what reads and commits cost then.
//!
//! ```text
//! cargo run --release --example large -- load /data/large --rows 100000000
//! cargo run --release --example large -- read /data/large --rows 100000000
//! ```
//!
//! `load` ends without closing the database, as a crash would; so `read` begins with a recovery.
//! The same with `--rows 1000000` tells what the size costs.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people, and ranks that are rounded anyway"
)]

use std::{
    error::Error,
    io::{self, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::{Parser, Subcommand};
use plinth_protocol::{
    Commit, CommitResult, Durability, Error as WireError, KeyRange, KeyspaceId, Mutation,
    MutationOp,
};
use plinthdb::engine::{CommitSink, Engine, EngineOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPACE: KeyspaceId = KeyspaceId::DEFAULT;
const ROWS_PER_COMMIT: u64 = 1000;
const SCAN_ROWS: usize = 100;
const MIB: f64 = 1_048_576.0;

/// Fills a large database and measures what it costs to use.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    phase: Phase,
}

#[derive(Subcommand)]
enum Phase {
    /// Fills an empty directory with rows in random order.
    Load(Size),
    /// Opens it, and reads and writes.
    Read(Size),
}

#[derive(Parser)]
struct Size {
    /// The data directory.
    directory: PathBuf,
    /// How many rows.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// From how many bytes of tables on they are packed; unless set, as an engine does by itself.
    #[arg(long)]
    packed_from_bytes: Option<u64>,
    /// Bytes of each value; keys have 16.
    #[arg(long, default_value_t = 32)]
    value_bytes: usize,
}

/// Keys in no order.
fn key(number: u64) -> Bytes {
    format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).into()
}

/// A number below `bound`, another one for each `number`.
fn scattered(number: u64, bound: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0xD129_0D3B_3E5C_59A3);
    ((u128::from(mixed ^ mixed >> 29) * u128::from(bound)) >> 64) as u64
}

fn set(number: u64, value: &Bytes) -> Mutation {
    let op = MutationOp::Set { key: key(number), value: value.clone() };
    Mutation { keyspace: SPACE, adds_conflict: true, op }
}

/// Lets some commits be under way at a time.
struct Window {
    outcomes: std::sync::mpsc::Sender<Result<CommitResult, WireError>>,
}

impl CommitSink for Window {
    fn push(&self, _token: u64, outcome: Result<CommitResult, WireError>) {
        // Nobody listens any more once a commit has failed.
        let _ = self.outcomes.send(outcome);
    }

    fn wake(&self) {}
}

impl Size {
    fn open(&self) -> Result<Engine, Box<dyn Error>> {
        let mut options = EngineOptions::new(&self.directory);
        if let Some(bytes) = self.packed_from_bytes {
            options.storage.packed_from_bytes = bytes;
        }
        Ok(Engine::open(options)?)
    }
}

fn load(size: &Size) -> Result<(), Box<dyn Error>> {
    let engine = size.open()?;
    let value = Bytes::from(vec![b'v'; size.value_bytes]);
    let (outcomes, arrived) = std::sync::mpsc::channel();
    let sink = Arc::new(Window { outcomes: outcomes.clone() });
    let (mut under_way, mut told) = (0, Instant::now());
    let begun = Instant::now();
    for first in (0..size.rows).step_by(ROWS_PER_COMMIT as usize) {
        let rows = first..size.rows.min(first + ROWS_PER_COMMIT);
        let commit =
            Commit { mutations: rows.map(|row| set(row, &value)).collect(), ..Commit::default() };
        engine.submit(commit, Arc::clone(&sink) as _, 0).map_err(|(_, error)| error)?;
        under_way += 1;
        while under_way >= 16 {
            arrived.recv()??;
            under_way -= 1;
        }
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            let rate = first as f64 / begun.elapsed().as_secs_f64();
            writeln!(io::stderr(), "{} M rows, {:.0} k/s", first / 1_000_000, rate / 1e3)?;
        }
    }
    for _ in 0..under_way {
        arrived.recv()??;
    }
    let loaded = begun.elapsed().as_secs_f64();
    let mut out = io::stdout();
    let user_bytes = size.rows as f64 * (16 + size.value_bytes) as f64;
    writeln!(out, "load: {:.0} k rows/s, {loaded:.1} s", size.rows as f64 / loaded / 1e3)?;
    settle(&engine);
    let stats = engine.stats();
    writeln!(out, "{stats:#?}")?;
    let on_disk = bytes_below(&size.directory.join("tables"))? as f64;
    writeln!(out, "user bytes: {:.0} MiB", user_bytes / MIB)?;
    writeln!(out, "tables: {:.0} MiB = {:.2} of user bytes", on_disk / MIB, on_disk / user_bytes)?;
    writeln!(out, "memory: {:.0} MiB", resident_bytes()? / MIB)?;
    out.flush()?;
    // No close: what comes next is a recovery.
    std::process::exit(0)
}

/// Waits until compactions have nothing to do: nothing has changed for longer than one takes.
fn settle(engine: &Engine) {
    const QUIET: Duration = Duration::from_mins(1);
    let done = || {
        let stats = engine.stats();
        (stats.compaction.compactions, stats.compaction.moves, stats.flushes)
    };
    let (mut before, mut since) = (done(), Instant::now());
    while since.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(500));
        let now = done();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

fn bytes_below(directory: &Path) -> io::Result<u64> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// The process's memory without the files that it has mapped.
fn resident_bytes() -> io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    let kib = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    Ok(kib * 1024.0)
}

/// Operations a second, and the median and the 99th percentile of one in microseconds.
fn measure(
    what: &str,
    count: u64,
    mut work: impl FnMut(u64) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut micros = Vec::with_capacity(count as usize);
    let begun = Instant::now();
    for number in 0..count {
        let begun = Instant::now();
        work(number)?;
        micros.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    micros.sort_by(f64::total_cmp);
    let at = |fraction: f64| micros[(micros.len() as f64 * fraction) as usize];
    let (median, tail) = (at(0.5), at(0.99));
    let rate = rate / 1e3;
    writeln!(io::stdout(), "{what}: {rate:.1} k/s, p50 {median:.1} µs, p99 {tail:.1} µs")?;
    Ok(())
}

fn read(size: &Size) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let engine = size.open()?;
    writeln!(io::stdout(), "opened after a crash in {:.2} s", begun.elapsed().as_secs_f64())?;
    let get = |number: u64| -> Result<(), Box<dyn Error>> {
        let key = key(scattered(number, size.rows));
        let version = engine.read_version();
        let reader = engine.reader();
        let found = reader.get(SPACE, &key, version)?.ok_or("a row is missing")?;
        if found.value.len() == size.value_bytes { Ok(()) } else { Err("another value".into()) }
    };
    let scan = |number: u64| -> Result<(), Box<dyn Error>> {
        let range = KeyRange::new(key(scattered(number, size.rows)), Bytes::from_static(b"g"));
        let mut left = SCAN_ROWS;
        let (version, reader) = (engine.read_version(), engine.reader());
        reader.scan(SPACE, &range, version, false, &mut |_, _| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(())
    };
    let value = Bytes::from(vec![b'w'; size.value_bytes]);
    let commit = |number: u64, durability| -> Result<(), Box<dyn Error>> {
        let mutations = vec![set(scattered(number, size.rows), &value)];
        let commit = Commit { mutations, durability: Some(durability), ..Commit::default() };
        engine.commit_blocking(commit)?;
        Ok(())
    };
    measure("get, first time", 1_000_000, get)?;
    measure("get, again", 1_000_000, get)?;
    measure("scan of 100, first time", 100_000, scan)?;
    measure("scan of 100, again", 100_000, scan)?;
    measure("commit, not synced", 100_000, |number| commit(number, Durability::None))?;
    measure("commit, synced", 2_000, |number| commit(number, Durability::Sync))?;
    writeln!(io::stdout(), "memory: {:.0} MiB", resident_bytes()? / MIB)?;
    engine.close();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().phase {
        Phase::Load(size) => load(&size),
        Phase::Read(size) => read(&size),
    }
}
