//! Bugs that are planted inside the engine: the crash tests' harness must find each of them.
//!
//! Those that can be planted between the engine and its disk are in `tests/crash/planted.rs`.

#[path = "../../../tests/crash/afterwards.rs"]
mod afterwards;
#[path = "../../../tests/crash/damage.rs"]
mod damage;
#[expect(dead_code, reason = "some of it is for the crash tests themselves")]
#[path = "../../../tests/crash/history.rs"]
mod history;
#[expect(dead_code, reason = "what repeats a failure is for the crash tests themselves")]
#[path = "../../../tests/crash/remains.rs"]
mod remains;
#[path = "../../../tests/crash/script.rs"]
mod script;
#[path = "../../../tests/crash/verdict.rs"]
mod verdict;

use crate::engine::planted::{Bug, plant};

#[test]
fn without_a_planted_bug_nobody_complains() {
    assert_eq!(remains::first_complaint("", 0, 17), None);
}

/// The scripts find the bug, crash or no crash.
fn assert_caught(bug: Bug) {
    let _planted = plant(bug);
    let complaint = (0..4).find_map(|script| remains::first_complaint("", script, 5));
    assert!(complaint.is_some(), "nobody notices {bug:?}");
}

/// Damage finds the bug.
fn assert_caught_by_damage(bug: Bug) {
    let _planted = plant(bug);
    let complaint =
        (0..4).find_map(|script| damage::damage_all(script, &mut damage::Tally::default()).err());
    assert!(complaint.is_some(), "nobody notices {bug:?}");
}

#[test]
fn planted_a_log_checksum_that_is_ignored_is_caught() {
    assert_caught_by_damage(Bug::LogChecksumIgnored);
}

#[test]
fn planted_a_table_checksum_that_is_ignored_is_caught() {
    assert_caught_by_damage(Bug::TableChecksumIgnored);
}

#[test]
fn planted_a_rewrite_that_forgets_snapshots_is_caught() {
    assert_caught(Bug::SnapshotsForgotten);
}

#[test]
fn planted_a_rewrite_that_forgets_clears_is_caught() {
    assert_caught(Bug::ClearsForgottenEarly);
}

#[test]
fn planted_a_compaction_that_forgets_snapshots_is_caught() {
    assert_caught(Bug::CompactionForgetsSnapshots);
}

#[test]
fn planted_a_compaction_that_forgets_clears_is_caught() {
    assert_caught(Bug::CompactionForgetsClears);
}

#[test]
fn planted_tables_that_go_before_the_manifest_says_so_are_caught() {
    assert_caught(Bug::TablesGoTooEarly);
}

#[test]
fn planted_a_recovery_that_drops_the_last_record_is_caught() {
    assert_caught(Bug::LastRecordForgotten);
}

#[test]
fn planted_a_log_that_goes_too_early_is_caught() {
    assert_caught(Bug::LogGoesTooEarly);
}

#[test]
fn planted_ids_that_go_with_their_log_are_caught() {
    assert_caught(Bug::IdsForgotten);
}

#[test]
fn planted_orphans_that_stay_are_caught() {
    assert_caught(Bug::OrphansStay);
}
