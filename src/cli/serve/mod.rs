//! `plinth serve`: runs the server until it is told to stop.

mod cluster_file;
mod ephemeral;
mod memory;

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use self::ephemeral::TemporaryDirectory;
use super::{Exit, complain, progress::megabytes, settings::Settings};
use crate::{
    engine::{Engine, EngineOptions, StorageOptions},
    server::{Backups, Server, ServerConfig},
};

/// How often a long recovery says that it goes on.
const RECOVERY_REPORT: Duration = Duration::from_secs(2);

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
    /// Keep everything in memory and leave nothing behind: a server for tests. Listens on any free
    /// port, unless --listen is given, and prints a second line, `cluster file PATH`
    #[arg(long)]
    ephemeral: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Everything that the settings come to.
struct Setup {
    config: ServerConfig,
    /// Where clients are told that the server is, if not where it listens.
    advertise: Option<String>,
    engine: EngineOptions,
    is_ephemeral: bool,
    log: EnvFilter,
}

/// Where clients are told that the server is.
struct Place {
    /// Its address, if not where it listens.
    advertise: Option<String>,
    /// Whether the cluster file goes when the server ends.
    is_ephemeral: bool,
}

/// A cluster file that is there, as long as this is.
struct Told {
    path: PathBuf,
    temporary: Option<Arc<TemporaryDirectory>>,
}

impl Place {
    /// Writes the cluster file of the engine that is served here.
    fn tell(&self, engine: &Engine, listening: SocketAddr) -> Result<Told, String> {
        let id = engine.database_id();
        let reachable = cluster_file::reachable(listening).to_string();
        let file = cluster_file::of(id, self.advertise.as_ref().unwrap_or(&reachable))
            .map_err(|error| error.to_string())?;
        let temporary = self.is_ephemeral.then(|| TemporaryDirectory::new(id)).transpose()?;
        let directory = temporary.as_ref().map_or(engine.directory(), |place| place.path());
        let path = directory.join(cluster_file::NAME);
        cluster_file::write(&file, &path)?;
        Ok(Told { path, temporary: temporary.map(Arc::new) })
    }
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
    match open_and_serve(setup) {
        Ok(()) => Exit::Success,
        Err(text) => {
            complain(&text);
            Exit::Failure
        }
    }
}

fn open_and_serve(setup: Setup) -> Result<(), String> {
    let Setup { config, advertise, engine, is_ephemeral, log } = setup;
    start_log(log);
    raise_open_files();
    let place = Place { advertise, is_ephemeral };
    let engine = open(engine)?;
    let served = serve(config, &place, &engine);
    engine.close();
    served?;
    if engine.is_poisoned() {
        return Err("the log has failed while the server ran: see the messages above".to_owned());
    }
    Ok(())
}

fn setup(arguments: Arguments) -> Result<Setup, String> {
    let Arguments { config, ephemeral: is_ephemeral, mut settings } = arguments;
    if let Some(path) = config {
        settings = settings.or(Settings::from_file(&path).map_err(|error| error.to_string())?);
    }
    let say = |error: super::settings::SettingsError| error.to_string();
    let mut engine = if is_ephemeral {
        ephemeral::check(&settings)?;
        EngineOptions::in_memory()
    } else {
        let mut options = EngineOptions::new(settings.data_directory());
        if let Some(bytes) = memory::available() {
            options.storage = StorageOptions::for_memory(bytes);
        }
        EngineOptions { durability: settings.durability().into(), ..options }
    };
    engine.limits = settings.protocol_limits().map_err(say)?;
    engine.window = settings.window().map_err(say)?;
    engine.storage = settings.storage(&engine.storage).map_err(say)?;
    engine.log.archive.clone_from(&settings.archive);
    let level = settings.log_level.as_deref().unwrap_or("info");
    let log = EnvFilter::try_new(level)
        .map_err(|error| format!("the setting log-level is wrong: '{level}': {error}"))?;
    if let Some(address) = &settings.advertise {
        cluster_file::of(engine.new_database_id, address)
            .map_err(|error| format!("the setting advertise is wrong: {}", error.message))?;
    }
    let mut config = settings.server_config().map_err(say)?;
    if is_ephemeral {
        config.backups = Backups::Refused;
        if settings.listen.is_none() {
            ephemeral::LISTEN.clone_into(&mut config.listen);
        }
    }
    Ok(Setup { config, advertise: settings.advertise, engine, is_ephemeral, log })
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
    let progress = Arc::clone(&options.recovery_progress);
    let (done, is_done) = channel::<()>();
    let opened = thread::scope(|scope| {
        scope.spawn(|| {
            let is_done = is_done;
            let mut before = 0;
            while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(RECOVERY_REPORT) {
                let (read, of) = (progress.done_bytes(), progress.total_bytes());
                let rate = read.saturating_sub(before) / RECOVERY_REPORT.as_secs();
                before = read;
                tracing::info!(
                    directory,
                    seconds = begun.elapsed().as_secs(),
                    read = megabytes(read),
                    of = megabytes(of),
                    rate = format!("{}/s", megabytes(rate)),
                    "reading the log, please wait"
                );
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

fn serve(config: ServerConfig, place: &Place, engine: &Engine) -> Result<(), String> {
    // Only accepts connections: the server's workers serve them.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("can't start the thread that accepts connections: {error}"))?;
    let served = runtime.block_on(async {
        let catch = |kind| signal(kind).map_err(|error| format!("can't catch signals: {error}"));
        let (terminate, interrupt) =
            (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
        let server = Server::bind(config, engine.clone()).await;
        let server = server.map_err(|error| error.to_string())?;
        let listening = server.local_addr();
        let told = place.tell(engine, listening)?;
        let lines = match told.temporary {
            Some(_) => format!("listening on {listening}\ncluster file {}\n", told.path.display()),
            None => format!("listening on {listening}\n"),
        };
        announce(&lines)?;
        server.run(stop_signal(terminate, interrupt, told.temporary.clone())).await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// The lines for whoever waits for the server to be ready.
fn announce(lines: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(lines.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("can't write to standard output: {error}"))
}

/// Completes at the first signal; the second ends the process.
async fn stop_signal(
    mut terminate: Signal,
    mut interrupt: Signal,
    temporary: Option<Arc<TemporaryDirectory>>,
) {
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
        if let Some(temporary) = temporary {
            temporary.remove();
        }
        std::process::exit(1);
    });
}
