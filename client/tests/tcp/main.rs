//! The backend over TCP, against peers that answer, misbehave, vanish and come back.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod peer;
mod waiting;

use std::time::{Duration, Instant};

use peer::{Action, Peer};
use plinth_client::{
    AtomicOp, Backend, ConnectOptions, Database, ErrorCode, KeyspaceId, RangeRead, TcpBackend,
    TransactionOption, protocol::request::Opcode,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A bound on everything that a test waits for: far more than it takes.
const LIMIT: Duration = Duration::from_secs(20);

fn options(address: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(address).unwrap();
    options.connect_timeout = Duration::from_millis(500);
    options.operation_timeout = Duration::from_secs(5);
    options
}

async fn connect(peer: &Peer) -> Database<TcpBackend> {
    Database::connect_with(options(&peer.address)).await.unwrap()
}

async fn obedient() -> Peer {
    Peer::start(|_, _| Action::Answer, usize::MAX).await
}

/// Writes a row and reads it back, in every way.
async fn use_it(db: &Database<TcpBackend>) {
    db.transact(|tx| async move {
        for n in 0..200_u32 {
            tx.set(format!("key {n:03}"), vec![b'v'; n as usize]);
        }
        tx.atomic(AtomicOp::Add, "count", [1]);
        Ok(())
    })
    .await
    .unwrap();
    let tx = db.transaction();
    let (value, missing, rows) = tokio::join!(
        tx.get("key 100"),
        tx.get("nothing"),
        tx.range(RangeRead::prefix("key ")).collect(),
    );
    assert_eq!(value.unwrap().unwrap().len(), 100);
    assert_eq!(missing.unwrap(), None);
    assert_eq!(rows.unwrap().len(), 200);
    assert_eq!(tx.commit().await.unwrap(), None);
}

#[tokio::test]
async fn rows_go_there_and_come_back() {
    let peer = obedient().await;
    let db = connect(&peer).await;
    use_it(&db).await;
    assert_eq!(db.limits().key_bytes_max, 5000, "the server's limits hold");
    assert_eq!(db.backend().ping("hello".into()).await.unwrap(), "hello");
    assert!(peer.connections() <= 2);
}

#[tokio::test]
async fn bytes_may_come_one_at_a_time() {
    let peer = Peer::start(|_, _| Action::Answer, 1).await;
    use_it(&connect(&peer).await).await;
}

#[tokio::test]
async fn frames_carry_checksums_if_asked_to() {
    let peer = obedient().await;
    let mut options = options(&peer.address);
    options.checksum = true;
    use_it(&Database::connect_with(options).await.unwrap()).await;
}

#[tokio::test]
async fn no_more_requests_are_in_flight_than_allowed() {
    let peer = obedient().await;
    let mut options = options(&peer.address);
    (options.connections, options.in_flight_max) = (1, 4);
    let db = Database::connect_with(options).await.unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let tx = db.transaction();
            tokio::spawn(async move { tx.get(format!("{n}")).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), None);
    }
    assert!((1..=4).contains(&peer.unanswered_max()));
    assert_eq!(peer.seen(Opcode::Get), 100);
}

#[tokio::test]
async fn whoever_does_not_speak_the_protocol_is_named() {
    for (words, code) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], ErrorCode::WRONG_PEER),
        (b"\0\0\0\x06\x99\0\0\0\0\0", ErrorCode::WRONG_PEER),
        (b"\0\0\0\x06\x81\0\0\0\0\0", ErrorCode::WRONG_PEER),
        (b"", ErrorCode::SERVER_UNREACHABLE),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 10];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(words).await.unwrap();
        });
        let error = Database::connect_with(options(&address)).await.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(&address), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let silent = Database::connect_with(options(&address)).await.unwrap_err();
    assert_eq!(silent.code, ErrorCode::SERVER_UNREACHABLE);
    assert!(silent.message.contains("no hello within 0.5 s"), "{silent}");
    drop(listener);
    let gone = Database::connect_with(options(&address)).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::SERVER_UNREACHABLE);
    assert!(gone.message.contains(&address), "{gone}");
}

#[tokio::test]
async fn silence_ends_in_an_error_not_in_waiting() {
    let peer = Peer::start(
        |request, _| match request.opcode() {
            Opcode::Hello => Action::Answer,
            _ => Action::Ignore,
        },
        usize::MAX,
    )
    .await;
    let mut options = options(&peer.address);
    options.operation_timeout = Duration::from_millis(300);
    let db = Database::connect_with(options).await.unwrap();
    let began = Instant::now();
    let error = db.transaction().get("k").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::TIMED_OUT, "{error}");
    assert!(error.message.contains(&peer.address));
    let tx = db.transaction();
    tx.set("k", "v");
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::COMMIT_UNKNOWN_RESULT, "{error}");
    assert!(began.elapsed() < LIMIT);
}

