//! Bugs that are planted where the engine meets its disk. The harness must find each of them; if it
//! didn't, it would prove nothing.
//!
//! A sync that is skipped is a disk that lies about it. Other bugs are a wrapper around the disk.

use std::sync::Arc;

use plinthdb::vfs::{
    SimVfs,
    sim::{FaultPlan, Keep, KeepNames},
};

use super::{remains::first_complaint, script::Script, verdict::verdict, wrapper::RetriesSyncs};

fn assert_caught(planted: &str) {
    let complaint = first_complaint(planted, 0, 1);
    assert!(complaint.is_some(), "nobody notices {planted}");
}

#[test]
fn planted_a_log_that_is_not_synced_is_caught() {
    assert_caught("log.sync_data#1+=lie");
}

#[test]
fn planted_a_new_segment_whose_directory_is_not_synced_is_caught() {
    assert_caught("log.sync_directory#1+=lie");
}

#[test]
fn planted_a_log_that_goes_before_the_table_is_durable_is_caught() {
    assert_caught("table.sync_data#1+=lie");
}

#[test]
fn planted_a_log_that_goes_before_the_tables_name_is_durable_is_caught() {
    assert_caught("tables.sync_directory#1+=lie");
}

#[test]
fn planted_a_log_that_goes_before_the_manifest_is_durable_is_caught() {
    assert_caught("manifest.sync_data#1+=lie");
}

#[test]
fn planted_a_file_that_is_renamed_before_it_is_durable_is_caught() {
    assert_caught("new.sync_all#1+=lie");
}

#[test]
fn planted_a_manifest_whose_name_is_not_durable_when_the_older_one_goes_is_caught() {
    assert_caught("manifest.sync_directory#1+=lie");
}

#[test]
fn planted_ids_that_are_not_durable_when_the_log_goes_are_caught() {
    assert_caught("ids.sync_all#1+=lie");
}

#[test]
fn planted_a_failed_sync_that_is_tried_again_is_caught() {
    let complaint = (3..40).find_map(|number| {
        let plan: FaultPlan = format!("log.sync_data#{number}=eio").parse().expect("a plan");
        let disk = SimVfs::with_plan(plan);
        let history = Script::new(0).run_on(Arc::new(RetriesSyncs(disk.clone())), &disk);
        verdict(&disk.after_cut(Keep::Everything, KeepNames::Prefix, 0), &history).err()
    });
    assert!(complaint.is_some(), "nobody notices that the second sync has written nothing");
}
