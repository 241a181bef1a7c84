//! The workers of a run, thread by thread.

use std::{
    ops::Range,
    sync::{Arc, mpsc},
};

use plinth_client::Database;
use plinth_protocol::Error;
use tokio::task::JoinSet;

use super::{
    pace::Timetable,
    runtime,
    single::{self, Requests},
    tally::{Run, SharedTally},
    transactions,
};
use crate::cli::bench::{
    arguments::RunArguments,
    history::{RecorderThread, recorded::RecordedStore},
    target::{embedded, opened::Opened, pipe::Pipe, plinth::Connection, redis, transact::Store},
    workload::{Workload, ground::Ground, script::Script, single::Single},
};

/// How a thread says that it is ready: who answered it, or why it can't work.
pub(crate) type Ready = mpsc::Sender<Result<Option<String>, Error>>;

/// What all threads of a run work by.
pub(crate) struct Crew<'a> {
    arguments: &'a RunArguments,
    opened: &'a Opened,
    run: &'a Arc<Run>,
    ground: Ground,
    /// The transactions to do, where they are not single requests.
    script: Option<Arc<Script>>,
    timetable: Option<Timetable>,
    /// Records what the transactions do.
    recording: Option<&'a RecorderThread>,
}

impl<'a> Crew<'a> {
    /// The crew of a run; an error if the target can't do the workload.
    pub(crate) fn new(
        arguments: &'a RunArguments,
        opened: &'a Opened,
        run: &'a Arc<Run>,
        recording: Option<&'a RecorderThread>,
    ) -> Result<Self, Error> {
        let workload = &arguments.workload;
        let script = match (workload, opened) {
            (Workload::Single(_), Opened::Plinth(_) | Opened::Embedded(_))
            | (_, Opened::Redis(_)) => None,
            _ => Some(workload.script(arguments.batch, arguments.rows).ok_or_else(|| {
                arguments.target.cannot(&workload.to_string(), "there is no server to ask")
            })?),
        };
        let depth = if script.is_some() { arguments.pipeline as u64 } else { 1 };
        let workers = u64::from(arguments.connections) * depth;
        let timetable = arguments.rate.map(|rate| Timetable { rate, workers });
        let (script, ground) = (script.map(Arc::new), Ground::new(arguments));
        Ok(Self { arguments, opened, run, ground, script, timetable, recording })
    }

    /// A thread's part: opens its connections, says that it is ready, works until the run is over.
    pub(crate) fn work(&self, thread: u32, ready: &Ready) -> Result<(), Error> {
        let Some(tally) = self.run.tallies().get(thread as usize) else { return Ok(()) };
        let share = |part: u32| {
            let part = u64::from(self.arguments.connections) * u64::from(part);
            (part / u64::from(self.arguments.threads)) as u32
        };
        let connections = share(thread)..share(thread + 1);
        runtime()?.block_on(async {
            let mut workers = JoinSet::new();
            let mut server = None;
            match (&self.arguments.workload, self.opened) {
                (Workload::Single(single), Opened::Plinth(address)) => {
                    for number in connections {
                        let (pipe, hello) = Connection::open(address).await?;
                        server = Some(String::from_utf8_lossy(&hello.server).into_owned());
                        self.ask(&mut workers, *single, pipe, number, tally);
                    }
                }
                (Workload::Single(single), Opened::Embedded(database)) => {
                    server = Some(embedded::SERVER.to_owned());
                    for number in connections {
                        let pipe = embedded::Connection::new(database.backend().engine());
                        self.ask(&mut workers, *single, pipe, number, tally);
                    }
                }
                (Workload::Single(single), Opened::Redis(address)) => {
                    for number in connections {
                        let mut pipe = redis::Connection::open(address).await?;
                        if server.is_none() {
                            server = Some(pipe.server().await?);
                        }
                        self.ask(&mut workers, *single, pipe, number, tally);
                    }
                }
                // Refused when it was opened.
                (_, Opened::Redis(_)) => {}
                (_, Opened::Plinth(address)) => {
                    let (_, hello) = Connection::open(address).await?;
                    server = Some(String::from_utf8_lossy(&hello.server).into_owned());
                    let store = Database::connect(address).await?;
                    self.spawn(&mut workers, &store, tally, connections);
                }
                (_, Opened::Embedded(store)) => {
                    server = Some(embedded::SERVER.to_owned());
                    self.spawn(&mut workers, store, tally, connections);
                }
                #[cfg(feature = "fdb")]
                (_, Opened::FoundationDb(library)) => {
                    server = Some(library.server().to_owned());
                    self.spawn(&mut workers, library, tally, connections);
                }
            }
            let _ = ready.send(Ok(server));
            workers.join_all().await;
            Ok(())
        })
    }

    /// Sets one to work on single requests.
    fn ask<P: Pipe>(
        &self,
        workers: &mut JoinSet<()>,
        single: Single,
        pipe: P,
        number: u32,
        tally: &Arc<SharedTally>,
    ) {
        let requests = Requests::new(self.arguments, single, &self.ground, number);
        let worker = single::Worker::new((pipe, number.into()), requests, tally);
        workers.spawn(worker.work(Arc::clone(self.run), self.timetable));
    }

    /// Sets workers to work on transactions, which are recorded if that is asked for.
    fn spawn<S: Store>(
        &self,
        workers: &mut JoinSet<()>,
        store: &S,
        tally: &Arc<SharedTally>,
        connections: Range<u32>,
    ) {
        match self.recording {
            Some(thread) => {
                let store = RecordedStore::new(store.clone(), thread.recorder());
                self.spawn_on(workers, &store, tally, connections);
            }
            None => self.spawn_on(workers, store, tally, connections),
        }
    }

    /// Sets as many to work on transactions as there are connections, times the pipeline.
    fn spawn_on<S: Store>(
        &self,
        workers: &mut JoinSet<()>,
        store: &S,
        tally: &Arc<SharedTally>,
        connections: Range<u32>,
    ) {
        let Some(script) = &self.script else { return };
        let pipeline = self.arguments.pipeline as u64;
        for number in connections {
            for depth in 0..pipeline {
                let worker = transactions::Worker {
                    number: u64::from(number) * pipeline + depth,
                    store: store.clone(),
                    script: Arc::clone(script),
                    ground: self.ground.clone(),
                    random: self.arguments.random(u64::from(number) << 32 | depth),
                    tally: Arc::clone(tally),
                };
                workers.spawn(worker.work(Arc::clone(self.run), self.timetable));
            }
        }
    }
}
