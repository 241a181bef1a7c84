//! The server: a listener, one task a connection, and the limits that keep them apart.

pub mod config;
pub mod text;

pub use config::{ServerConfig, ServerLimits};
