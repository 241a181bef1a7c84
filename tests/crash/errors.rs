//! Errors in place of cuts: every call fails once, or from some call on. Which calls may fail a
//! commit, or stop the engine, and which must go unnoticed by clients, is a table.

use std::collections::{BTreeMap, BTreeSet};

use plinthdb::{
    random::Random,
    vfs::{
        SimVfs,
        sim::{Fault, FaultPlan, Keep, KeepNames, Trigger},
    },
};

use super::{
    history::History,
    remains::{fault_at, is_deep, judge, line_to_repeat, remains},
    script::Script,
};

const ERRORS: [Fault; 3] = [Fault::Eio, Fault::Enospc, Fault::Short];

/// What came of one failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// The engine was not opened.
    NotOpened,
    /// It has given up writing.
    Poisoned,
    /// Commits were refused, and later ones were not.
    Refused,
    /// Nobody was told.
    Nothing,
}

use Effect::{NotOpened, Nothing, Poisoned, Refused};

/// By label: what a failure of this call may do, and must do at least once in all runs.
const EFFECTS: &[(&str, &[Effect])] = &[
    (".sync_directory", &[NotOpened]),
    ("data.create_directory", &[NotOpened]),
    ("data.sync_directory", &[NotOpened]),
    ("identity.rename", &[NotOpened]),
    ("log.create_directory", &[NotOpened]),
    ("log.rename", &[NotOpened, Poisoned]),
    ("log.sync_data", &[NotOpened, Poisoned]),
    ("log.sync_directory", &[NotOpened, Poisoned]),
    ("log.write", &[NotOpened, Poisoned]),
    ("new.allocate", &[NotOpened, Poisoned]),
    ("new.create", &[NotOpened, Poisoned]),
    ("new.sync_all", &[NotOpened, Poisoned]),
    ("new.write", &[NotOpened, Poisoned]),
];

fn effect(history: &History) -> Effect {
    match history {
        History { is_opened: false, .. } => NotOpened,
        History { is_poisoned: true, .. } => Poisoned,
        history if history.refused() > 0 => Refused,
        _ => Nothing,
    }
}

/// The program starts again on a machine that runs on, and then on one that didn't.
fn judge_after(disk: &SimVfs, script: u64, plan: &FaultPlan, history: &History) {
    judge(&disk.duplicate(), script, plan, history);
    for remains in remains(0).iter().take(3) {
        let left = disk.after_cut(remains.keep, remains.names, remains.seed);
        judge(&left, script, &FaultPlan { keep: remains.keep, ..plan.clone() }, history);
    }
}

#[test]
fn an_error_at_any_call_stops_commits_and_loses_nothing() {
    let labels = {
        let disk = SimVfs::new();
        Script::new(0).run(&disk);
        disk.numbered_labels()
    };
    let mut seen: BTreeMap<String, BTreeSet<Effect>> = BTreeMap::new();
    let mut errors = 0;
    for fault in ERRORS {
        for onwards in [false, true] {
            for number in 1..=labels.len() as u64 {
                let plan = fault_at(number, onwards, fault);
                let disk = SimVfs::with_plan(plan.clone());
                let history = Script::new(0).run(&disk);
                errors += 1;
                if !onwards {
                    let label = labels[number as usize - 1].to_string();
                    seen.entry(label).or_default().insert(effect(&history));
                }
                judge_after(&disk, 0, &plan, &history);
            }
        }
    }
    let expected: BTreeMap<String, BTreeSet<Effect>> = EFFECTS
        .iter()
        .map(|(label, effects)| ((*label).to_owned(), effects.iter().copied().collect()))
        .collect();
    for label in seen.keys().chain(expected.keys()) {
        let (seen, expected) = (seen.get(label), expected.get(label));
        assert_eq!(seen, expected, "what an error of {label} does, and what it is to do");
    }
    println!("{errors} errors, each looked at in four ways");
    assert!(errors > 500, "{errors} errors");
}

/// An error, and later the power fails: what was done about the first must not make the second
/// worse.
#[test]
fn an_error_and_then_a_crash_lose_nothing() {
    if line_to_repeat().is_some() {
        return;
    }
    let (pairs, mut random) = (if is_deep() { 6_000 } else { 300 }, Random::new(5));
    let calls: Vec<u64> = (0..4)
        .map(|script| {
            let disk = SimVfs::new();
            Script::new(script).run(&disk);
            disk.calls()
        })
        .collect();
    for pair in 0..pairs {
        let script = random.below(calls.len() as u64);
        let end = calls[script as usize];
        let first = 1 + random.below(end);
        let second = first + 1 + random.below((end - first).max(30));
        let error = ERRORS[random.below(3) as usize];
        let cut = [Fault::CutBefore, Fault::CutDuring, Fault::CutAfter][random.below(3) as usize];
        let once = |number| Trigger::Call { number, onwards: false };
        let keep = [Keep::Nothing, Keep::Everything, Keep::Random][random.below(3) as usize];
        let plan = FaultPlan {
            seed: pair,
            keep,
            names: KeepNames::Any,
            faults: vec![(once(first), error), (once(second), cut)],
            ..FaultPlan::default()
        };
        let disk = SimVfs::with_plan(plan.clone());
        let history = Script::new(script).run(&disk);
        judge(&disk.restart(), script, &plan, &history);
    }
    println!("{pairs} errors that a crash followed");
}
