//! Runs golden programs: random transactions whose answers a real FoundationDB gave.
//!
//! `transactions.jsonl.gz` holds one program a line, as JSON with bytes as Latin-1 strings: pairs to
//! begin with, then operations of up to three interleaved transactions with the answer of each, then
//! the pairs that are there in the end. Answers include page ends, error codes, and exact conflict
//! ranges. Where ours differ, ours are wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    future::Future,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use plinth_client::{
    AtomicOp, Backend, Database, Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, Page,
    RangeRead, StreamingMode, Transaction, TransactionOption, TransactionOptions,
};
use serde_json::{Value, json};

/// All golden programs that this checkout has: those of the file that `PLINTH_GOLDEN` names, the
/// whole collection where it lies beside the project, or the sample that travels with it.
pub(crate) fn programs() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if root.ends_with("client") { root.join("..") } else { root.to_path_buf() };
    let all = root.join("../shared/golden/transactions.jsonl.gz");
    let sample = root.join("tests/golden/transactions.jsonl.gz");
    let named = std::env::var_os("PLINTH_GOLDEN").map(PathBuf::from);
    read_programs(&named.unwrap_or(if all.exists() { all } else { sample }))
}

fn read_programs(path: &PathBuf) -> Vec<Value> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

/// How many programs use one database handle.
const PROGRAMS_PER_DATABASE: usize = 50;

