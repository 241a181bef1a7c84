//! What a commit may hold. The client checks the same, for a quick answer; the engine trusts nobody.

use plinth_protocol::{
    Commit, ConflictRange, Error, ErrorCode, Mutation, MutationOp, Versionstamp,
    limits::{IDEMPOTENCY_ID_BYTES, Limits},
};

/// What a mutation counts for beside its bytes, as in FoundationDB.
const MUTATION_OVERHEAD_BYTES: usize = 44;
/// What a conflict range counts for beside its ends.
const RANGE_OVERHEAD_BYTES: usize = 24;

/// Checks a commit and says how much it counts for: FoundationDB's size of a transaction.
pub(crate) fn validate(commit: &Commit, limits: &Limits) -> Result<usize, Error> {
    if let Some(id) = &commit.idempotency_id
        && !IDEMPOTENCY_ID_BYTES.contains(&id.len())
    {
        let text = format!(
            "the idempotency id has {} bytes; it must have {} to {}",
            id.len(),
            IDEMPOTENCY_ID_BYTES.start(),
            IDEMPOTENCY_ID_BYTES.end()
        );
        return Err(Error::new(ErrorCode::INVALID_OPTION_VALUE, text));
    }
    let mut bytes: usize = 0;
    for mutation in &commit.mutations {
        bytes = bytes.saturating_add(mutation_bytes(mutation, limits)?);
    }
    let reads = commit.read_conflicts.iter().map(|conflict| &conflict.range);
    let writes = commit.write_conflicts.iter().map(|conflict| &conflict.range);
    for range in reads.chain(writes) {
        bytes = bytes.saturating_add(range_bytes(range, limits)?);
    }
    if bytes > limits.transaction_bytes_max {
        let text = format!(
            "the transaction counts for {bytes} bytes with its conflict ranges; the limit is {}: \
             split it",
            limits.transaction_bytes_max
        );
        return Err(Error::new(ErrorCode::TRANSACTION_TOO_LARGE, text));
    }
    Ok(bytes)
}

/// Checks a key and its value, if it has one.
pub(crate) fn validate_row(key: &[u8], value: Option<&[u8]>, limits: &Limits) -> Result<(), Error> {
    check_key(key, limits)?;
    value.map_or(Ok(()), |value| check_value(value, limits))
}

fn mutation_bytes(mutation: &Mutation, limits: &Limits) -> Result<usize, Error> {
    let (bytes, conflict_bytes) = match &mutation.op {
        MutationOp::Set { key, value } | MutationOp::Atomic { key, operand: value, .. } => {
            check_key(key, limits)?;
            check_value(value, limits)?;
            (MUTATION_OVERHEAD_BYTES + key.len() + value.len(), point_bytes(key))
        }
        MutationOp::Clear { key } => {
            check_key(key, limits)?;
            (point_bytes(key), point_bytes(key))
        }
        MutationOp::ClearRange { begin, end } => {
            check_range(begin, end, limits)?;
            let both = begin.len() + end.len();
            (MUTATION_OVERHEAD_BYTES + both, RANGE_OVERHEAD_BYTES + both)
        }
        MutationOp::SetVersionstampedKey { key, offset, value } => {
            check_key(key, limits)?;
            check_value(value, limits)?;
            check_offset(key, *offset)?;
            (MUTATION_OVERHEAD_BYTES + key.len() + value.len(), 0)
        }
        MutationOp::SetVersionstampedValue { key, value, offset } => {
            check_key(key, limits)?;
            check_value(value, limits)?;
            check_offset(value, *offset)?;
            (MUTATION_OVERHEAD_BYTES + key.len() + value.len(), point_bytes(key))
        }
    };
    Ok(bytes + if mutation.adds_conflict { conflict_bytes } else { 0 })
}

fn point_bytes(key: &[u8]) -> usize {
    RANGE_OVERHEAD_BYTES + 2 * key.len() + 1
}

fn range_bytes(range: &ConflictRange, limits: &Limits) -> Result<usize, Error> {
    match range {
        ConflictRange::Key(key) => {
            check_key(key, limits)?;
            Ok(point_bytes(key))
        }
        ConflictRange::Range(range) => {
            check_range(&range.begin, &range.end, limits)?;
            Ok(RANGE_OVERHEAD_BYTES + range.begin.len() + range.end.len())
        }
    }
}

fn key_bytes_max(key: &[u8], limits: &Limits) -> usize {
    if key.first() == Some(&0xFF) { limits.system_key_bytes_max } else { limits.key_bytes_max }
}

fn check_key(key: &[u8], limits: &Limits) -> Result<(), Error> {
    check_key_bytes(key, key_bytes_max(key, limits))
}

/// The ends of a range may be one byte longer: the first key after the longest key is.
fn check_range(begin: &[u8], end: &[u8], limits: &Limits) -> Result<(), Error> {
    check_key_bytes(begin, key_bytes_max(begin, limits) + 1)?;
    check_key_bytes(end, key_bytes_max(end, limits) + 1)?;
    if begin > end { Err(ErrorCode::INVERTED_RANGE.into()) } else { Ok(()) }
}

fn check_key_bytes(key: &[u8], bytes_max: usize) -> Result<(), Error> {
    if key.len() <= bytes_max {
        return Ok(());
    }
    let text = format!("a key has {} bytes; the limit is {bytes_max}", key.len());
    Err(Error::new(ErrorCode::KEY_TOO_LARGE, text))
}

