//! Runs golden programs: random transactions whose answers a real FoundationDB gave.
//!
//! `transactions.jsonl.gz` holds one program a line, as JSON with bytes as Latin-1 strings: pairs to
//! begin with, then operations of up to three interleaved transactions with the answer of each, then
//! the pairs that are there in the end. Answers include page ends, error codes, and exact conflict
//! ranges. Where ours differ, ours are wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

#[path = "native.rs"]
pub(crate) mod native;
#[path = "operations.rs"]
pub(crate) mod operations;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    future::Future,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use plinth_client::KeySelector;
use serde_json::{Value, json};

use self::operations::{Answer, Client, Code, Conflicts, Operations, Range, Row};

/// All golden programs that this checkout has: those of the file that `PLINTH_GOLDEN` names, the
/// whole collection where it lies beside the project, or the sample that travels with it. If
/// `PLINTH_GOLDEN_SEEDS` lists some, separated by commas, only those.
pub(crate) fn programs() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if root.ends_with("client") { root.join("..") } else { root.to_path_buf() };
    let all = root.join("../shared/golden/transactions.jsonl.gz");
    let sample = root.join("tests/golden/transactions.jsonl.gz");
    let named = std::env::var_os("PLINTH_GOLDEN").map(PathBuf::from);
    let mut programs = read_programs(&named.unwrap_or(if all.exists() { all } else { sample }));
    programs.retain(|program| !MET_THE_CLUSTER.contains(&seed(program)));
    if let Ok(seeds) = std::env::var("PLINTH_GOLDEN_SEEDS") {
        let seeds: Vec<u64> = seeds.split(',').map(|seed| seed.trim().parse().unwrap()).collect();
        programs.retain(|program| seeds.contains(&seed(program)));
        assert_eq!(programs.len(), seeds.len(), "some of the seeds are not there");
    }
    programs
}

fn read_programs(path: &PathBuf) -> Vec<Value> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

/// How many programs use one client.
const PROGRAMS_PER_CLIENT: usize = 50;

/// `not_committed`: a conflict.
const NOT_COMMITTED: Code = 1020;

/// Programs with a commit that conflicted with what FoundationDB itself wrote beyond the users' keys
/// meanwhile, its time-keeping: it had read through to the end of everything. Such chance can't be
/// replayed.
const MET_THE_CLUSTER: [u64; 2] = [4029, 5409];

