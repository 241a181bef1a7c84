//! How the load is put on: filling, warming up, measuring.

mod fill;
mod raw;
mod rmw;
mod series;
mod tally;

use std::{
    ops::Range,
    sync::{Arc, mpsc},
    thread::ScopedJoinHandle,
    time::Instant,
};

use plinth_protocol::{Error, ErrorCode};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

pub(crate) use self::fill::fill;
use self::{series::Watch, tally::Run};
use super::{
    arguments::{RunArguments, Workload},
    measurement::{Latency, Measurement},
    target::plinth::Connection,
};
use crate::cli::progress::{error_text, float};

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::new(ErrorCode::INTERNAL_ERROR, format!("can't start the runtime: {error}"))
    })
}

/// Runs the workload, warm-up first.
pub(crate) fn measure(arguments: &RunArguments) -> Result<Measurement, Error> {
    let run = Arc::new(Run::new(arguments.threads));
    std::thread::scope(|scope| {
        let (ready_sender, ready) = mpsc::channel();
        let mut threads = Vec::new();
        for number in 0..arguments.threads {
            let share = |part: u32| arguments.connections * part / arguments.threads;
            let connections = share(number)..share(number + 1);
            let (run, ready) = (&run, ready_sender.clone());
            threads.push(scope.spawn(move || {
                if let Err(error) = work(arguments, run, number as usize, connections, &ready) {
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
        let (sum, series) = watch.end();
        for thread in threads {
            thread
                .join()
                .map_err(|_| Error::new(ErrorCode::INTERNAL_ERROR, "a worker thread panicked"))?;
        }
        Ok(Measurement {
            workload: arguments.workload.name().to_owned(),
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
    run: &Arc<Run>,
    thread: usize,
    connections: Range<u32>,
    ready: &mpsc::Sender<Result<Option<String>, Error>>,
) -> Result<(), Error> {
    let Some(tally) = run.tallies().get(thread) else { return Ok(()) };
    runtime()?.block_on(async {
        if arguments.workload == Workload::Rmw {
            return rmw::work(arguments, run, tally, connections, ready).await;
        }
        let (mut workers, mut server) = (JoinSet::new(), None);
        for number in connections {
            let (connection, hello) = Connection::open(arguments.target.address()).await?;
            server = Some(String::from_utf8_lossy(&hello.server).into_owned());
            let worker = raw::Worker::new(arguments, connection, number.into(), tally);
            workers.spawn(worker.work(Arc::clone(run)));
        }
        let _ = ready.send(Ok(server));
        workers.join_all().await;
        Ok(())
    })
}
