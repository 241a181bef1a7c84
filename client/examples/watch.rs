//! Waits for a key to change instead of asking for it again and again.
//!
//! `cargo run -p plinth-client --example watch -- [host:port]`, with a server running.

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use plinth_client::{Database, Error, ErrorCode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4500".to_owned());
    let db = Database::connect(&address).await?;

    // The watch is on what this transaction has seen, and begins when it commits.
    let tx = db.transaction();
    let before = tx.get("weather").await?;
    let watch = tx.watch("weather").await?;
    tx.commit().await?;
    println!("the weather was {before:?}");

    let weather = if before.as_deref() == Some(b"rain") { "sunshine" } else { "rain" };
    let other = db.clone();
    let changing = tokio::spawn(async move {
        other
            .transact(|tx| async move {
                tx.set("weather", weather);
                Ok(())
            })
            .await
    });

    watch.changed().await?;
    let after = db.transact(|tx| async move { tx.get("weather").await }).await?;
    println!("the weather is {after:?}");
    changing.await.map_err(|_| Error::from(ErrorCode::INTERNAL_ERROR))?
}
