//! Plinth's protocol: what travels between a client and a server, and the plain types that both
//! the client and the engine speak.
//!
//! In the order in which data meets them:
//!
//! - [`frame`] and [`codec`]: bytes to frames and back, incremental, checked against limits.
//! - [`hello`]: the first frame of a connection.
//! - [`request`] and [`response`]: what the frames hold. Each message writes its fields through a
//!   [`field::FieldSink`], so that one description serves the wire and the annotated trace.
//! - [`job`]: long work that a server does in the background.
//! - [`direct`]: the shortcuts of a server's hot path.
//! - [`commit`], [`mutation`], [`range`], [`selector`], [`version`], [`keyspace`]: plain types.
//! - [`error`]: typed error codes with FoundationDB's numbers where the meaning is the same.
//! - [`limits`]: every limit, in one place.
//!
//! `SPEC.md` beside this crate describes the same for a reader without Rust.

#![forbid(unsafe_code)]

pub mod atomic;
pub mod codec;
pub mod commit;
pub mod direct;
pub mod error;
pub mod field;
pub mod frame;
pub mod hello;
pub mod job;
pub mod keyspace;
pub mod limits;
pub mod mutation;
pub mod range;
pub mod request;
pub mod response;
pub mod selector;
pub mod version;

pub use commit::{Commit, CommitResult, Durability, ReadConflict, WriteConflict};
pub use error::{Error, ErrorCode};
pub use keyspace::KeyspaceId;
pub use mutation::{AtomicOp, Mutation, MutationOp};
pub use range::{ConflictRange, KeyRange};
pub use selector::KeySelector;
pub use version::{Version, Versionstamp};