#[tokio::test]
async fn a_timeout_of_the_transaction_ends_its_waiting() {
    let peer = Peer::start(
        |request, _| match request.opcode() {
            Opcode::Hello => Action::Answer,
            _ => Action::Ignore,
        },
        usize::MAX,
    )
    .await;
    let db = connect(&peer).await;
    let tx = db.transaction();
    let other = tx.clone();
    let (read, ()) = tokio::join!(tx.get("k"), async {
        other.set_option(TransactionOption::Timeout(Some(Duration::from_millis(50))));
    });
    assert_eq!(read.unwrap_err().code, ErrorCode::TRANSACTION_TIMED_OUT);
    assert_eq!(tx.commit().await.unwrap_err().code, ErrorCode::TRANSACTION_TIMED_OUT);
}

/// Hangs up on the first request of this kind.
async fn hangs_up_on_first(opcode: Opcode, action: Action) -> Peer {
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let choose = move |request: &plinth_client::protocol::request::Request, _| {
        let is_meant =
            request.opcode() == opcode && is_first.swap(false, std::sync::atomic::Ordering::SeqCst);
        if request.opcode() != opcode {
            return Action::Answer;
        }
        if is_meant { action } else { Action::Answer }
    };
    Peer::start(choose, usize::MAX).await
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_carried_out_once() {
    for action in [Action::HangUp, Action::HangUpAfter] {
        let peer = hangs_up_on_first(Opcode::Commit, action).await;
        let db = connect(&peer).await;
        let tx = db.transaction();
        tx.atomic(AtomicOp::Add, "count", [1]);
        let version = tx.commit().await.unwrap().unwrap();
        assert_eq!(peer.seen(Opcode::Commit), 2, "it was sent again");
        assert_eq!(db.transaction().get("count").await.unwrap().as_deref(), Some(&[1][..]));
        assert_eq!(tx.committed_version(), Some(version));
    }
}

#[tokio::test]
async fn without_an_id_a_lost_answer_stays_unknown() {
    let peer = hangs_up_on_first(Opcode::Commit, Action::HangUpAfter).await;
    let db = connect(&peer).await;
    let tx = db.transaction();
    tx.set_option(TransactionOption::AutomaticIdempotency(false));
    tx.set("k", "v");
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::COMMIT_UNKNOWN_RESULT, "{error}");
    assert_eq!(peer.seen(Opcode::Commit), 1);
}

#[tokio::test]
async fn reads_are_asked_again_after_a_broken_connection() {
    let peer = hangs_up_on_first(Opcode::Get, Action::HangUp).await;
    let db = connect(&peer).await;
    let tx = db.transaction();
    tx.set("k", "v");
    tx.commit().await.unwrap();
    assert_eq!(db.transaction().get("k").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(peer.seen(Opcode::Get), 2);
}

#[tokio::test]
async fn another_database_behind_the_address_is_refused() {
    let peer = hangs_up_on_first(Opcode::Get, Action::HangUp).await;
    let mut options = options(&peer.address);
    options.connections = 1;
    let db = Database::connect_with(options).await.unwrap();
    peer.change_database();
    let error = db.transaction().get("k").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::WRONG_PEER, "{error}");
    assert!(error.message.contains("another database"), "{error}");
}

#[tokio::test]
async fn a_watch_survives_a_broken_connection() {
    let peer = hangs_up_on_first(Opcode::Watch, Action::HangUp).await;
    let db = connect(&peer).await;
    let tx = db.transaction();
    let watch = tx.watch("k").await.unwrap();
    tx.commit().await.unwrap();
    let watching = tokio::spawn(watch.changed());
    peer.wait_for(Opcode::Watch, 2).await;
    assert!(!watching.is_finished());
    let tx = db.transaction();
    tx.set("k", "v");
    tx.commit().await.unwrap();
    tokio::time::timeout(LIMIT, watching).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_watch_that_is_dropped_is_cancelled_at_the_server() {
    let peer = obedient().await;
    let db = connect(&peer).await;
    let tx = db.transaction();
    let watch = tx.watch("k").await.unwrap();
    tx.commit().await.unwrap();
    let watching = tokio::spawn(watch.changed());
    peer.wait_for(Opcode::Watch, 1).await;
    watching.abort();
    peer.wait_for(Opcode::Cancel, 1).await;
}

#[tokio::test]
async fn a_pin_is_made_again_and_let_go() {
    let peer = hangs_up_on_first(Opcode::Get, Action::HangUp).await;
    let mut options = options(&peer.address);
    options.connections = 1;
    let db = Database::connect_with(options).await.unwrap();
    let pinned = db.backend().pin(None).await.unwrap();
    let read = |key: &'static str| db.backend().get(Some(&pinned), KeyspaceId::DEFAULT, key.into());
    assert!(read("k").await.unwrap().value.is_none(), "the lost read is made again");
    assert!(read("k").await.unwrap().value.is_none());
    assert_eq!(peer.seen(Opcode::Pin), 2, "so is the pin of the lost connection");
    drop(pinned);
    peer.wait_for(Opcode::Unpin, 1).await;
}
