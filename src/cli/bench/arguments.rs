//! What a run is told on the command line.

use super::{
    keys::{Distribution, KEY_SIZE_MAX, KEY_SIZE_MIN, Keys, Random, Sizes},
    measurement::Settings,
    target::place::Place,
    workload::{Workload, bank::Bank},
};
use crate::cli::settings::DurabilitySetting;

/// How long is measured, unless told otherwise.
const SECONDS_DEFAULT: f64 = 10.0;

/// How long is measured at most.
const SECONDS_MAX: f64 = 1e6;

/// How long is run before, unless told otherwise.
const WARM_UP_DEFAULT: f64 = 1.0;

/// Requests that a connection may have in flight at a rate, unless told otherwise: users don't wait
/// for each other's answers, and what a stall has kept waiting leaves in few writes.
const PIPELINE_AT_RATE: usize = 16;

/// One run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// What to do over and over.
    pub(super) workload: Workload,
    /// Whom to ask, once it is known.
    #[arg(skip)]
    pub(super) target: Place,
    /// How many connections; with transactions, how many at once, times the pipeline.
    #[arg(long, value_name = "COUNT", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) connections: u32,
    /// How many requests each connection keeps in flight; with --rate, how many at most: 1, and 16
    /// with --rate, unless told otherwise.
    #[arg(long, value_name = "COUNT", value_parser = parse_pipeline)]
    pub(super) pipeline: Option<usize>,
    /// How many keys there are.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub(super) keys: u64,
    /// Which keys are picked how often: uniform, zipfian (0.99, the frequent ones scattered), latest,
    /// or hot:20:80 for 80 % of the operations on 20 % of the keys; the workload's own if not given.
    #[arg(long, value_name = "DISTRIBUTION")]
    pub(super) distribution: Option<Distribution>,
    /// How many bytes a key has.
    #[arg(long, value_name = "BYTES", default_value_t = 16, value_parser = parse_key_size)]
    pub(super) key_size: usize,
    /// How many bytes a value has: a number, or two as in 10..1000 for any between, each as often,
    /// or zipfian:10..1000 for small ones often and large ones seldom.
    #[arg(long, value_name = "BYTES", default_value = "100")]
    pub(super) value_size: Sizes,
    /// How many rows a scan reads.
    #[arg(long, value_name = "COUNT", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) rows: u32,
    /// How many keys a batch-get reads.
    #[arg(long, value_name = "COUNT", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) batch: u32,
    /// How long to measure: 10 unless --count is given.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(super) seconds: Option<f64>,
    /// How many operations to measure, from the first on, without warm-up; --seconds is an end to
    /// them too if it is given.
    #[arg(long, value_name = "OPERATIONS", conflicts_with = "warm_up",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// How many operations a second to begin, whatever becomes of them; without it, each follows on
    /// the end of another. Latency counts from when an operation was due, so that a stall shows in
    /// all that it would have delayed.
    #[arg(long, value_name = "OPERATIONS", value_parser = parse_rate)]
    pub(super) rate: Option<f64>,
    /// How long to run before measuring: 1 unless --count is given.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(super) warm_up: Option<f64>,
    /// Write all keys first.
    #[arg(long)]
    pub(super) load: bool,
    /// Threads of this process that share the connections.
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) threads: u32,
    /// When a commit of the engine in this process counts as done: sync, interval=MILLISECONDS or
    /// none; sync if left out. A server has a setting of its own for it.
    #[arg(long, value_name = "MODE")]
    pub(super) durability: Option<DurabilitySetting>,
    /// Which random keys: the same seed picks the same.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) seed: u64,
}

impl RunArguments {
    /// What is wrong with the arguments together, if these are the targets.
    pub(super) fn check(&self, targets: &[&Place]) -> Result<(), String> {
        let is_embedded = |target: &&Place| matches!(target, Place::Embedded(_));
        if self.durability.is_some() && !targets.iter().any(is_embedded) {
            return Err("--durability is for the engine in this process, with --embedded: what a \
                        server does is its own setting"
                .to_owned());
        }
        let capacity = Keys::new(self.key_size).capacity();
        if self.keys > capacity {
            return Err(format!(
                "keys of {} bytes have room for {capacity} of them, not {}: --key-size can be more",
                self.key_size, self.keys
            ));
        }
        Ok(())
    }

    /// How many requests each connection has in flight.
    pub(super) fn pipeline(&self) -> usize {
        self.pipeline.unwrap_or(if self.rate.is_some() { PIPELINE_AT_RATE } else { 1 })
    }

    /// Which keys are picked how often.
    pub(super) fn distribution(&self) -> Distribution {
        self.distribution.unwrap_or_else(|| self.workload.distribution())
    }

    /// How long to run before measuring.
    pub(super) fn warm_up(&self) -> f64 {
        match self.count {
            Some(_) => 0.0,
            None => self.warm_up.unwrap_or(WARM_UP_DEFAULT),
        }
    }

    /// How long to measure at most.
    pub(super) fn seconds(&self) -> f64 {
        let otherwise = if self.count.is_some() { SECONDS_MAX } else { SECONDS_DEFAULT };
        self.seconds.unwrap_or(otherwise)
    }

    /// The same, as the measurement tells it.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            connections: self.connections,
            pipeline: self.pipeline(),
            threads: self.threads,
            keys: match self.workload {
                Workload::Bank => Bank::accounts_of(self.keys),
                _ => self.keys,
            },
            key_size: self.key_size,
            value_size: self.value_size,
            distribution: self.distribution().to_string(),
            rate: self.rate,
            warm_up: self.warm_up(),
            seconds_wanted: self.seconds(),
            count: self.count,
            seed: self.seed,
        }
    }

    /// The random numbers of a worker: each has its own.
    pub(super) fn random(&self, worker: u64) -> Random {
        let mut seeds = Random::new(self.seed);
        Random::new(seeds.next_u64() ^ worker.wrapping_mul(0xA24B_AED4_963E_E407))
    }
}

fn parse_between<T>(text: &str, [least, most]: [T; 2]) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    match text.parse() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!("a number from {least} to {most} is expected")),
    }
}

fn parse_pipeline(text: &str) -> Result<usize, String> {
    parse_between(text, [1, 10_000])
}

fn parse_key_size(text: &str) -> Result<usize, String> {
    parse_between(text, [KEY_SIZE_MIN, KEY_SIZE_MAX])
}

fn parse_rate(text: &str) -> Result<f64, String> {
    parse_between(text, [0.001, 1e8])
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    parse_between(text, [0.0, SECONDS_MAX])
}
