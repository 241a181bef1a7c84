//! `SPEC.md` says what the code does: its examples, its tables, its numbers.
//!
//! An example is a fenced block ```` ```golden NAME ````, a line a field: the bytes in hex, then
//! `name = value`. The name leads to the message as a value, in [`crate::examples`]. After a change
//! of a message, `UPDATE_SPEC=1 cargo test -p plinth-protocol` writes the blocks anew; the
//! difference is then there to be reviewed.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use bytes::{Buf, BytesMut};
use plinth_protocol::{
    ErrorCode,
    codec::FrameCodec,
    field::FieldTrace,
    frame::Flags,
    hello::{MAGIC, PROTOCOL_VERSION},
    limits::{
        CREDENTIALS_BYTES_MAX, ERROR_MESSAGE_BYTES_MAX, FEATURES_MAX, FRAME_BYTES_CEILING,
        HELLO_FRAME_BYTES_MAX, IDEMPOTENCY_ID_BYTES, Limits, NAME_BYTES_MAX,
    },
    request::{Opcode, Request},
    response::Response,
};
use tokio_util::codec::Decoder;

use crate::examples::{Example, Message, examples};

const FENCE: &str = "```golden ";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("SPEC.md")
}

fn spec() -> String {
    std::fs::read_to_string(path()).expect("SPEC.md is beside the crate")
}

/// The blocks of the specification: name and lines.
fn blocks(spec: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut lines = spec.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix(FENCE) {
            blocks.push((name, lines.by_ref().take_while(|line| *line != "```").collect()));
        }
    }
    blocks
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "half a byte in {text:?}");
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex"))
        .collect()
}

/// The bytes of a block: what stands before the first blank of each line.
fn block_bytes(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| unhex(line.split(' ').next().unwrap_or_default())).collect()
}

/// The lines that the example's block must have.
fn rendered(example: &Example) -> Vec<String> {
    let mut frame = BytesMut::new();
    example.message.write_frame(&mut frame, example.flags, example.request_id);
    let mut trace = FieldTrace::default();
    example.message.write_fields(&mut trace);

    let length = u32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
    let mut fields = vec![
        (hex(&frame[..4]), format!("length = {length}")),
        (hex(&frame[4..5]), format!("opcode = {:#04x}", frame[4])),
        (hex(&frame[5..6]), format!("flags = {}", frame[5])),
        (hex(&frame[6..10]), format!("request_id = {}", example.request_id)),
    ];
    for field in &trace.fields {
        let value = match field.number {
            Some(number) => number.to_string(),
            None => format!("\"{}\"", field.bytes.escape_ascii()),
        };
        fields.push((hex(&field.bytes), format!("{} = {value}", field.name)));
    }
    if example.flags.contains(Flags::CHECKSUM) {
        let checksum = &frame[frame.len() - 4..];
        fields.push((hex(checksum), "crc32".to_owned()));
    }
    let column = fields.iter().map(|(bytes, _)| bytes.len()).max().unwrap_or(0).min(20);
    fields.into_iter().map(|(bytes, text)| format!("{bytes:column$}  {text}")).collect()
}

fn decode(bytes: &[u8], is_request: bool) -> (Flags, u32, Message) {
    let mut buffer = BytesMut::from(bytes);
    let frame = FrameCodec::default().decode(&mut buffer).expect("a frame").expect("a whole frame");
    assert!(!buffer.has_remaining(), "bytes follow the frame");
    let (flags, request_id) = (frame.flags, frame.request_id);
    let message = if is_request {
        Message::Request(Request::decode(frame.opcode, frame.payload).expect("a request"))
    } else {
        Message::Response(Response::decode(frame).expect("a response"))
    };
    (flags, request_id, message)
}

/// Writes the blocks anew if asked to.
fn update() {
    if std::env::var_os("UPDATE_SPEC").is_none() {
        return;
    }
    let (old, mut new, mut skips) = (spec(), String::new(), false);
    for line in old.lines() {
        skips &= line != "```";
        if !skips {
            writeln!(new, "{line}").expect("a string takes everything");
        }
        if let Some(name) = line.strip_prefix(FENCE) {
            skips = true;
            if let Some(example) = examples().iter().find(|example| example.name == name) {
                for line in rendered(example) {
                    writeln!(new, "{line}").expect("a string takes everything");
                }
            }
        }
    }
    std::fs::write(path(), new).expect("SPEC.md can be written");
}

