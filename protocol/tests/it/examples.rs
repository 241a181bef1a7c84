//! The messages whose bytes `SPEC.md` shows, as values. [`crate::spec`] compares the two.

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    AtomicOp, Commit, CommitResult, ConflictRange, Durability, Error, ErrorCode, KeyRange,
    KeySelector, KeyspaceId, Mutation, MutationOp, ReadConflict, Version, WriteConflict,
    field::FieldSink,
    frame::Flags,
    hello::{Hello, HelloReply},
    job::{Job, JobState},
    limits::Limits,
    request::{Opcode, RangeOptions, Request, TransactionId},
    response::{KeyValue, Response, ServerInfo, VersionedValue},
};

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Request(Request),
    Response(Response),
}

impl Message {
    pub(crate) fn opcode(&self) -> u8 {
        match self {
            Self::Request(request) => request.opcode() as u8,
            Self::Response(response) => response.opcode(),
        }
    }

    pub(crate) fn write_frame(&self, buffer: &mut BytesMut, flags: Flags, request_id: u32) {
        match self {
            Self::Request(request) => request.write_frame(buffer, flags, request_id),
            Self::Response(response) => response.write_frame(buffer, flags, request_id),
        };
    }

    pub(crate) fn write_fields<S: FieldSink>(&self, sink: &mut S) {
        match self {
            Self::Request(request) => request.write_fields(sink),
            Self::Response(response) => response.write_fields(sink),
        }
    }
}

/// A message and how it is sent.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    pub(crate) flags: Flags,
    pub(crate) request_id: u32,
    pub(crate) message: Message,
}

fn request(name: &'static str, request_id: u32, request: Request) -> Example {
    Example { name, flags: Flags::NONE, request_id, message: Message::Request(request) }
}

fn response(name: &'static str, request_id: u32, response: Response) -> Example {
    Example { name, flags: Flags::NONE, request_id, message: Message::Response(response) }
}

const VERSION: Version = Version(0x0001_D1A9_4A20);
const TRANSACTION: TransactionId = *b"0123456789abcdef";

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn mutation(op: MutationOp) -> Mutation {
    Mutation { keyspace: KeyspaceId::DEFAULT, adds_conflict: true, op }
}

fn committed() -> CommitResult {
    CommitResult::Committed { version: VERSION, order: 2 }
}

/// Every example of the specification, in its order.
pub(crate) fn examples() -> Vec<Example> {
    let mut all = connection();
    all.extend(reads());
    all.extend(commits());
    all.extend(sessions());
    all.extend(jobs());
    all.extend(errors());
    all
}

fn connection() -> Vec<Example> {
    vec![
        request("hello", 0, Request::Hello(Hello::new(bytes("example/1.0"), &["checksum"]))),
        response(
            "hello-answer",
            0,
            Response::Hello(HelloReply {
                version: 1,
                features: vec![bytes("checksum")],
                server: bytes("plinth/0.1.0"),
                database_id: *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
                limits: Limits::DEFAULT,
            }),
        ),
        request("ping", 1, Request::Ping { payload: bytes("hi") }),
        response("ping-answer", 1, Response::Ping { payload: bytes("hi") }),
        Example {
            flags: Flags::CHECKSUM,
            ..request("ping-with-checksum", 1, Request::Ping { payload: bytes("hi") })
        },
        request("server-info", 2, Request::ServerInfo),
        response(
            "server-info-answer",
            2,
            Response::ServerInfo(ServerInfo {
                server_version: bytes("0.1.0"),
                uptime_seconds: 90,
                features: vec![bytes("checksum")],
                statistics: vec![(bytes("commits"), 12)],
            }),
        ),
        request("cancel", 8, Request::Cancel { request_id: 7 }),
        response("cancel-answer", 8, Response::Done(Opcode::Cancel)),
    ]
}

