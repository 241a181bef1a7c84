//! `plinth bench`: how fast is a server?
//!
//! Closed loop: every connection keeps its pipeline full, and a latency is the time from the write
//! of a pipeline to the read of an answer, as `redis-benchmark` has it. `get`, `set` and `ping` are
//! single requests, written and read by [`raw`] without the native client, whose conveniences cost
//! more than a fast server; `rmw` is a real read-modify-write transaction of the native client, with
//! its conflicts and retries. A `set` is a transaction of its own, a blind write. Every value read
//! is checked against its key.
//!
//! Each thread has a runtime of its own and its share of the connections; one, the default, is
//! fairest beside a server on a small machine, and what `redis-benchmark` uses.

mod keys;
mod raw;
mod report;
mod rmw;
mod tally;
mod wire;

use std::{
    io::{Write as _, stdout},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{ScopedJoinHandle, sleep},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use plinth_protocol::{Error, ErrorCode};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

use self::{
    keys::Random,
    report::Report,
    tally::{Phase, Run, Tally},
    wire::Connection,
};
use super::{
    Exit,
    progress::{self, float},
    report_error,
    target::{Target, Whereabouts},
};

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Connections that fill the database.
const LOAD_CONNECTIONS: usize = 8;

/// What is done over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Read a random key.
    Get,
    /// Write a random key, in a transaction of its own.
    Set,
    /// Read a random key and write it, in a transaction that may conflict with others.
    Rmw,
    /// Nothing but the round trip.
    Ping,
}

impl Workload {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Rmw => "rmw",
            Self::Ping => "ping",
        }
    }
}

/// Measure how fast a server is.
///
/// Keys are `key:` and twelve digits, picked evenly at random. Fill the database once with --load
/// before you measure `get` or `rmw`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// What to do over and over.
    pub workload: Workload,
    /// Which server.
    #[command(flatten)]
    pub server: Whereabouts,
    /// The server, once it is known.
    #[arg(skip)]
    pub target: Target,
    /// How many connections; with rmw, how many transactions at once, times the pipeline.
    #[arg(long, value_name = "COUNT", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: u32,
    /// How many requests each connection keeps in flight.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = parse_pipeline)]
    pub pipeline: usize,
    /// How many keys there are.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=keys::KEYS_MAX))]
    pub keys: u64,
    /// How many bytes a value has.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = parse_value_size)]
    pub value_size: usize,
    /// How long to measure.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = parse_seconds)]
    pub seconds: f64,
    /// How long to run before measuring.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    pub warm_up: f64,
    /// Write all keys first.
    #[arg(long)]
    pub load: bool,
    /// Threads of this process that share the connections.
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Which random keys: the same seed picks the same.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    /// The random numbers of a worker: each has its own.
    fn random(&self, worker: u64) -> Random {
        let mut seeds = Random::new(self.seed);
        Random::new(seeds.next() ^ worker.wrapping_mul(0xA24B_AED4_963E_E407))
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

fn parse_value_size(text: &str) -> Result<usize, String> {
    parse_between(text, [0, 1 << 20])
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    parse_between(text, [0.0, 1e6])
}

/// Runs the command.
pub fn run(mut arguments: Arguments) -> Exit {
    match arguments.server.find() {
        Ok(target) => arguments.target = target,
        Err(error) => return report_error(&error),
    }
    let measured = fill(&arguments).and_then(|load_seconds| measure(&arguments, load_seconds));
    let report = match measured {
        Ok(report) => report,
        Err(error) => return report_error(&error),
    };
    let text = if arguments.json { format!("{}\n", report.to_json()) } else { report.to_text() };
    // A reader who has closed the pipe wants no more.
    let _ = stdout().write_all(text.as_bytes());
    match &report.tally.first_error {
        Some(error) => report_error(error),
        None => Exit::Success,
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::new(ErrorCode::INTERNAL_ERROR, format!("can't start the runtime: {error}"))
    })
}

