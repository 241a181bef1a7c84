//! Plinth: a transactional, ordered key-value database.
//!
//! [`Database::open`] opens one in this process; `plinth serve` makes the same a server.

mod aside;
// Some of the tests beside the code share what the crash tests are made of.
#[cfg(test)]
extern crate self as plinthdb;

#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod embedded;
pub mod engine;
pub mod random;
#[cfg(feature = "server")]
pub mod server;
mod sync;
pub mod vfs;

pub use embedded::EngineBackend;

/// A database in this process.
pub type Database = plinth_client::Database<EngineBackend>;

/// The README's example is compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
