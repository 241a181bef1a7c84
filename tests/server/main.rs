//! The server over real sockets: every request, every limit, peers that misbehave, and the stop.

#![expect(clippy::panic, reason = "a test that can't go on has failed")]

mod arbitrary;
mod harness;
mod held;
mod hello;
mod hostile;
mod jobs;
mod limits;
mod requests;
mod stop;
mod text;
