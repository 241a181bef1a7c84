//! Small histories, each with one thing wrong: it is found, and called by its name.

use bytes::Bytes;
use plinth_protocol::{Version, Versionstamp};

use super::{Checks, Kind, Violation, check, check_versions, model::Model};
use crate::cli::bench::history::{Header, History, Op, Outcome, ReadKind, Transaction, ValueHash};

/// A transaction, put together step by step. Value 0 is none.
struct T(Transaction);

fn t(client: u32, begin: u64, end: u64) -> T {
    T(Transaction {
        client,
        number: begin,
        intended: None,
        begin,
        end,
        read_version: None,
        ops: Vec::new(),
        outcome: Outcome::Committed(None),
    })
}

fn value(number: u64) -> Option<ValueHash> {
    (number > 0).then_some(ValueHash(number))
}

fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl T {
    fn at(mut self, version: u64) -> Self {
        self.0.read_version = Some(Version(version));
        self
    }

    fn op(mut self, op: Op) -> Self {
        self.0.ops.push(op);
        self
    }

    fn get(self, at: &str, found: u64) -> Self {
        let kind = ReadKind::Serializable;
        self.op(Op::Get { key: key(at), found: value(found), kind })
    }

    fn peek(self, at: &str, found: u64) -> Self {
        let kind = ReadKind::Snapshot;
        self.op(Op::Get { key: key(at), found: value(found), kind })
    }

    fn range(self, begin: &str, end: &str, rows: &[(&str, u64)]) -> Self {
        let rows = rows.iter().map(|(at, number)| (key(at), ValueHash(*number))).collect();
        let kind = ReadKind::Serializable;
        self.op(Op::Range { begin: key(begin), end: key(end), rows, kind })
    }

    fn set(self, at: &str, number: u64) -> Self {
        self.op(Op::Set { key: key(at), value: ValueHash(number) })
    }

    fn clear(self, at: &str) -> Self {
        self.op(Op::Clear { key: key(at) })
    }

    fn mutate(self, at: &str) -> Self {
        self.op(Op::Mutate { key: key(at) })
    }

    fn committed(mut self, version: u64) -> Transaction {
        self.0.outcome = Outcome::Committed(Some(Versionstamp::new(Version(version), 0)));
        self.0
    }

    fn read_only(self) -> Transaction {
        self.0
    }

    fn ended(mut self, outcome: Outcome) -> Transaction {
        self.0.outcome = outcome;
        self.0
    }
}

fn history(transactions: Vec<Transaction>) -> History {
    let header = Header {
        format_version: 1,
        has_versions: true,
        has_unique_values: true,
        ..Header::default()
    };
    History { header, transactions }
}

