//! The whole system: the real binary on a real directory, talked to over real sockets, killed, and
//! started again.
//!
//! `kill -9` keeps what the operating system has, so these tests say nothing about power loss; the
//! simulated disk does that. They say that the whole thing, as users run it, keeps its word.
//!
//! Random tests print `PLINTH_TEST_SEED=…`; set it to run them with the same choices again.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says with which seed, in whichever function"
)]

mod disk_full;
mod hostile;
mod kill;
mod lifecycle;
mod main_job;
mod serializability;
mod support;
mod terminal;
