//! Places: which database a command works on, behind a server or in a directory.

use std::{future::Future, path::PathBuf, sync::Arc, time::Instant};

use bytes::Bytes;
use plinth_client::{Backend, Database};
use plinth_protocol::{Error, ErrorCode, KeyspaceId, response::ServerInfo};

use super::{Exit, jobs::jobs_of, report_error, target::Whereabouts};
use crate::{
    engine::EngineStats,
    server::text::{InfoSource, JobSource, escape::unescape, jobs::no_jobs},
};

/// Where the data is.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Which server.
    #[command(flatten)]
    pub server: Whereabouts,
    /// Open the database in this directory, in this process, instead of asking a server.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["target", "cluster_file"])]
    pub embedded: Option<PathBuf>,
    /// Which keyspace; the default one if left out.
    #[arg(long, value_name = "NAME")]
    pub keyspace: Option<String>,
}

/// Who answers what isn't asked of the database itself.
pub(super) struct Host {
    pub(super) info: InfoSource,
    pub(super) jobs: JobSource,
}

/// What is to be done there, whatever the database stands on.
pub(super) trait Errand {
    /// Does it.
    fn run<B: Backend>(
        self,
        database: Database<B>,
        keyspace: KeyspaceId,
        host: Host,
    ) -> impl Future<Output = Exit>;
}

impl Place {
    /// Opens the database and runs the errand, on a runtime of its own.
    pub(super) fn run(&self, errand: impl Errand) -> Exit {
        match runtime() {
            Ok(runtime) => {
                let exit = runtime.block_on(self.open_and_run(errand));
                // A task that hangs on a dead server must not keep the process.
                runtime.shutdown_background();
                exit
            }
            Err(error) => report_error(&error),
        }
    }

    async fn open_and_run(&self, errand: impl Errand) -> Exit {
        match &self.embedded {
            Some(directory) => match crate::Database::open(directory) {
                Ok(database) => self.run_embedded(database, errand).await,
                Err(error) => report_error(&error),
            },
            None => match self.server.connect().await {
                Ok(database) => {
                    let backend = database.backend().clone();
                    let info: InfoSource = Arc::new(move || {
                        let backend = backend.clone();
                        Box::pin(async move { backend.server_info().await })
                    });
                    let jobs = jobs_of(database.backend());
                    self.run_on(database, errand, Host { info, jobs }).await
                }
                Err(error) => report_error(&error),
            },
        }
    }

    async fn run_embedded(&self, database: crate::Database, errand: impl Errand) -> Exit {
        let (engine, opened) = (database.backend().engine().clone(), Instant::now());
        let told = engine.clone();
        let info: InfoSource = Arc::new(move || {
            let info = embedded_info(&told.stats(), opened);
            Box::pin(async move { Ok(info) })
        });
        let host = Host { info, jobs: no_jobs() };
        let exit = self.run_on(database, errand, host).await;
        engine.close();
        exit
    }

    async fn run_on<B: Backend>(
        &self,
        database: Database<B>,
        errand: impl Errand,
        host: Host,
    ) -> Exit {
        let keyspace = match &self.keyspace {
            None => Ok(KeyspaceId::DEFAULT),
            Some(name) => database.open_keyspace(name).await.map(|keyspace| keyspace.id),
        };
        match keyspace {
            Ok(keyspace) => errand.run(database, keyspace, host).await,
            Err(error) => report_error(&error),
        }
    }
}

/// What an engine in this process can say of itself.
fn embedded_info(stats: &EngineStats, opened: Instant) -> ServerInfo {
    let count = |name: &'static str, value: u64| (Bytes::from_static(name.as_bytes()), value);
    ServerInfo {
        server_version: Bytes::from_static(env!("CARGO_PKG_VERSION").as_bytes()),
        uptime_seconds: opened.elapsed().as_secs(),
        features: Vec::new(),
        statistics: vec![
            count("commits", stats.commits),
            count("conflicts", stats.conflicts),
            count("log_bytes", stats.log_bytes),
            count("log_syncs", stats.log_syncs),
            count("read_version", stats.published.0),
            count("oldest_readable_version", stats.horizon.0),
        ],
    }
}

/// One worker beside this thread, which reads and writes files.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(
        |error| Error::new(ErrorCode::INTERNAL_ERROR, format!("can't start the runtime: {error}")),
    )
}

/// An argument that takes the escapes of the text mode.
pub(super) fn parse_bytes(text: &str) -> Result<Bytes, String> {
    unescape(text.as_bytes()).map(Bytes::from).map_err(|error| error.to_string())
}
