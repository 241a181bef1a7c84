//! Who waits for the server however long it takes: it comes late, elsewhere, or as another one.

use std::{
    fs,
    time::{Duration, Instant},
};

use plinth_client::{
    AtomicOp, Backend, ClusterFile, ConnectOptions, Database, ErrorCode, ServerAddress, TcpBackend,
    TransactionOption, protocol::request::Opcode,
};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    LIMIT, hangs_up_on_first, obedient,
    peer::{Action, Peer},
};

fn waiting(address: ServerAddress, connections: usize) -> Database<TcpBackend> {
    let mut options = ConnectOptions::at(address);
    options.waits_for_server = true;
    options.connect_timeout = Duration::from_millis(500);
    options.operation_timeout = Duration::from_millis(300);
    options.connections = connections;
    Database::new(TcpBackend::lazy(options))
}

fn waiting_for(peer: &Peer, connections: usize) -> Database<TcpBackend> {
    waiting(ServerAddress::Fixed(peer.address.clone()), connections)
}

/// A listener that hangs up on everybody, and its address.
async fn rude() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

async fn refuse(listener: &TcpListener, count: usize) {
    for _ in 0..count {
        drop(timeout(LIMIT, listener.accept()).await.expect("it tries again").unwrap());
    }
}

fn write(path: &std::path::Path, address: &str) {
    ClusterFile::new("test", "test", address).unwrap().write(path).unwrap();
}

#[tokio::test]
async fn a_server_that_comes_late_and_elsewhere_is_found_by_the_cluster_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fdb.cluster");
    let (listener, address) = rude().await;
    write(&path, &address);
    let db = waiting(ServerAddress::ClusterFile(Some(path.clone())), 1);
    let begun = Instant::now();
    let reading = tokio::spawn({
        let db = db.clone();
        async move { db.transaction().get("k").await }
    });
    let committing = tokio::spawn(async move {
        let tx = db.transaction();
        tx.set("k", "v");
        tx.commit().await
    });
    // Longer than any operation takes that doesn't wait.
    while begun.elapsed() < Duration::from_millis(600) {
        refuse(&listener, 1).await;
    }
    assert!(!reading.is_finished() && !committing.is_finished());
    let peer = obedient().await;
    write(&path, &peer.address);
    assert!(timeout(LIMIT, committing).await.unwrap().unwrap().unwrap().is_some());
    timeout(LIMIT, reading).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_timeout_ends_the_wait_whatever_is_waited_for() {
    let (_listener, address) = rude().await;
    let db = waiting(ServerAddress::Fixed(address), 2);
    let timed = || {
        let tx = db.transaction();
        tx.set_option(TransactionOption::Timeout(Some(Duration::from_millis(50))));
        tx
    };
    let all = async {
        let blind = timed();
        blind.set("k", "v");
        [
            timed().get("k").await.unwrap_err(),
            timed().get_read_version().await.unwrap_err(),
            timed().watch("k").await.err().unwrap(),
            blind.commit().await.unwrap_err(),
        ]
    };
    for error in timeout(LIMIT, all).await.expect("nothing hangs") {
        assert_eq!(error.code, ErrorCode::TRANSACTION_TIMED_OUT, "{error}");
    }
}

#[tokio::test]
async fn a_cluster_file_that_was_never_there_is_missed_at_once_and_one_that_goes_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fdb.cluster");
    let db = waiting(ServerAddress::ClusterFile(Some(path.clone())), 1);
    let error = timeout(LIMIT, db.transaction().get("k")).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::NO_CLUSTER_FILE_FOUND, "{error}");

    let peer = hangs_up_on_first(Opcode::Get, Action::HangUp).await;
    write(&path, &peer.address);
    let db = waiting(ServerAddress::ClusterFile(Some(path.clone())), 1);
    timeout(LIMIT, db.transaction().get_read_version()).await.unwrap().unwrap();
    fs::remove_file(&path).unwrap();
    timeout(LIMIT, db.transaction().get("k")).await.unwrap().unwrap();
    assert_eq!((peer.seen(Opcode::Get), peer.connections()), (2, 2));
}

#[tokio::test]
async fn what_was_read_in_another_database_is_too_old() {
    for connections in [1, 2] {
        let peer = hangs_up_on_first(Opcode::ReadVersion, Action::HangUp).await;
        let db = waiting_for(&peer, connections);
        let begun = db.transaction();
        begun.get("a").await.unwrap();
        begun.set("a", "1");
        let pinned = db.backend().pin(None).await.unwrap();
        let use_all_connections = async || {
            for _ in 0..connections {
                db.backend().ping("x".into()).await.unwrap();
            }
        };
        use_all_connections().await;
        peer.change_database();
        // One connection breaks; when it is back, the others are closed.
        db.backend().read_version().await.unwrap();
        use_all_connections().await;
        for _ in 0..4 {
            let error = begun.get("c").await.unwrap_err();
            assert_eq!(error.code, ErrorCode::TRANSACTION_TOO_OLD, "{error}");
            let read = db.backend().get(Some(&pinned), <_>::default(), "c".into()).await;
            assert_eq!(read.unwrap_err().code, ErrorCode::TRANSACTION_TOO_OLD);
        }
        let error = begun.commit().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::TRANSACTION_TOO_OLD, "{error}");
        assert_eq!(peer.seen(Opcode::Commit), 0, "what was too old was not sent");
        begun.on_error(error).await.unwrap();
        assert_eq!(begun.get("a").await.unwrap(), None);
        begun.atomic(AtomicOp::Add, "a", [1]);
        begun.commit().await.unwrap();
    }
}

#[tokio::test]
async fn what_became_of_a_commit_stays_unknown_when_its_database_is_gone() {
    for action in [Action::HangUp, Action::HangUpAfter] {
        let peer = hangs_up_on_first(Opcode::Commit, action).await;
        let db = waiting_for(&peer, 1);
        db.backend().ping("x".into()).await.unwrap();
        peer.change_database();
        let tx = db.transaction();
        tx.set("k", "v");
        let error = timeout(LIMIT, tx.commit()).await.unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::COMMIT_UNKNOWN_RESULT, "{error}");
        assert_eq!(peer.seen(Opcode::Commit), 1, "the other database is not asked to do it");
    }
}

#[tokio::test]
async fn a_watch_fires_when_the_database_is_another_one() {
    let peer = hangs_up_on_first(Opcode::Get, Action::HangUp).await;
    let db = waiting_for(&peer, 1);
    let tx = db.transaction();
    tx.set("k", "v");
    let watch = tx.watch("k").await.unwrap();
    tx.commit().await.unwrap();
    let watching = tokio::spawn(watch.changed());
    peer.wait_for(Opcode::Watch, 1).await;
    peer.change_database();
    db.transaction().get("other").await.unwrap();
    timeout(LIMIT, watching).await.expect("it fires").unwrap().unwrap();
    assert_eq!(peer.seen(Opcode::Watch), 1);
}
