//! FoundationDB's programs against a real server: each is run as a process of its own, with our
//! `libfdb_c.so` in the place of FoundationDB's and a cluster file that leads to the server.
//!
//! Each language lives in its own file here, its programs in the folder of its name. Where a machine
//! lacks a language the tests say so and pass; in CI (`CI` is set) they fail instead.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod abuse;
mod bench;
mod c;
mod c_client;
mod contract;
mod defaults;
mod ffi;
mod go;
mod golden;
mod headers;
mod java;
mod lifecycle;
mod python;
mod races;
mod reconnect;
mod rust;
mod stack;
mod support;
mod symbols;
mod threefs;
