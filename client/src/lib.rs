//! Plinth's client: a database, its transactions, and the backends that carry them.
//!
//! ```no_run
//! # #[cfg(feature = "tcp")]
//! # async fn example() -> Result<(), plinth_client::Error> {
//! let db = plinth_client::Database::connect("127.0.0.1:4500").await?;
//! let visits = db
//!     .transact(|tx| async move {
//!         tx.atomic(plinth_client::AtomicOp::Add, "visits", 1_u64.to_le_bytes());
//!         tx.get("visits").await
//!     })
//!     .await?;
//! # drop(visits);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Database`] hands out transactions and runs the retry loop.
//! - [`Transaction`] is all of FoundationDB's transaction semantics, written once, over any
//!   [`Backend`]: read-your-writes, conflict ranges, key selectors, atomic operations, versionstamps,
//!   watches, options, back-off.
//! - [`Backend`] is what a transaction stands on: reads at a version, and an atomic commit.
//!   `TcpBackend` is a server; the `plinthdb` crate has one with the engine in process.

#![forbid(unsafe_code)]

mod api_version;
pub mod backend;
mod cluster_file;
mod database;
mod into_bytes;
mod keyspace;
mod lock;
#[cfg(feature = "tcp")]
pub mod tcp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transaction;

pub use api_version::ApiVersion;
pub use backend::{Backend, OpenBackend, Place, RangeChunk, Read, ServerStatus, Snapshot};
pub use cluster_file::ClusterFile;
pub use database::Database;
pub use into_bytes::{IntoBytes, copied};
pub use keyspace::Keyspace;
pub use plinth_protocol as protocol;
pub use plinth_protocol::{
    AtomicOp, Durability, Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, Version,
    Versionstamp, response::KeyValue, response::VersionedValue,
};
#[cfg(feature = "tcp")]
pub use tcp::{ConnectOptions, ServerAddress, TcpBackend};
pub use transaction::{
    LockAware, MappedPage, MappedRow, Page, RangeRead, RangeStream, SnapshotReads, SpecialKeys,
    StreamingMode, SystemKeys, Transaction, TransactionOption, TransactionOptions, Watch,
};
