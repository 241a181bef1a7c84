//! Power cuts at every call, and again at the calls of recovery.

use plinthdb::vfs::{
    SimVfs,
    sim::{Fault, FaultPlan, Keep, KeepNames},
};

use super::{
    history::History,
    remains::{Seen, fault_at, is_deep, judge, line_to_repeat, remains, repeat},
    script::{self, Script},
    verdict::verdict,
};

/// How many disks were looked at.
#[derive(Default)]
struct Counts {
    cuts: u64,
    images: u64,
    recoveries: u64,
    nested: u64,
    seen: Seen,
}

/// Everything that one cut may leave. Recovery of some is cut itself, at each of its calls.
fn try_cut(script: u64, number: u64, fault: Fault, counts: &mut Counts) {
    let disk = SimVfs::with_plan(fault_at(number, false, fault));
    let history = Script::new(script).run(&disk);
    counts.cuts += 1;
    let nested_one_in = if is_deep() { 7 } else { 97 };
    for remains in remains(number) {
        let plan = FaultPlan { faults: fault_at(number, false, fault).faults, ..remains };
        let left = disk.after_cut(plan.keep, plan.names, plan.seed);
        counts.images += 1;
        if !counts.seen.is_new(&left, &history) {
            continue;
        }
        if counts.recoveries.is_multiple_of(nested_one_in) {
            cut_recovery(&left, script, &plan, &history, counts);
        }
        judge(&left, script, &plan, &history);
        counts.recoveries += 1;
    }
}

/// Cuts the power at each call of a recovery.
fn cut_recovery(
    left: &SimVfs,
    script: u64,
    plan: &FaultPlan,
    history: &History,
    counts: &mut Counts,
) {
    for number in 1.. {
        assert!(number < 1000, "recovery takes a thousand calls");
        let disk = left.duplicate();
        disk.set_plan(fault_at(number, false, Fault::CutDuring));
        drop(script::open(&disk));
        if !disk.is_cut() {
            return;
        }
        for seed in 0..2 {
            judge(&disk.after_cut(Keep::Random, KeepNames::Any, seed), script, plan, history);
            counts.nested += 1;
        }
    }
}

/// Cuts the power at every call of a script, in every way; says how much was looked at.
fn cut_everywhere(script: u64) -> String {
    let disk = SimVfs::new();
    let history = Script::new(script).run(&disk);
    assert_eq!(history.complaint, None, "script {script}");
    assert!(history.acknowledged() > 40, "the script runs to its end");
    let calls = disk.calls();
    assert!(calls > 100, "{calls} calls");
    let mut counts = Counts::default();
    for number in 1..=calls {
        for fault in [Fault::CutBefore, Fault::CutDuring, Fault::CutAfter] {
            try_cut(script, number, fault, &mut counts);
        }
    }
    let Counts { cuts, images, recoveries, nested, .. } = counts;
    let counts = format!(
        "script {script}: {cuts} cuts, {images} images, {recoveries} different ones recovered \
         from, {nested} after a cut in recovery itself"
    );
    assert!(recoveries > 750 && nested > 150, "{counts}");
    counts
}

// One test each, so that they run side by side.

#[test]
fn a_crash_at_any_call_loses_nothing_that_was_promised() {
    if let Some(line) = line_to_repeat() {
        let (script, plan, disk, history) = repeat(&line);
        let left = disk.restart();
        cut_recovery(&left, script, &plan, &history, &mut Counts::default());
        return judge(&left, script, &plan, &history);
    }
    println!("{}", cut_everywhere(0));
}

#[test]
fn a_crash_loses_nothing_where_some_commits_ask_for_less() {
    if line_to_repeat().is_none() {
        println!("{}", cut_everywhere(1));
    }
}

#[test]
fn a_crash_of_further_scripts_loses_nothing() {
    if is_deep() && line_to_repeat().is_none() {
        (2..6).for_each(|script| println!("{}", cut_everywhere(script)));
    }
}

/// Each script merges tables more than once, and some of them go deeper as they are.
#[test]
fn every_script_compacts() {
    for script in 0..6 {
        let history = Script::new(script).run(&SimVfs::new());
        let done = history.compaction;
        assert!(done.compactions >= 3 && done.moves >= 1, "script {script}: {done:?}");
        // Those that are cut in any case also drop tables unread.
        assert!(done.dropped_unread >= 1 || script >= 2, "script {script}: {done:?}");
    }
}

/// The harness must notice what it is there for.
#[test]
fn a_disk_that_lies_about_its_syncs_is_found_out() {
    let plan = "log.sync_data#20+=lie".parse().expect("a plan");
    let disk = SimVfs::with_plan(plan);
    let history = Script::new(0).run(&disk);
    let left = disk.after_cut(Keep::Nothing, KeepNames::Prefix, 0);
    verdict(&left, &history).expect_err("commits are lost, and the log knows that some are");
}