/// Runs every program, on so many threads; `open` gives a client that a thread has to itself. Panics
/// with what is different.
pub(crate) fn run_all<C: Client, Opening: Future<Output = C>>(
    programs: &[Value],
    threads: usize,
    open: impl Fn(usize) -> Opening + Sync,
) {
    let failures: BTreeMap<u64, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let open = &open;
                scope.spawn(move || {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let own: Vec<_> = programs.iter().skip(thread).step_by(threads).collect();
                    runtime.unwrap().block_on(async {
                        let mut failures = Vec::new();
                        for some in own.chunks(PROGRAMS_PER_CLIENT) {
                            let client = open(thread).await;
                            for program in some {
                                let result = run(&client, program).await;
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
    let count = failures.len();
    let texts: Vec<_> = failures.into_values().take(10).collect();
    assert!(texts.is_empty(), "{count} programs differ, among them:\n{}", texts.join("\n"));
}

fn seed(program: &Value) -> u64 {
    program["seed"].as_u64().unwrap()
}

/// Runs one program; the error names the first operation that answered differently.
async fn run<C: Client>(client: &C, program: &Value) -> Result<(), String> {
    let name = format!("program {} ({})", program["seed"], program["profile"]);

    let first = client.begin();
    first.clear_range(b"", b"\xFF");
    for pair in program["init"].as_array().unwrap() {
        first.set(&bytes(&pair[0]), &bytes(&pair[1]));
    }
    first.commit().await.map_err(|error| format!("{name}, before its first step: {error}"))?;

    let mut open: HashMap<i64, Open<C>> = HashMap::new();
    for (step, op) in program["ops"].as_array().unwrap().iter().enumerate() {
        let number = op[0].as_i64().unwrap();
        let transaction = open.entry(number).or_insert_with(|| Open::new(client));
        let ours = transaction.step(op, client).await;
        let theirs = op.as_array().unwrap().last().unwrap();
        if ours != without_system_keys(theirs) {
            return Err(format!("{name}, step {step}: {op}\n   ours: {ours}"));
        }
    }

    let ours = contents(client).await;
    let ours = ours.map_err(|error| format!("{name}, after its last step: {error}"))?;
    if ours != program["final"] {
        return Err(format!("{name} leaves {ours} instead of {}", program["final"]));
    }
    Ok(())
}

/// All pairs that are there, page by page.
async fn contents<C: Client>(client: &C) -> Answer<Value> {
    let last = client.begin();
    let end = KeySelector::first_greater_or_equal(&b"\xFF"[..]);
    let mut range = Range {
        begin: KeySelector::first_greater_or_equal(&b""[..]),
        end,
        limit: 0,
        target_bytes: 0,
        mode: -2,
        iteration: 1,
        snapshot: false,
        reverse: false,
    };
    let mut all = Vec::new();
    loop {
        let (page, more) = last.get_range(&range).await?;
        all.extend(page);
        match all.last() {
            Some((key, _)) if more => {
                range.begin = KeySelector::first_greater_than(key.clone());
            }
            _ => return Ok(rows(&all)),
        }
    }
}

/// A transaction under way, and how its commit failed.
struct Open<C: Client> {
    transaction: C::Transaction,
    failure: Option<Code>,
}

impl<C: Client> Open<C> {
    fn new(client: &C) -> Self {
        Self { transaction: client.begin(), failure: None }
    }

    async fn step(&mut self, op: &Value, client: &C) -> Value {
        let tx = &self.transaction;
        let done = json!({"ok": 1});
        match op[1].as_str().unwrap() {
            "get" => answer(
                tx.get(&bytes(&op[2]), is_set(&op[3])).await,
                |value| json!({"v": value.map(|value| text(&value))}),
            ),
            "get_key" => {
                let read = tx.get_key(&selector(op, 2), is_set(&op[5])).await;
                answer(read, |key| json!({"k": text(&key)}))
            }
            "get_range" => answer(
                tx.get_range(&range(op)).await,
                |(page, more)| json!({"r": [rows(&page), i32::from(more)]}),
            ),
            "set" => {
                tx.set(&bytes(&op[2]), &bytes(&op[3]));
                done
            }
            "clear" => {
                tx.clear(&bytes(&op[2]));
                done
            }
            "clear_range" => {
                tx.clear_range(&bytes(&op[2]), &bytes(&op[3]));
                done
            }
            "atomic" => {
                tx.atomic_op(atomic_op(&op[2]), &bytes(&op[3]), &bytes(&op[4]));
                done
            }
            "stamped_value" => {
                tx.atomic_op(15, &bytes(&op[2]), &[0; 14]);
                done
            }
            "read_conflict" => {
                answer(tx.add_conflict_range(&bytes(&op[2]), &bytes(&op[3]), 0), |()| done)
            }
            "write_conflict" => {
                answer(tx.add_conflict_range(&bytes(&op[2]), &bytes(&op[3]), 1), |()| done)
            }
            "option" => {
                let option = i32::try_from(op[2].as_i64().unwrap()).unwrap();
                answer(tx.set_option(option), |()| done)
            }
            "grv" => answer(tx.get_read_version().await, |_| done),
            "ranges" => {
                let read = tx.conflicts(Conflicts::Read).await;
                let write = tx.conflicts(Conflicts::Write).await;
                let both = read.and_then(|read| write.map(|write| (read, write)));
                answer(both, |(read, write)| json!({"read": rows(&read), "write": rows(&write)}))
            }
            "commit" => {
                let result = tx.commit().await;
                self.failure = result.err();
                answer(result, |version| json!({"c": if version > 0 { 1 } else { version }}))
            }
            "on_error_or_new" => {
                let mut answered = done;
                if let Some(failure) = self.failure.take() {
                    let hit = tx.conflicts(Conflicts::Hit).await;
                    answered = answer(tx.on_error(failure).await, |()| json!({"ok": 1}));
                    if failure == NOT_COMMITTED && answered.get("ok").is_some() {
                        answered["conflicts"] = answer(hit, |hit| rows(&hit));
                    }
                }
                *self = Self::new(client);
                answered
            }
            "reset" => {
                tx.reset();
                *self = Self::new(client);
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

fn answer<T>(result: Answer<T>, show: impl FnOnce(T) -> Value) -> Value {
    match result {
        Ok(value) => show(value),
        Err(error) => json!({"e": error}),
    }
}

fn rows(rows: &[Row]) -> Value {
    rows.iter().map(|(key, value)| json!([text(key), text(value)])).collect()
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

fn range(op: &Value) -> Range {
    let number = |at: usize| op[at].as_i64().unwrap();
    Range {
        begin: selector(op, 2),
        end: selector(op, 5),
        limit: u32::try_from(number(8)).unwrap(),
        target_bytes: u32::try_from(number(9)).unwrap(),
        mode: i32::try_from(number(10)).unwrap(),
        iteration: u32::try_from(number(11)).unwrap(),
        snapshot: is_set(&op[12]),
        reverse: is_set(&op[13]),
    }
}

fn atomic_op(name: &Value) -> i32 {
    match name.as_str().unwrap() {
        "add" => 2,
        "bit_and" => 6,
        "bit_or" => 7,
        "bit_xor" => 8,
        "append_if_fits" => 9,
        "max" => 12,
        "min" => 13,
        "byte_min" => 16,
        "byte_max" => 17,
        "compare_and_clear" => 20,
        other => panic!("unknown atomic operation {other}"),
    }
}

/// The answer without what its cluster had beyond the users' keys: a conflict range that ran off
/// their end shows where it met the first of those, or no end at all if it met none.
fn without_system_keys(theirs: &Value) -> Value {
    let mut cut = theirs.clone();
    for list in ["read", "write", "conflicts"] {
        let Some(rows) = cut.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for row in rows.iter_mut() {
            if row[0].as_str().unwrap().starts_with("/\u{FF}") {
                row[0] = json!("/\u{FF}");
            }
        }
        if rows.last().is_some_and(|last| last[1] == "1") {
            rows.push(json!(["/\u{FF}", "0"]));
        }
    }
    cut
}
