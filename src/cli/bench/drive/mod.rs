//! How the load is put on: filling, warming up, measuring.

mod fill;
mod series;
mod single;
mod tally;
mod transactions;

use std::{
    ops::Range,
    sync::{Arc, mpsc},
    thread::ScopedJoinHandle,
    time::Instant,
};

use plinth_client::Database;
use plinth_protocol::{Error, ErrorCode};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

pub(crate) use self::fill::fill;
use self::{
    series::Watch,
    tally::{Run, SharedTally},
};
use super::{
    arguments::RunArguments,
    history::{RecorderThread, recorded::RecordedStore},
    measurement::{Latency, Measurement},
    target::{embedded, opened::Opened, plinth::Connection, redis, transact::Store},
    workload::{Workload, ground::Ground},
};
use crate::cli::progress::{error_text, float};

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::new(ErrorCode::INTERNAL_ERROR, format!("can't start the runtime: {error}"))
    })
}

/// Runs the workload, warm-up first.
pub(crate) fn measure(
    arguments: &RunArguments,
    opened: &Opened,
    recording: Option<&RecorderThread>,
) -> Result<Measurement, Error> {
    let run = Arc::new(Run::new(arguments.threads));
    std::thread::scope(|scope| {
        let (ready_sender, ready) = mpsc::channel();
        let mut threads = Vec::new();
        for number in 0..arguments.threads {
            let share = |part: u32| arguments.connections * part / arguments.threads;
            let connections = share(number)..share(number + 1);
            let (run, ready) = (&run, ready_sender.clone());
            threads.push(scope.spawn(move || {
                if let Err(error) =
                    work(arguments, (opened, recording), run, number as usize, connections, &ready)
                {
                    let _ = ready.send(Err(error));
                }
            }));
        }
        drop(ready_sender);
        let mut server = String::new();
        for _ in &threads {
            match ready.recv() {
                Ok(Ok(name)) => server = name.unwrap_or(server),
                Ok(Err(error)) => {
                    run.end();
                    return Err(error);
                }
                Err(_) => break,
            }
        }
        let is_idle = || threads.iter().all(ScopedJoinHandle::is_finished);
        let mut watch = Watch::new(&run, &is_idle);
        watch.warm_up(arguments.warm_up);
        let (begun, cpu_begun) = (Instant::now(), cpu_seconds());
        watch.measure(arguments.seconds);
        run.end();
        let seconds = begun.elapsed().as_secs_f64();
        let client_cpu_seconds = cpu_seconds() - cpu_begun;
        let (mut sum, series) = watch.end();
        for thread in threads {
            thread
                .join()
                .map_err(|_| Error::new(ErrorCode::INTERNAL_ERROR, "a worker thread panicked"))?;
        }
        // What went wrong at the very end counts as well.
        for tally in run.tallies() {
            let tally = tally.lock();
            sum.errors += tally.errors;
            if sum.first_error.is_none() {
                sum.first_error.clone_from(&tally.first_error);
            }
        }
        Ok(Measurement {
            workload: arguments.workload.to_string(),
            target: arguments.target.to_string(),
            server,
            settings: arguments.settings(),
            seconds,
            load_seconds: None,
            operations: sum.operations,
            ops_per_second: float(sum.operations) / seconds.max(f64::MIN_POSITIVE),
            errors: sum.errors,
            first_error: sum.first_error.as_ref().map(error_text),
            conflicts: sum.conflicts,
            misses: sum.misses,
            latency_us: Latency::of(&sum.latency),
            series,
            client_cpu_seconds,
            server_cpu_seconds: None,
            histogram: Some(sum.latency),
        })
    })
}

/// What this process has used of the processors so far.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    std::time::Duration::new(seconds, nanos).as_secs_f64()
}

