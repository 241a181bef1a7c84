//! What compaction costs: bytes written to tables for each byte flushed, and bytes of tables for
//! each byte that lives.
//!
//! `cargo run --release --example compaction`. Memtables, levels and tables are 64 times smaller than
//! with the defaults, so that the levels have the shape that 64 times as many rows have with the
//! defaults. Everything happens on one thread, flushes and compactions in between; files are in the
//! target directory.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use plinth_protocol::{Commit, KeyspaceId, Mutation, MutationOp};
use plinthdb::{
    engine::{DurabilityMode, Engine, EngineOptions, Pipeline},
    random::Random,
};

const ROWS: u64 = 250_000;
/// Everything is so many times smaller than with the defaults.
const SCALE: u64 = 64;
const VALUE_BYTES: usize = 100;
const ROW_BYTES: u64 = 16 + VALUE_BYTES as u64;
const COMMIT_ROWS: u64 = 500;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut random = Random::new(7);
    report(&mut out, "load in order", 2 * ROWS, &mut |at| at)?;
    report(&mut out, "load in any order", 2 * ROWS, &mut |at| scrambled(at, 2 * ROWS))?;
    report(&mut out, "overwrite 5 times, any", 5 * ROWS, &mut |_| random.below(ROWS))?;
    let mut random = Random::new(8);
    report(&mut out, "overwrite, 9 of 10 in a tenth", 5 * ROWS, &mut |_| {
        if random.one_in(10) { random.below(ROWS) } else { random.below(ROWS / 10) }
    })
}

/// Each number below `count` once, in an order that has nothing to do with theirs.
fn scrambled(at: u64, count: u64) -> u64 {
    // A step that shares no factor with the count, 500,000.
    at * 1_234_577 % count
}

fn options(directory: &std::path::Path) -> EngineOptions {
    let mut options = EngineOptions::new(directory);
    options.pipeline = Pipeline::Manual;
    options.durability = DurabilityMode::None;
    options.window = Duration::from_millis(100);
    let storage = &mut options.storage;
    storage.memtable_bytes /= SCALE;
    storage.log_bytes_max /= SCALE;
    storage.level1_bytes /= SCALE;
    storage.table_bytes_max /= SCALE;
    storage.compaction_bytes_per_second = 0;
    storage.packed_from_bytes = 0;
    options
}

/// Writes as many rows, lets everything settle, and tells what it took.
fn report(
    out: &mut impl io::Write,
    name: &str,
    writes: u64,
    key_of: &mut dyn FnMut(u64) -> u64,
) -> io::Result<()> {
    let directory = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target"))?;
    let engine = Engine::open(options(directory.path())).map_err(io::Error::other)?;
    let mut random = Random::new(1);
    let mut seen = vec![false; 2 * ROWS as usize];
    let began = Instant::now();
    let mut most = 0;
    for commit in 0..writes / COMMIT_ROWS {
        let mut mutations = Vec::with_capacity(COMMIT_ROWS as usize);
        for at in 0..COMMIT_ROWS {
            let number = key_of(commit * COMMIT_ROWS + at);
            seen[number as usize] = true;
            let mut value = vec![0; VALUE_BYTES];
            // Half of it can be packed.
            random.fill(&mut value[..VALUE_BYTES / 2]);
            let key = Bytes::from(format!("row/{number:012}"));
            let op = MutationOp::Set { key, value: value.into() };
            mutations.push(Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op });
        }
        let commit = Commit { mutations, ..Commit::default() };
        engine.commit_blocking(commit).map_err(io::Error::other)?;
        most = most.max(table_bytes(&engine));
    }
    settle(&engine);
    let took = began.elapsed();
    let stats = engine.stats();
    let live = seen.iter().filter(|seen| **seen).count() as u64 * ROW_BYTES;
    let shape: Vec<String> =
        stats.levels.iter().map(|level| (level.bytes >> 20).to_string()).collect();
    writeln!(
        out,
        "{name}: {:.0} rows/s, {:.2} bytes written to tables per byte flushed, {:.2} bytes of \
         tables per live byte at rest ({:.2} at most), {} compactions, {} moves; MiB by level {}",
        ratio(writes * 1000, took.as_millis() as u64),
        stats.compaction.write_amplification(stats.flushed_bytes),
        ratio(table_bytes(&engine), live),
        ratio(most, live),
        stats.compaction.compactions,
        stats.compaction.moves,
        shape.join(" "),
    )?;
    Ok(())
}

/// Until the window has passed and nothing is left to do.
fn settle(engine: &Engine) {
    let began = Instant::now();
    while engine.step() || began.elapsed().as_millis() < 1500 {}
}

fn table_bytes(engine: &Engine) -> u64 {
    engine.stats().levels.iter().map(|level| level.bytes).sum()
}

#[expect(clippy::cast_precision_loss, reason = "for people, who look at three digits")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