fn check_value(value: &[u8], limits: &Limits) -> Result<(), Error> {
    if value.len() <= limits.value_bytes_max {
        return Ok(());
    }
    let text = format!(
        "a value has {} bytes; the limit is {}: split it over several keys",
        value.len(),
        limits.value_bytes_max
    );
    Err(Error::new(ErrorCode::VALUE_TOO_LARGE, text))
}

fn check_offset(bytes: &[u8], offset: u32) -> Result<(), Error> {
    let end = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(Versionstamp::LEN);
    if end <= bytes.len() {
        return Ok(());
    }
    let text = format!(
        "a versionstamp at offset {offset} does not fit in {} bytes: it takes {}",
        bytes.len(),
        Versionstamp::LEN
    );
    Err(Error::new(ErrorCode::CLIENT_INVALID_OPERATION, text))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use plinth_protocol::{AtomicOp, KeyRange, KeyspaceId, ReadConflict, WriteConflict};

    use super::*;

    const LIMITS: Limits = Limits {
        key_bytes_max: 10,
        system_key_bytes_max: 12,
        value_bytes_max: 20,
        transaction_bytes_max: 1_000,
        ..Limits::DEFAULT
    };

    fn zeros(count: usize) -> Bytes {
        Bytes::from(vec![0; count])
    }

    fn code_of(commit: &Commit) -> Option<u16> {
        validate(commit, &LIMITS).err().map(|error| error.code.0)
    }

    fn code_of_op(op: MutationOp) -> Option<u16> {
        let mutation = Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op };
        code_of(&Commit { mutations: vec![mutation], ..Commit::default() })
    }

    fn code_of_range(range: ConflictRange) -> Option<u16> {
        let read =
            ReadConflict { keyspace: KeyspaceId::DEFAULT, range: range.clone(), since: None };
        let code = code_of(&Commit { read_conflicts: vec![read], ..Commit::default() });
        let write = WriteConflict { keyspace: KeyspaceId::DEFAULT, range };
        let twin = code_of(&Commit { write_conflicts: vec![write], ..Commit::default() });
        assert_eq!(code, twin);
        code
    }

    #[test]
    fn keys_and_values_are_measured_in_every_kind_of_mutation() {
        let set = |key, value| MutationOp::Set { key, value };
        assert_eq!(code_of_op(set(zeros(10), zeros(20))), None);
        assert_eq!(code_of_op(set(zeros(11), zeros(0))), Some(2102));
        assert_eq!(code_of_op(set(zeros(0), zeros(21))), Some(2103));
        assert_eq!(code_of_op(set(Bytes::from(vec![0xFF; 12]), zeros(0))), None);
        assert_eq!(code_of_op(set(Bytes::from(vec![0xFF; 13]), zeros(0))), Some(2102));
        assert_eq!(code_of_op(MutationOp::Clear { key: zeros(11) }), Some(2102));
        let atomic = |key, operand| MutationOp::Atomic { op: AtomicOp::Add, key, operand };
        assert_eq!(code_of_op(atomic(zeros(11), zeros(1))), Some(2102));
        assert_eq!(code_of_op(atomic(zeros(1), zeros(21))), Some(2103));
    }

    #[test]
    fn a_versionstamp_must_fit() {
        let stamped_key =
            |key, offset| MutationOp::SetVersionstampedKey { key, offset, value: zeros(0) };
        assert_eq!(code_of_op(stamped_key(zeros(10), 0)), None);
        assert_eq!(code_of_op(stamped_key(zeros(10), 1)), Some(2000));
        assert_eq!(code_of_op(stamped_key(zeros(10), u32::MAX)), Some(2000));
        let stamped_value =
            |value, offset| MutationOp::SetVersionstampedValue { key: zeros(1), value, offset };
        assert_eq!(code_of_op(stamped_value(zeros(14), 4)), None);
        assert_eq!(code_of_op(stamped_value(zeros(14), 5)), Some(2000));
    }

    #[test]
    fn ranges_are_ordered_and_their_ends_one_byte_longer_than_keys() {
        let clear = |begin, end| MutationOp::ClearRange { begin, end };
        assert_eq!(code_of_op(clear(zeros(1), zeros(1))), None);
        assert_eq!(code_of_op(clear(zeros(2), zeros(1))), Some(2005));
        let range = |begin, end| ConflictRange::Range(KeyRange::new(begin, end));
        assert_eq!(code_of_range(range(zeros(10), zeros(11))), None);
        assert_eq!(code_of_range(range(zeros(10), zeros(12))), Some(2102));
        assert_eq!(code_of_range(range(zeros(2), zeros(1))), Some(2005));
        assert_eq!(code_of_range(ConflictRange::Key(zeros(11))), Some(2102));
    }

    #[test]
    fn the_whole_is_bounded_and_the_id_has_a_length() {
        let mutation = Mutation {
            keyspace: KeyspaceId::DEFAULT,
            adds_conflict: false,
            op: MutationOp::Set { key: zeros(6), value: zeros(0) },
        };
        let commit = Commit { mutations: vec![mutation; 20], ..Commit::default() };
        assert_eq!(validate(&commit, &LIMITS), Ok(1_000));
        let larger = Commit {
            mutations: [
                commit.mutations.clone(),
                vec![Mutation {
                    keyspace: KeyspaceId::DEFAULT,
                    adds_conflict: false,
                    op: MutationOp::Clear { key: zeros(0) },
                }],
            ]
            .concat(),
            ..Commit::default()
        };
        assert_eq!(code_of(&larger), Some(2101));
        for (length, code) in [(15, Some(2006)), (16, None), (255, None), (256, Some(2006))] {
            let id = Some(zeros(length));
            assert_eq!(code_of(&Commit { idempotency_id: id, ..Commit::default() }), code);
        }
    }
}
