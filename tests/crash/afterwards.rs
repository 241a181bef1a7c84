//! A second, short workload on what a crash has left, enough to make the engine flush and compact:
//! what recovery has got wrong in silence comes out here.

use bytes::Bytes;
use plinth_protocol::{Commit, CommitResult, KeyspaceId, Mutation, MutationOp, Version};
use plinthdb::{engine::Engine, random::Random};

use super::{history::Rows, script::rows_at};

/// Steps that settle everything that is due; each does a whole flush or compaction.
const STEPS_MAX: usize = 1_000;

/// Commits these operations alone; says at which version.
pub(crate) fn commit(engine: &Engine, ops: Vec<MutationOp>) -> Result<Version, String> {
    let mutation = |op| Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op };
    let mutations = ops.into_iter().map(mutation).collect();
    match engine.commit_blocking(Commit { mutations, ..Commit::default() }) {
        Ok(CommitResult::Committed { version, .. }) => Ok(version),
        other => Err(format!("it can't be written to any more: {other:?}")),
    }
}

/// Writes and clears over what is there, until it has gone to tables, and looks at it again.
pub(crate) fn work(engine: &Engine, rows: &mut Rows) -> Result<(), String> {
    let mut random = Random::new(rows.len() as u64);
    for round in 0..24 {
        let key = Bytes::from(format!("key/{:02}", random.below(12)));
        if round % 6 == 5 {
            let end = Bytes::from(format!("key/{:02}", random.below(12)));
            let (begin, end) = (key.clone().min(end.clone()), key.max(end));
            rows.retain(|key, _| *key < begin || *key >= end);
            commit(engine, vec![MutationOp::ClearRange { begin, end }])?;
        } else {
            let value = Bytes::from(vec![b'a' + round; 200]);
            rows.insert(key.clone(), value.clone());
            commit(engine, vec![MutationOp::Set { key, value }])?;
        }
        if round % 8 == 0 {
            check(engine, rows)?;
        }
    }
    settle(engine)?;
    check(engine, rows)
}

/// Steps until there is nothing to do.
pub(crate) fn settle(engine: &Engine) -> Result<(), String> {
    let has_ended = (0..STEPS_MAX).any(|_| !engine.step());
    if has_ended { Ok(()) } else { Err("there is no end of work".to_owned()) }
}

fn check(engine: &Engine, rows: &Rows) -> Result<(), String> {
    match rows_at(engine, engine.read_version()) {
        Ok(found) if found == *rows => Ok(()),
        Ok(_) => Err("the rows are others after more work".to_owned()),
        Err(error) => Err(format!("rows can't be read after more work: {error}")),
    }
}
