//! Says hello through the database: one transaction that writes, one that reads.
//!
//! `cargo run -p plinth-client --example hello -- [host:port]`, with a server running.

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use plinth_client::{Database, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4500".to_owned());
    let db = Database::connect(&address).await?;

    db.transact(|tx| async move {
        tx.set("greeting", "hello, world");
        Ok(())
    })
    .await?;

    let greeting = db.transact(|tx| async move { tx.get("greeting").await }).await?;
    println!("{}", String::from_utf8_lossy(&greeting.unwrap_or_default()));
    Ok(())
}
