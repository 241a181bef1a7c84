//! `plinth serve`: runs the server until it is told to stop.

mod cluster_file;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use super::{
    Exit, complain,
    settings::{DurabilitySetting, Settings},
};
use crate::{
    aside::ASIDE_THREADS_MAX,
    engine::{DurabilityMode, Engine, EngineOptions},
    server::{Server, ServerConfig},
};

/// How often a long recovery says that it goes on.
const RECOVERY_REPORT: Duration = Duration::from_secs(2);

/// The most threads for reads from the disk and other work aside, with some to spare for what the
/// runtime does by itself.
const BLOCKING_THREADS_MAX: usize = ASIDE_THREADS_MAX + 2;

/// Runs the server.
///
/// Prints one line to standard output, `listening on ADDRESS:PORT`, once clients can connect;
/// everything else goes to standard error. Programs made for FoundationDB find the server by the
/// file fdb.cluster in the data directory, which is written at every start. SIGTERM or SIGINT stops it: commits under way are
/// answered, the log is synced. A second signal stops it at once, which loses nothing that was
/// answered.
///
/// Settings come from the command line, from the environment, from the file given with --config,
/// and from the defaults, in this order.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A TOML file with settings by the same names, as in `listen = "0.0.0.0:4500"`
    #[arg(long, env = "PLINTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Everything that the settings come to.
struct Setup {
    config: ServerConfig,
    /// Where clients are told that the server is, if not where it listens.
    advertise: Option<String>,
    engine: EngineOptions,
    worker_threads: Option<usize>,
    log: EnvFilter,
}

/// Serves until told to stop.
pub fn run(arguments: Arguments) -> Exit {
    let setup = match setup(arguments) {
        Ok(setup) => setup,
        Err(text) => {
            complain(&text);
            return Exit::Usage;
        }
    };
    start_log(setup.log);
    raise_open_files();
    let Setup { config, advertise, engine, worker_threads, .. } = setup;
    let engine = match open(engine) {
        Ok(engine) => engine,
        Err(text) => {
            complain(&text);
            return Exit::Failure;
        }
    };
    let served = serve(config, advertise.as_deref(), worker_threads, engine.clone());
    engine.close();
    match served {
        Ok(()) if engine.is_poisoned() => {
            complain(&"the log has failed while the server ran: see the messages above");
            Exit::Failure
        }
        Ok(()) => Exit::Success,
        Err(text) => {
            complain(&text);
            Exit::Failure
        }
    }
}

fn setup(arguments: Arguments) -> Result<Setup, String> {
    let Arguments { config, mut settings } = arguments;
    if let Some(path) = config {
        settings = settings.or(Settings::from_file(&path).map_err(|error| error.to_string())?);
    }
    let say = |error: super::settings::SettingsError| error.to_string();
    let mut engine = EngineOptions::new(settings.data_directory());
    engine.limits = settings.protocol_limits().map_err(say)?;
    engine.window = settings.window().map_err(say)?;
    engine.storage = settings.storage().map_err(say)?;
    engine.log.archive.clone_from(&settings.archive);
    engine.durability = match settings.durability() {
        DurabilitySetting::Sync => DurabilityMode::Sync,
        DurabilitySetting::Interval(interval) => DurabilityMode::Interval(interval),
        DurabilitySetting::None => DurabilityMode::None,
    };
    let level = settings.log_level.as_deref().unwrap_or("info");
    let log = EnvFilter::try_new(level)
        .map_err(|error| format!("the setting log-level is wrong: '{level}': {error}"))?;
    if settings.worker_threads == Some(0) {
        return Err("the setting worker-threads must be at least 1".to_owned());
    }
    if let Some(address) = &settings.advertise {
        cluster_file::of(engine.new_database_id, address)
            .map_err(|error| format!("the setting advertise is wrong: {}", error.message))?;
    }
    let config = settings.server_config().map_err(say)?;
    Ok(Setup {
        config,
        advertise: settings.advertise,
        engine,
        worker_threads: settings.worker_threads,
        log,
    })
}

fn start_log(filter: EnvFilter) {
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// Lets the process have as many open files as it may, since every connection is one.
fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "can't raise the limit of open files");
    }
}

/// Opens the engine, saying so if that takes long.
fn open(options: EngineOptions) -> Result<Engine, String> {
    let directory = options.directory.display().to_string();
    let begun = Instant::now();
    let (done, is_done) = channel::<()>();
    let opened = thread::scope(|scope| {
        scope.spawn(|| {
            let is_done = is_done;
            while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(RECOVERY_REPORT) {
                let seconds = begun.elapsed().as_secs();
                tracing::info!(directory, seconds, "reading the log, please wait");
            }
        });
        let opened = Engine::open(options);
        drop(done);
        opened
    });
    let engine = opened.map_err(|error| error.to_string())?;
    tracing::info!(directory, took = ?begun.elapsed(), "opened the database");
    Ok(engine)
}

fn serve(
    config: ServerConfig,
    advertise: Option<&str>,
    worker_threads: Option<usize>,
    engine: Engine,
) -> Result<(), String> {
    let mut builder = Builder::new_multi_thread();
    if let Some(count) = worker_threads {
        builder.worker_threads(count);
    }
    let runtime = builder
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(|error| format!("can't start the threads that serve: {error}"))?;
    let served = runtime.block_on(async {
        let catch = |kind| signal(kind).map_err(|error| format!("can't catch signals: {error}"));
        let (terminate, interrupt) =
            (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
        let (id, directory) = (engine.database_id(), engine.directory().to_path_buf());
        let server = Server::bind(config, engine).await.map_err(|error| error.to_string())?;
        let reachable = cluster_file::reachable(server.local_addr()).to_string();
        let file = cluster_file::of(id, advertise.unwrap_or(&reachable))
            .map_err(|error| error.to_string())?;
        cluster_file::write(&file, &directory.join(cluster_file::NAME))?;
        announce(&format!("listening on {}", server.local_addr()))?;
        server.run(stop_signal(terminate, interrupt)).await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// The one line for whoever waits for the server to be ready.
fn announce(line: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("can't write to standard output: {error}"))
}

/// Completes at the first signal; the second ends the process.
async fn stop_signal(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping on SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping on SIGINT"),
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopping at once on a second signal");
        std::process::exit(1);
    });
}
