//! `libfdb_c`: FoundationDB's C API, for programs and bindings that were made for it.
//!
//! ```text
//!  program's threads                                the network thread
//!  fdb_transaction_get ─► guard ─► client's         run_network drives the runtime:
//!     FDBFuture ◄──────── future     Transaction ─► answers arrive, futures become
//!                                                   ready, callbacks are called
//! ```
//!
//! - `network`: API version, the one network thread of the process, its options and its end.
//! - `future`: what every asynchronous call returns.
//! - `database`, `transaction`: the handles; thin, as all semantics is `plinth-client`'s.
//! - `abi`: the types that cross the border, and how bytes and panics are kept from crossing it.
//!
//! A call begins on the caller's thread: whatever needs no answer is done when it returns, and calls
//! take effect in the order in which a thread makes them.

#![expect(unsafe_code, reason = "a C API: pointers come in and go out")]

pub mod abi;
pub mod database;
pub mod future;
pub mod network;
mod options;
pub mod transaction;
