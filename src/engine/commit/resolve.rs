//! Resolving: from mutations, which may depend on what is there, to writes, which don't.
//!
//! Versionstamps are filled in, and atomic operations computed against the newest value, that of
//! this transaction's own earlier writes first. The log then holds results, and replays without
//! knowing of operations.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use plinth_protocol::{Error, KeyspaceId, Mutation, MutationOp, Versionstamp};

use crate::engine::write::Write;

/// What resolving may come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolveLimits {
    /// What a value may grow to.
    pub(crate) value_bytes_max: usize,
    /// What all values together may come to. A short operand can stand for a long result, so the
    /// size of the commit doesn't bound this.
    pub(crate) bytes_max: usize,
}

/// A transaction's writes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) writes: Vec<Write>,
    /// What the results of atomic operations take.
    pub(crate) bytes: usize,
}

/// Resolves a transaction's mutations. `present` is asked for the value of a key before the
/// transaction. An atomic operation that changes nothing writes nothing. `None` if the limit is
/// passed; an error if `present` has one.
pub(crate) fn resolve(
    mutations: Vec<Mutation>,
    stamp: Versionstamp,
    limits: ResolveLimits,
    mut present: impl FnMut(KeyspaceId, &[u8]) -> Result<Option<Bytes>, Error>,
) -> Result<Option<Resolved>, Error> {
    if !mutations.iter().any(|mutation| matches!(mutation.op, MutationOp::Atomic { .. })) {
        // Writes are smaller: they are collected where the mutations lie, without an allocation.
        let writes = mutations.into_iter().filter_map(|mutation| independent(mutation, stamp));
        return Ok(Some(Resolved { writes: writes.collect(), bytes: 0 }));
    }
    let mut writes = Vec::with_capacity(mutations.len());
    let mut bytes: usize = 0;
    let mut own = OwnWrites::default();
    for mutation in mutations {
        let Mutation { keyspace, op: MutationOp::Atomic { op, key, operand }, .. } = mutation
        else {
            writes.extend(independent(mutation, stamp));
            continue;
        };
        own.note(&writes);
        let before = match own.find(keyspace, &key) {
            Some(value) => value,
            None => present(keyspace, &key)?,
        };
        let after = op.apply(before.as_deref(), &operand, limits.value_bytes_max);
        if before == after {
            continue;
        }
        bytes += after.as_ref().map_or(0, Bytes::len);
        if bytes > limits.bytes_max {
            return Ok(None);
        }
        writes.push(match after {
            Some(value) => Write::Set { keyspace, key, value },
            None => Write::Clear { keyspace, key },
        });
    }
    Ok(Some(Resolved { writes, bytes }))
}

/// What a mutation writes that doesn't depend on what is there; `None` if nothing, or if it does.
fn independent(Mutation { keyspace, op, .. }: Mutation, stamp: Versionstamp) -> Option<Write> {
    Some(match op {
        MutationOp::Set { key, value } => Write::Set { keyspace, key, value },
        MutationOp::Clear { key } => Write::Clear { keyspace, key },
        MutationOp::ClearRange { begin, end } if begin < end => {
            Write::ClearRange { keyspace, begin, end }
        }
        MutationOp::SetVersionstampedKey { key, offset, value } => {
            Write::Set { keyspace, key: stamped(&key, offset, stamp), value }
        }
        MutationOp::SetVersionstampedValue { key, value, offset } => {
            Write::Set { keyspace, key, value: stamped(&value, offset, stamp) }
        }
        MutationOp::ClearRange { .. } | MutationOp::Atomic { .. } => return None,
    })
}

/// `bytes` with the ten at `offset` replaced by the stamp; unchanged if they are not there, which
/// was checked before.
pub(crate) fn stamped(bytes: &Bytes, offset: u32, stamp: Versionstamp) -> Bytes {
    let mut filled = BytesMut::from(bytes.as_ref());
    let begin = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = begin.saturating_add(Versionstamp::LEN);
    if let Some(room) = filled.get_mut(begin..end) {
        room.copy_from_slice(&stamp.0);
    }
    filled.freeze()
}

/// What a transaction has written so far, looked up in logarithmic time; built when the first
/// atomic operation asks.
#[derive(Default)]
struct OwnWrites {
    noted: usize,
    points: BTreeMap<(KeyspaceId, Bytes), Option<Bytes>>,
    /// Cleared ranges, which neither overlap nor touch: begin to end.
    cleared: BTreeMap<(KeyspaceId, Bytes), Bytes>,
}

impl OwnWrites {
    /// Takes in the writes that were added since the last time.
    fn note(&mut self, writes: &[Write]) {
        for write in writes.iter().skip(self.noted) {
            match write {
                Write::Set { keyspace, key, value } => {
                    self.points.insert((*keyspace, key.clone()), Some(value.clone()));
                }
                Write::Clear { keyspace, key } => {
                    self.points.insert((*keyspace, key.clone()), None);
                }
                Write::ClearRange { keyspace, begin, end } => self.clear(*keyspace, begin, end),
            }
        }
        self.noted = writes.len();
    }

