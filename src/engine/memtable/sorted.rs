//! Puts nodes in the order of their keys.
//!
//! Keys lie all over memory, and each look at one is waited for. So nodes are sorted by digests,
//! eight bytes of each key from where all of them begin to differ, and those whose digests are the
//! same once more among themselves, from where they begin to differ.

use super::node::NodeRef;
use crate::engine::key::Common;

/// So few are sorted by their keys themselves.
const FEW: usize = 12;
/// How many nodes ahead keys are fetched.
const FETCHED_AHEAD: usize = 16;

/// The nodes, which have distinct keys, in the order of these.
pub(super) fn sorted(nodes: Vec<NodeRef<'_>>) -> Vec<NodeRef<'_>> {
    let mut nodes: Vec<_> = nodes.into_iter().map(|node| (0, node)).collect();
    sort(&mut nodes);
    nodes.into_iter().map(|(_, node)| node).collect()
}

fn sort(nodes: &mut [(u64, NodeRef<'_>)]) {
    let Some(&(_, any)) = nodes.first() else { return };
    let (mut first, mut last) = (any.key(), any.key());
    for at in 0..nodes.len() {
        let key = fetched(nodes, at).key();
        first = first.min(key);
        last = last.max(key);
    }
    let common = Common::of(first, last);
    for at in 0..nodes.len() {
        let digest = common.digest(fetched(nodes, at).key());
        nodes[at].0 = digest;
    }
    nodes.sort_unstable_by_key(|&(digest, _)| digest);
    let all = nodes.len();
    for same in nodes.chunk_by_mut(|(left, _), (right, _)| left == right) {
        // A key that goes on with zeros has the digest of one that ends.
        if same.len() <= FEW || same.len() == all {
            same.sort_unstable_by(|(_, left), (_, right)| left.key().cmp(&right.key()));
        } else {
            sort(same);
        }
    }
}

/// The node at this place; one further on is being fetched.
fn fetched<'g>(nodes: &[(u64, NodeRef<'g>)], at: usize) -> NodeRef<'g> {
    if let Some((_, ahead)) = nodes.get(at + FETCHED_AHEAD) {
        ahead.pointer().prefetch();
    }
    nodes[at].1
}

#[cfg(test)]
#[expect(unsafe_code, reason = "the test keeps its nodes alive")]
mod tests {
    use std::collections::BTreeSet;

    use plinth_protocol::{KeyspaceId, Version};
    use proptest::prelude::*;

    use super::{
        super::{node::NodePointer, reclaim::ReadGuard},
        *,
    };
    use crate::engine::{key::KeyRef, visible::Stamp};

    /// Keys with long common beginnings, and such as differ in zeros at their end alone.
    fn any_key() -> impl Strategy<Value = (u32, Vec<u8>)> {
        let zeros = (0usize..40).prop_map(|len| vec![0; len]);
        let few = prop::collection::vec(0u8..3, 0..5);
        let head = prop::sample::select(vec!["", "users/", "users/by-mail/of/"]);
        let tail = prop_oneof![zeros, few, prop::collection::vec(any::<u8>(), 0..30)];
        (0u32..3, head, tail)
            .prop_map(|(keyspace, head, tail)| (keyspace, [head.as_bytes(), &tail].concat()))
    }

    proptest! {
        #[test]
        fn nodes_come_in_the_order_of_their_keys(
            keys in prop::collection::btree_map(any_key(), any::<u32>(), 0..300),
        ) {
            let guard = ReadGuard::pin();
            let stamp = Stamp { version: Version(1), order: 0 };
            // In any order.
            let shuffled: BTreeSet<_> = keys.iter().map(|(key, at)| (at, key)).collect();
            let pointers: Vec<_> = shuffled.iter().map(|(_, (keyspace, key))| {
                NodePointer::allocate(KeyRef::new(KeyspaceId(*keyspace), key), stamp, None)
            }).collect();
            // SAFETY: they are freed at the end.
            let nodes = pointers.iter().map(|node| unsafe { node.get(&guard) }).collect();
            let sorted = sorted(nodes);
            let is_right = sorted.len() == keys.len() && sorted.iter().zip(keys.keys()).all(
                |(node, (keyspace, key))| node.key() == KeyRef::new(KeyspaceId(*keyspace), key),
            );
            for node in pointers {
                // SAFETY: nobody looks any more.
                unsafe { node.free() };
            }
            prop_assert!(is_right);
        }
    }
}
