//! `kill -9` under load, over and over on one directory, and a look at everything after each.
//!
//! Writers commit transactions of several keys, several at a time. What was acknowledged must be
//! there, whole, at the version that was told; what was in flight must be there wholly or not at
//! all, and the server must know which when it is asked by idempotency id. Nothing else may be
//! there. Versions never repeat or go back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use plinth_protocol::{
    AtomicOp, Commit, CommitResult, MutationOp, Version, Versionstamp, request::Request,
    response::Response,
};

use crate::support::{
    process::{PATIENCE, Plinth},
    random::Random,
    wire::{Wire, commit, set},
};

const ROUNDS: u64 = 25;
const WRITERS: u64 = 4;
const IN_FLIGHT: u64 = 4;
/// A round is killed after at most this many acknowledgements.
const ACKNOWLEDGED_MAX: u64 = 300;

/// A transaction: its writer and its number there.
type Name = (u64, u64);

/// What a writer knows of a transaction that it sent; `None` if it was never told.
type Outcome = Option<Versionstamp>;

fn idempotency_id((writer, number): Name) -> Bytes {
    let mut id = BytesMut::new();
    id.put_u64(writer);
    id.put_u64(number);
    id.freeze()
}

/// Two rows, a counter of all transactions, the writer's last number, and a versionstamped entry.
fn transaction(name: Name) -> Commit {
    let (writer, number) = name;
    let text = format!("{writer}/{number:08}");
    let stamped = Bytes::from([b"log/", &[0; 10][..]].concat());
    let one = Bytes::from_static(&[1, 0, 0, 0, 0, 0, 0, 0]);
    let sum =
        MutationOp::Atomic { op: AtomicOp::Add, key: Bytes::from_static(b"sum"), operand: one };
    let log = MutationOp::SetVersionstampedKey {
        key: stamped,
        offset: 4,
        value: Bytes::from(text.clone()),
    };
    let mut commit = commit(vec![
        set(format!("row/{text}/a"), format!("a of {text}")),
        sum,
        set(format!("last/{writer}"), text.clone()),
        log,
        set(format!("row/{text}/b"), format!("b of {text}")),
    ]);
    commit.idempotency_id = Some(idempotency_id(name));
    commit
}

/// Commits, [`IN_FLIGHT`] at a time, until the connection breaks.
fn write(
    address: SocketAddr,
    writer: u64,
    first: u64,
    told: &AtomicU64,
) -> BTreeMap<Name, Outcome> {
    let mut sent = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut number = first;
    let Ok(mut wire) = Wire::connect(address) else { return sent };
    loop {
        while (names.len() as u64) < IN_FLIGHT {
            let name = (writer, number);
            number += 1;
            sent.insert(name, None);
            let Ok(ids) = wire.send(&[Request::Commit(transaction(name))]) else { return sent };
            names.extend(ids.into_iter().map(|id| (id, name)));
        }
        let Ok((id, _, response)) = wire.receive() else { return sent };
        let name = names.remove(&id).expect("an answer to what was asked");
        match response {
            Response::Commit { result, .. } => {
                let stamp = result.versionstamp();
                assert!(stamp.is_some(), "a blind write can't conflict: {result:?}");
                sent.insert(name, stamp);
                told.fetch_add(1, Ordering::Relaxed);
            }
            other => panic!("{name:?} was answered {other:?}"),
        }
    }
}

/// Everything that is in the database, as it should be: who wrote it, and when.
struct Contents {
    version: Version,
    log: BTreeMap<Name, Versionstamp>,
}

fn parse(text: &[u8]) -> Name {
    let text = std::str::from_utf8(text).expect("a name is text");
    let (writer, number) = text.split_once('/').expect("a name has two parts");
    (writer.parse().expect("a number"), number.parse().expect("a number"))
}

/// Reads everything at one version and checks that every transaction is there wholly or not at all.
fn read(wire: &mut Wire) -> Contents {
    let (version, rows) = wire.rows(b"", b"\xFF").expect("the server answers");
    let mut log = BTreeMap::new();
    let mut last: BTreeMap<u64, (Versionstamp, Name)> = BTreeMap::new();
    let mut stamp_before = None;
    for row in &rows {
        let Some(stamp) = row.key.strip_prefix(b"log/") else { continue };
        let stamp = Versionstamp(stamp.try_into().expect("a stamp of ten bytes"));
        assert!(stamp.version() <= version && Some(stamp) > stamp_before);
        stamp_before = Some(stamp);
        let name = parse(&row.value);
        assert_eq!(log.insert(name, stamp), None, "{name:?} was committed twice");
        let newest = last.entry(name.0).or_insert((stamp, name));
        *newest = (*newest).max((stamp, name));
    }
    let row = |key: &[u8]| {
        rows.binary_search_by(|row| row.key.as_ref().cmp(key)).ok().map(|at| &rows[at].value)
    };
    for (writer, number) in log.keys() {
        let text = format!("{writer}/{number:08}");
        for part in ["a", "b"] {
            let value = row(format!("row/{text}/{part}").as_bytes());
            assert_eq!(value, Some(&Bytes::from(format!("{part} of {text}"))), "a part is missing");
        }
    }
    for (writer, (_, name)) in &last {
        let value = row(format!("last/{writer}").as_bytes()).expect("a last row");
        assert_eq!(parse(value), *name, "the last of writer {writer}");
    }
    let sum = row(b"sum").map_or(0, |sum| u64::from_le_bytes(sum[..].try_into().expect("8 bytes")));
    assert_eq!(sum, log.len() as u64, "the counter");
    assert_eq!(rows.len(), 3 * log.len() + last.len() + usize::from(sum > 0), "stray rows");
    Contents { version, log }
}

