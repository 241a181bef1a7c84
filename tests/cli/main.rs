//! The text mode and the tools, from outside.

#![expect(clippy::unwrap_used, reason = "what a test needs and does not get fails it")]

mod backup;
mod bench;
mod bench_embedded;
mod bench_pictures;
mod bench_redis;
mod cluster_file;
mod ephemeral;
mod history;
mod inspect;
mod process;
mod repair;
mod rows;
mod sample;
mod scripts;
mod serve;
mod shell;
mod socket;
mod text;
mod verify;
