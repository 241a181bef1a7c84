//! The library: its network thread, and the database that it finds.

#![expect(
    unsafe_code,
    reason = "whoever starts the library's network thread promises to stop it before the process \
              ends"
)]

use std::{
    fmt,
    mem::replace,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foundationdb::{
    Database, FdbError,
    api::{FdbApiBuilder, NetworkAutoStop},
};
use plinth_client::{Error, ErrorCode};
use tokio::time::timeout;

use super::transaction::FdbTransaction;
use crate::cli::bench::target::transact::{Isolation, Store, Transact as _};

/// The version of the interface that is asked for.
const API_VERSION: i32 = 730;

/// How long the first answer may take: the library itself waits for ever for a cluster that isn't
/// there.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Where the library tells what cluster it talks to, as JSON.
const STATUS_KEY: &[u8] = b"\xff\xff/status/json";

/// Who answers, where nothing more is known.
const LIBRARY: &str = "libfdb_c";

/// The thread that does the library's work. It is started once in a process, and stopped once.
enum Network {
    NotStarted,
    Running(NetworkAutoStop),
    Stopped,
}

static NETWORK: Mutex<Network> = Mutex::new(Network::NotStarted);

fn start() -> Result<(), Error> {
    let mut network = NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
    match &*network {
        Network::Running(_) => return Ok(()),
        Network::Stopped => {
            let message = "FoundationDB's C library was stopped, and can't be started again";
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, message));
        }
        Network::NotStarted => {}
    }
    let builder =
        FdbApiBuilder::default().set_runtime_version(API_VERSION).build().map_err(error)?;
    // SAFETY: the process must not end before the thread is stopped. `plinth bench` calls `stop`
    // before it returns, whatever comes of the run.
    let running = unsafe { builder.boot() }.map_err(error)?;
    *network = Network::Running(running);
    Ok(())
}

/// Stops the network thread, if it runs. Nothing of the library can be used after it.
pub(crate) fn stop() {
    let mut network = NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
    match replace(&mut *network, Network::Stopped) {
        // Dropping it stops the thread, and waits until it has ended.
        Network::Running(running) => drop(running),
        other => *network = other,
    }
}

/// The error as Plinth's own, whose codes are FoundationDB's.
pub(super) fn error(error: FdbError) -> Error {
    let code = u16::try_from(error.code()).map_or(ErrorCode::UNKNOWN_ERROR, ErrorCode);
    Error::new(code, format!("FoundationDB's C library: {}", error.message()))
}

/// A database, as the library has found it.
#[derive(Clone)]
pub(crate) struct Library {
    database: Arc<Database>,
    server: String,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Library {
    /// Finds the database by a cluster file, the default one if none is named, and waits until it
    /// answers.
    pub(crate) fn open(cluster_file: Option<&Path>) -> Result<Self, Error> {
        start()?;
        let path = match cluster_file {
            None => None,
            Some(path) => Some(path.to_str().ok_or_else(|| {
                let message = format!("the name of {} is not UTF-8", path.display());
                Error::new(ErrorCode::IO_ERROR, message)
            })?),
        };
        let database = Database::new(path).map_err(error)?;
        let mut library = Self { database: Arc::new(database), server: LIBRARY.to_owned() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(
            |error| {
                Error::new(ErrorCode::INTERNAL_ERROR, format!("can't start the runtime: {error}"))
            },
        )?;
        let asked = runtime.block_on(async { timeout(FIRST_ANSWER, library.ask()).await });
        let Ok(answer) = asked else {
            let limit = FIRST_ANSWER.as_secs();
            let message = format!("no answer through FoundationDB's C library within {limit} s");
            return Err(Error::new(ErrorCode::SERVER_UNREACHABLE, message));
        };
        if let Some(server) = answer? {
            library.server = server;
        }
        Ok(library)
    }

    /// Waits until the database answers; who answers, as far as the cluster's status says.
    async fn ask(&self) -> Result<Option<String>, Error> {
        self.begin().read_version().await?;
        let status = self.begin().get(STATUS_KEY, Isolation::Snapshot).await;
        Ok(status.ok().flatten().and_then(|status| of_status(&status)))
    }

    /// Who answers.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }
}

impl Store for Library {
    type Transaction = FdbTransaction;

    fn begin(&self) -> FdbTransaction {
        FdbTransaction::new(self.database.create_trx())
    }
}

/// The storage engine and the version of a process, by the cluster's status.
fn of_status(status: &[u8]) -> Option<String> {
    let status: serde_json::Value = serde_json::from_slice(status).ok()?;
    let cluster = status.get("cluster")?;
    let engine = cluster.get("configuration")?.get("storage_engine")?.as_str()?;
    let process = cluster.get("processes")?.as_object()?.values().next()?;
    let version = process.get("version")?.as_str()?;
    Some(format!("{engine} {version} by {LIBRARY}"))
}
