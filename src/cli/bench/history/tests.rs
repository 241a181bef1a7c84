//! What is written is read again, and nothing else is.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        "[a-c\"\\\\\n\u{e9}]{0,4}".prop_map(Bytes::from),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(Bytes::from),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let hash = || any::<u64>().prop_map(ValueHash);
    let kind = || prop_oneof![Just(ReadKind::Serializable), Just(ReadKind::Snapshot)];
    prop_oneof![
        (key(), prop::option::of(hash()), kind()).prop_map(|(key, found, kind)| Op::Get {
            key,
            found,
            kind
        }),
        (key(), key(), prop::collection::vec((key(), hash()), 0..3), kind())
            .prop_map(|(begin, end, rows, kind)| Op::Range { begin, end, rows, kind }),
        (key(), hash()).prop_map(|(key, value)| Op::Set { key, value }),
        key().prop_map(|key| Op::Mutate { key }),
        key().prop_map(|key| Op::Clear { key }),
        (key(), key()).prop_map(|(begin, end)| Op::ClearRange { begin, end }),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let outcome = prop_oneof![
        (any::<u64>(), any::<u16>()).prop_map(|(version, order)| {
            Outcome::Committed(Some(Versionstamp::new(Version(version), order)))
        }),
        Just(Outcome::Conflicted),
        Just(Outcome::Failed),
        Just(Outcome::Unknown),
    ];
    let ops = prop::collection::vec(op(), 0..4);
    (any::<[u32; 2]>(), prop::option::of(any::<u64>()), any::<u64>(), ops, outcome).prop_map(
        |([begin, length], intended, version, ops, outcome)| Transaction {
            client: 0,
            number: 0,
            intended,
            begin: begin.into(),
            end: u64::from(begin) + u64::from(length),
            read_version: Some(Version(version)),
            ops,
            outcome,
        },
    )
}

/// Writes a history as a run does; its bytes.
fn written(history: &History) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history");
    let thread = RecorderThread::start(&path, &history.header).unwrap();
    let mut recorder = thread.recorder();
    for transaction in &history.transactions {
        recorder.record(transaction.clone());
    }
    drop(recorder);
    assert_eq!(thread.finish(), Ok(history.transactions.len() as u64));
    std::fs::read(path).unwrap()
}

fn header() -> Header {
    Header {
        format_version: FORMAT_VERSION,
        has_versions: true,
        has_unique_values: true,
        workload: "rmw".to_owned(),
        ..Header::default()
    }
}

fn sample() -> Vec<u8> {
    let key = Bytes::from_static(b"a");
    let get = Op::Get { key: key.clone(), found: None, kind: ReadKind::Serializable };
    let transaction = |number| Transaction {
        client: 0,
        number,
        intended: None,
        begin: 10 * number,
        end: 10 * number + 5,
        read_version: Some(Version(7)),
        ops: vec![get.clone(), Op::Set { key: key.clone(), value: ValueHash::of(b"value") }],
        outcome: Outcome::Committed(Some(Versionstamp::new(Version(9 + number), 2))),
    };
    written(&History { header: header(), transactions: (0..3).map(transaction).collect() })
}

/// The line at which reading stops, and why.
fn failure(bytes: &[u8]) -> (u64, String) {
    let error = read_from(bytes).expect_err("not a history");
    (error.line.expect("a line"), error.message)
}

/// Lines with right checksums.
fn sealed(lines: &[&str]) -> Vec<u8> {
    let (mut chain, mut bytes) = (format::Chain::default(), Vec::new());
    for line in lines {
        let begin = bytes.len();
        bytes.write_all(line.strip_suffix('}').unwrap().as_bytes()).unwrap();
        chain.close(&mut bytes, begin);
    }
    bytes
}

