//! `plinth repair`: what is asked for, with and without consent, and that the rest can be used.

use std::{fs, path::Path};

use crate::{
    process::{Server, run},
    sample::{ROWS, Sample},
};

/// Has it done: first without consent, which must change nothing, and then with it.
fn repair(sample: &Sample, arguments: &[&str]) -> String {
    let before = sample.verify();
    let all = [&["repair"], arguments].concat();
    let asked = run(&all);
    assert_eq!(asked.code, 1, "{asked:?}");
    assert!(asked.stderr.ends_with("nothing was done: say --yes to do it\n"), "{asked:?}");
    assert_eq!(sample.verify(), before);
    assert!(!sample.data.join("repair-1").exists());
    let done = run(&[&all[..], &["--yes"]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    let copies = sample.data.join("repair-1");
    let last = format!("done; what was there before is kept in {}\n", copies.display());
    assert!(done.stderr.ends_with(&last), "{done:?}");
    let told = |text: &str| text.lines().rev().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(told(&asked.stderr), told(&done.stderr), "what was said is what was done");
    let (code, report) = sample.verify();
    assert_eq!(code, 0, "{report}");
    done.stderr
}

fn kept(sample: &Sample, original: &Path) -> Vec<u8> {
    fs::read(sample.data.join("repair-1").join(original.strip_prefix(&sample.data).unwrap()))
        .unwrap()
}

#[test]
fn a_log_is_cut_before_the_record_that_is_damaged() {
    let sample = Sample::new();
    let record = sample.damage_log();
    let path = sample.segment_path(record.segment);
    let damaged = fs::read(&path).unwrap();
    let said = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", sample.path()]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("plinth repair truncate-log"), "{said:?}");
    // A place that is none.
    let wrong = format!("{}:{}", record.segment, record.offset + 1);
    let said = run(&["repair", "truncate-log", sample.path(), "--at", &wrong, "--yes"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("no record begins at"), "{said:?}");
    assert_eq!(run(&["repair", "truncate-log", sample.path(), "--at", "here"]).code, 2);

    let at = format!("{}:{}", record.segment, record.offset);
    let told = repair(&sample, &["truncate-log", sample.path(), "--at", &at]);
    assert!(told.contains(&format!("the log ends before {at}: ")), "{told}");
    assert!(kept(&sample, &path) == damaged);
    let rows = sample.serve_and_count();
    assert!(rows > 0 && rows < ROWS, "{rows}");
    assert_eq!(sample.verify().0, 0);
}

#[test]
fn a_damaged_table_is_dropped() {
    let sample = Sample::new();
    let (number, _) = sample.damage_table();
    let path = sample.table_path(number);
    let damaged = fs::read(&path).unwrap();
    let told = repair(&sample, &["drop-table", sample.path(), &number.to_string()]);
    assert!(told.contains(&format!("table {number} of level ")), "{told}");
    assert!(kept(&sample, &path) == damaged && !path.exists());
    let rows = sample.serve_and_count();
    assert!(rows > 0 && rows < ROWS, "{rows}");
    let said = run(&["repair", "drop-table", sample.path(), &number.to_string(), "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("names no table"), "{said:?}");
}

#[test]
fn a_manifest_is_made_anew_where_it_is_damaged_or_lost() {
    let sample = Sample::new();
    let said = run(&["repair", "rebuild-manifest", sample.path(), "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("is sound: nothing to rebuild"), "{said:?}");
    let path = sample.damage_manifest();
    let damaged = fs::read(&path).unwrap();
    let told = repair(&sample, &["rebuild-manifest", sample.path()]);
    assert!(told.contains("is damaged at offset 512"), "{told}");
    assert!(kept(&sample, &path) == damaged);
    assert_eq!(sample.serve_and_count(), ROWS);
    assert_eq!(sample.verify().0, 0);

    let sample = Sample::new();
    fs::remove_file(sample.manifest()).unwrap();
    let told = repair(&sample, &["rebuild-manifest", sample.path()]);
    assert!(told.contains("there is none"), "{told}");
    assert_eq!(sample.serve_and_count(), ROWS);
}

#[test]
fn a_database_that_is_in_use_is_not_repaired() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let said = run(&["repair", "rebuild-manifest", data.to_str().unwrap(), "--yes"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("another process"), "{said:?}");
    server.stop();
}
