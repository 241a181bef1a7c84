//! Several lookups side by side.
//!
//! A lookup waits for memory three times: for the bucket, for the node that the bucket names, and
//! for the record that the node names. Done one after the other, that is what lookups cost. Here all
//! buckets are asked for at once, then all nodes, then all records, so that a group of keys waits
//! about as long as one.

use std::array::from_fn;

use plinth_protocol::Version;

use super::{Memtable, reclaim::ReadGuard};
use crate::engine::{key::KeyRef, layer::Lookup};

/// How many keys are looked up side by side: more lines of memory than about as many can't be under
/// way at once.
pub(crate) const TOGETHER_MAX: usize = 16;

impl Memtable {
    /// What reads of these keys at these versions find, as [`lookup`](Self::lookup) would say. Of
    /// more than [`TOGETHER_MAX`] the first ones count.
    pub(in crate::engine) fn lookup_together<'g>(
        &self,
        reads: &[(KeyRef<'_>, Version)],
        guard: &'g ReadGuard,
    ) -> [Lookup<'g>; TOGETHER_MAX] {
        // Before the nodes, as in `lookup`.
        let covers: [_; TOGETHER_MAX] =
            from_fn(|at| Some(self.tombstones.at(reads.get(at)?.1, guard)));
        let mut hashes = [0; TOGETHER_MAX];
        for (hash, (key, _)) in hashes.iter_mut().zip(reads) {
            *hash = self.index.hash(*key);
            self.index.prefetch_bucket(*hash, guard);
        }
        for (hash, _) in hashes.iter().zip(reads) {
            self.index.prefetch_node(*hash, guard);
        }
        let mut nodes = [None; TOGETHER_MAX];
        for ((node, hash), (key, _)) in nodes.iter_mut().zip(hashes).zip(reads) {
            *node = self.index.find(hash, *key, guard);
            if let Some(node) = node {
                node.prefetch_newest();
            }
        }
        let mut found = [Lookup::Unknown; TOGETHER_MAX];
        for (((found, node), cover), (key, version)) in
            found.iter_mut().zip(nodes).zip(covers.into_iter().flatten()).zip(reads)
        {
            *found = Self::decide(*key, node.and_then(|node| node.at(*version)), cover);
        }
        found
    }
}
