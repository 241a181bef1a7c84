//! What the C library costs beside the native client: the same work on the same server, in turns.
//!
//! Three clients do each workload with as many transactions at once, in this process:
//!
//! - `native`: tasks on one thread, the client's own runtime;
//! - `callbacks`: the C library, everything done in its callbacks on the network thread, as a program
//!   in C does it;
//! - `awaited`: the C library, its callbacks waking tasks on another thread, as bindings do it.
//!
//! A round is a second or so of each client, one right after the other; a ratio compares the two
//! sides of one round, and the median of the rounds is printed. So a machine with other work to do
//! spoils little; what each transaction takes of the processors, which is printed too, it spoils
//! less.
//!
//! ```text
//! cargo build --release --bin plinth
//! target/release/plinth serve --ephemeral        # says: cluster file FILE
//! cargo build --release -p plinth-capi --lib --examples
//! target/release/examples/against_native FILE [ROUNDS [SECONDS]]
//! ```

mod c;
mod inline;
mod native;

use std::{
    error::Error,
    future::Future,
    io::{self, Write as _},
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

/// Transactions under way at a time.
const AT_ONCE: u64 = 64;
/// How many keys there are; few enough to be in memory, enough for conflicts to be rare.
const KEYS: u64 = 100_000;
const VALUE: [u8; 100] = [b'v'; 100];

/// One transaction, over whichever client.
pub(crate) trait Transaction: Send + Sync + 'static {
    /// Begins to read a key.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, i32>> + Send;
    fn set(&self, key: &str, value: &[u8]);
    fn commit(&self) -> impl Future<Output = Result<(), i32>> + Send;
    fn on_error(&self, code: i32) -> impl Future<Output = Result<(), i32>> + Send;
}

/// A client.
pub(crate) trait Client: Clone + Send + 'static {
    type Transaction: Transaction;
    fn begin(&self) -> Self::Transaction;
}

/// What a transaction does.
#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    gets: u64,
    sets: u64,
}

const WORKLOADS: [Workload; 5] = [
    Workload { name: "get", gets: 1, sets: 0 },
    Workload { name: "10 gets", gets: 10, sets: 0 },
    Workload { name: "set", gets: 0, sets: 1 },
    Workload { name: "10 sets", gets: 0, sets: 10 },
    Workload { name: "read-modify-write", gets: 1, sets: 1 },
];

/// Random enough to spread keys.
struct Random(u64);

impl Random {
    fn key(&mut self) -> String {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        format!("key:{:012}", (self.0 >> 33) % KEYS)
    }
}

/// Works until the deadline; answers how many transactions were done.
async fn work<C: Client>(client: C, workload: Workload, seed: u64, until: Instant) -> u32 {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut count = 0;
    while Instant::now() < until {
        let transaction = client.begin();
        let keys: Vec<String> =
            (0..workload.gets.max(workload.sets)).map(|_| random.key()).collect();
        while let Err(code) = attempt(&transaction, workload, &keys).await {
            if transaction.on_error(code).await.is_err() {
                return count;
            }
        }
        count += 1;
    }
    count
}

async fn attempt(
    transaction: &impl Transaction,
    workload: Workload,
    keys: &[String],
) -> Result<(), i32> {
    if workload.gets == 1 {
        for key in keys {
            transaction.get(key).await?;
        }
    } else {
        let mut reads: Vec<_> = (keys.iter().take(workload.gets as usize))
            .map(|key| Some(Box::pin(transaction.get(key))))
            .collect();
        inline::all(&mut reads).await?;
    }
    for key in keys.iter().take(workload.sets as usize) {
        transaction.set(key, &VALUE);
    }
    if workload.sets > 0 {
        transaction.commit().await?;
    }
    Ok(())
}

/// How fast a client was.
#[derive(Clone, Copy)]
struct Speed {
    /// Transactions a second.
    rate: f64,
    /// What each took of the processors in this process, in microseconds.
    cpu_us: f64,
}

