//! The golden programs through the C ABI.

#[path = "../golden/runner.rs"]
pub(crate) mod runner;

use crate::{c_client::impatient, ffi, support::Server};

/// How many programs run at the same time. Each has a server to itself, as programs own all keys.
const LANES: usize = 4;

#[test]
fn every_golden_program_answers_as_foundationdb_did_through_the_c_abi() {
    let servers: Vec<_> = std::iter::repeat_with(Server::start).take(LANES).collect();
    runner::run_all(&runner::programs(), LANES, async |lane| {
        impatient(ffi::open(&servers[lane].cluster_file()))
    });
}
