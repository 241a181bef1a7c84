//! The ways that a request may go, so that what each costs can be counted.
//!
//! A clock tells little on a machine that others use too; allocations and instructions are the same
//! each time. So all of it happens on one thread: the engine's pipeline is driven by hand, its clock
//! stands still, its files are in memory, its hashes have a fixed seed, and server and client share
//! a runtime of one thread. Two programs count: `tests/allocations.rs` with an allocator of its own,
//! and `src/main.rs` under valgrind.
//!
//! A way is prepared first: what belongs to whoever asks, such as the keys, is made then, and is not
//! counted.

#![cfg(feature = "server")]

mod engine;
mod native;
mod served;

use std::sync::Arc;

use bytes::Bytes;
use plinth_protocol::{Commit, KeyspaceId, Mutation, MutationOp};
use plinthdb::{
    clock::ManualClock,
    engine::{Engine, EngineOptions, Pipeline, Stage, directory::DatabaseId},
};

/// How many keys there are.
const KEYS: usize = 10_000;
/// How many bytes a value has.
const VALUE_BYTES: usize = 100;
/// The default keyspace.
const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

/// What is counted: a way, gone as often as it was prepared for.
pub type Work<'e> = Box<dyn FnOnce() + 'e>;

/// A way of a request.
pub struct Way {
    /// What it is called.
    pub name: &'static str,
    /// Prepares to go it so many times.
    pub prepare: fn(&Engine, usize) -> Work<'_>,
}

/// All of them.
pub const WAYS: [Way; 7] = [
    Way { name: "engine-get", prepare: engine::get },
    Way { name: "engine-get-nothing", prepare: engine::get_nothing },
    Way { name: "engine-set", prepare: engine::set },
    Way { name: "native-read-modify-write", prepare: native::read_modify_write },
    Way { name: "server-get", prepare: served::get },
    Way { name: "server-get-of-16", prepare: served::get_of_16 },
    Way { name: "server-set", prepare: served::set },
];

/// An engine that holds all keys.
///
/// # Panics
/// If a new database in memory doesn't open or doesn't take them, which nothing hinders.
pub fn engine() -> Engine {
    let options = EngineOptions {
        clock: Arc::new(ManualClock::new(1_700_000_000_000)),
        seed: 1,
        new_database_id: DatabaseId([1; 16]),
        pipeline: Pipeline::Manual,
        ..EngineOptions::in_memory()
    };
    let engine = Engine::open(options).expect("a new database in memory opens");
    for first in (0..KEYS).step_by(1000) {
        let commit = blind((first..first + 1000).map(key));
        engine.commit_blocking(commit).expect("the first commits have no rivals");
    }
    while engine.step() {}
    engine
}

/// Carries out the commits that wait; false if none does. Tables are not counted here.
fn carry_out(engine: &Engine) -> bool {
    let (sequenced, logged) = (engine.step_stage(Stage::Sequence), engine.step_stage(Stage::Log));
    sequenced || logged
}

/// The key with this number.
fn key(number: usize) -> Bytes {
    format!("key:{number:012}").into()
}

/// The keys to ask for: all, in a scattered order, again and again.
fn keys(count: usize) -> impl Iterator<Item = Bytes> {
    (0..count).map(|at| key(at * 7919 % KEYS))
}

/// A transaction that writes keys and has read nothing.
fn blind(keys: impl Iterator<Item = Bytes>) -> Commit {
    let set = |key| Mutation {
        keyspace: SPACE,
        op: MutationOp::Set { key, value: Bytes::from_static(&[b'v'; VALUE_BYTES]) },
        adds_conflict: true,
    };
    Commit { mutations: keys.map(set).collect(), ..Commit::default() }
}