fn reads() -> Vec<Example> {
    let keyspace = KeyspaceId::DEFAULT;
    let range = KeyRange::new(bytes("a"), bytes("b"));
    let row = |key, value| KeyValue { key: bytes(key), value: bytes(value) };
    vec![
        request("read-version", 3, Request::ReadVersion),
        response("read-version-answer", 3, Response::ReadVersion { version: VERSION }),
        request("get", 4, Request::Get { version: None, keyspace, key: bytes("greeting") }),
        response(
            "get-answer",
            4,
            Response::Get {
                version: VERSION,
                value: Some(VersionedValue { value: bytes("hello"), version: Version(1_000_000) }),
            },
        ),
        response("get-answer-absent", 4, Response::Get { version: VERSION, value: None }),
        request(
            "get-batch",
            5,
            Request::GetBatch {
                version: Some(VERSION),
                keyspace: KeyspaceId(16),
                keys: vec![bytes("a"), bytes("b")],
            },
        ),
        response(
            "get-batch-answer",
            5,
            Response::GetBatch {
                opcode: Opcode::GetBatch,
                version: VERSION,
                values: vec![Some(bytes("1")), None],
            },
        ),
        request(
            "get-key",
            6,
            Request::GetKey {
                version: Some(VERSION),
                keyspace,
                selector: KeySelector::last_less_than(bytes("m")) - 1,
                end: Bytes::from_static(b"\xFF"),
            },
        ),
        response(
            "get-key-answer",
            6,
            Response::GetKey { opcode: Opcode::GetKey, version: VERSION, key: bytes("k") },
        ),
        request(
            "get-range",
            7,
            Request::GetRange {
                version: Some(VERSION),
                keyspace,
                range: range.clone(),
                options: RangeOptions { rows_max: 2, streams: true, ..RangeOptions::default() },
            },
        ),
        Example {
            flags: Flags::MORE,
            ..response(
                "get-range-answer",
                7,
                Response::GetRange {
                    opcode: Opcode::GetRange,
                    version: VERSION,
                    rows: vec![row("a1", "x")],
                    more: true,
                },
            )
        },
        request("estimate-size", 10, Request::EstimateSize { keyspace, range: range.clone() }),
        response("estimate-size-answer", 10, Response::EstimateSize { bytes: 4096 }),
        request("split-points", 11, Request::SplitPoints { keyspace, range, chunk_bytes: 1 << 20 }),
        response(
            "split-points-answer",
            11,
            Response::SplitPoints { keys: vec![bytes("a"), bytes("aq"), bytes("b")] },
        ),
        request(
            "watch",
            12,
            Request::Watch {
                version: VERSION,
                keyspace,
                key: bytes("greeting"),
                value: Some(bytes("hello")),
            },
        ),
        response("watch-answer", 12, Response::Watch { version: Version(VERSION.0 + 5) }),
        request("pin", 13, Request::Pin { version: None }),
        response("pin-answer", 13, Response::Pin { pin: 1, version: VERSION }),
        request("unpin", 14, Request::Unpin { pin: 1 }),
        response("unpin-answer", 14, Response::Done(Opcode::Unpin)),
    ]
}

fn errors() -> Vec<Example> {
    vec![
        response("error", 7, Response::Error(ErrorCode::NOT_COMMITTED.into())),
        response(
            "error-with-particulars",
            9,
            Response::Error(Error::new(
                ErrorCode::UNKNOWN_OPCODE,
                "no request has the opcode 0x7f",
            )),
        ),
    ]
}

fn commits() -> Vec<Example> {
    let keyspace = KeyspaceId::DEFAULT;
    let idempotency_id = Bytes::from_static(b"sixteen bytes or");
    let commit = Commit {
        read_version: Some(VERSION),
        read_conflicts: vec![ReadConflict {
            keyspace,
            range: ConflictRange::Key(bytes("from")),
            since: None,
        }],
        write_conflicts: vec![WriteConflict {
            keyspace,
            range: ConflictRange::Range(KeyRange::new(bytes("x"), bytes("z"))),
        }],
        mutations: vec![
            mutation(MutationOp::Set { key: bytes("from"), value: bytes("90") }),
            mutation(MutationOp::Clear { key: bytes("old") }),
            mutation(MutationOp::ClearRange { begin: bytes("x"), end: bytes("z") }),
            mutation(MutationOp::Atomic {
                op: AtomicOp::Add,
                key: bytes("sum"),
                operand: Bytes::from_static(&[10, 0, 0, 0]),
            }),
            mutation(MutationOp::SetVersionstampedKey {
                key: bytes("log/.........."),
                offset: 4,
                value: bytes("moved"),
            }),
            Mutation {
                adds_conflict: false,
                ..mutation(MutationOp::SetVersionstampedValue {
                    key: bytes("last"),
                    value: bytes(".........."),
                    offset: 0,
                })
            },
        ],
        idempotency_id: Some(idempotency_id.clone()),
        not_after_ms: Some(1_800_000_000_000),
        durability: Some(Durability::Sync),
        reports_conflicts: true,
    };
    let blind = Commit {
        mutations: vec![mutation(MutationOp::Set {
            key: bytes("greeting"),
            value: bytes("hello"),
        })],
        ..Commit::default()
    };
    let conflicted = CommitResult::Conflicted { read_conflicts: vec![0] };
    vec![
        request("commit-blind", 15, Request::Commit(blind)),
        request("commit", 16, Request::Commit(commit)),
        response(
            "commit-answer",
            16,
            Response::Commit { opcode: Opcode::Commit, result: committed() },
        ),
        response(
            "commit-answer-conflict",
            16,
            Response::Commit { opcode: Opcode::Commit, result: conflicted },
        ),
        request("commit-status", 17, Request::CommitStatus { idempotency_id }),
        response("commit-status-answer", 17, Response::CommitStatus { result: Some(committed()) }),
        response("commit-status-answer-unknown", 17, Response::CommitStatus { result: None }),
    ]
}

