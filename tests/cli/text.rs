//! Text sessions in this process.

use std::{collections::HashMap, sync::Arc, time::Duration};

use plinth_client::{Backend, testing::MemoryBackend};
use plinth_protocol::response::ServerInfo;
use plinthdb::server::text::{InfoSource, TextSession};
use tokio::{runtime::Runtime, sync::mpsc, time::timeout};

use crate::scripts::{self, Door};

/// Sessions on one backend.
struct Sessions<B: Backend> {
    runtime: Runtime,
    backend: B,
    open: HashMap<usize, (TextSession<B>, mpsc::Receiver<String>)>,
}

impl<B: Backend> Sessions<B> {
    fn new(runtime: Runtime, backend: B) -> Self {
        Self { runtime, backend, open: HashMap::new() }
    }

    fn session(&mut self, number: usize) -> &mut (TextSession<B>, mpsc::Receiver<String>) {
        let info: InfoSource = Arc::new(|| Box::pin(async { Ok(ServerInfo::default()) }));
        let backend = self.backend.clone();
        self.open.entry(number).or_insert_with(|| TextSession::new(backend, info))
    }
}

impl<B: Backend> Door for Sessions<B> {
    fn line(&mut self, session: usize, line: &str) -> Vec<String> {
        let handle = self.runtime.handle().clone();
        let (session, _) = self.session(session);
        let reply = handle.block_on(session.line(line.as_bytes()));
        reply.to_text().lines().map(str::to_owned).collect()
    }

    fn event(&mut self, session: usize) -> String {
        let handle = self.runtime.handle().clone();
        let (_, events) = self.session(session);
        let event =
            handle.block_on(async { timeout(Duration::from_secs(10), events.recv()).await });
        event
            .expect("the line comes within ten seconds")
            .expect("the session is there")
            .trim_end()
            .to_owned()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn every_script_holds_over_an_engine_in_this_process() {
    for (name, script) in scripts::all() {
        let directory = tempfile::tempdir().unwrap();
        let database = plinthdb::Database::open(directory.path()).unwrap();
        let mut door = Sessions::new(runtime(), database.backend().clone());
        scripts::play(&name, &script, &mut door);
    }
}

#[test]
fn every_script_holds_over_a_backend_in_memory() {
    // Over a backend that may lose answers, the frame of a commit holds a random id.
    for (name, script) in scripts::all().into_iter().filter(|(name, _)| name != "trace") {
        scripts::play(&name, &script, &mut Sessions::new(runtime(), MemoryBackend::default()));
    }
}
