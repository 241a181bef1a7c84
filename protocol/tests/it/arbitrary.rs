//! Every message that can be, for the properties.

use bytes::Bytes;
use plinth_protocol::{
    AtomicOp, Commit, CommitResult, ConflictRange, Durability, Error, ErrorCode, KeyRange,
    KeySelector, KeyspaceId, Mutation, MutationOp, ReadConflict, Version, WriteConflict,
    hello::{Hello, HelloReply},
    job::{Job, JobState},
    limits::Limits,
    request::{Opcode, RangeOptions, Request, TransactionId},
    response::{KeyValue, Response, ServerInfo, VersionedValue},
};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::select,
};

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..24).prop_map(Bytes::from)
}

fn name() -> impl Strategy<Value = Bytes> {
    "[a-z/.0-9]{0,20}".prop_map(Bytes::from)
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![1..1000_u64, Just(Version::MAX.0), 1..=Version::MAX.0].prop_map(Version)
}

fn keyspace() -> impl Strategy<Value = KeyspaceId> {
    prop_oneof![Just(0), Just(16), any::<u32>()].prop_map(KeyspaceId)
}

fn range() -> impl Strategy<Value = KeyRange> {
    (bytes(), bytes()).prop_map(|(begin, end)| KeyRange { begin, end })
}

fn conflict_range() -> impl Strategy<Value = ConflictRange> {
    prop_oneof![bytes().prop_map(ConflictRange::Key), range().prop_map(ConflictRange::Range)]
}

fn selector() -> impl Strategy<Value = KeySelector> {
    (bytes(), any::<bool>(), any::<i32>()).prop_map(|(key, or_equal, offset)| KeySelector {
        key,
        or_equal,
        offset,
    })
}

fn options() -> impl Strategy<Value = RangeOptions> {
    (any::<u32>(), any::<u32>(), any::<[bool; 3]>()).prop_map(
        |(rows_max, bytes_target, [reverse, keys_only, streams])| RangeOptions {
            rows_max,
            bytes_target,
            reverse,
            keys_only,
            streams,
        },
    )
}

/// A byte string with room for a versionstamp, and where it goes.
fn stamped() -> impl Strategy<Value = (Bytes, u32)> {
    (vec(any::<u8>(), 10..40), any::<u32>()).prop_map(|(bytes, seed)| {
        let room = bytes.len() as u32 - 10;
        (Bytes::from(bytes), seed % (room + 1))
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let op = prop_oneof![
        (bytes(), bytes()).prop_map(|(key, value)| MutationOp::Set { key, value }),
        bytes().prop_map(|key| MutationOp::Clear { key }),
        (bytes(), bytes()).prop_map(|(begin, end)| MutationOp::ClearRange { begin, end }),
        (select(&AtomicOp::ALL[..]), bytes(), bytes())
            .prop_map(|(op, key, operand)| MutationOp::Atomic { op, key, operand }),
        (stamped(), bytes()).prop_map(|((key, offset), value)| {
            MutationOp::SetVersionstampedKey { key, offset, value }
        }),
        (stamped(), bytes()).prop_map(|((value, offset), key)| {
            MutationOp::SetVersionstampedValue { key, value, offset }
        }),
    ];
    (keyspace(), any::<bool>(), op).prop_map(|(keyspace, adds_conflict, op)| Mutation {
        keyspace,
        adds_conflict,
        op,
    })
}

fn idempotency_id() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 16..=255).prop_map(Bytes::from)
}

fn commit() -> impl Strategy<Value = Commit> {
    let read_conflict = (keyspace(), conflict_range(), option::of(version()))
        .prop_map(|(keyspace, range, since)| ReadConflict { keyspace, range, since });
    let write_conflict = (keyspace(), conflict_range())
        .prop_map(|(keyspace, range)| WriteConflict { keyspace, range });
    let durability =
        select(&[None, Some(Durability::None), Some(Durability::Interval), Some(Durability::Sync)]);
    (
        option::of(version()),
        vec(read_conflict, 0..5),
        vec(write_conflict, 0..5),
        vec(mutation(), 0..8),
        option::of(idempotency_id()),
        option::of(1..u64::MAX),
        durability,
        any::<bool>(),
    )
        .prop_map(
            |(
                read_version,
                read_conflicts,
                write_conflicts,
                mutations,
                idempotency_id,
                not_after_ms,
                durability,
                reports_conflicts,
            )| Commit {
                read_version,
                read_conflicts,
                write_conflicts,
                mutations,
                idempotency_id,
                not_after_ms,
                durability,
                reports_conflicts,
            },
        )
}

