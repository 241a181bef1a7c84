//! How the load is put on: filling, warming up, measuring.

mod bell;
mod crew;
mod fill;
mod pace;
mod series;
mod single;
mod tally;
mod transactions;

use std::{
    sync::{Arc, mpsc},
    thread::ScopedJoinHandle,
    time::{Duration, Instant},
};

use plinth_protocol::{Error, ErrorCode};
use rustix::time::{ClockId, clock_gettime};

pub(crate) use self::fill::fill;
use self::{crew::Crew, series::Watch, tally::Run};
use super::{
    arguments::RunArguments,
    history::RecorderThread,
    measurement::{Latency, Measurement},
    target::{opened::Opened, witness::Witness},
    told,
};
use crate::{
    cli::{instant, progress::float},
    clock::{Clock as _, SystemClock},
};

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
    let run = Arc::new(Run::new(arguments.threads, arguments.count));
    let crew = Crew::new(arguments, opened, &run, recording)?;
    let aside = runtime()?;
    let mut witness = aside.block_on(Witness::open(opened))?;
    std::thread::scope(|scope| {
        let (ready_sender, ready) = mpsc::channel();
        let mut threads = Vec::new();
        for number in 0..arguments.threads {
            let (crew, ready) = (&crew, ready_sender.clone());
            threads.push(scope.spawn(move || {
                if let Err(error) = crew.work(number, &ready) {
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
        let mut watch = Watch::new(&run);
        run.begin();
        if arguments.warm_up() > 0.0 {
            watch.warm_up(arguments.warm_up(), is_idle);
        }
        let server_cpu_begun = aside.block_on(witness.cpu_seconds());
        let began_at = instant::format(SystemClock::new().wall_millis());
        let (begun, cpu_begun) = (Instant::now(), cpu_seconds());
        watch.measure(arguments.seconds(), is_idle);
        run.end();
        let seconds = begun.elapsed().as_secs_f64();
        let client_cpu_seconds = cpu_seconds() - cpu_begun;
        let server_cpu_end = aside.block_on(witness.cpu_seconds());
        for thread in threads {
            thread
                .join()
                .map_err(|_| Error::new(ErrorCode::INTERNAL_ERROR, "a worker thread panicked"))?;
        }
        let (sum, series) = watch.end(arguments.rate.is_some());
        Ok(Measurement {
            workload: arguments.workload.to_string(),
            target: arguments.target.to_string(),
            server,
            settings: arguments.settings(),
            began_at,
            seconds,
            load_seconds: None,
            operations: sum.operations,
            ops_per_second: float(sum.operations) / seconds.max(f64::MIN_POSITIVE),
            unsent: sum.unsent,
            errors: sum.errors,
            first_error: sum.first_error.as_ref().map(told),
            conflicts: sum.conflicts,
            misses: sum.misses,
            latency_us: Latency::of(&sum.latency),
            series,
            client_cpu_seconds,
            server_cpu_seconds: server_cpu_begun
                .zip(server_cpu_end)
                .map(|(begin, end)| end - begin),
            histogram: Some(sum.latency),
        })
    })
}

/// What this process has used of the processors so far.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos).as_secs_f64()
}
