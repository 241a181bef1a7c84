//! A line of a history: JSON, with a checksum at its end.
//!
//! ```text
//! {"plinth_history":1,"versions":true,…                                   ,"crc":"0f3a5b77"}
//! {"client":3,"number":0,"begin":1200,"end":5300,"read_version":7,
//!  "ops":[["get","a","9c1f0e6b7d2a4453"],["set","a","77…"]],
//!  "outcome":"committed","version":9,"order":0                            ,"crc":"9de1c204"}
//! {"transactions":1                                                       ,"crc":"55aa0e31"}
//!  └─────────────────────── CRC-32 over these bytes, and those of ───────┘
//!                           all lines before, each without its ,"crc":…}
//! ```
//!
//! A key that is UTF-8 is a string, another is `{"base64":"…"}`. A value is the hash of its bytes in
//! sixteen digits, or null where there is none.

use std::{fmt, io::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use crc32fast::Hasher;
use plinth_protocol::{Version, Versionstamp};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};

use super::{Header, Op, Outcome, ReadKind, Transaction, ValueHash};

/// What comes before the checksum's eight digits, and behind them.
const CHECKSUM_BEFORE: &[u8] = b",\"crc\":\"";
const CHECKSUM_AFTER: &[u8] = b"\"}";
const CHECKSUM_DIGITS: usize = 8;

/// The checksum of all lines so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain(Hasher);

impl Chain {
    /// Closes the line that began at `begin` of `output`: a JSON object without its last brace.
    pub(super) fn close(&mut self, output: &mut Vec<u8>, begin: usize) {
        self.0.update(output.get(begin..).unwrap_or_default());
        let checksum = self.0.clone().finalize();
        output.extend_from_slice(CHECKSUM_BEFORE);
        push(output, format_args!("{checksum:08x}"));
        output.extend_from_slice(CHECKSUM_AFTER);
        output.push(b'\n');
    }

    /// Checks a line, which comes without its newline.
    pub(super) fn check(&mut self, line: &[u8]) -> Result<(), String> {
        let cut = || "there is no checksum at the end of the line: it is cut short".to_owned();
        let rest = line.strip_suffix(CHECKSUM_AFTER).ok_or_else(cut)?;
        let at = rest.len().checked_sub(CHECKSUM_DIGITS).ok_or_else(cut)?;
        let (rest, digits) = rest.split_at(at);
        let content = rest.strip_suffix(CHECKSUM_BEFORE).ok_or_else(cut)?;
        self.0.update(content);
        let expected = format!("{:08x}", self.0.clone().finalize());
        if digits == expected.as_bytes() {
            return Ok(());
        }
        Err(format!(
            "the checksum is {} where it is {expected}: the line was changed, or lines before it \
             are missing",
            digits.escape_ascii()
        ))
    }
}

fn push(output: &mut Vec<u8>, arguments: fmt::Arguments<'_>) {
    output.write_fmt(arguments).expect("writing to memory succeeds");
}

/// Writes something as JSON that is sure to be JSON.
fn push_json(output: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    serde_json::to_writer(output, value).expect("strings and numbers are always JSON");
}

/// Appends the header as an object without its last brace.
pub(super) fn push_header(output: &mut Vec<u8>, header: &Header) {
    push_json(output, header);
    output.pop();
}

/// Appends the last line, without its last brace.
pub(super) fn push_end(output: &mut Vec<u8>, transactions: u64) {
    push(output, format_args!("{{\"transactions\":{transactions}"));
}

/// Appends a transaction as an object without its last brace.
pub(super) fn push_transaction(output: &mut Vec<u8>, transaction: &Transaction) {
    let Transaction { client, number, begin, end, .. } = transaction;
    push(output, format_args!("{{\"client\":{client},\"number\":{number}"));
    if let Some(intended) = transaction.intended {
        push(output, format_args!(",\"intended\":{intended}"));
    }
    push(output, format_args!(",\"begin\":{begin},\"end\":{end}"));
    if let Some(version) = transaction.read_version {
        push(output, format_args!(",\"read_version\":{version}"));
    }
    output.extend_from_slice(b",\"ops\":[");
    for (index, op) in transaction.ops.iter().enumerate() {
        if index > 0 {
            output.push(b',');
        }
        push_op(output, op);
    }
    let outcome = match transaction.outcome {
        Outcome::Committed(_) => "committed",
        Outcome::Conflicted => "conflicted",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    };
    push(output, format_args!("],\"outcome\":\"{outcome}\""));
    if let Some(stamp) = transaction.stamp() {
        let (version, order) = (stamp.version(), order_of(stamp));
        push(output, format_args!(",\"version\":{version},\"order\":{order}"));
    }
}

/// The place among the commits of a version.
pub(crate) fn order_of(stamp: Versionstamp) -> u16 {
    let [.., high, low] = stamp.0;
    u16::from_be_bytes([high, low])
}

fn push_op(output: &mut Vec<u8>, op: &Op) {
    let mut head = |name: &str, key: &Bytes| {
        push(output, format_args!("[\"{name}\","));
        push_key(output, key);
    };
    match op {
        Op::Get { key, found, kind } => {
            head(if *kind == ReadKind::Snapshot { "snapshot_get" } else { "get" }, key);
            output.push(b',');
            match found {
                Some(hash) => push_hash(output, *hash),
                None => output.extend_from_slice(b"null"),
            }
        }
        Op::Range { begin, end, rows, kind } => {
            head(if *kind == ReadKind::Snapshot { "snapshot_range" } else { "range" }, begin);
            output.push(b',');
            push_key(output, end);
            output.extend_from_slice(b",[");
            for (index, (key, hash)) in rows.iter().enumerate() {
                output.extend_from_slice(if index > 0 { b",[" } else { b"[" });
                push_key(output, key);
                output.push(b',');
                push_hash(output, *hash);
                output.push(b']');
            }
            output.push(b']');
        }
        Op::Set { key, value } => {
            head("set", key);
            output.push(b',');
            push_hash(output, *value);
        }
        Op::Mutate { key } => head("mutate", key),
        Op::Clear { key } => head("clear", key),
        Op::ClearRange { begin, end } => {
            head("clear_range", begin);
            output.push(b',');
            push_key(output, end);
        }
    }
    output.push(b']');
}