/// Writes all keys, if that is asked for; tells how long it took.
fn fill(arguments: &Arguments) -> Result<Option<f64>, Error> {
    if !arguments.load {
        return Ok(None);
    }
    let begun = Instant::now();
    let bar =
        progress::bar(Some(arguments.keys), "loading {bar:30} {percent}% {pos} keys, {eta} left");
    runtime()?.block_on(async {
        let next = Arc::new(AtomicU64::new(0));
        let mut loaders = JoinSet::new();
        for _ in 0..LOAD_CONNECTIONS {
            let (next, arguments) = (Arc::clone(&next), arguments.clone());
            loaders.spawn(async move {
                let (mut connection, _) = Connection::open(arguments.target.address()).await?;
                raw::load(&mut connection, &next, &arguments).await
            });
        }
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => bar.set_position(next.load(Ordering::Relaxed)),
                loaded = loaders.join_next() => match loaded {
                    Some(Ok(result)) => result?,
                    Some(Err(error)) => {
                        return Err(Error::new(ErrorCode::INTERNAL_ERROR, error.to_string()));
                    }
                    None => return Ok(()),
                },
            }
        }
    })?;
    bar.finish_and_clear();
    Ok(Some(begun.elapsed().as_secs_f64()))
}

/// Runs the workload, warm-up first.
fn measure(arguments: &Arguments, load_seconds: Option<f64>) -> Result<Report<'_>, Error> {
    let run = Arc::new(Run::new());
    std::thread::scope(|scope| {
        let (ready_sender, ready) = mpsc::channel();
        let mut threads = Vec::new();
        for number in 0..arguments.threads {
            let share = |part: u32| arguments.connections * part / arguments.threads;
            let connections = share(number)..share(number + 1);
            let (run, ready) = (&run, ready_sender.clone());
            threads.push(scope.spawn(move || work(arguments, run, connections, &ready)));
        }
        drop(ready_sender);
        let mut server = String::new();
        for _ in &threads {
            match ready.recv() {
                Ok(Ok(name)) => server = name.unwrap_or(server),
                Ok(Err(error)) => {
                    run.enter(Phase::Over);
                    return Err(error);
                }
                Err(_) => break,
            }
        }
        watch(&run, &threads, arguments.warm_up, "warming up");
        run.enter(Phase::Measure);
        let (begun, cpu_begun) = (Instant::now(), cpu_seconds());
        watch(&run, &threads, arguments.seconds, "measuring");
        run.enter(Phase::Over);
        let seconds = begun.elapsed().as_secs_f64();
        let client_cpu_seconds = cpu_seconds() - cpu_begun;
        let mut tally = Tally::new();
        for thread in threads {
            tally.merge(
                thread.join().map_err(|_| {
                    Error::new(ErrorCode::INTERNAL_ERROR, "a worker thread panicked")
                })?,
            );
        }
        Ok(Report { arguments, server, tally, seconds, client_cpu_seconds, load_seconds })
    })
}

/// What this process has used of the processors so far.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos).as_secs_f64()
}

/// Waits for the end of a phase, showing how it goes; gives up early when no worker is left.
fn watch(run: &Run, threads: &[ScopedJoinHandle<'_, Tally>], seconds: f64, what: &str) {
    let bar = progress::bar(None, "{spinner} {msg}");
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut before, mut looked) = (run.completed.load(Ordering::Relaxed), Instant::now());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || threads.iter().all(ScopedJoinHandle::is_finished) {
            break;
        }
        sleep(left.min(PROGRESS_INTERVAL));
        let now = run.completed.load(Ordering::Relaxed);
        let rate = float(now - before) / looked.elapsed().as_secs_f64();
        (before, looked) = (now, Instant::now());
        bar.set_message(format!("{what}: {rate:.0} a second, {:.0} s left", left.as_secs_f64()));
        bar.tick();
    }
    bar.finish_and_clear();
}

/// A thread's part: opens its connections, says that it is ready, works until the run is over.
fn work(
    arguments: &Arguments,
    run: &Arc<Run>,
    connections: Range<u32>,
    ready: &mpsc::Sender<Result<Option<String>, Error>>,
) -> Tally {
    let mut tally = Tally::new();
    let worked = runtime().and_then(|runtime| {
        runtime.block_on(async {
            if arguments.workload == Workload::Rmw {
                return rmw::work(arguments, run, connections, ready).await;
            }
            let (mut workers, mut server) = (JoinSet::new(), None);
            for number in connections {
                let (connection, hello) = Connection::open(arguments.target.address()).await?;
                server = Some(String::from_utf8_lossy(&hello.server).into_owned());
                let worker = raw::Worker::new(arguments, connection, number.into());
                workers.spawn(worker.work(Arc::clone(run)));
            }
            let _ = ready.send(Ok(server));
            Ok(workers.join_all().await)
        })
    });
    match worked {
        Ok(tallies) => tallies.into_iter().for_each(|other| tally.merge(other)),
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
    tally
}
