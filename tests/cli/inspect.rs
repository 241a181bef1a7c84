//! `plinth inspect`, as text and as JSON.

use serde_json::Value;

use crate::{
    process::{Said, run},
    sample::{ROWS, Sample, json_lines, shown},
};

fn shows(arguments: &[&str]) -> String {
    let said = run(arguments);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    said.stdout
}

fn fails(arguments: &[&str], words: &str) -> Said {
    let said = run(arguments);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    said
}

#[test]
fn the_manifest_the_tables_and_the_log_agree() {
    let sample = Sample::new();
    let path = sample.path();
    let manifest = shown(&["inspect", "manifest", path]);
    let (head, tables) = manifest.split_first().unwrap();
    assert_eq!(head["tables"], tables.len());
    assert_eq!(head["in_use"], false);
    let text = shows(&["inspect", "manifest", path]);
    let id = head["database_id"].as_str().unwrap();
    assert!(text.starts_with(&format!("database {id}\n")), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("level ")).count(), tables.len());

    let mut keys = 0;
    for table in tables {
        let number = table["table"].to_string();
        let entries = shown(&["inspect", "table", path, &number]);
        assert_eq!(table["entries"], entries.len());
        let is_within = |entry: &Value| {
            let key = entry["key"].as_str().unwrap();
            table["begin"].as_str().unwrap() <= key && key < table["end"].as_str().unwrap()
        };
        assert!(entries.iter().all(is_within), "{table}");
        let lines = shows(&["inspect", "table", path, &number]);
        assert_eq!(lines.lines().count(), entries.len());
        assert!(lines.starts_with("0:\"row"), "{lines:.80}");
        keys += entries.len();
    }
    assert!(keys > 0 && keys <= ROWS, "{keys}");

    let log = shown(&["inspect", "log", path]);
    assert_eq!(log.len(), 1);
    let records = shown(&["inspect", "log", path, "--records"]);
    assert_eq!(log[0]["records"], records.len() - 1);
    let text = shows(&["inspect", "log", path, "--records"]);
    assert!(text.contains("record 1:512, ") && text.contains("\nsegment 1: "), "{text}");
    let writes: u64 = records
        .iter()
        .filter_map(|record| record["transactions"].as_array())
        .flatten()
        .map(|transaction| transaction["writes"].as_u64().unwrap())
        .sum();
    assert_eq!(writes as usize, ROWS);
}

#[test]
fn a_key_is_followed_through_the_log_and_the_tables() {
    let sample = Sample::new();
    let path = sample.path();
    let versions = shown(&["inspect", "key", path, "row00007"]);
    // The first rows were flushed, and the log still has them.
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert!(versions[0]["segment"].is_u64() && versions[1]["table"].is_u64(), "{versions:?}");
    assert!(versions.iter().all(|version| version["value"] == "v".repeat(200)));
    assert_eq!(versions[0]["version"], versions[1]["version"]);
    let text = shows(&["inspect", "key", path, "row0000\\x37"]);
    let mut lines = text.lines();
    assert!(lines.next().unwrap().contains(" log 1:"), "{text}");
    assert!(lines.next().unwrap().contains(" level "), "{text}");
    // A key that nobody has written, and a keyspace that nobody has.
    for arguments in [
        &["inspect", "key", path, "nobody"][..],
        &["inspect", "key", path, "row00007", "--keyspace-id", "77"],
    ] {
        let said = run(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{said:?}");
        assert!(said.stderr.contains("neither the log nor a table"), "{said:?}");
    }
}

#[test]
fn what_is_damaged_is_shown_as_far_as_it_goes() {
    let sample = Sample::new();
    let path = sample.path();
    let record = sample.damage_log();
    let said = run(&["inspect", "log", path, "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let lines = json_lines(&said);
    // The record before ends there, or less than a sector earlier where it was synced by itself.
    let end = lines[0]["end"].as_u64().unwrap();
    assert!(end <= record.offset && record.offset - end < 512, "{end}, {}", record.offset);
    assert!(lines[1]["damage"].as_str().unwrap().contains(&record.offset.to_string()));
    let (number, _) = sample.damage_table();
    fails(&["inspect", "table", path, &number.to_string()], "is damaged at offset");
    fails(&["inspect", "table", path, "999"], "names no table 999");
    fails(&["inspect", "manifest", "/no/such/place"], "no database in /no/such/place");
}

#[test]
fn a_database_that_is_in_use_can_be_looked_at() {
    let (sample, server) = Sample::served();
    let said = run(&["inspect", "manifest", sample.path(), "--json"]);
    assert_eq!(said.code, 0);
    assert!(said.stderr.contains("the database is in use"), "{said:?}");
    assert_eq!(json_lines(&said)[0]["in_use"], true);
    server.stop();
}