#[test]
fn the_format_is_as_the_page_shows_it() {
    let text = String::from_utf8(sample()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        lines[1],
        "{\"client\":0,\"number\":0,\"begin\":0,\"end\":5,\"read_version\":7,\
         \"ops\":[[\"get\",\"a\",null],[\"set\",\"a\",\"7ce4fd9430e80cea\"]],\
         \"outcome\":\"committed\",\"version\":9,\"order\":2,\"crc\":\"cdb2bd50\"}"
    );
    assert!(lines[4].starts_with("{\"transactions\":3,"), "{}", lines[4]);
    let page = include_str!("../../../../docs/history.md");
    for line in [lines[0], lines[1]] {
        assert!(page.contains(line), "docs/history.md shows {line}");
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let bytes = sample();
    assert_eq!(read_from(&bytes[..]).unwrap().transactions.len(), 3);
    // Without the last newline nothing is missing.
    for end in 0..bytes.len() - 1 {
        assert!(read_from(&bytes[..end]).is_err(), "cut after {end} bytes");
    }
}

#[test]
fn every_bit_counts() {
    let bytes = sample();
    for at in 0..bytes.len() - 1 {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(read_from(&changed[..]).is_err(), "byte {at} of {:?}", changed.escape_ascii());
    }
}

#[test]
fn lines_that_are_missing_repeated_or_exchanged_are_noticed_where_they_are() {
    let bytes = sample();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let at = |order: &[usize]| {
        let chosen: Vec<&[u8]> = order.iter().map(|line| lines[*line]).collect();
        failure(&chosen.concat()).0
    };
    assert_eq!(at(&[0, 2, 3, 4]), 2);
    assert_eq!(at(&[0, 1, 1, 2, 3, 4]), 3);
    assert_eq!(at(&[0, 1, 3, 2, 4]), 3);
    assert_eq!(at(&[0, 1, 2, 3]), 5);
    assert_eq!(at(&[0, 1, 2, 3, 4, 4]), 6);
    assert_eq!(at(&[1, 2, 3, 4]), 1);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    let first = "{\"plinth_history\":1,\"versions\":true,\"unique_values\":true}";
    let cases = [
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":4,\"ops\":[],\"outcome\":\"failed\"}",
            "before it began",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[[\"get\",\"a\",null]],\"outcome\":\"failed\"}",
            "no read version",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[[\"clear\",\"a\"]],\"outcome\":\"committed\"}",
            "no version",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[],\"outcome\":\"failed\",\"version\":1,\"order\":0}",
            "only a transaction that committed",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[],\"outcome\":\"committed\",\"version\":1}",
            "together",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[[\"frob\",\"a\"]],\"outcome\":\"failed\"}",
            "there is no op",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[[\"set\",\"a\",\"12\"]],\"outcome\":\"failed\"}",
            "sixteen",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[[\"clear\",7]],\"outcome\":\"failed\"}",
            "a key is",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[[\"clear\",\"a\",1]],\"outcome\":\"failed\"}",
            "too many",
        ),
        (
            "{\"client\":1,\"number\":0,\"begin\":5,\"end\":6,\"ops\":[[\"set\"]],\"outcome\":\"failed\"}",
            "too few",
        ),
        ("{\"transactions\":7}", "there were 7 transactions, and 0 are here"),
        ("{\"transactions\":\"7\"}", "invalid type"),
        ("{[[[[}", "column"),
    ];
    for (line, why) in cases {
        let (at, message) = failure(&sealed(&[first, line]));
        assert!(at == 2 && message.contains(why), "{line}: line {at}: {message}");
    }
    let (at, message) =
        failure(&sealed(&["{\"plinth_history\":2,\"versions\":true,\"unique_values\":true}"]));
    assert!(at == 1 && message.contains("version 2 of the format"), "{message}");
    assert_eq!(failure(b"").0, 1);
    assert_eq!(failure(b"key,value\n").0, 1);
    let deep = format!("{{\"ops\":{}}}", "[".repeat(100_000));
    assert_eq!(failure(&sealed(&[first, &deep])).0, 2);
}

#[test]
fn a_history_that_cannot_be_written_is_an_error() {
    let missing = std::path::Path::new("/nonexistent/directory/history");
    let error = RecorderThread::start(missing, &header()).expect_err("no such directory");
    assert!(error.to_string().contains("/nonexistent/directory/history"), "{error}");
    // A device without room takes the file and nothing in it.
    let full = std::path::Path::new("/dev/full");
    if full.exists() {
        let error = RecorderThread::start(full, &header()).unwrap().finish().expect_err("full");
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        transactions in prop::collection::vec(transaction(), 0..20),
    ) {
        let mut history = History { header: header(), transactions };
        for (number, transaction) in history.transactions.iter_mut().enumerate() {
            transaction.number = number as u64;
        }
        let bytes = written(&history);
        prop_assert_eq!(read_from(&bytes[..]), Ok(history));
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read_from(&bytes[..]).is_err());
    }

    #[test]
    fn arbitrary_content_with_right_checksums_does_no_harm(
        lines in prop::collection::vec("\\{[\\[\\]{}\":,a-z0-9]{0,40}\\}", 1..5),
    ) {
        let mut all = vec!["{\"plinth_history\":1,\"versions\":false,\"unique_values\":false}"];
        all.extend(lines.iter().map(String::as_str));
        if let Ok(history) = read_from(&sealed(&all)[..]) {
            prop_assert!(history.transactions.is_empty());
        }
    }
}