/// A thread's part: opens its connections, says that it is ready, works until the run is over.
fn work(
    arguments: &RunArguments,
    (opened, recording): (&Opened, Option<&RecorderThread>),
    run: &Arc<Run>,
    thread: usize,
    connections: Range<u32>,
    ready: &mpsc::Sender<Result<Option<String>, Error>>,
) -> Result<(), Error> {
    let Some(tally) = run.tallies().get(thread) else { return Ok(()) };
    let ground = Ground::new(arguments);
    runtime()?.block_on(async {
        let mut workers = JoinSet::new();
        let mut server = None;
        match (&arguments.workload, opened) {
            (Workload::Single(single), Opened::Plinth(address)) => {
                for number in connections {
                    let (pipe, hello) = Connection::open(address).await?;
                    server = Some(String::from_utf8_lossy(&hello.server).into_owned());
                    let pipe = (pipe, number.into());
                    let worker = single::Worker::new(arguments, *single, &ground, pipe, tally);
                    workers.spawn(worker.work(Arc::clone(run)));
                }
            }
            (Workload::Single(single), Opened::Embedded(database)) => {
                server = Some(embedded::SERVER.to_owned());
                for number in connections {
                    let pipe = embedded::Connection::new(database.backend().engine());
                    let pipe = (pipe, number.into());
                    let worker = single::Worker::new(arguments, *single, &ground, pipe, tally);
                    workers.spawn(worker.work(Arc::clone(run)));
                }
            }
            (Workload::Single(single), Opened::Redis(address)) => {
                for number in connections {
                    let mut pipe = redis::Connection::open(address).await?;
                    if server.is_none() {
                        server = Some(pipe.server().await?);
                    }
                    let pipe = (pipe, number.into());
                    let worker = single::Worker::new(arguments, *single, &ground, pipe, tally);
                    workers.spawn(worker.work(Arc::clone(run)));
                }
            }
            // Refused when it was opened.
            (_, Opened::Redis(_)) => {}
            (_, Opened::Plinth(address)) => {
                let (_, hello) = Connection::open(address).await?;
                server = Some(String::from_utf8_lossy(&hello.server).into_owned());
                let store = Database::connect(address).await?;
                spawn(&mut workers, arguments, (&store, recording), run, tally, connections)?;
            }
            (_, Opened::Embedded(store)) => {
                server = Some(embedded::SERVER.to_owned());
                spawn(&mut workers, arguments, (store, recording), run, tally, connections)?;
            }
            #[cfg(feature = "fdb")]
            (_, Opened::FoundationDb(library)) => {
                server = Some(library.server().to_owned());
                spawn(&mut workers, arguments, (library, recording), run, tally, connections)?;
            }
        }
        let _ = ready.send(Ok(server));
        workers.join_all().await;
        Ok(())
    })
}

/// Sets workers to work on transactions, which are recorded if that is asked for.
fn spawn<S: Store>(
    workers: &mut JoinSet<()>,
    arguments: &RunArguments,
    (store, recording): (&S, Option<&RecorderThread>),
    run: &Arc<Run>,
    tally: &Arc<SharedTally>,
    connections: Range<u32>,
) -> Result<(), Error> {
    match recording {
        Some(thread) => {
            let store = RecordedStore::new(store.clone(), thread.recorder());
            spawn_on(workers, arguments, &store, run, tally, connections)
        }
        None => spawn_on(workers, arguments, store, run, tally, connections),
    }
}

/// Sets as many to work on transactions as there are connections, times the pipeline.
fn spawn_on<S: Store>(
    workers: &mut JoinSet<()>,
    arguments: &RunArguments,
    store: &S,
    run: &Arc<Run>,
    tally: &Arc<SharedTally>,
    connections: Range<u32>,
) -> Result<(), Error> {
    let script = arguments.workload.script(arguments.batch, arguments.rows).ok_or_else(|| {
        arguments.target.cannot(&arguments.workload.to_string(), "it has no connection to ask")
    })?;
    let (script, ground) = (Arc::new(script), Ground::new(arguments));
    for number in connections {
        for depth in 0..arguments.pipeline as u64 {
            let worker = transactions::Worker {
                store: store.clone(),
                script: Arc::clone(&script),
                ground: ground.clone(),
                random: arguments.random(u64::from(number) << 32 | depth),
                tally: Arc::clone(tally),
            };
            workers.spawn(worker.work(Arc::clone(run)));
        }
    }
    Ok(())
}