/// What this process has used of the processors so far, in seconds.
fn cpu_seconds() -> f64 {
    /// The kernel counts in hundredths of a second.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which is in brackets and may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Does the work, which counts transactions, and measures.
fn measured(work: impl FnOnce(Instant) -> u32) -> Speed {
    let (begun, cpu_begun) = (Instant::now(), cpu_seconds());
    let count = f64::from(work(begun));
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu_begun);
    Speed { rate: count / seconds, cpu_us: cpu * 1e6 / count }
}

/// Runs a client's tasks on this thread.
fn on_this_thread<C: Client>(
    runtime: &tokio::runtime::Runtime,
    client: &C,
    workload: Workload,
    time: Duration,
) -> Speed {
    measured(|begun| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..AT_ONCE)
                .map(|seed| tokio::spawn(work(client.clone(), workload, seed, begun + time)))
                .collect();
            let mut count = 0;
            for task in tasks {
                count += task.await.unwrap_or(0);
            }
            count
        })
    })
}

/// Runs a client's tasks wherever they are woken.
fn where_woken<C: Client>(client: &C, workload: Workload, time: Duration) -> Speed {
    measured(|begun| {
        let (tell, told) = mpsc::channel();
        for seed in 0..AT_ONCE {
            let (client, tell) = (client.clone(), tell.clone());
            inline::spawn(async move {
                let count = work(client, workload, seed, begun + time).await;
                // The other end waits for all of them.
                let _ = tell.send(count);
            });
        }
        drop(tell);
        told.iter().sum()
    })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("the first argument is a cluster file")?);
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let (time, mut out) = (Duration::from_secs_f64(seconds), io::stdout().lock());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let native = runtime.block_on(async { native::Native::new(&path) });
    let (library, network) = c::C::load(&path)?;

    // What is read is there, and everybody is connected.
    let filling = Workload { name: "fill", gets: 0, sets: 10 };
    on_this_thread(&runtime, &native, filling, Duration::from_secs(2));
    where_woken(&library, filling, Duration::from_millis(200));
    writeln!(
        out,
        "{AT_ONCE} at once: transactions a second; ratios; processor time of each in µs"
    )?;
    writeln!(
        out,
        "{:<18} {:>8} {:>9} {:>8}  {:>14} {:>7}  {:>8} {:>9} {:>8}",
        "",
        "native",
        "callbacks",
        "awaited",
        "native/callb.",
        "/await.",
        "native",
        "callbacks",
        "awaited"
    )?;
    for workload in WORKLOADS {
        let mut rates = [const { Vec::new() }; 3];
        let mut cpu = [const { Vec::new() }; 3];
        let mut ratios = [const { Vec::new() }; 2];
        for _ in 0..rounds {
            let by_native = on_this_thread(&runtime, &native, workload, time);
            let by_callbacks = where_woken(&library, workload, time);
            let awaited = on_this_thread(&runtime, &library, workload, time);
            for (side, speed) in [by_native, by_callbacks, awaited].iter().enumerate() {
                rates[side].push(speed.rate);
                cpu[side].push(speed.cpu_us);
            }
            ratios[0].push(by_native.rate / by_callbacks.rate);
            ratios[1].push(by_native.rate / awaited.rate);
        }
        let [native, callbacks, awaited] = rates.map(median);
        let [to_callbacks, to_awaited] = ratios.map(median);
        let [native_cpu, callbacks_cpu, awaited_cpu] = cpu.map(median);
        writeln!(
            out,
            "{:<18} {native:>8.0} {callbacks:>9.0} {awaited:>8.0}  {to_callbacks:>14.2} \
             {to_awaited:>7.2}  {native_cpu:>8.1} {callbacks_cpu:>9.1} {awaited_cpu:>8.1}",
            workload.name
        )?;
    }
    drop(library);
    network.stop()
}
