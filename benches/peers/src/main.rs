//! Plinth in process beside its peers: the same work, one after the other, in one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`. RocksDB is compiled with it, which
//! takes minutes and wants libclang (Debian: `libclang-dev`).
//!
//! Each engine opens an empty directory, is loaded with keys in random order, and goes through the
//! rows below. Rounds go around the engines, so that a machine's bad minute meets all of them; each
//! cell is the median of the rounds. Ratios are of the best Plinth to the best peer.

mod fjall;
mod peer;
mod plinth;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocks;
mod surreal;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use clap::Parser;
use peer::{Key, Peer, Reads, Sync, VALUE_BYTES, key};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`: all engines get the allocator as the `plinth` binary sets it.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

const KEYS_PER_LOAD: u64 = 1000;
const SCAN_ROWS: usize = 100;

/// Measures Plinth in process beside RocksDB, SurrealKV, fjall and redb.
#[derive(Parser)]
struct Arguments {
    /// How many keys.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Seconds for each cell of the table.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How many times the whole table is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where databases are made; on a real disk, lest syncs be free.
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// Only engines whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

/// A row of the table: what is measured, in operations a second.
const ROWS: [&str; 8] = [
    "load, random order, 1,000 keys a transaction (keys/s)",
    "get in a snapshot, 1 thread",
    "get in a snapshot, 2 threads",
    "scan of 100, 1 thread",
    "read-modify-write, not synced, 1 thread",
    "read-modify-write, not synced, 16 threads",
    "read-modify-write, synced, 1 thread",
    "read-modify-write, synced, 64 threads",
];

type Rates = [f64; ROWS.len()];

/// Numbers in no order, the same for every engine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (u128::from(self.0) * u128::from(bound) >> 64) as u64
    }
}

/// What `threads` threads do a second of `work`, which does some and says how many.
fn rate(
    threads: u64,
    time: Duration,
    work: &(dyn Fn(&mut Numbers) -> u64 + std::marker::Sync),
) -> f64 {
    let (is_over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (is_over, done) = (&is_over, &done);
            scope.spawn(move || {
                let mut numbers = Numbers(thread + 1);
                while !is_over.load(Ordering::Relaxed) {
                    done.fetch_add(work(&mut numbers), Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn load(peer: &dyn Peer, keys: u64) -> f64 {
    let value = [b'v'; VALUE_BYTES];
    let begun = Instant::now();
    for first in (0..keys).step_by(KEYS_PER_LOAD as usize) {
        let batch: Vec<Key> = (first..keys.min(first + KEYS_PER_LOAD)).map(key).collect();
        peer.load(&batch, &value);
    }
    keys as f64 / begun.elapsed().as_secs_f64()
}

fn reads(
    peer: &dyn Peer,
    threads: u64,
    time: Duration,
    work: &(dyn Fn(&dyn Reads, &mut Numbers) + std::marker::Sync),
) -> f64 {
    // One snapshot a thousand reads or so: nobody keeps one for ever.
    rate(threads, time, &|numbers| {
        peer.read(&mut |snapshot| (0..1000).for_each(|_| work(snapshot, numbers)));
        1000
    })
}

fn measure<P: Peer>(arguments: &Arguments) -> Rates {
    let directory = tempfile::tempdir_in(&arguments.directory).expect("a directory");
    let peer = P::open(directory.path());
    let time = Duration::from_secs_f64(arguments.seconds);
    let keys = arguments.keys;
    let loaded = load(&peer, keys);
    let get = |snapshot: &dyn Reads, numbers: &mut Numbers| {
        assert_eq!(snapshot.get(&key(numbers.below(keys))), VALUE_BYTES);
    };
    let scan = |snapshot: &dyn Reads, numbers: &mut Numbers| {
        assert!(snapshot.scan(&key(numbers.below(keys)), SCAN_ROWS) > 0);
    };
    let write = |threads, sync| {
        rate(threads, time, &|numbers| {
            peer.read_modify_write(&key(numbers.below(keys)), sync);
            1
        })
    };
    [
        loaded,
        reads(&peer, 1, time, &get),
        reads(&peer, 2, time, &get),
        reads(&peer, 1, time, &scan),
        write(1, Sync::No),
        write(16, Sync::No),
        write(1, Sync::Yes),
        write(64, Sync::Yes),
    ]
}

type Measure = fn(&Arguments) -> Rates;

const ENGINES: &[(&str, Measure)] = &[
    ("plinth", measure::<plinth::PlinthEngine>),
    ("plinth tx", measure::<plinth::PlinthTransactions>),
    #[cfg(feature = "rocksdb")]
    ("rocksdb", measure::<rocks::Rocks>),
    ("surrealkv", measure::<surreal::Surreal>),
    ("fjall", measure::<fjall::Fjall>),
    ("redb", measure::<redb::Redb>),
];

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn in_words(rate: f64) -> String {
    if rate >= 1e6 { format!("{:.2} M", rate / 1e6) } else { format!("{:.1} k", rate / 1e3) }
}

fn print(engines: &[(&str, Vec<Rates>)]) {
    print!("| what |");
    for (name, _) in engines {
        print!(" {name} |");
    }
    println!(" ratio |\n|---|{}---|", "---|".repeat(engines.len()));
    for (row, what) in ROWS.iter().enumerate() {
        let rates: Vec<(&str, f64)> = engines
            .iter()
            .map(|(name, rounds)| (*name, median(rounds.iter().map(|rates| rates[row]).collect())))
            .collect();
        let best = |ours: bool| {
            let of = rates.iter().filter(|(name, _)| name.starts_with("plinth") == ours);
            of.map(|(_, rate)| *rate).fold(0.0, f64::max)
        };
        print!("| {what} |");
        for (_, rate) in &rates {
            print!(" {} |", in_words(*rate));
        }
        let (ours, theirs) = (best(true), best(false));
        if ours > 0.0 && theirs > 0.0 {
            println!(" {:.2} |", ours / theirs)
        } else {
            println!(" |")
        }
    }
}

fn check(directory: &Path) {
    assert!(directory.is_dir(), "--directory {}: there is no such directory", directory.display());
}

fn main() {
    // SAFETY: an option with this number exists, and there is one thread.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, 10_000) };
    let arguments = Arguments::parse();
    check(&arguments.directory);
    let only = arguments.only.as_deref().unwrap_or_default();
    let mut engines: Vec<(&str, Measure, Vec<Rates>)> = ENGINES
        .iter()
        .filter(|(name, _)| name.contains(only))
        .map(|(name, measure)| (*name, *measure, Vec::new()))
        .collect();
    for round in 1..=arguments.rounds {
        for (name, measure, rounds) in &mut engines {
            eprintln!("round {round} of {}: {name}", arguments.rounds);
            rounds.push(measure(&arguments));
        }
    }
    let engines: Vec<_> = engines.into_iter().map(|(name, _, rounds)| (name, rounds)).collect();
    print(&engines);
}
