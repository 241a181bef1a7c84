//! The text mode and the tools, from outside.

#![expect(clippy::unwrap_used, reason = "what a test needs and does not get fails it")]

mod scripts;
mod text;
