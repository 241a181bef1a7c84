//! Cuts the power before, during and after every call that an engine makes to its disk, and looks
//! at every disk that this may leave.
//!
//! The engine runs a script of commits step by step on one thread; everything follows from the
//! script's seed and the plan of what goes wrong, so that a failure is repeated by its one line:
//!
//! ```text
//! PLINTH_CRASH='script=1 seed=3 keep=random 17=cut-during' cargo test -p plinthdb --test crash
//! ```
//!
//! With `PLINTH_CRASH_DEEP=1` it takes minutes and looks at ten times as many disks.
//!
//! What is checked of each disk, see [`verdict`]: the engine opens; what it holds is a prefix of the
//! history, with everything that was acknowledged as durable and everything that was ever read, and
//! nothing that was refused; each transaction is there whole or not at all; the idempotency ids say
//! which; versions go on above everything that was ever handed out; and it can be written to, closed
//! and opened again. Recovery is cut in the same way.

mod history;
mod script;
mod verdict;

use plinthdb::vfs::{
    SimVfs,
    sim::{Fault, FaultPlan, Keep, KeepNames, Trigger},
};

use crate::{history::History, script::Script, verdict::verdict};

/// Scripts that every kind of cut is tried on.
const SCRIPTS: u64 = 2;

fn cut(number: u64, fault: Fault) -> FaultPlan {
    let trigger = Trigger::Call { number, onwards: false };
    FaultPlan { faults: vec![(trigger, fault)], ..FaultPlan::default() }
}

/// Whether to take minutes instead of seconds: `PLINTH_CRASH_DEEP` is set.
fn is_deep() -> bool {
    std::env::var_os("PLINTH_CRASH_DEEP").is_some()
}

/// What may be left of what was not synced.
fn remains(seed: u64) -> Vec<FaultPlan> {
    let (torn, mixes): (&[u32], u64) = if is_deep() { (&[0, 1, 2, 5], 4) } else { (&[1], 1) };
    let plan = |keep, names, seed| FaultPlan { keep, names, seed, ..FaultPlan::default() };
    let mut remains = vec![
        plan(Keep::Nothing, KeepNames::Prefix, 0),
        plan(Keep::Everything, KeepNames::Prefix, 0),
        plan(Keep::Newest, KeepNames::Prefix, 0),
    ];
    for &sectors in torn {
        remains.push(plan(Keep::Torn { sectors }, KeepNames::Prefix, 0));
    }
    for mix in 0..mixes {
        remains.push(plan(Keep::Random, KeepNames::Prefix, seed * 8 + mix));
        remains.push(plan(Keep::Random, KeepNames::Any, seed * 8 + 4 + mix));
    }
    remains
}

/// How many disks were looked at.
#[derive(Default)]
struct Counts {
    cuts: u64,
    recoveries: u64,
    nested: u64,
}

/// Looks at a disk; says how to repeat it if it is wrong.
fn judge(disk: &SimVfs, script: u64, plan: &FaultPlan, history: &History) {
    let complaint = verdict(disk, history).err();
    assert_eq!(
        complaint, None,
        "repeat it with:\nPLINTH_CRASH='script={script} {plan}' cargo test -p plinthdb --test \
         crash"
    );
}

/// Everything that one cut may leave. Recovery of some is cut itself, at each of its calls.
fn try_cut(script: u64, number: u64, fault: Fault, counts: &mut Counts) {
    let disk = SimVfs::with_plan(cut(number, fault));
    let history = Script::new(script).run(&disk);
    counts.cuts += 1;
    let nested_one_in = if is_deep() { 7 } else { 97 };
    for remains in remains(number) {
        let plan = FaultPlan { faults: cut(number, fault).faults, ..remains };
        let left = disk.after_cut(plan.keep, plan.names, plan.seed);
        if counts.recoveries.is_multiple_of(nested_one_in) {
            cut_recovery(&left, script, &plan, &history, counts);
        }
        judge(&left, script, &plan, &history);
        counts.recoveries += 1;
    }
}

fn cut_recovery(
    left: &SimVfs,
    script: u64,
    plan: &FaultPlan,
    history: &History,
    counts: &mut Counts,
) {
    for number in 1..100 {
        let disk = left.duplicate();
        disk.set_plan(cut(number, Fault::CutDuring));
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

/// The line of a failure, run again.
fn repeat(line: &str) {
    let (script, plan) = line.split_once(' ').expect("script=<number>, a blank, and a plan");
    let script = script.strip_prefix("script=").expect("script=<number> comes first");
    let script = script.parse().expect("a number");
    let plan: FaultPlan = plan.parse().expect("a plan");
    let disk = SimVfs::with_plan(plan.clone());
    let history = Script::new(script).run(&disk);
    let mut counts = Counts::default();
    let left = disk.restart();
    cut_recovery(&left, script, &plan, &history, &mut counts);
    judge(&left, script, &plan, &history);
}

#[test]
fn a_crash_at_any_call_loses_nothing_that_was_promised() {
    if let Ok(line) = std::env::var("PLINTH_CRASH") {
        return repeat(&line);
    }
    let mut counts = Counts::default();
    for script in 0..SCRIPTS {
        let disk = SimVfs::new();
        let history = Script::new(script).run(&disk);
        assert!(history.acknowledged() > 40, "the script runs to its end");
        let calls = disk.calls();
        assert!(calls > 100, "{calls} calls");
        for number in 1..=calls {
            for fault in [Fault::CutBefore, Fault::CutDuring, Fault::CutAfter] {
                try_cut(script, number, fault, &mut counts);
            }
        }
    }
    let Counts { cuts, recoveries, nested } = counts;
    println!("{cuts} cuts, {recoveries} recoveries, {nested} after a cut in recovery itself");
    assert!(recoveries > 4_000 && nested > 500);
}

#[test]
fn an_error_at_any_call_stops_commits_and_loses_nothing() {
    let mut errors = 0;
    for fault in [Fault::Eio, Fault::Enospc, Fault::Short] {
        for onwards in [false, true] {
            let mut number = 1;
            loop {
                let trigger = Trigger::Call { number, onwards };
                let plan = FaultPlan { faults: vec![(trigger, fault)], ..FaultPlan::default() };
                let disk = SimVfs::with_plan(plan.clone());
                let history = Script::new(0).run(&disk);
                if disk.calls() < number {
                    break;
                }
                errors += 1;
                // The program starts again on a machine that runs on, and then on one that didn't.
                judge(&disk.duplicate(), 0, &plan, &history);
                for remains in remains(number).iter().take(3) {
                    let left = disk.after_cut(remains.keep, remains.names, remains.seed);
                    let plan = FaultPlan { keep: remains.keep, ..plan.clone() };
                    judge(&left, 0, &plan, &history);
                }
                number += 1;
            }
        }
    }
    assert!(errors > 500, "{errors} errors");
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