/// Runs every program, on two threads; `open` gives a database and a keyspace in it that a thread
/// has to itself. Panics with what is different and isn't known to be, and with what is known to be
/// different and isn't.
pub(crate) fn run_all<B: Backend, Opening>(
    programs: &[Value],
    open: impl Fn(usize) -> Opening + Sync,
) where
    Opening: Future<Output = (Database<B>, KeyspaceId)>,
{
    const THREADS: usize = 2;
    let failures: BTreeMap<u64, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let open = &open;
                scope.spawn(move || {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let own: Vec<_> = programs.iter().skip(thread).step_by(THREADS).collect();
                    runtime.unwrap().block_on(async {
                        let mut failures = Vec::new();
                        for some in own.chunks(PROGRAMS_PER_DATABASE) {
                            let (database, keyspace) = open(thread).await;
                            for program in some {
                                let result = run(&database, keyspace, program).await;
                                failures.extend(result.err().map(|text| (seed(program), text)));
                            }
                        }
                        failures
                    })
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let known = known_differences();
    let new: Vec<_> = failures.iter().filter(|(seed, _)| !known.contains(seed)).collect();
    let texts: Vec<_> = new.iter().take(10).map(|(_, text)| text.as_str()).collect();
    assert!(new.is_empty(), "{} programs differ, among them:\n{}", new.len(), texts.join("\n"));
    let is_gone = |seed: &u64| known.contains(seed) && !failures.contains_key(seed);
    let gone: Vec<_> = programs.iter().map(seed).filter(is_gone).collect();
    assert!(gone.is_empty(), "these are equal now, strike them from differing.txt: {gone:?}");
}

fn seed(program: &Value) -> u64 {
    program["seed"].as_u64().unwrap()
}

/// The programs that are known to differ; the file says how.
fn known_differences() -> BTreeSet<u64> {
    let lines = include_str!("differing.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| line.parse().unwrap()).collect()
}

/// Runs one program; the error names the first operation that answered differently.
async fn run<B: Backend>(
    database: &Database<B>,
    keyspace: KeyspaceId,
    program: &Value,
) -> Result<(), String> {
    let options =
        TransactionOptions { max_retry_delay: std::time::Duration::ZERO, ..Default::default() };
    let database = database.with_defaults(options);
    let begin = || database.transaction().in_keyspace(keyspace);
    let name = format!("program {} ({})", program["seed"], program["profile"]);

    let first = begin();
    first.clear_range("", b"\xFF");
    for pair in program["init"].as_array().unwrap() {
        first.set(bytes(&pair[0]), bytes(&pair[1]));
    }
    first.commit().await.map_err(|error| format!("{name}, before its first step: {error}"))?;

    let mut open: HashMap<i64, Open<B>> = HashMap::new();
    for (step, op) in program["ops"].as_array().unwrap().iter().enumerate() {
        let number = op[0].as_i64().unwrap();
        let transaction = open.entry(number).or_insert_with(|| Open::new(begin()));
        let ours = transaction.step(op, begin).await;
        let theirs = op.as_array().unwrap().last().unwrap();
        if ours != without_system_keys(theirs) {
            return Err(format!("{name}, step {step}: {op}\n   ours: {ours}"));
        }
    }

    let last = begin();
    let rows = last.range(RangeRead::new("", b"\xFF")).collect().await;
    let rows = rows.map_err(|error| format!("{name}, after its last step: {error}"))?;
    let ours: Value = rows.iter().map(|row| json!([text(&row.key), text(&row.value)])).collect();
    if ours != program["final"] {
        return Err(format!("{name} leaves {ours} instead of {}", program["final"]));
    }
    Ok(())
}

/// A transaction under way, and how its commit failed.
struct Open<B: Backend> {
    transaction: Transaction<B>,
    failure: Option<Error>,
}

impl<B: Backend> Open<B> {
    fn new(transaction: Transaction<B>) -> Self {
        Self { transaction, failure: None }
    }

    async fn step(&mut self, op: &Value, begin: impl Fn() -> Transaction<B>) -> Value {
        let tx = &self.transaction;
        let done = json!({"ok": 1});
        match op[1].as_str().unwrap() {
            "get" => {
                let read = if is_set(&op[3]) {
                    tx.snapshot().get(bytes(&op[2])).await
                } else {
                    tx.get(bytes(&op[2])).await
                };
                answer(read, |value| json!({"v": value.map(|value| text(&value))}))
            }
            "get_key" => {
                let selector = selector(op, 2);
                let read = if is_set(&op[5]) {
                    tx.snapshot().get_key(selector).await
                } else {
                    tx.get_key(selector).await
                };
                answer(read, |key| json!({"k": text(&key)}))
            }
            "get_range" => {
                let range = range_read(op);
                let read = if is_set(&op[12]) {
                    tx.snapshot().get_range(range).await
                } else {
                    tx.get_range(range).await
                };
                answer(read, |read| page(&read))
            }
            "set" => {
                tx.set(bytes(&op[2]), bytes(&op[3]));
                done
            }
            "clear" => {
                tx.clear(bytes(&op[2]));
                done
            }
            "clear_range" => {
                tx.clear_range(bytes(&op[2]), bytes(&op[3]));
                done
            }
            "atomic" => {
                tx.atomic(atomic_op(&op[2]), bytes(&op[3]), bytes(&op[4]));
                done
            }
            "stamped_value" => {
                tx.set_versionstamped_value(bytes(&op[2]), [0; 10], 0);
                done
            }
            "read_conflict" => {
                answer(tx.add_read_conflict_range(bytes(&op[2]), bytes(&op[3])), |()| done)
            }
            "write_conflict" => {
                answer(tx.add_write_conflict_range(bytes(&op[2]), bytes(&op[3])), |()| done)
            }
            "option" => {
                tx.set_option(option(&op[2]));
                done
            }
            "grv" => answer(tx.get_read_version().await, |_| done),
            "ranges" => {
                let both = tx
                    .read_conflict_ranges()
                    .and_then(|read| tx.write_conflict_ranges().map(|write| (read, write)));
                answer(
                    both,
                    |(read, write)| json!({"read": boundaries(&read), "write": boundaries(&write)}),
                )
            }
            "commit" => {
                let result = tx.commit().await;
                self.failure = result.as_ref().err().cloned();
                answer(result, |version| json!({"c": if version.is_some() { 1 } else { -1 }}))
            }
            "on_error_or_new" => {
                let mut answered = done;
                if let Some(failure) = self.failure.take() {
                    let is_conflict = failure.code == ErrorCode::NOT_COMMITTED;
                    let conflicts = boundaries(&tx.conflicting_ranges());
                    answered = answer(tx.on_error(failure).await, |()| json!({"ok": 1}));
                    if is_conflict && answered.get("ok").is_some() {
                        answered["conflicts"] = conflicts;
                    }
                }
                *self = Self::new(begin());
                answered
            }
            "reset" => {
                tx.reset();
                *self = Self::new(begin());
                done
            }
            "cancel" => {
                tx.cancel();
                done
            }
            other => panic!("unknown operation {other}"),
        }
    }
}

fn answer<T>(result: Result<T, Error>, show: impl FnOnce(T) -> Value) -> Value {
    match result {
        Ok(value) => show(value),
        Err(error) => json!({"e": error.code.0}),
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn is_set(value: &Value) -> bool {
    value.as_i64().unwrap() != 0
}

fn selector(op: &Value, at: usize) -> KeySelector {
    KeySelector {
        key: bytes(&op[at]).into(),
        or_equal: is_set(&op[at + 1]),
        offset: i32::try_from(op[at + 2].as_i64().unwrap()).unwrap(),
    }
}

fn range_read(op: &Value) -> RangeRead {
    let number = |at: usize| u32::try_from(op[at].as_i64().unwrap()).unwrap();
    RangeRead {
        rows_max: number(8),
        bytes_target: number(9),
        mode: match op[10].as_i64().unwrap() {
            -2 => StreamingMode::WantAll,
            -1 => StreamingMode::Iterator,
            0 => StreamingMode::Exact,
            1 => StreamingMode::Small,
            2 => StreamingMode::Medium,
            3 => StreamingMode::Large,
            4 => StreamingMode::Serial,
            other => panic!("unknown mode {other}"),
        },
        iteration: number(11),
        reverse: is_set(&op[13]),
        ..RangeRead::between(selector(op, 2), selector(op, 5))
    }
}

fn page(page: &Page) -> Value {
    let rows: Vec<_> =
        page.rows.iter().map(|row| json!([text(&row.key), text(&row.value)])).collect();
    json!({"r": [rows, i32::from(page.more)]})
}

fn atomic_op(name: &Value) -> AtomicOp {
    match name.as_str().unwrap() {
        "add" => AtomicOp::Add,
        "bit_and" => AtomicOp::And,
        "bit_or" => AtomicOp::Or,
        "bit_xor" => AtomicOp::Xor,
        "append_if_fits" => AtomicOp::AppendIfFits,
        "max" => AtomicOp::Max,
        "min" => AtomicOp::Min,
        "byte_min" => AtomicOp::ByteMin,
        "byte_max" => AtomicOp::ByteMax,
        "compare_and_clear" => AtomicOp::CompareAndClear,
        other => panic!("unknown atomic operation {other}"),
    }
}

fn option(code: &Value) -> TransactionOption {
    match code.as_i64().unwrap() {
        30 => TransactionOption::NextWriteNoWriteConflictRange,
        51 => TransactionOption::ReadYourWritesDisable,
        601 => TransactionOption::SnapshotReadYourWritesDisable,
        712 => TransactionOption::ReportConflictingKeys,
        other => panic!("unknown option {other}"),
    }
}

/// The answer without what its cluster had beyond the users' keys: a conflict range that ran off
/// their end shows where it met the first of those.
fn without_system_keys(theirs: &Value) -> Value {
    let mut cut = theirs.clone();
    for list in ["read", "write", "conflicts"] {
        for row in cut.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if row[0].as_str().unwrap().starts_with("/\u{FF}") {
                row[0] = json!("/\u{FF}");
            }
        }
    }
    cut
}

/// Ranges as FoundationDB's special keys show them: where each begins, and where it ends.
fn boundaries(ranges: &[KeyRange]) -> Value {
    let rows = ranges.iter().flat_map(|range| {
        [
            json!([format!("/{}", text(&range.begin)), "1"]),
            json!([format!("/{}", text(&range.end)), "0"]),
        ]
    });
    rows.collect()
}
