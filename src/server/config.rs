//! What a server is told before it starts: where to listen and how much anyone may take.
//!
//! Every queue, buffer and wait of the server has its bound here, so that nothing a client does can
//! make the server grow without limit or wait for ever. `plinth serve --help` names each of them
//! with its default; the defaults suit a machine with a few gigabytes.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

/// How a server is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// `HOST:PORT` to listen on; port 0 takes any that is free.
    pub listen: String,
    /// Threads that serve connections, each with a runtime of its own; `None` for the runtime that
    /// the server is made in.
    pub worker_threads: Option<NonZeroUsize>,
    /// What a client may send and take.
    pub limits: ServerLimits,
    /// Where backups are written.
    pub backups: Backups,
    /// How long a stop waits for what is under way.
    pub shutdown_timeout: Duration,
}

/// Where a server writes backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backups {
    /// Below `backups` in the data directory.
    InDataDirectory,
    /// Below this directory, and nowhere else.
    Below(PathBuf),
    /// Nowhere: the server's files end with it.
    Refused,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:4500".to_owned(),
            worker_threads: None,
            limits: ServerLimits::default(),
            backups: Backups::InDataDirectory,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// The bounds of everything that clients can make grow. Those of frames, keys, values and
/// transactions are the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time.
    pub connections_max: usize,
    /// Requests of one connection that are under way at a time: commits that are being decided,
    /// reads that wait for their version. Beyond it the connection's input waits unread.
    pub requests_max: usize,
    /// Ranges that are streamed on one connection at a time.
    pub streams_max: usize,
    /// Bytes of answers that wait for one peer to read them. Beyond it the connection's input waits
    /// unread; the last answer that found room may exceed it by its own size.
    pub output_bytes_max: usize,
    /// The longest line of text mode, in bytes.
    pub line_bytes_max: usize,
    /// Watches of one connection.
    pub watches_max: usize,
    /// Pinned snapshots of one connection.
    pub pins_max: usize,
    /// Server-held transactions that are open at a time, over all connections.
    pub transactions_max: usize,
    /// Memory of all server-held transactions together, in bytes.
    pub transactions_bytes_max: usize,
    /// For how long the engine keeps versions readable that nobody has pinned; server-held
    /// transactions that live longer pin theirs.
    pub window: Duration,
    /// How long a server-held transaction lives if it doesn't say.
    pub transaction_timeout: Duration,
    /// How long a server-held transaction may ask to live.
    pub transaction_timeout_max: Duration,
    /// How long a new connection may take until it has said hello, or its first line.
    pub hello_timeout: Duration,
    /// How long a frame or a line may take from its first byte to its last.
    pub frame_timeout: Duration,
    /// How long a connection may be silent with nothing under way; `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a peer may leave answers untouched before it is given up.
    pub write_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            requests_max: 1024,
            streams_max: 64,
            output_bytes_max: 1 << 20,
            line_bytes_max: 1 << 20,
            watches_max: 10_000,
            pins_max: 64,
            transactions_max: 10_000,
            transactions_bytes_max: 256 << 20,
            window: Duration::from_secs(5),
            transaction_timeout: Duration::from_secs(5),
            transaction_timeout_max: Duration::from_mins(5),
            hello_timeout: Duration::from_mins(1),
            frame_timeout: Duration::from_secs(30),
            idle_timeout: None,
            write_timeout: Duration::from_secs(30),
        }
    }
}
