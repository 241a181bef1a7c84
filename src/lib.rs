//! Plinth: a transactional, ordered key-value database.

#[cfg(feature = "cli")]
pub mod cli;
pub mod engine;
#[cfg(feature = "server")]
pub mod server;
