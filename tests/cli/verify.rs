//! `plinth verify`, of directories and of a server's database.

use std::fs;

use crate::{
    process::{Server, run},
    sample::{Sample, json_lines},
};

/// The only finding, with the one line of text that says the same.
fn only_finding(sample: &Sample, command: &str) -> serde_json::Value {
    let (code, report) = sample.verify();
    assert_eq!((code, &report["sound"]), (1, &false.into()), "{report}");
    let findings: Vec<_> = report["findings"].as_array().unwrap().iter().collect();
    let damage: Vec<_> = findings.iter().filter(|of| of["severity"] == "damage").collect();
    assert_eq!(damage.len(), 1, "{report}");
    let said = run(&["verify", sample.path()]);
    assert_eq!(said.code, 1);
    let line = said.stdout.lines().find(|line| line.starts_with("damage: ")).unwrap();
    let path = damage[0]["path"].as_str().unwrap();
    assert_eq!(line.matches(path).count(), 1, "the file is named once: {line}");
    if let Some(offset) = damage[0]["offset"].as_u64() {
        assert!(line.contains(&format!("at offset {offset}: ")), "{line}");
    }
    let remedy = format!("plinth repair {command} {}", sample.path());
    assert!(line.contains(&remedy), "{line}");
    assert!(said.stdout.lines().last().unwrap().starts_with("one damage: "), "{said:?}");
    (**damage[0]).clone()
}

#[test]
fn a_sound_directory_is_sound_in_text_and_in_json() {
    let sample = Sample::new();
    let said = run(&["verify", sample.path()]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    let last = said.stdout.lines().last().unwrap();
    assert!(last.starts_with("sound: ") && last.contains(" 1 segment of log"), "{said:?}");
    let (code, report) = sample.verify();
    assert_eq!((code, &report["sound"], &report["complete"]), (0, &true.into(), &true.into()));
    assert_eq!(report["tables"].as_u64().unwrap() as usize, sample.tables().len());
    assert!(report["transactions"].as_u64() > Some(10), "{report}");
}

#[test]
fn a_damaged_table_is_named_with_its_place() {
    let sample = Sample::new();
    let (number, offset) = sample.damage_table();
    let finding = only_finding(&sample, "drop-table");
    assert_eq!(finding["path"], sample.table_path(number).to_str().unwrap());
    let found = finding["offset"].as_u64().unwrap();
    assert!(found <= offset && offset - found < 16 << 10, "{found}: the block of {offset}");
    assert_eq!(finding["text"], "the checksum is wrong");
}

#[test]
fn a_damaged_log_is_named_with_the_place_of_the_record() {
    let sample = Sample::new();
    let record = sample.damage_log();
    let finding = only_finding(&sample, "truncate-log");
    assert_eq!(finding["path"], sample.segment_path(record.segment).to_str().unwrap());
    assert_eq!(finding["offset"], record.offset);
}

#[test]
fn a_damaged_manifest_and_one_that_is_not_there_are_named() {
    let sample = Sample::new();
    let path = sample.damage_manifest();
    let finding = only_finding(&sample, "rebuild-manifest");
    assert_eq!(finding["path"], path.to_str().unwrap());
    assert_eq!(finding["offset"], 512);
    // What can't be opened is not sound.
    fs::remove_file(path).unwrap();
    let finding = only_finding(&sample, "rebuild-manifest");
    assert_eq!(finding["path"], sample.data.join("manifest").to_str().unwrap());
    let said = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", sample.path()]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("plinth repair rebuild-manifest"), "{said:?}");
}

#[test]
fn a_server_checks_its_database_while_it_is_in_use() {
    let (sample, server) = Sample::served();
    // From outside, somebody else has it.
    let said = run(&["verify", sample.path()]);
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("another process") && said.stderr.contains("--target"),
        "{said:?}"
    );

    let target = server.target();
    let said = run(&["verify", "--target", &target]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.starts_with("sound: "), "{said:?}");
    let said = run(&["verify", "--target", &target, "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let job = json_lines(&said).remove(0);
    assert_eq!((&job["kind"], &job["state"]), (&"verify".into(), &"done".into()));
    assert_eq!(job["done_bytes"], job["total_bytes"], "in the end all of it is done");

    let (number, _) = sample.damage_table();
    let said = run(&["verify", "--target", &target]);
    assert_eq!(said.code, 1, "{said:?}");
    let path = sample.table_path(number);
    assert!(said.stderr.contains(path.to_str().unwrap()), "{said:?}");
    assert!(said.stderr.contains(" at offset "), "{said:?}");
    let said = run(&["verify", "--target", &target, "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(json_lines(&said)[0]["state"], "failed");
}

#[test]
fn what_is_no_database_is_not_checked() {
    let directory = tempfile::tempdir().unwrap();
    let fails = |arguments: &[&str], code: i32, words: &str| {
        let said = run(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{said:?}");
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    };
    let path = directory.path().to_str().unwrap();
    fails(&["verify", path], 1, "there is no database in");
    fs::write(directory.path().join("photo.jpg"), "x").unwrap();
    fails(&["verify", path], 1, "photo.jpg");
    fails(&["verify"], 2, "DIRECTORY");
    fails(&["verify", path, "--target", "plinth://127.0.0.1:1"], 2, "cannot be used with");
    let gone = Server::start(&directory.path().join("data")).target();
    fails(&["verify", "--target", &gone], 1, "plinth: ");
}
