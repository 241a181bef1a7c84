//! The golden programs over the engine in process, and over TCP against a server.

mod runner;

use plinth_client::KeyspaceId;
use plinthdb::{
    EngineBackend,
    engine::{DurabilityMode, Engine, EngineOptions},
};
use tempfile::TempDir;

use self::runner::native::Native;

/// On how many threads the programs run.
const THREADS: usize = 2;

/// An engine in a directory of its own, which lasts as long as the test.
fn engine() -> (TempDir, Engine) {
    let directory = TempDir::new().expect("a temporary directory");
    let options = EngineOptions {
        durability: DurabilityMode::None,
        ..EngineOptions::new(directory.path().join("data"))
    };
    let engine = Engine::open(options).expect("a new database opens");
    (directory, engine)
}

/// A keyspace for each thread, so that their programs don't meet.
fn keyspace(thread: usize) -> KeyspaceId {
    KeyspaceId(KeyspaceId::FIRST_NAMED.0 + u32::try_from(thread).expect("few threads"))
}

#[test]
fn every_golden_program_answers_as_foundationdb_did_over_the_engine() {
    let (_directory, engine) = engine();
    runner::run_all(&runner::programs(), THREADS, async |thread| {
        let backend = EngineBackend::new(engine.clone());
        Native::new(&plinth_client::Database::new(backend), keyspace(thread))
    });
    engine.close();
}

#[cfg(feature = "server")]
#[test]
fn every_golden_program_answers_as_foundationdb_did_over_tcp() {
    use std::sync::mpsc;

    use plinth_client::{ConnectOptions, Database};
    use plinthdb::server::{Server, ServerConfig};

    let (_directory, engine) = engine();
    let (tell_address, address) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let own_engine = engine.clone();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let config = ServerConfig { listen: "127.0.0.1:0".to_owned(), ..Default::default() };
            let server = Server::bind(config, own_engine).await.expect("a free port");
            tell_address.send(server.local_addr().to_string()).expect("the test waits");
            let stopped = async {
                // Sent or dropped: the test is over.
                let _ = stopped.await;
            };
            server.run(stopped).await;
        });
    });
    let address = address.recv().expect("the server listens");
    runner::run_all(&runner::programs(), THREADS, async |thread| {
        let options = ConnectOptions::new(&address).expect("an address");
        let database = Database::connect_with(options).await.expect("the server answers");
        Native::new(&database, keyspace(thread))
    });
    drop(stop);
    server.join().expect("the server stops");
    engine.close();
}
