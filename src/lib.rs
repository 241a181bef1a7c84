//! Plinth: a transactional, ordered key-value database.

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "server")]
pub mod server;
