//! A queue whose order is the order of commits: each item's key ends with the versionstamp of the
//! transaction that has put it there, so that producers never conflict.
//!
//! `cargo run -p plinth-client --example queue -- [host:port]`, with a server running.

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use bytes::Bytes;
use plinth_client::{Database, Error, RangeRead, TcpBackend, Versionstamp};

const PREFIX: &[u8] = b"queue/";

async fn push(db: &Database<TcpBackend>, item: &str) -> Result<(), Error> {
    let key = [PREFIX, &[0; Versionstamp::LEN]].concat();
    db.transact(|tx| {
        tx.set_versionstamped_key(&key, item, PREFIX.len());
        async { Ok(()) }
    })
    .await
}

/// Takes the oldest item. Two consumers that want the same one conflict, and one tries again.
async fn pop(db: &Database<TcpBackend>) -> Result<Option<Bytes>, Error> {
    db.transact(|tx| async move {
        let first = tx.get_range(RangeRead::prefix(PREFIX).rows_max(1)).await?;
        let Some(row) = first.rows.into_iter().next() else { return Ok(None) };
        tx.clear(&row.key);
        Ok(Some(row.value))
    })
    .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4500".to_owned());
    let db = Database::connect(&address).await?;
    for item in ["first", "second", "third"] {
        push(&db, item).await?;
    }
    while let Some(item) = pop(&db).await? {
        println!("{}", String::from_utf8_lossy(&item));
    }
    Ok(())
}
