//! Plinth: a transactional, ordered key-value database.

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
