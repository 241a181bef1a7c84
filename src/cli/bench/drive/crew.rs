//! The workers of a run, thread by thread.

use std::sync::{Arc, mpsc};

use plinth_client::Database;
use plinth_protocol::Error;
use tokio::task::JoinSet;

use super::{
    bell::Bell,
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
        let depth = if script.is_some() { arguments.pipeline() as u64 } else { 1 };
        let workers = u64::from(arguments.connections) * depth;
        let timetable = arguments.rate.map(|rate| Timetable { rate, workers });
        let (script, ground) = (script.map(Arc::new), Ground::new(arguments));
        Ok(Self { arguments, opened, run, ground, script, timetable, recording })
    }

    /// A thread's part: opens its connections, says that it is ready, works until the run is over.
    pub(crate) fn work(&self, thread: u32, ready: &Ready) -> Result<(), Error> {
        let Some(tally) = self.run.tallies().get(thread as usize) else { return Ok(()) };
        runtime()?.block_on(async {
            let bell = self.timetable.map(Bell::new).transpose()?;
            let mut gang = Gang { crew: self, thread, tally, bell, workers: JoinSet::new() };
            let server = gang.gather().await?;
            let _ = ready.send(Ok(server));
            gang.work().await
        })
    }
}

/// The workers of a thread.
struct Gang<'a> {
    crew: &'a Crew<'a>,
    thread: u32,
    tally: &'a Arc<SharedTally>,
    /// Rings for them when they work at a rate.
    bell: Option<Bell>,
    workers: JoinSet<()>,
}

impl Gang<'_> {
    /// Opens the connections and has all wait for the run to begin. Tells who answers.
    async fn gather(&mut self) -> Result<Option<String>, Error> {
        Ok(match (&self.crew.arguments.workload, self.crew.opened) {
            (Workload::Single(single), Opened::Plinth(address)) => {
                let mut server = None;
                for number in self.connections() {
                    let (pipe, hello) = Connection::open(address).await?;
                    server = Some(String::from_utf8_lossy(&hello.server).into_owned());
                    self.ask(*single, pipe, number);
                }
                server
            }
            (Workload::Single(single), Opened::Embedded(database)) => {
                for number in self.connections() {
                    let pipe = embedded::Connection::new(database.backend().engine());
                    self.ask(*single, pipe, number);
                }
                Some(embedded::SERVER.to_owned())
            }
            (Workload::Single(single), Opened::Redis(address)) => {
                let mut server = None;
                for number in self.connections() {
                    let mut pipe = redis::Connection::open(address).await?;
                    if server.is_none() {
                        server = Some(pipe.server().await?);
                    }
                    self.ask(*single, pipe, number);
                }
                server
            }
            // Refused when it was opened.
            (_, Opened::Redis(_)) => None,
            (_, Opened::Plinth(address)) => {
                let (_, hello) = Connection::open(address).await?;
                self.transact(&Database::connect(address).await?);
                Some(String::from_utf8_lossy(&hello.server).into_owned())
            }
            (_, Opened::Embedded(store)) => {
                self.transact(store);
                Some(embedded::SERVER.to_owned())
            }
            #[cfg(feature = "fdb")]
            (_, Opened::FoundationDb(library)) => {
                self.transact(library);
                Some(library.server().to_owned())
            }
        })
    }

    /// The numbers of this thread's connections. Neighbours are on different threads: where they
    /// work in turn, so do the threads.
    fn connections(&self) -> impl Iterator<Item = u32> + use<> {
        let arguments = self.crew.arguments;
        (self.thread..arguments.connections).step_by(arguments.threads as usize)
    }

    /// Sets one to work on single requests.
    fn ask<P: Pipe>(&mut self, single: Single, pipe: P, number: u32) {
        let Crew { arguments, ground, run, .. } = self.crew;
        let requests = Requests::new(arguments, single, ground, number);
        let worker = single::Worker::new(pipe, requests, self.tally);
        let turns = self.bell.as_mut().map(|bell| bell.add(number.into()));
        self.workers.spawn(worker.work(Arc::clone(run), turns));
    }

    /// Sets workers to work on transactions, which are recorded if that is asked for.
    fn transact<S: Store>(&mut self, store: &S) {
        match self.crew.recording {
            Some(thread) => {
                self.transact_on(&RecordedStore::new(store.clone(), thread.recorder()));
            }
            None => self.transact_on(store),
        }
    }

    /// Sets as many to work on transactions as there are connections, times the pipeline.
    fn transact_on<S: Store>(&mut self, store: &S) {
        let Crew { arguments, ground, run, script: Some(script), .. } = self.crew else { return };
        for depth in 0..arguments.pipeline() as u64 {
            for number in self.connections().map(u64::from) {
                let worker = transactions::Worker {
                    store: store.clone(),
                    script: Arc::clone(script),
                    ground: ground.clone(),
                    random: arguments.random(number << 32 | depth),
                    tally: Arc::clone(self.tally),
                };
                let turns = self
                    .bell
                    .as_mut()
                    .map(|bell| bell.add(depth * u64::from(arguments.connections) + number));
                self.workers.spawn(worker.work(Arc::clone(run), turns));
            }
        }
    }

    /// Works until the run is over.
    async fn work(self) -> Result<(), Error> {
        let Self { crew, tally, bell, mut workers, .. } = self;
        let Some(bell) = bell else {
            workers.join_all().await;
            return Ok(());
        };
        tokio::select! {
            () = async { while workers.join_next().await.is_some() {} } => {}
            error = bell.ring(crew.run) => {
                // Without it nobody works.
                tally.lock().fail(error);
                crew.run.end();
            }
        }
        Ok(())
    }
}
