//! The library in rough hands: futures used too early, too late, twice and for the wrong thing.

use std::sync::{atomic::Ordering, mpsc};

use crate::{
    ffi::{self, Database, Range, alone},
    support::Server,
};

/// A server, and the library to speak to it with.
fn server() -> (Server, Database) {
    let server = Server::start();
    let database = ffi::open(&server.cluster_file());
    (server, database)
}

#[test]
fn a_program_reads_what_it_has_written() {
    let (_server, database) = server();
    let tx = database.transaction();
    tx.set("apple", "red");
    tx.set("", "");
    tx.commit().wait().unwrap();
    assert!(tx.get_committed_version().unwrap() > 0);
    let tx = database.transaction();
    assert_eq!(tx.get("apple", false).wait().unwrap().value(), Ok(Some(b"red".to_vec())));
    assert_eq!(tx.get("", true).wait().unwrap().value(), Ok(Some(Vec::new())));
    assert_eq!(tx.get("pear", false).wait().unwrap().value(), Ok(None));
    let tx = database.transaction();
    let (rows, more) = tx.get_range(&Range::between("", b"\xFF")).wait().unwrap().rows().unwrap();
    let all = [(Vec::new(), Vec::new()), (b"apple".to_vec(), b"red".to_vec())];
    assert_eq!((rows, more), (all.to_vec(), false));
}

#[test]
fn a_cancelled_watch_calls_back_once() {
    let (_server, database) = server();
    let tx = database.transaction();
    let watch = tx.watch("key");
    tx.commit().wait().unwrap();
    assert_eq!(watch.error(), Err(2015));
    let calls = watch.count_calls();
    let (tell, told) = mpsc::channel();
    watch.on_ready(move |future| tell.send(future.error()).unwrap());
    watch.cancel();
    watch.cancel();
    assert_eq!(told.recv(), Ok(Err(1101)));
    drop(watch);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn another_api_version_is_chosen_in_a_process_of_its_own() {
    alone(|| {
        let network = ffi::start(710);
        assert_eq!(ffi::select_api_version(710, 710), Err(2201));
        ffi::stop_network().unwrap();
        assert_eq!(network.join().unwrap(), Ok(()));
    });
}
