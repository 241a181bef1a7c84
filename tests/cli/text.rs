//! Text sessions in this process.

use std::{collections::HashMap, sync::Arc, time::Duration};

use plinth_client::{Backend, testing::MemoryBackend};
use plinth_protocol::response::ServerInfo;
use plinthdb::server::text::{Allowance, InfoSource, TextSession};
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

#[test]
fn open_transactions_are_bounded_one_by_one_and_together() {
    let runtime = runtime();
    let database = plinth_client::Database::new(MemoryBackend::default());
    let allowance = Allowance::new(150_000);
    let session = || {
        let info: InfoSource = Arc::new(|| Box::pin(async { Ok(ServerInfo::default()) }));
        let (session, _) = TextSession::new(database.backend().clone(), info);
        session.with_allowance(allowance.clone())
    };
    let (mut one, mut two) = (session(), session());
    let type_in = |session: &mut TextSession<_>, line: &str| {
        runtime.block_on(session.line(line.as_bytes())).to_text()
    };
    let large = format!("set k {}", "x".repeat(90_000));
    assert_eq!(type_in(&mut one, "begin"), "ok\n");
    assert_eq!(type_in(&mut two, "begin"), "ok\n");
    assert_eq!(type_in(&mut one, &large), "ok\n");
    assert!(type_in(&mut two, &large).starts_with("error 8021 too_many_transactions"));
    assert!(!two.has_transaction(), "what it held is given back");
    assert_eq!(type_in(&mut two, "begin"), "ok\n");
    assert_eq!(type_in(&mut one, "rollback"), "ok\n");
    assert_eq!(type_in(&mut two, &large), "ok\n");
    drop(two);
    assert_eq!(allowance.taken(), 0);
}
