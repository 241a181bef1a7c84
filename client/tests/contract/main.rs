//! FoundationDB's contract for transactions, rule by rule: what programs that were written for its
//! client meet, in every API version.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod lifecycle;
mod mapped;
mod measure;
mod mutations;
mod options;
mod special_keys;
mod system_keys;

use plinth_client::{
    ApiVersion, Database, Error, ErrorCode, Transaction, TransactionOptions, Version,
    testing::MemoryBackend,
};

type Tx = Transaction<MemoryBackend>;

fn database() -> Database<MemoryBackend> {
    Database::new(MemoryBackend::new())
}

/// The same data as an API version shows it.
fn with_version(db: &Database<MemoryBackend>, api_version: u16) -> Database<MemoryBackend> {
    let api_version = ApiVersion(api_version);
    db.with_defaults(TransactionOptions { api_version, ..TransactionOptions::default() })
}

fn code<T>(result: Result<T, Error>) -> ErrorCode {
    result.map(|_| ()).unwrap_err().code
}

async fn write(db: &Database<MemoryBackend>, key: &str, value: &str) -> Version {
    let tx = db.transaction();
    tx.set(key, value);
    tx.commit().await.unwrap().unwrap()
}
