//! Bugs that are planted where the engine meets its disk. The harness must find each of them; if it
//! didn't, it would prove nothing.
//!
//! A sync that is skipped is a disk that lies about it. Other bugs are a wrapper around the disk.

use std::sync::Arc;

use plinthdb::vfs::{
    SimVfs,
    sim::{FaultPlan, Keep, KeepNames},
};

use super::{script::Script, verdict::verdict, wrapper::RetriesSyncs};

/// Crashes the engine at many of its calls on a disk on which this plan holds, until a verdict
/// finds fault; says what it says.
fn first_complaint(planted: &str) -> Option<String> {
    let whole = SimVfs::with_plan(planted.parse().expect("a plan"));
    Script::new(0).run(&whole);
    (1..=whole.calls()).find_map(|number| {
        let plan = format!("{planted} {number}=cut-after");
        let disk = SimVfs::with_plan(plan.parse().expect("a plan"));
        let history = Script::new(0).run(&disk);
        [Keep::Nothing, Keep::Newest, Keep::Everything]
            .into_iter()
            .find_map(|keep| verdict(&disk.after_cut(keep, KeepNames::Prefix, 0), &history).err())
    })
}

fn assert_caught(planted: &str) {
    let complaint = first_complaint(planted);
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
fn planted_a_failed_sync_that_is_tried_again_is_caught() {
    let complaint = (3..40).find_map(|number| {
        let plan: FaultPlan = format!("log.sync_data#{number}=eio").parse().expect("a plan");
        let disk = SimVfs::with_plan(plan);
        let history = Script::new(0).run_on(Arc::new(RetriesSyncs(disk.clone())), &disk);
        verdict(&disk.after_cut(Keep::Everything, KeepNames::Prefix, 0), &history).err()
    });
    assert!(complaint.is_some(), "nobody notices that the second sync has written nothing");
}