fn transaction() -> impl Strategy<Value = TransactionId> {
    any::<TransactionId>()
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<u16>(), any::<u16>(), vec(name(), 0..4), name(), bytes()).prop_map(
        |(version, version_min, features, client, credentials)| Hello {
            version,
            version_min,
            features,
            client,
            credentials,
        },
    )
}

fn plain_request() -> impl Strategy<Value = Request> {
    let place = || (option::of(version()), keyspace());
    prop_oneof![
        hello().prop_map(Request::Hello),
        bytes().prop_map(|payload| Request::Ping { payload }),
        Just(Request::ServerInfo),
        any::<u32>().prop_map(|request_id| Request::Cancel { request_id }),
        Just(Request::ReadVersion),
        (place(), bytes()).prop_map(|((version, keyspace), key)| Request::Get {
            version,
            keyspace,
            key
        }),
        (place(), vec(bytes(), 0..6)).prop_map(|((version, keyspace), keys)| Request::GetBatch {
            version,
            keyspace,
            keys
        }),
        (place(), selector(), bytes()).prop_map(|((version, keyspace), selector, end)| {
            Request::GetKey { version, keyspace, selector, end }
        }),
        (place(), range(), options()).prop_map(|((version, keyspace), range, options)| {
            Request::GetRange { version, keyspace, range, options }
        }),
        (keyspace(), range())
            .prop_map(|(keyspace, range)| Request::EstimateSize { keyspace, range }),
        (keyspace(), range(), any::<u64>()).prop_map(|(keyspace, range, chunk_bytes)| {
            Request::SplitPoints { keyspace, range, chunk_bytes }
        }),
        (version(), keyspace(), bytes(), option::of(bytes())).prop_map(
            |(version, keyspace, key, value)| Request::Watch { version, keyspace, key, value }
        ),
        option::of(version()).prop_map(|version| Request::Pin { version }),
        any::<u64>().prop_map(|pin| Request::Unpin { pin }),
        commit().prop_map(Request::Commit),
        idempotency_id().prop_map(|idempotency_id| Request::CommitStatus { idempotency_id }),
    ]
}

fn session_request() -> impl Strategy<Value = Request> {
    let read = || (transaction(), any::<bool>(), keyspace());
    prop_oneof![
        (option::of(version()), any::<bool>(), any::<u32>()).prop_map(
            |(version, read_only, timeout_ms)| Request::TxnBegin { version, read_only, timeout_ms }
        ),
        (read(), vec(bytes(), 0..6)).prop_map(|((transaction, snapshot, keyspace), keys)| {
            Request::TxnGet { transaction, snapshot, keyspace, keys }
        }),
        (read(), selector()).prop_map(|((transaction, snapshot, keyspace), selector)| {
            Request::TxnGetKey { transaction, snapshot, keyspace, selector }
        }),
        (read(), selector(), selector(), options()).prop_map(
            |((transaction, snapshot, keyspace), begin, end, options)| Request::TxnGetRange {
                transaction,
                snapshot,
                keyspace,
                begin,
                end,
                options,
            }
        ),
        (transaction(), vec(mutation(), 0..6))
            .prop_map(|(transaction, mutations)| Request::TxnWrite { transaction, mutations }),
        (transaction(), any::<bool>(), keyspace(), range()).prop_map(
            |(transaction, is_write, keyspace, range)| Request::TxnAddConflict {
                transaction,
                is_write,
                keyspace,
                range,
            }
        ),
        transaction().prop_map(|transaction| Request::TxnCommit { transaction }),
        transaction().prop_map(|transaction| Request::TxnAbort { transaction }),
    ]
}

fn job_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (name(), bytes()).prop_map(|(kind, argument)| Request::JobStart { kind, argument }),
        any::<u64>().prop_map(|job| Request::Jobs { job }),
        any::<u64>().prop_map(|job| Request::JobCancel { job }),
    ]
}

/// Any request.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    prop_oneof![6 => plain_request(), 3 => session_request(), 1 => job_request()]
}

fn limits() -> impl Strategy<Value = Limits> {
    any::<[u32; 5]>().prop_map(|[frame, key, system_key, value, transaction]| Limits {
        frame_bytes_max: frame as usize,
        key_bytes_max: key as usize,
        system_key_bytes_max: system_key as usize,
        value_bytes_max: value as usize,
        transaction_bytes_max: transaction as usize,
    })
}

