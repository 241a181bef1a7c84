//! The listener: admits connections, gives each its task, and ends them all when it is told to.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use plinth_protocol::{Error, ErrorCode};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    config::ServerConfig,
    connection,
    context::ServerContext,
    workers::{Place, Workers},
};
use crate::engine::Engine;

/// How long accepting pauses after an error such as too many open files, at first and at most.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Connections beyond the limit that are being told so; any further are closed without a word.
const REFUSALS_MAX: usize = 32;

/// Why a server can't begin to serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// It can't listen.
    Listen {
        /// Where.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// It can't start the threads that serve.
    Threads {
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } => {
                write!(f, "can't listen on {address}: {error}")
            }
            Self::Threads { error } => write!(f, "can't start the threads that serve: {error}"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { error, .. } | Self::Threads { error } => Some(error),
        }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: ServerConfig,
    context: Arc<ServerContext>,
    workers: Workers,
}

impl Server {
    /// Listens as `config` says, for clients of `engine`. Connections are accepted by
    /// [`Server::run`].
    pub async fn bind(config: ServerConfig, engine: Engine) -> Result<Self, ServerError> {
        let fails = |error| ServerError::Listen { address: config.listen.clone(), error };
        let listener = TcpListener::bind(&config.listen).await.map_err(fails)?;
        let address = listener.local_addr().map_err(fails)?;
        let context = Arc::new(ServerContext::new(engine, &config));
        let workers = Workers::start(config.worker_threads)
            .map_err(|error| ServerError::Threads { error })?;
        Ok(Self { listener, address, config, context, workers })
    }

    /// Where it listens; tells the port if it was left open.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes; then takes no further connection or request, answers the
    /// commits that are under way, and returns once all connections are closed or the time for that
    /// is over. The engine is left open.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, config, context, workers, .. } = self;
        let mut tasks = JoinSet::new();
        // Outlives the connections: a stop waits for their commits.
        let mut helping = JoinSet::new();
        for worker in workers.iter() {
            let (relay, driving) = (Arc::clone(&worker.relay), Arc::clone(worker));
            helping.spawn_on(async move { relay.run().await }, &worker.runtime);
            let engine = context.engine.clone();
            helping.spawn_on(async move { driving.drive.run(&engine).await }, &worker.runtime);
        }
        let reaper = tasks.spawn({
            let context = Arc::clone(&context);
            async move { context.held.reap().await }
        });
        let mut accepting = Accepting::new(&config);
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        accepting.admit(&context, &workers, &mut tasks, stream, peer);
                    }
                    Err(error) => {
                        // The pause must not hold up a stop.
                        tokio::select! {
                            () = &mut shutdown => break,
                            () = accepting.pause(&error) => {}
                        }
                    }
                },
                // Ended tasks are taken away as they end, so that they don't pile up.
                Some(_) = tasks.join_next() => {}
            }
        }
        drop(listener);
        reaper.abort();
        context.stop_connections();
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(config.shutdown_timeout, all_ended).await.is_err() {
            tracing::warn!(left = tasks.len(), "connections did not end in time and are cut off");
            tasks.shutdown().await;
        }
        helping.abort_all();
        context.held.abort_all();
        let jobs = Arc::clone(&context);
        let ended = tokio::task::spawn_blocking(move || jobs.jobs.stop());
        if timeout(config.shutdown_timeout, ended).await.is_err() {
            tracing::warn!("a job did not end in time and is left behind");
        }
        // Nothing is under way there any more, so that this takes as long as work aside may.
        let _ = tokio::task::spawn_blocking(move || workers.end()).await;
    }
}

/// What the listener keeps between connections.
struct Accepting {
    permits: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    connections_max: usize,
    serial: u64,
    pause: Duration,
}

impl Accepting {
    fn new(config: &ServerConfig) -> Self {
        let connections_max = config.limits.connections_max;
        Self {
            permits: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            connections_max,
            serial: 0,
            pause: ACCEPT_PAUSE_MIN,
        }
    }

    /// Gives a connection its task, or tells it that there are too many.
    fn admit(
        &mut self,
        context: &Arc<ServerContext>,
        workers: &Workers,
        tasks: &mut JoinSet<()>,
        stream: TcpStream,
        peer: SocketAddr,
    ) {
        self.pause = ACCEPT_PAUSE_MIN;
        let stream = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%peer, %error, "the connection was gone before it was served");
                return;
            }
        };
        self.serial += 1;
        let (serial, context, place) = (self.serial, Arc::clone(context), workers.place());
        let runtime = place.worker().runtime.clone();
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            tracing::debug!(%peer, connection = serial, "connected");
            tasks.spawn_on(serve(context, place, serial, stream, permit), &runtime);
            return;
        }
        context.statistics.refused.fetch_add(1, Relaxed);
        if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
            let text =
                format!("the server has {} connections, which is the limit", self.connections_max);
            let error = Error::new(ErrorCode::TOO_MANY_CONNECTIONS, text);
            tasks.spawn_on(refuse(context, place, stream, error, permit), &runtime);
        }
    }

    /// Waits after an error of accepting, longer each time in a row: the connection still waits to
    /// be accepted, so the next try would fail at once.
    async fn pause(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        tracing::warn!(%error, pause = ?self.pause, "can't accept a connection");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(ACCEPT_PAUSE_MAX);
    }
}

async fn serve(
    context: Arc<ServerContext>,
    place: Place,
    serial: u64,
    stream: std::net::TcpStream,
    permit: OwnedSemaphorePermit,
) {
    context.statistics.opened.fetch_add(1, Relaxed);
    let open = Open::new(Arc::clone(&context));
    if let Some(stream) = taken_over(stream) {
        connection::serve(&context, place.worker(), serial, stream).await;
    }
    drop((open, place, permit));
}

async fn refuse(
    context: Arc<ServerContext>,
    place: Place,
    stream: std::net::TcpStream,
    error: Error,
    permit: OwnedSemaphorePermit,
) {
    if let Some(stream) = taken_over(stream) {
        connection::refuse(context, place.worker(), stream, error).await;
    }
    drop((place, permit));
}

/// The stream, with the runtime that this is called in.
fn taken_over(stream: std::net::TcpStream) -> Option<TcpStream> {
    TcpStream::from_std(stream)
        .inspect_err(|error| tracing::warn!(%error, "can't serve a connection"))
        .ok()
}

/// Counts an open connection, also if its task is dropped.
struct Open(Arc<ServerContext>);

impl Open {
    fn new(context: Arc<ServerContext>) -> Self {
        context.statistics.open.fetch_add(1, Relaxed);
        Self(context)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.statistics.open.fetch_sub(1, Relaxed);
    }
}