#[test]
fn every_example_decodes_to_its_value_and_encodes_to_its_bytes() {
    update();
    let spec = spec();
    let blocks = blocks(&spec);
    let named: Vec<&str> = blocks.iter().map(|(name, _)| *name).collect();
    let examples = examples();
    assert_eq!(named, examples.iter().map(|example| example.name).collect::<Vec<_>>());

    for ((name, lines), example) in blocks.iter().zip(&examples) {
        assert_eq!(*lines, rendered(example), "the fields of {name}");
        let bytes = block_bytes(lines);
        let mut encoded = BytesMut::new();
        example.message.write_frame(&mut encoded, example.flags, example.request_id);
        assert_eq!(hex(&encoded), hex(&bytes), "the encoding of {name}");
        let is_request = matches!(example.message, Message::Request(_));
        let expected = (example.flags, example.request_id, example.message.clone());
        assert_eq!(decode(&bytes, is_request), expected, "the decoding of {name}");
    }
}

#[test]
fn every_request_and_every_answer_has_an_example() {
    let shown: BTreeSet<u8> = examples().iter().map(|example| example.message.opcode()).collect();
    let known: BTreeSet<u8> = Opcode::ALL
        .iter()
        .flat_map(|opcode| [*opcode as u8, opcode.response()])
        .chain([Opcode::ERROR])
        .collect();
    assert_eq!(shown, known);
}

/// The rows of the table under a heading, as trimmed cells without backticks.
fn table(spec: &str, heading: &str) -> Vec<Vec<String>> {
    let rows: Vec<Vec<String>> = spec
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "no table under {heading:?}");
    rows
}

#[test]
fn the_table_of_opcodes_is_the_codes() {
    let rows: Vec<(String, String, String)> = table(&spec(), "## 5. Requests")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
        .collect();
    let known: Vec<(String, String, String)> = Opcode::ALL
        .iter()
        .map(|opcode| {
            let (code, answer) = (*opcode as u8, opcode.response());
            (format!("{code:#04x}"), format!("{answer:#04x}"), format!("{opcode:?}"))
        })
        .collect();
    assert_eq!(rows, known);
}

#[test]
fn the_table_of_errors_is_the_codes() {
    let known: Vec<Vec<String>> = ErrorCode::all()
        .map(|code| {
            let says = |is: bool| if is { "yes" } else { "" }.to_owned();
            vec![
                code.0.to_string(),
                code.name().to_owned(),
                says(code.is_retryable()),
                says(code.is_maybe_committed()),
                says(code.closes_connection()),
                code.text().to_owned(),
            ]
        })
        .collect();
    assert_eq!(table(&spec(), "## 8. Errors"), known);
}

#[test]
fn the_table_of_limits_is_the_codes() {
    let limits = Limits::DEFAULT;
    let known = [
        ("frame", FRAME_BYTES_CEILING - 1),
        ("frame_bytes_max", limits.frame_bytes_max),
        ("key_bytes_max", limits.key_bytes_max),
        ("system_key_bytes_max", limits.system_key_bytes_max),
        ("value_bytes_max", limits.value_bytes_max),
        ("transaction_bytes_max", limits.transaction_bytes_max),
        ("hello frame", HELLO_FRAME_BYTES_MAX),
        ("features", FEATURES_MAX),
        ("feature, client, server", NAME_BYTES_MAX),
        ("credentials", CREDENTIALS_BYTES_MAX),
        ("idempotency_id, shortest", *IDEMPOTENCY_ID_BYTES.start()),
        ("idempotency_id, longest", *IDEMPOTENCY_ID_BYTES.end()),
        ("message", ERROR_MESSAGE_BYTES_MAX),
    ];
    let rows: Vec<(String, String)> = table(&spec(), "## 7. Limits")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].replace(',', "")))
        .collect();
    let known: Vec<(String, String)> =
        known.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
    assert_eq!(rows, known);
}

#[test]
fn the_hello_says_what_the_specification_says() {
    assert_eq!(&MAGIC, b"PLTH");
    assert_eq!(PROTOCOL_VERSION, 1);
    assert!(spec().contains("This is protocol version 1."));
}