fn result() -> impl Strategy<Value = CommitResult> {
    prop_oneof![
        (version(), any::<u16>())
            .prop_map(|(version, order)| CommitResult::Committed { version, order }),
        vec(any::<u32>(), 0..6)
            .prop_map(|read_conflicts| CommitResult::Conflicted { read_conflicts }),
    ]
}

fn info() -> impl Strategy<Value = ServerInfo> {
    (name(), any::<u64>(), vec(name(), 0..4), vec((name(), any::<u64>()), 0..6)).prop_map(
        |(server_version, uptime_seconds, features, statistics)| ServerInfo {
            server_version,
            uptime_seconds,
            features,
            statistics,
        },
    )
}

fn job() -> impl Strategy<Value = Job> {
    let state = prop_oneof![
        Just(JobState::Running),
        Just(JobState::Done),
        any::<u16>().prop_map(|code| JobState::Failed(ErrorCode(code))),
        Just(JobState::Cancelled),
    ];
    (any::<[u64; 5]>(), name(), bytes(), state, name()).prop_map(
        |(
            [number, started_at_ms, ended_at_ms, done_bytes, total_bytes],
            kind,
            argument,
            state,
            message,
        )| Job {
            number,
            kind,
            argument,
            state,
            started_at_ms,
            ended_at_ms,
            done_bytes,
            total_bytes,
            message,
        },
    )
}

fn read_response() -> impl Strategy<Value = Response> {
    let rows = vec((bytes(), bytes()).prop_map(|(key, value)| KeyValue { key, value }), 0..6);
    let found = (bytes(), version()).prop_map(|(value, version)| VersionedValue { value, version });
    prop_oneof![
        version().prop_map(|version| Response::ReadVersion { version }),
        (version(), option::of(found))
            .prop_map(|(version, value)| Response::Get { version, value }),
        (select(&[Opcode::GetBatch, Opcode::TxnGet]), version(), vec(option::of(bytes()), 0..6))
            .prop_map(|(opcode, version, values)| Response::GetBatch { opcode, version, values }),
        (select(&[Opcode::GetKey, Opcode::TxnGetKey]), version(), bytes())
            .prop_map(|(opcode, version, key)| Response::GetKey { opcode, version, key }),
        (select(&[Opcode::GetRange, Opcode::TxnGetRange]), version(), rows, any::<bool>())
            .prop_map(|(opcode, version, rows, more)| Response::GetRange {
                opcode,
                version,
                rows,
                more
            }),
        any::<u64>().prop_map(|bytes| Response::EstimateSize { bytes }),
        vec(bytes(), 0..6).prop_map(|keys| Response::SplitPoints { keys }),
        version().prop_map(|version| Response::Watch { version }),
        (any::<u64>(), version()).prop_map(|(pin, version)| Response::Pin { pin, version }),
    ]
}

fn other_response() -> impl Strategy<Value = Response> {
    let done = [
        Opcode::Cancel,
        Opcode::Unpin,
        Opcode::TxnWrite,
        Opcode::TxnAddConflict,
        Opcode::TxnAbort,
        Opcode::JobCancel,
    ];
    let hello = (any::<u16>(), vec(name(), 0..4), name(), any::<[u8; 16]>(), limits()).prop_map(
        |(version, features, server, database_id, limits)| HelloReply {
            version,
            features,
            server,
            database_id,
            limits,
        },
    );
    prop_oneof![
        hello.prop_map(Response::Hello),
        bytes().prop_map(|payload| Response::Ping { payload }),
        info().prop_map(Response::ServerInfo),
        select(done.to_vec()).prop_map(Response::Done),
        (select(&[Opcode::Commit, Opcode::TxnCommit]), result())
            .prop_map(|(opcode, result)| Response::Commit { opcode, result }),
        option::of(result()).prop_map(|result| Response::CommitStatus { result }),
        (transaction(), version(), any::<u64>()).prop_map(
            |(transaction, version, expires_at_ms)| Response::TxnBegin {
                transaction,
                version,
                expires_at_ms,
            }
        ),
        any::<u64>().prop_map(|job| Response::JobStart { job }),
        vec(job(), 0..4).prop_map(|jobs| Response::Jobs { jobs }),
        (any::<u16>(), "\\PC{0,30}")
            .prop_map(|(code, message)| { Response::Error(Error::new(ErrorCode(code), message)) }),
    ]
}

/// Any response.
pub(crate) fn response() -> impl Strategy<Value = Response> {
    prop_oneof![read_response(), other_response()]
}