    fn clear(&mut self, keyspace: KeyspaceId, begin: &Bytes, end: &Bytes) {
        let gone = (keyspace, begin.clone())..(keyspace, end.clone());
        self.points.extract_if(gone, |_, _| true).for_each(drop);
        let (mut begin, mut end) = (begin.clone(), end.clone());
        while let Some(((near, from), to)) =
            self.cleared.range(..=(keyspace, end.clone())).next_back()
            && *near == keyspace
            && *to >= begin
        {
            let from = from.clone();
            end = end.max(to.clone());
            self.cleared.remove(&(keyspace, from.clone()));
            begin = begin.min(from);
        }
        self.cleared.insert((keyspace, begin), end);
    }

    /// The key's value as this transaction left it; `None` if it did not touch the key.
    #[expect(clippy::option_option, reason = "untouched, cleared and set are three answers")]
    fn find(&self, keyspace: KeyspaceId, key: &Bytes) -> Option<Option<Bytes>> {
        let at = (keyspace, key.clone());
        if let Some(value) = self.points.get(&at) {
            return Some(value.clone());
        }
        let ((near, _), end) = self.cleared.range(..=at).next_back()?;
        (*near == keyspace && key < end).then_some(None)
    }
}

#[cfg(test)]
mod tests {
    use plinth_protocol::{AtomicOp, Version};

    use super::*;

    const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

    fn run(operations: Vec<MutationOp>) -> Vec<Write> {
        run_within(operations, 1_000).unwrap().writes
    }

    fn run_within(operations: Vec<MutationOp>, bytes_max: usize) -> Option<Resolved> {
        let limits = ResolveLimits { value_bytes_max: 100, bytes_max };
        let mutations = operations
            .into_iter()
            .map(|op| Mutation { keyspace: SPACE, adds_conflict: true, op })
            .collect();
        resolve(mutations, Versionstamp::new(Version(1), 2), limits, |_, key| {
            Ok((key == b"there").then(|| Bytes::from_static(&[7])))
        })
        .unwrap()
    }

    fn set(key: &'static str, value: &'static [u8]) -> MutationOp {
        MutationOp::Set { key: key.into(), value: value.into() }
    }

    fn add(key: &'static str, operand: u8) -> MutationOp {
        MutationOp::Atomic { op: AtomicOp::Add, key: key.into(), operand: vec![operand].into() }
    }

    fn clear_range(begin: &'static str, end: &'static str) -> MutationOp {
        MutationOp::ClearRange { begin: begin.into(), end: end.into() }
    }

    fn value_of(writes: &[Write]) -> Option<Vec<u8>> {
        match writes.last() {
            Some(Write::Set { value, .. }) => Some(value.to_vec()),
            _ => None,
        }
    }

    #[test]
    fn an_atomic_operation_sees_the_store_and_then_its_own_transaction() {
        assert_eq!(value_of(&run(vec![add("there", 1)])), Some(vec![8]));
        assert_eq!(value_of(&run(vec![add("new", 1), add("new", 1)])), Some(vec![2]));
        assert_eq!(value_of(&run(vec![set("there", &[1]), add("there", 1)])), Some(vec![2]));
        let cleared = vec![clear_range("a", "f"), clear_range("t", "u"), clear_range("f", "t")];
        assert_eq!(value_of(&run([cleared, vec![add("there", 1)]].concat())), Some(vec![1]));
        let cleared = vec![set("there", &[9]), clear_range("a", "there"), add("there", 1)];
        assert_eq!(value_of(&run(cleared)), Some(vec![10]));
        let cleared = vec![set("there", &[9]), clear_range("a", "z"), add("there", 1)];
        assert_eq!(value_of(&run(cleared)), Some(vec![1]));
    }

    #[test]
    fn what_changes_nothing_writes_nothing() {
        let compare = |operand: &'static [u8]| MutationOp::Atomic {
            op: AtomicOp::CompareAndClear,
            key: "there".into(),
            operand: operand.into(),
        };
        assert_eq!(run(vec![compare(&[8])]), []);
        assert_eq!(run(vec![clear_range("a", "a")]), []);
        assert_eq!(
            run(vec![compare(&[7]), compare(&[7])]),
            [Write::Clear { keyspace: SPACE, key: "there".into() }]
        );
    }

    #[test]
    fn results_are_bounded_together() {
        let operations = vec![set("x", &[1]), add("there", 1), add("x", 1)];
        assert_eq!(run_within(operations.clone(), 2).map(|resolved| resolved.bytes), Some(2));
        assert_eq!(run_within(operations, 1), None);
    }

    #[test]
    fn stamps_are_filled_in() {
        let writes = run(vec![MutationOp::SetVersionstampedKey {
            key: Bytes::from_static(b"<0123456789>"),
            offset: 1,
            value: Bytes::new(),
        }]);
        let Some(Write::Set { key, .. }) = writes.first() else { panic!("{writes:?}") };
        assert_eq!(key.as_ref(), b"<\0\0\0\0\0\0\0\x01\0\x02>");
    }
}
