//! The server: a listener, one task a connection, and the limits that keep them apart.
//!
//! In the order in which a connection meets them:
//!
//! - [`Server`] listens, admits, and stops gracefully; `workers` are the threads that serve;
//! - `connection` looks at the first byte and opens the right door;
//! - `wire` holds the socket, its two buffers and its deadlines;
//! - `session` speaks the binary protocol, `lines` and [`text`] the one for people;
//! - `held` keeps transactions for clients that can't keep their own;
//! - `jobs` does long work in the background, such as backups;
//! - `mailbox` brings a connection what happens elsewhere: commits decided, watches fired; `relay`
//!   wakes those whose commits were decided, `drive` has commits decided together;
//! - [`config`] has every bound, `statistics` counts.
//!
//! The server knows nothing of files or versions: reads and commits are the engine's, transactions
//! the client's. It promises that nothing a peer sends makes it allocate without bound, panic, or
//! keep another peer waiting, and that a commit which was queued is finished whatever becomes of
//! its connection.

pub mod config;
pub mod text;

mod connection;
mod context;
mod drive;
mod held;
mod jobs;
mod lines;
mod listener;
mod mailbox;
mod relay;
mod session;
mod statistics;
mod wire;
mod workers;

pub use config::{Backups, ServerConfig, ServerLimits};
pub use listener::{Server, ServerError};