fn push_hash(output: &mut Vec<u8>, hash: ValueHash) {
    push(output, format_args!("\"{:016x}\"", hash.0));
}

fn push_key(output: &mut Vec<u8>, key: &[u8]) {
    match std::str::from_utf8(key) {
        Ok(text) => push_json(output, text),
        Err(_) => push(output, format_args!("{{\"base64\":\"{}\"}}", STANDARD.encode(key))),
    }
}

/// Reads the first line, whose checksum was right.
pub(super) fn parse_header(line: &[u8]) -> Result<Header, String> {
    serde_json::from_slice(line)
        .map_err(|error| format!("the first line is not a history's: {error}"))
}

/// A line behind the first.
pub(super) enum Line {
    Transaction(Transaction),
    /// The last line: how many there were.
    End(u64),
}

#[derive(Deserialize)]
struct RawEnd {
    transactions: u64,
}

#[derive(Deserialize)]
struct RawTransaction {
    client: u32,
    number: u64,
    intended: Option<u64>,
    begin: u64,
    end: u64,
    read_version: Option<u64>,
    ops: Vec<Op>,
    outcome: RawOutcome,
    version: Option<u64>,
    order: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawOutcome {
    Committed,
    Conflicted,
    Failed,
    Unknown,
}

/// Reads a line whose checksum was right.
pub(super) fn parse_line(line: &[u8]) -> Result<Line, String> {
    if line.starts_with(b"{\"transactions\":") {
        let end: RawEnd = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        return Ok(Line::End(end.transactions));
    }
    let raw: RawTransaction = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let stamp = match (raw.version, raw.order) {
        (Some(version), Some(order)) => Some(Versionstamp::new(Version(version), order)),
        (None, None) => None,
        _ => return Err("a version and an order come together or not at all".to_owned()),
    };
    let outcome = match raw.outcome {
        RawOutcome::Committed => Outcome::Committed(stamp),
        _ if stamp.is_some() => {
            return Err("only a transaction that committed has a version".to_owned());
        }
        RawOutcome::Conflicted => Outcome::Conflicted,
        RawOutcome::Failed => Outcome::Failed,
        RawOutcome::Unknown => Outcome::Unknown,
    };
    if raw.end < raw.begin {
        return Err(format!("it ended at {}, before it began at {}", raw.end, raw.begin));
    }
    Ok(Line::Transaction(Transaction {
        client: raw.client,
        number: raw.number,
        intended: raw.intended,
        begin: raw.begin,
        end: raw.end,
        read_version: raw.read_version.map(Version),
        ops: raw.ops,
        outcome,
    }))
}

/// A key in the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawKey {
    Text(String),
    Binary { base64: String },
}

struct Key(Bytes);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match RawKey::deserialize(deserializer) {
            Ok(RawKey::Text(text)) => Ok(Self(text.into())),
            Ok(RawKey::Binary { base64 }) => {
                STANDARD.decode(base64).map(|key| Self(key.into())).map_err(D::Error::custom)
            }
            Err(_) => Err(D::Error::custom("a key is a string or {\"base64\":\"…\"}")),
        }
    }
}

impl<'de> Deserialize<'de> for ValueHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let is_hash = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u64::from_str_radix(&digits, 16) {
            Ok(hash) if is_hash => Ok(Self(hash)),
            _ => Err(D::Error::custom("a value's hash has sixteen hexadecimal digits")),
        }
    }
}

impl<'de> Deserialize<'de> for Op {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OpVisitor)
    }
}

struct OpVisitor;

/// The next element of an op, which must be there.
fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(sequence: &mut A) -> Result<T, A::Error> {
    sequence.next_element()?.ok_or_else(|| A::Error::custom("the op has too few elements"))
}

impl<'de> Visitor<'de> for OpVisitor {
    type Value = Op;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an op, as [\"get\",KEY,VALUE]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Op, A::Error> {
        let name: String = next(&mut sequence)?;
        let kind =
            if name.starts_with("snapshot_") { ReadKind::Snapshot } else { ReadKind::Serializable };
        let Key(key) = next(&mut sequence)?;
        let op = match name.as_str() {
            "get" | "snapshot_get" => Op::Get { key, found: next(&mut sequence)?, kind },
            "range" | "snapshot_range" => {
                let Key(end) = next(&mut sequence)?;
                let rows: Vec<(Key, ValueHash)> = next(&mut sequence)?;
                let rows = rows.into_iter().map(|(Key(key), hash)| (key, hash)).collect();
                Op::Range { begin: key, end, rows, kind }
            }
            "set" => Op::Set { key, value: next(&mut sequence)? },
            "mutate" => Op::Mutate { key },
            "clear" => Op::Clear { key },
            "clear_range" => {
                let Key(end) = next(&mut sequence)?;
                Op::ClearRange { begin: key, end }
            }
            _ => return Err(A::Error::custom(format!("there is no op {name:?}"))),
        };
        match sequence.next_element::<IgnoredAny>()? {
            None => Ok(op),
            Some(_) => Err(A::Error::custom("the op has too many elements")),
        }
    }
}
