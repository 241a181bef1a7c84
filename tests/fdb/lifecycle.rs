//! The life of the library in a process: which calls come before which, and what each answers out of
//! turn. Every test has a process of its own.

use std::{
    fs,
    process::{Command, Output},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    c::compile,
    ffi::{self, API_VERSION, Database, alone},
    support::{Server, library_directory},
};

/// `FDB_TR_OPTION_TIMEOUT`.
const TIMEOUT: i32 = 500;

#[test]
fn nothing_goes_before_the_api_version() {
    alone(|| {
        assert_eq!(ffi::network_set_option(61, b""), Err(2200));
        assert_eq!(ffi::setup_network(), Err(2200));
        assert_eq!(ffi::run_network(), Err(2200));
        assert_eq!(ffi::stop_network(), Err(2200));
        assert_eq!(ffi::at_network_end(|| ()), Err(2200));
        assert_eq!(Database::create(None).map(drop), Err(2200));
        // What only tells of the library does.
        assert_eq!(ffi::error_text(2200), "API version is not set");
        assert_eq!(ffi::max_api_version(), 800);
        assert_eq!(ffi::client_version().split(',').count(), 3);

        for (runtime, header, refused) in [(731, 730, 2202), (730, 801, 2203), (500, 730, 2203)] {
            assert_eq!(ffi::select_api_version(runtime, header), Err(refused));
        }
        assert_eq!(ffi::select_api_version(710, 800), Ok(()));
        assert_eq!(ffi::select_api_version(710, 800), Err(2201));
    });
}

#[test]
fn the_network_is_set_up_then_run_then_stopped_once() {
    alone(|| {
        ffi::select_api_version(API_VERSION, API_VERSION).unwrap();
        assert_eq!(ffi::run_network(), Err(2008));
        assert_eq!(ffi::stop_network(), Err(2008));
        assert_eq!(ffi::at_network_end(|| ()), Err(2008));
        assert_eq!(Database::create(None).map(drop), Err(2008));
        assert_eq!(ffi::network_set_option(99_999, b""), Err(2007));
        assert_eq!(ffi::network_set_option(34, b"yaml"), Err(2006));
        assert_eq!(ffi::network_set_option(62, b"/nowhere/libfdb_c.so"), Err(1511));
        assert_eq!(ffi::network_set_option(34, b"json"), Ok(()));

        assert_eq!(ffi::setup_network(), Ok(()));
        assert_eq!(ffi::setup_network(), Err(2009));
        assert_eq!(ffi::network_set_option(34, b"json"), Err(2007));
        assert_eq!(ffi::network_set_option(80, b""), Ok(()));
        // A database needs no running network; what it is asked waits for that.
        let early = Database::create(None).unwrap();
        let (ended, end) = mpsc::channel();
        ffi::at_network_end(move || ended.send(thread::current().id()).unwrap()).unwrap();

        let network = thread::spawn(|| (thread::current().id(), ffi::run_network()));
        assert_eq!(ffi::stop_network(), Ok(()));
        let (id, outcome) = network.join().unwrap();
        assert_eq!(outcome, Ok(()));
        assert_eq!(end.recv(), Ok(id));
        assert!(end.recv().is_err(), "a hook is called once");

        assert_eq!(ffi::run_network(), Err(2025));
        assert_eq!(ffi::setup_network(), Err(2009));
        assert_eq!(ffi::stop_network(), Ok(()));
        drop(early);
    });
}

#[test]
fn what_waits_when_the_network_ends_is_cancelled() {
    alone(|| {
        let server = Server::start();
        let network = ffi::start(API_VERSION);
        let database = Database::create(Some(&server.cluster_file())).unwrap();
        let tx = database.transaction();
        let watch = tx.watch("key");
        tx.commit().wait().unwrap();
        let calls = watch.count_calls();
        ffi::stop_network().unwrap();
        network.join().unwrap().unwrap();
        assert_eq!(watch.error(), Err(1101));
        assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
        // A call after the end fails too, and doesn't wait for ever.
        assert!(database.transaction().get("key", false).wait().is_err());
    });
}

#[test]
fn a_callback_must_not_wait_on_the_network_thread() {
    alone(|| {
        let server = Server::start();
        let _network = ffi::start(API_VERSION);
        let database = Database::create(Some(&server.cluster_file())).unwrap();
        let tx = database.transaction();
        let (fires, waits) = (tx.watch("key"), tx.watch("another"));
        tx.commit().wait().unwrap();
        let (told, tell) = mpsc::channel();
        fires.on_ready(move |fired| {
            // It may wait for what is there already.
            let both = (fired.block_until_ready(), waits.block_until_ready());
            told.send((thread::current().id(), both)).unwrap();
        });
        let tx = database.transaction();
        tx.set("key", "changed");
        tx.commit().wait().unwrap();
        let (thread, outcomes) = tell.recv().unwrap();
        assert_ne!(thread, thread::current().id());
        assert_eq!(outcomes, (Ok(()), Err(2026)));
    });
}