fn jobs() -> Vec<Example> {
    let job = Job {
        number: 3,
        kind: bytes("backup"),
        argument: bytes("monday"),
        state: JobState::Running,
        started_at_ms: 1_800_000_000_000,
        ended_at_ms: 0,
        done_bytes: 4096,
        total_bytes: 1 << 20,
        message: Bytes::new(),
    };
    let failed = Job {
        state: JobState::Failed(ErrorCode::IO_ERROR),
        ended_at_ms: 1_800_000_001_500,
        message: bytes("the disk is full"),
        ..job.clone()
    };
    vec![
        request(
            "job-start",
            26,
            Request::JobStart { kind: bytes("backup"), argument: bytes("monday") },
        ),
        response("job-start-answer", 26, Response::JobStart { job: 3 }),
        request("jobs", 27, Request::Jobs { job: 0 }),
        response("jobs-answer", 27, Response::Jobs { jobs: vec![job] }),
        response("jobs-answer-failed", 27, Response::Jobs { jobs: vec![failed] }),
        request("job-cancel", 28, Request::JobCancel { job: 3 }),
        response("job-cancel-answer", 28, Response::Done(Opcode::JobCancel)),
    ]
}

fn sessions() -> Vec<Example> {
    let keyspace = KeyspaceId::DEFAULT;
    let transaction = TRANSACTION;
    vec![
        request(
            "txn-begin",
            18,
            Request::TxnBegin { version: None, read_only: false, timeout_ms: 5000 },
        ),
        response(
            "txn-begin-answer",
            18,
            Response::TxnBegin { transaction, version: VERSION, expires_at_ms: 1_800_000_000_000 },
        ),
        request(
            "txn-get",
            19,
            Request::TxnGet { transaction, snapshot: false, keyspace, keys: vec![bytes("a")] },
        ),
        response(
            "txn-get-answer",
            19,
            Response::GetBatch {
                opcode: Opcode::TxnGet,
                version: VERSION,
                values: vec![Some(bytes("1"))],
            },
        ),
        request(
            "txn-get-key",
            20,
            Request::TxnGetKey {
                transaction,
                snapshot: true,
                keyspace,
                selector: KeySelector::first_greater_than(bytes("a")),
            },
        ),
        response(
            "txn-get-key-answer",
            20,
            Response::GetKey { opcode: Opcode::TxnGetKey, version: VERSION, key: bytes("b") },
        ),
        request(
            "txn-get-range",
            21,
            Request::TxnGetRange {
                transaction,
                snapshot: false,
                keyspace,
                begin: KeySelector::first_greater_or_equal(bytes("a")),
                end: KeySelector::first_greater_or_equal(bytes("c")),
                options: RangeOptions { reverse: true, keys_only: true, ..Default::default() },
            },
        ),
        response(
            "txn-get-range-answer",
            21,
            Response::GetRange {
                opcode: Opcode::TxnGetRange,
                version: VERSION,
                rows: vec![
                    KeyValue { key: bytes("b"), value: Bytes::new() },
                    KeyValue { key: bytes("a"), value: Bytes::new() },
                ],
                more: false,
            },
        ),
        request(
            "txn-write",
            22,
            Request::TxnWrite {
                transaction,
                mutations: vec![mutation(MutationOp::Clear { key: bytes("a") })],
            },
        ),
        response("txn-write-answer", 22, Response::Done(Opcode::TxnWrite)),
        request(
            "txn-add-conflict",
            23,
            Request::TxnAddConflict {
                transaction,
                is_write: true,
                keyspace,
                range: KeyRange::new(bytes("x"), bytes("z")),
            },
        ),
        response("txn-add-conflict-answer", 23, Response::Done(Opcode::TxnAddConflict)),
        request("txn-commit", 24, Request::TxnCommit { transaction }),
        response(
            "txn-commit-answer",
            24,
            Response::Commit { opcode: Opcode::TxnCommit, result: committed() },
        ),
        request("txn-abort", 25, Request::TxnAbort { transaction }),
        response("txn-abort-answer", 25, Response::Done(Opcode::TxnAbort)),
    ]
}
