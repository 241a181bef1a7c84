//! The golden programs over the plainest backend there can be: whatever differs is the
//! transaction's fault.

#[path = "../../tests/golden/runner.rs"]
mod runner;

use plinth_client::{Database, KeyspaceId, testing::MemoryBackend};

use self::runner::native::Native;

#[test]
fn every_golden_program_answers_as_foundationdb_did() {
    runner::run_all(&runner::programs(), 2, async |_| {
        Native::new(&Database::new(MemoryBackend::new()), KeyspaceId::DEFAULT)
    });
}