/// Compares what is there with what the writers know.
fn compare(wire: &mut Wire, contents: &Contents, sent: &BTreeMap<Name, Outcome>, floor: Version) {
    for (name, outcome) in sent {
        let found = contents.log.get(name);
        if let Some(stamp) = outcome {
            assert_eq!(found, Some(stamp), "{name:?} was acknowledged");
        } else {
            let request = Request::CommitStatus { idempotency_id: idempotency_id(*name) };
            let known = match wire.call(&request).expect("the server answers") {
                Response::CommitStatus { result } => result,
                other => panic!("a commit's status was answered {other:?}"),
            };
            let known = known.as_ref().and_then(CommitResult::versionstamp);
            assert_eq!(found, known.as_ref(), "{name:?} was in flight");
        }
        if let Some(stamp) = found {
            assert!(stamp.version() > floor, "{name:?} has a version from before its time");
            assert!(stamp.version() <= contents.version, "{name:?} is ahead of the read version");
        }
    }
}

#[test]
fn what_was_acknowledged_survives_every_kill_and_nothing_is_there_in_part() {
    let directory = tempfile::tempdir().expect("a directory");
    kill_over_and_over(directory.path(), &[], ROUNDS);
}

#[test]
fn kills_while_memory_goes_to_tables_lose_nothing_either() {
    let directory = tempfile::tempdir().expect("a directory");
    kill_over_and_over(directory.path(), &["--memtable-bytes=65536"], ROUNDS / 2);
    let server = Plinth::serve(directory.path(), &[]);
    let mut wire = Wire::connect(server.address).expect("a connection");
    let tables = match wire.call(&Request::ServerInfo).expect("the server answers") {
        Response::ServerInfo(info) => info
            .statistics
            .iter()
            .find(|(name, _)| **name == *b"tables")
            .map_or(0, |(_, count)| *count),
        other => panic!("the server's state was answered {other:?}"),
    };
    assert!(tables > 0, "nothing ever went to a table");
}

fn kill_over_and_over(directory: &Path, options: &[&str], rounds: u64) {
    let (mut random, seed) = Random::from_environment();
    println!("PLINTH_TEST_SEED={seed}");
    let mut floor = Version::ZERO;
    let mut expected: BTreeMap<Name, Versionstamp> = BTreeMap::new();
    let mut first = 0;
    let (mut acknowledged, mut in_flight, mut survived) = (0, 0, 0);

    for round in 0..rounds {
        let server = Plinth::serve(directory, options);
        let (address, told, enough) =
            (server.address, AtomicU64::new(0), random.below(ACKNOWLEDGED_MAX));
        let sent = thread::scope(|scope| {
            let told = &told;
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| scope.spawn(move || write(address, writer, first, told)))
                .collect();
            let start = Instant::now();
            while told.load(Ordering::Relaxed) < enough && start.elapsed() < PATIENCE {
                thread::sleep(Duration::from_micros(200));
            }
            server.kill();
            let mut sent = BTreeMap::new();
            for writer in writers {
                sent.extend(writer.join().expect("a writer that found no fault"));
            }
            sent
        });
        assert!(told.load(Ordering::Relaxed) >= enough, "round {round}: the load never came");
        first += sent.keys().map(|(_, number)| number + 1 - first).max().unwrap_or(0);

        // Recovery may be killed as well; it must only take longer then.
        if random.below(3) == 0 {
            Plinth::serve(directory, options).kill();
        }
        let server = Plinth::serve(directory, options);
        let mut wire = Wire::connect(server.address).expect("a connection");
        let contents = read(&mut wire);
        compare(&mut wire, &contents, &sent, floor);
        for name in contents.log.keys().filter(|name| !expected.contains_key(*name)) {
            assert!(sent.contains_key(name), "round {round}: {name:?} came from nowhere");
        }
        for (name, stamp) in &expected {
            assert_eq!(contents.log.get(name), Some(stamp), "round {round}: {name:?} of old");
        }
        assert!(contents.version > floor, "round {round}: the read version went back");
        let unknown = sent.iter().filter(|(_, outcome)| outcome.is_none());
        in_flight += unknown.clone().count();
        survived += unknown.filter(|(name, _)| contents.log.contains_key(*name)).count();
        acknowledged += sent.values().flatten().count();
        floor = contents.version;
        expected = contents.log;
        drop(wire);
        if random.below(4) == 0 { server.stop() } else { server.kill() }
    }
    println!("{acknowledged} acknowledged; of {in_flight} in flight {survived} had happened");
    assert!(acknowledged > 0 && in_flight > 0);
}
