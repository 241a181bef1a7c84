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
//! - `database`, `transaction`: the handles; thin, as all semantics is `plinth-client`'s. `cluster`:
//!   the way to a database of old API versions. `tenant`, `unsupported`: what this server has not.
//! - `options`: numbers, values and effects of options.
//! - `errors`: texts, predicates, and what our own codes are called. `status`: what a database tells; `trace`: what
//!   the client writes down of itself.
//! - `layout`: the structs that C reads; `abi`: how bytes, errors and panics cross the border or don't.
//!
//! A call begins on the caller's thread: whatever needs no answer is done when it returns, and calls
//! take effect in the order in which a thread makes them.

#![expect(unsafe_code, reason = "a C API: pointers come in and go out")]

pub mod abi;
pub mod cluster;
pub mod database;
pub mod errors;
pub mod future;
mod json;
pub mod layout;
pub mod network;
mod options;
pub mod status;
pub mod tenant;
mod trace;
pub mod transaction;
pub mod unsupported;
