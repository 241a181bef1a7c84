//! The options of a database: what its transactions begin with, and again after a reset.

use crate::{
    ffi::{self, API_VERSION, Database, alone},
    support::Server,
};

/// `FDB_DB_OPTION_…`
const MAX_WATCHES: i32 = 20;
const SNAPSHOT_RYW_DISABLE: i32 = 27;
const TIMEOUT: i32 = 500;
const RETRY_LIMIT: i32 = 501;
const SIZE_LIMIT: i32 = 503;

/// Runs a test with a database of its own in a process of its own.
fn with_database(body: impl FnOnce(&Database)) {
    let server = Server::start();
    let network = ffi::start(API_VERSION);
    let database = Database::create(Some(&server.cluster_file())).unwrap();
    body(&database);
    drop(database);
    ffi::stop_network().unwrap();
    network.join().unwrap().unwrap();
}

fn number(number: i64) -> [u8; 8] {
    number.to_le_bytes()
}

#[test]
fn transactions_begin_with_the_options_of_their_database() {
    alone(|| {
        with_database(|database| {
            let before = database.transaction();
            database.set_option(SIZE_LIMIT, &number(100)).unwrap();
            database.set_option(RETRY_LIMIT, &number(1)).unwrap();
            let large = vec![0; 100];
            // One that has begun already meets them when it is reset.
            before.set("key", &large);
            assert_eq!(before.commit().wait().map(drop), Ok(()));
            before.reset();
            before.set("key", &large);
            assert_eq!(before.commit().wait().map(drop), Err(2101));

            let tx = database.transaction();
            assert_eq!(tx.on_error(1020).wait().map(drop), Ok(()));
            // Also the next try has them.
            tx.set("key", &large);
            assert_eq!(tx.commit().wait().map(drop), Err(2101));
            assert_eq!(tx.on_error(1020).wait().map(drop), Err(1020));
            // What the transaction itself sets goes before.
            let tx = database.transaction();
            tx.set_option(SIZE_LIMIT, &number(1000)).unwrap();
            tx.set("key", &large);
            assert_eq!(tx.commit().wait().map(drop), Ok(()));
        });
    });
}

#[test]
fn a_default_timeout_ends_transactions_also_where_no_server_is() {
    alone(|| {
        let network = ffi::start(API_VERSION);
        let database = Database::from_connection_string("a:b@127.0.0.1:1").unwrap();
        database.set_option(TIMEOUT, &number(50)).unwrap();
        assert_eq!(database.transaction().get("key", false).wait().map(drop), Err(1031));
        ffi::stop_network().unwrap();
        network.join().unwrap().unwrap();
    });
}

#[test]
fn snapshot_reads_can_be_kept_from_own_writes() {
    alone(|| {
        with_database(|database| {
            let read = || {
                let tx = database.transaction();
                tx.set("mine", "written");
                tx.get("mine", true).wait().unwrap().value().unwrap()
            };
            assert_eq!(read(), Some(b"written".to_vec()));
            database.set_option(SNAPSHOT_RYW_DISABLE, b"").unwrap();
            assert_eq!(read(), None);
        });
    });
}

#[test]
fn one_watch_too_many_is_refused() {
    alone(|| {
        with_database(|database| {
            database.set_option(MAX_WATCHES, &number(1)).unwrap();
            let tx = database.transaction();
            let first = tx.watch("one");
            assert_eq!(tx.watch("two").wait().map(drop), Err(1032));
            first.cancel();
            assert_eq!(first.error(), Err(1101));
            let third = tx.watch("three");
            tx.commit().wait().unwrap();
            assert!(!third.is_ready());
        });
    });
}

#[test]
fn bad_options_of_a_database_are_refused_at_once() {
    alone(|| {
        let network = ffi::start(API_VERSION);
        let database = Database::create(None).unwrap();
        assert_eq!(database.set_option(1, b""), Err(2007));
        assert_eq!(database.set_option(MAX_WATCHES, &number(1_000_001)), Err(2006));
        assert_eq!(database.set_option(TIMEOUT, &number(-1)), Err(2006));
        assert_eq!(database.set_option(TIMEOUT, b"1"), Err(2006));
        assert_eq!(database.set_option(SNAPSHOT_RYW_DISABLE, b"1"), Err(2006));
        ffi::stop_network().unwrap();
        network.join().unwrap().unwrap();
    });
}