/// The kinds of what is found by versions alone, and by values alone.
fn kinds(transactions: Vec<Transaction>) -> (Vec<Kind>, Vec<Kind>) {
    let history = history(transactions);
    let by_values = check(&history, Checks::WithoutVersions).violations;
    let (by_versions, _) = check_versions(&Model::new(&history).0, true);
    let kinds_of = |violations: &[Violation]| {
        let mut kinds: Vec<Kind> = violations.iter().map(|violation| violation.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    (kinds_of(&by_versions), kinds_of(&by_values))
}

#[track_caller]
fn assert_sound(transactions: Vec<Transaction>) {
    let history = history(transactions);
    for checks in [Checks::All, Checks::WithoutVersions] {
        let verdict = check(&history, checks);
        assert!(verdict.is_sound(), "{checks:?}: {:?}", verdict.violations);
    }
}

#[track_caller]
fn assert_found(transactions: Vec<Transaction>, by_versions: &[Kind], by_values: &[Kind]) {
    let (found_by_versions, found_by_values) = kinds(transactions);
    assert_eq!(found_by_versions, by_versions, "by versions");
    assert_eq!(found_by_values, by_values, "by values");
}

#[test]
fn a_sound_history_is_sound() {
    assert_sound(vec![
        t(1, 0, 10).at(5).get("x", 1).set("x", 2).committed(20),
        t(2, 5, 15).at(5).get("x", 1).get("y", 0).set("y", 3).ended(Outcome::Conflicted),
        t(2, 16, 25).at(20).get("x", 2).get("y", 0).set("y", 3).committed(30),
        t(3, 26, 27).at(30).range("a", "z", &[("x", 2), ("y", 3)]).read_only(),
        t(3, 28, 30).at(30).set("y", 4).get("y", 4).clear("x").get("x", 0).committed(40),
        t(1, 31, 33).at(40).range("a", "z", &[("y", 4)]).read_only(),
    ]);
}

#[test]
fn a_lost_update_is_found() {
    let history = vec![
        t(1, 0, 10).at(5).get("x", 1).set("x", 2).committed(20),
        t(2, 0, 10).at(5).get("x", 1).set("x", 3).committed(30),
    ];
    assert_found(history, &[Kind::LostUpdate], &[Kind::LostUpdate]);
}

#[test]
fn a_stale_read_is_found() {
    let by_its_snapshot = vec![
        t(1, 0, 10).at(5).get("x", 1).set("x", 2).committed(20),
        t(2, 11, 12).at(5).get("x", 1).read_only(),
    ];
    assert_found(by_its_snapshot, &[Kind::StaleRead], &[Kind::StaleRead]);
    let although_its_version_is_new = vec![
        t(1, 0, 10).at(5).get("x", 1).set("x", 2).committed(20),
        t(2, 11, 12).at(25).get("x", 1).read_only(),
    ];
    assert_found(although_its_version_is_new, &[Kind::StaleRead], &[Kind::StaleRead]);
}

#[test]
fn a_half_commit_is_found() {
    let history = vec![
        t(1, 0, 10).set("x", 2).set("y", 3).committed(20),
        t(2, 5, 12).at(25).get("x", 2).get("y", 1).read_only(),
        t(3, 13, 14).at(30).get("y", 3).read_only(),
    ];
    assert_found(history, &[Kind::HalfCommit], &[Kind::HalfCommit]);
}

#[test]
fn a_write_skew_is_found() {
    let history = vec![
        t(1, 0, 10).at(5).get("x", 1).get("y", 1).set("x", 2).committed(20),
        t(2, 0, 10).at(5).get("x", 1).get("y", 1).set("y", 3).committed(30),
    ];
    assert_found(history, &[Kind::WriteSkew], &[Kind::WriteSkew]);
    // What is only looked at in the snapshot is not depended on, by versions.
    let (by_versions, _) = kinds(vec![
        t(1, 0, 10).at(5).peek("y", 1).set("x", 2).committed(20),
        t(2, 0, 10).at(5).peek("x", 1).set("y", 3).committed(30),
    ]);
    assert_eq!(by_versions, []);
}

#[test]
fn versions_against_real_time_are_found() {
    let history = vec![
        t(1, 0, 10).set("x", 2).committed(50),
        t(2, 20, 25).set("x", 3).committed(40),
        t(3, 30, 35).at(60).get("x", 2).read_only(),
    ];
    assert_found(history, &[Kind::RealTime], &[Kind::RealTime]);
    // What only readers know counts too.
    let (by_versions, by_values) = kinds(vec![
        t(1, 0, 100).set("x", 2).committed(50),
        t(2, 20, 25).at(50).get("x", 2).read_only(),
        t(3, 30, 35).at(49).get("x", 1).read_only(),
    ]);
    assert_eq!(by_versions, [Kind::StaleRead]);
    assert_eq!(by_values, [Kind::RealTime]);
}

#[test]
fn a_duplicated_version_is_found() {
    let history =
        vec![t(1, 0, 10).set("x", 2).committed(20), t(2, 0, 10).set("y", 3).committed(20)];
    assert_found(history, &[Kind::DuplicatedVersion], &[]);
}

#[test]
fn a_commit_at_its_own_read_version_is_found() {
    let history = vec![t(1, 0, 10).at(20).get("y", 0).set("x", 2).committed(20)];
    assert_found(history, &[Kind::VersionOutOfOrder], &[]);
}

#[test]
fn a_phantom_in_a_range_is_found() {
    let history = vec![
        t(1, 0, 10).at(5).range("a", "c", &[("a", 1)]).set("x", 2).committed(20),
        t(2, 0, 10).at(5).range("w", "z", &[]).set("b", 3).committed(30),
    ];
    assert_found(history, &[Kind::Phantom], &[Kind::Phantom]);
    // Without the other's read they have an order.
    assert_sound(vec![
        t(1, 0, 10).at(5).range("a", "c", &[("a", 1)]).set("x", 2).committed(20),
        t(2, 0, 10).at(5).set("b", 3).committed(30),
    ]);
}

#[test]
fn what_did_not_happen_must_not_be_read() {
    for outcome in [Outcome::Conflicted, Outcome::Failed] {
        let history = vec![
            t(1, 0, 10).at(5).get("y", 0).set("x", 2).ended(outcome),
            t(2, 20, 25).at(30).get("x", 2).read_only(),
        ];
        assert_found(history, &[Kind::AbortedRead], &[Kind::AbortedRead]);
    }
    let history = vec![
        t(1, 0, 10).set("x", 2).set("x", 3).committed(20),
        t(2, 5, 6).at(15).get("x", 1).read_only(),
        t(2, 20, 25).at(30).get("x", 2).read_only(),
    ];
    let (by_versions, _) = kinds(history);
    assert!(by_versions.contains(&Kind::IntermediateRead), "{by_versions:?}");
}

#[test]
fn values_from_nowhere_and_from_the_future_are_found() {
    let history = vec![
        t(1, 0, 10).at(5).get("x", 1).read_only(),
        t(2, 20, 25).at(30).get("x", 9).read_only(),
    ];
    assert_found(history, &[Kind::UnwrittenRead], &[Kind::UnwrittenRead]);
    let history =
        vec![t(1, 0, 10).at(5).get("x", 2).read_only(), t(2, 11, 25).set("x", 2).committed(20)];
    let (by_versions, by_values) = kinds(history);
    assert!(by_versions.contains(&Kind::FutureRead), "{by_versions:?}");
    assert_eq!(by_values, [Kind::FutureRead]);
}

#[test]
fn an_own_write_must_be_seen() {
    let history = vec![t(1, 0, 10).at(5).set("x", 2).get("x", 1).committed(20)];
    let (_, by_values) = kinds(history);
    assert_eq!(by_values, [Kind::OwnWriteLost]);
}

#[test]
fn an_unknown_outcome_is_wholly_there_or_wholly_not() {
    let unknown = || t(1, 0, 10).at(5).get("x", 1).set("x", 2).set("y", 3).ended(Outcome::Unknown);
    let reads = |x, y| t(2, 20, 25).at(30).get("x", x).get("y", y).read_only();
    let early = || t(2, 0, 2).at(6).get("x", 1).get("y", 1).read_only();
    assert_sound(vec![unknown(), early(), reads(1, 1)]);
    assert_sound(vec![unknown(), early(), reads(2, 3)]);
    for half in [reads(2, 1), reads(1, 3)] {
        assert_found(vec![unknown(), early(), half], &[Kind::HalfCommit], &[Kind::HalfCommit]);
    }
    // Seen, gone, seen again.
    let (by_versions, _) = kinds(vec![
        unknown(),
        early(),
        reads(2, 3),
        t(3, 30, 31).at(40).get("x", 1).read_only(),
        t(3, 32, 33).at(50).get("x", 2).read_only(),
    ]);
    assert!(!by_versions.is_empty());
}

#[test]
fn unknown_outcomes_that_follow_each_other_find_their_places() {
    assert_sound(vec![
        t(1, 0, 10).at(5).get("x", 1).set("x", 2).ended(Outcome::Unknown),
        t(2, 11, 20).at(30).get("x", 2).get("y", 0).set("x", 3).set("z", 7).ended(Outcome::Unknown),
        t(3, 12, 20).at(31).get("z", 0).set("z", 8).ended(Outcome::Unknown),
        t(4, 30, 40).at(50).get("x", 3).get("z", 7).read_only(),
    ]);
    // What it had read was changed before any place that is left for it.
    let history = vec![
        t(1, 0, 10).at(5).get("x", 1).set("y", 2).ended(Outcome::Unknown),
        t(2, 0, 10).at(5).get("x", 1).get("y", 0).set("x", 3).committed(20),
        t(3, 11, 12).at(21).get("y", 0).read_only(),
        t(3, 13, 14).at(30).get("y", 2).read_only(),
    ];
    let (by_versions, by_values) = kinds(history);
    assert_eq!(by_versions, [Kind::HalfCommit]);
    assert_eq!(by_values, [Kind::WriteSkew]);
}

#[test]
fn an_unknown_clear_may_explain_what_is_gone() {
    assert_sound(vec![
        t(1, 0, 5).set("x", 2).committed(10),
        t(2, 6, 9).clear("x").ended(Outcome::Unknown),
        t(3, 10, 11).at(20).get("x", 2).read_only(),
        t(3, 12, 13).at(30).get("x", 0).read_only(),
    ]);
    let (by_versions, _) = kinds(vec![
        t(1, 0, 5).set("x", 2).committed(10),
        t(2, 6, 9).clear("x").ended(Outcome::Unknown),
        t(3, 10, 11).at(20).get("x", 0).read_only(),
        t(3, 12, 13).at(30).get("x", 2).read_only(),
    ]);
    assert!(!by_versions.is_empty(), "gone, and back again");
}

#[test]
fn a_value_that_its_writer_does_not_know_is_told_by_the_first_read() {
    assert_sound(vec![
        t(1, 0, 5).mutate("x").committed(10),
        t(2, 6, 7).at(10).get("x", 7).read_only(),
        t(2, 8, 9).at(12).get("x", 7).read_only(),
    ]);
    let (by_versions, _) = kinds(vec![
        t(1, 0, 5).mutate("x").committed(10),
        t(2, 6, 7).at(10).get("x", 7).read_only(),
        t(2, 8, 9).at(12).get("x", 8).read_only(),
    ]);
    assert_eq!(by_versions, [Kind::StaleRead], "as what was there before may have been");
}

#[test]
fn an_explanation_names_the_transactions_the_key_and_the_versions() {
    let verdict = check(
        &history(vec![
            t(4, 0, 10).at(5).get("x", 1).set("x", 2).committed(20),
            t(7, 0, 10).at(5).get("x", 1).set("x", 3).committed(30),
        ]),
        Checks::All,
    );
    let json = verdict.to_json();
    assert_eq!(json["strictly_serializable"], false);
    let violation = &json["violations"][0];
    assert_eq!(violation["kind"], "lost_update");
    assert_eq!(violation["keys"], serde_json::json!(["x"]));
    let transactions = violation["transactions"].as_array().unwrap();
    let clients: Vec<_> = transactions.iter().map(|one| one["client"].as_u64()).collect();
    assert!(clients.contains(&Some(4)) && clients.contains(&Some(7)), "{violation}");
    let text = violation["explanation"].as_str().unwrap();
    for part in ["transaction 7.0", "committed at 30/0", "line 3", "\"x\""] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