#[test]
fn what_is_wrong_with_a_cluster_file_comes_with_the_first_operation() {
    alone(|| {
        let network = ffi::start(API_VERSION);
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("fdb.cluster");
        let first_read = |database: &Database| {
            let tx = database.transaction();
            tx.get("key", false).wait().map(drop)
        };
        assert_eq!(first_read(&Database::create(Some(&path)).unwrap()), Err(1515));
        fs::write(&path, "not a cluster file").unwrap();
        assert_eq!(first_read(&Database::create(Some(&path)).unwrap()), Err(2104));
        let database = Database::from_connection_string("nonsense").unwrap();
        assert_eq!(first_read(&database), Err(2104));

        // Where nobody listens, operations wait; a timeout ends that.
        let database = Database::from_connection_string("a:b@127.0.0.1:1").unwrap();
        let tx = database.transaction();
        tx.set_option(TIMEOUT, &100_i64.to_le_bytes()).unwrap();
        assert_eq!(tx.get("key", false).wait().map(drop), Err(1031));
        // So does a cancellation, which calls back.
        let tx = database.transaction();
        let read = tx.get("key", false);
        let (told, tell) = mpsc::channel();
        read.on_ready(move |future| told.send(future.error()).unwrap());
        read.cancel();
        assert_eq!(tell.recv(), Ok(Err(1101)));
        ffi::stop_network().unwrap();
        network.join().unwrap().unwrap();
    });
}

#[test]
fn a_connection_string_is_as_good_as_a_file() {
    alone(|| {
        let server = Server::start();
        let network = ffi::start(API_VERSION);
        let text = fs::read_to_string(server.cluster_file()).unwrap();
        let database = Database::from_connection_string(text.trim()).unwrap();
        let tx = database.transaction();
        tx.set("key", "value");
        tx.commit().wait().unwrap();
        assert_eq!(tx.get_total_cost().wait().unwrap().int64(), Ok(0));
        let tx = database.transaction();
        assert_eq!(tx.get("key", false).wait().unwrap().value(), Ok(Some(b"value".to_vec())));
        assert!(tx.get_total_cost().wait().unwrap().int64().unwrap() > 0);
        let throttled = tx.get_tag_throttled_duration().wait().unwrap().double().unwrap();
        assert!(throttled.abs() < f64::EPSILON);

        let status = database.client_status().wait().unwrap().key().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
        assert_eq!(status["Healthy"], true);
        assert_eq!(status["ConnectionRecord"], text.trim());
        let protocol = database.server_protocol(0).wait().unwrap().uint64().unwrap();
        assert_eq!(protocol >> 48, 0x0FDB);
        let another = database.server_protocol(protocol);
        assert!(!another.is_ready(), "the server's protocol stays the same");
        another.cancel();
        assert_eq!(another.error(), Err(1101));

        let addresses = tx.get_addresses_for_key("key").wait().unwrap().strings().unwrap();
        let expected = text.trim().rsplit('@').next().unwrap().to_owned();
        assert_eq!(addresses, [expected]);

        let limit = Instant::now() + Duration::from_secs(30);
        while database.main_thread_busyness() == 0.0 {
            assert!(
                Instant::now() < limit,
                "the network thread does something for all these reads"
            );
            database.transaction().get("key", false).wait().unwrap();
        }
        assert!(database.main_thread_busyness() <= 1.0);
        ffi::stop_network().unwrap();
        network.join().unwrap().unwrap();
    });
}

/// What the small program in C does with an environment.
fn smoke(server: &Server, environment: &[(&str, &str)]) -> Option<Output> {
    let directory = TempDir::new().unwrap();
    let program = compile(&directory, "smoke", &[])?;
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", library_directory());
    command.env("FDB_CLUSTER_FILE", server.cluster_file());
    Some(command.envs(environment.iter().copied()).output().unwrap())
}

#[test]
fn the_environment_sets_options_of_the_network() {
    let server = Server::start();
    let traces = TempDir::new().unwrap();
    let environment = [
        ("FDB_NETWORK_OPTION_TRACE_ENABLE", traces.path().to_str().unwrap()),
        ("FDB_NETWORK_OPTION_TRACE_FORMAT", "json"),
        ("FDB_NETWORK_OPTION_TRACE_PARTIAL_FILE_SUFFIX", ".partial"),
    ];
    let Some(output) = smoke(&server, &environment) else { return };
    assert!(output.status.success(), "{output:?}");
    let files: Vec<_> = fs::read_dir(traces.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().into_string().unwrap();
    assert!(name.starts_with("trace.") && name.contains(".json"), "{name}");
    assert!(!name.contains("partial"), "{name}");
    let text = fs::read_to_string(files[0].path()).unwrap();
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["Type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ClientStart", "DatabaseCreated", "ClientStop"]);
    assert_eq!(events[0]["ApiVersion"], "730");

    let wrong = [("FDB_NETWORK_OPTION_TRACE_FORMAT", "yaml")];
    let output = smoke(&server, &wrong).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("setup_network: 2022"), "{said}");
}
